namespace GpuExternalScaler.Sources.Exposition;

/// <summary>Decides whether a sample's own timestamp can be believed (T20).</summary>
/// <param name="now">When the sweep asked; the time of samples without a timestamp.</param>
/// <param name="staleAfter">Age past which a sample is refused.</param>
internal readonly struct SampleClock(DateTimeOffset now, TimeSpan staleAfter)
{
    private readonly long _now = now.ToUnixTimeMilliseconds();
    private readonly double _limit = staleAfter.TotalMilliseconds;

    /// <summary>The sweep's own time, in milliseconds since 1970.</summary>
    public long Now => _now;

    /// <summary>
    /// Places a sample in time, in milliseconds since 1970. Refused are samples older than the limit, which an exporter
    /// that died leaves behind, and samples as far ahead: by such a clock a frozen figure would look fresh for as long.
    /// Smaller leads are clocks that differ, and count as now.
    /// </summary>
    public SampleRefusal? Place(long? timestamp, out long milliseconds)
    {
        milliseconds = Math.Min(timestamp ?? _now, _now);

        // In double: the timestamps of a mutilated page overflow a long.
        var age = (double)_now - (timestamp ?? _now);
        return age > _limit ? SampleRefusal.Stale : age < -_limit ? SampleRefusal.AheadOfTime : null;
    }
}
