using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>A new workload's wait for what Prometheus remembers of it, so that its first answer already has it.</summary>
/// <param name="source">Who asks.</param>
/// <param name="since">When it began.</param>
internal sealed class PastWait(HistorySource source, DateTimeOffset since)
{
    // Two ticks of the evaluation may come on top: ten seconds in all.
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(8);

    /// <summary>Whether it is over: answered, for naught, or too long.</summary>
    /// <param name="inForce">Who would be asked by the configuration in force.</param>
    /// <param name="now">Now.</param>
    /// <param name="table">What is known; null for nothing.</param>
    public bool IsOver(HistorySource? inForce, DateTimeOffset now, out PastTable? table)
    {
        table = null;
        return !ReferenceEquals(source, inForce) || source.TryGetPast(since, out table) || now - since >= Longest;
    }
}
