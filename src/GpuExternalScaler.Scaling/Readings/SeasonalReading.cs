namespace GpuExternalScaler.Scaling.Readings;

/// <summary>
/// Arrivals of a workload's queues at the same local time one and two weeks ago, in 1/s: the upper ends (P90) of some minutes around
/// each moment. All zero and not <see cref="IsKnown"/> where nothing is known.
/// </summary>
public readonly record struct SeasonalReading
{
    /// <summary>Whether both weeks are known around now and around the end of the cold start.</summary>
    public bool IsKnown { get; init; }

    /// <summary>A week before now.</summary>
    public double WeekAgo { get; init; }

    /// <summary>A week before the moment at which a replica asked for now would be ready; the most between that and now.</summary>
    public double WeekAgoAhead { get; init; }

    /// <summary>The same two weeks ago.</summary>
    public double TwoWeeksAgoAhead { get; init; }

    // Weeks that differ by more are no season: last Saturday's viral spike is not replayed.
    private const double Alike = 3;

    // No queue takes more in a second; a figure that does is none.
    private const double MostArrivals = 1e12;

    /// <summary>
    /// Arrivals in 1/s to be expected at the end of the cold start: the larger of the two weeks, scaled by what arrives now over what did a
    /// week ago, within half and one and a half times. NaN where the weeks are not known, or not alike.
    /// </summary>
    /// <param name="arrivalsPerSecond">What arrives now, in 1/s.</param>
    public double Expected(double arrivalsPerSecond)
    {
        var (least, most) = (Math.Min(WeekAgoAhead, TwoWeeksAgoAhead), Math.Max(WeekAgoAhead, TwoWeeksAgoAhead));
        return !IsKnown || !(most <= MostArrivals) || most > Alike * least ? double.NaN
            : WeekAgo > 0 ? most * Math.Clamp(arrivalsPerSecond / WeekAgo, 0.5, 1.5)
            : most;
    }
}
