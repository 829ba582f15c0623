namespace GpuExternalScaler.Sources.Tests;

/// <summary>A clock that moves when told. Its frequency is odd, so that ticks taken for timestamps show.</summary>
internal sealed class ManualTime : TimeProvider
{
    private const long Frequency = 1_234_567;
    private DateTimeOffset _wall = new(2026, 11, 22, 10, 0, 0, TimeSpan.Zero);
    private TimeSpan _elapsed = TimeSpan.FromDays(3);

    public override long TimestampFrequency => Frequency;

    public override DateTimeOffset GetUtcNow() => _wall;

    public override long GetTimestamp() => (long)(_elapsed.TotalSeconds * Frequency);

    public void Advance(TimeSpan by)
    {
        _wall += by;
        _elapsed += by;
    }

    /// <summary>What an administrator or NTP does.</summary>
    public void StepWallClock(TimeSpan by) => _wall += by;
}
