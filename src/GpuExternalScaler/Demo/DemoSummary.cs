namespace GpuExternalScaler.Demo;

/// <summary>What a run came to. Counted from what happened to each message and each pod.</summary>
/// <param name="At">Simulated time played.</param>
/// <param name="Published">Messages that arrived.</param>
/// <param name="Served">Messages done.</param>
/// <param name="Patience">A wait longer than this is late.</param>
/// <param name="LateShare">Share of late messages. One that still waits counts with its wait so far.</param>
/// <param name="MedianWait">Half of the messages waited no longer.</param>
/// <param name="NinetyNinthWait">99 % of the messages waited no longer.</param>
/// <param name="PeakReplicas">Most pods wanted at any time.</param>
/// <param name="ReplicaTime">Time GPUs were held, added up over the pods.</param>
/// <param name="WorkTime">Time of work in the messages done.</param>
internal sealed record DemoSummary(
    TimeSpan At,
    long Published,
    long Served,
    TimeSpan Patience,
    double LateShare,
    TimeSpan MedianWait,
    TimeSpan NinetyNinthWait,
    int PeakReplicas,
    TimeSpan ReplicaTime,
    TimeSpan WorkTime)
{
    /// <summary>Adds up a run.</summary>
    public static DemoSummary Of(TimeSpan at, DemoQueue queue, DemoFleet fleet, TimeSpan patience)
    {
        var waits = queue.Waits.Concat(queue.WaitsSoFar(at)).Order().ToList();
        return new DemoSummary(
            at,
            queue.Published,
            queue.Acknowledged,
            patience,
            waits.Count == 0 ? 0 : waits.Count(wait => wait > patience) / (double)waits.Count,
            Quantile(waits, 0.5),
            Quantile(waits, 0.99),
            fleet.PeakWanted,
            fleet.ReplicaTime,
            fleet.WorkTime);
    }

    // The nearest rank: a wait that a message really had.
    private static TimeSpan Quantile(List<TimeSpan> sorted, double quantile) =>
        sorted.Count == 0 ? TimeSpan.Zero : sorted[Math.Max(0, (int)Math.Ceiling(quantile * sorted.Count) - 1)];
}
