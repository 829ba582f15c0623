using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>Tells each Prometheus what workloads want of it: their own queries, and whether anybody looks at replicas or at the weeks before.</summary>
internal static class FleetWishes
{
    /// <summary>Collects what all workloads want.</summary>
    public static void Collect(FleetConnections connections, IEnumerable<Workload> workloads)
    {
        var queries = connections.Prometheus.ToDictionary(static named => named.Source, static _ => new HashSet<string>(StringComparer.Ordinal));
        var replicas = new HashSet<PrometheusSource>();
        var longest = TimeSpan.MinValue;
        foreach (var workload in workloads)
        {
            if (workload.Connection is not null && SeasonalBinding.IsFor(workload.Policy))
            {
                var coldStart = workload.Policy.MeasuresColdStart ? 3 * workload.Policy.ColdStart : workload.Policy.ColdStart;
                longest = coldStart > longest ? coldStart : longest;
            }

            if (workload.Fleet is not { } sources)
            {
                continue;
            }

            if (sources.Replicas is { } states)
            {
                replicas.Add(states);
            }

            if (sources.Queries is { } source && queries.TryGetValue(source, out var wanted))
            {
                wanted.UnionWith(TextsOf(workload.Policy));
            }
        }

        if (connections.History is { } history)
        {
            history.ColdStart = longest;
            history.WantsSeasonal = longest >= TimeSpan.Zero;
        }

        foreach (var (source, wanted) in queries)
        {
            source.WantedQueries = wanted;
            source.WantsReplicas = replicas.Contains(source);
        }
    }

    private static IEnumerable<string> TextsOf(ScalingPolicy policy)
    {
        if (policy is { LatencyQuery: { } latency, LatencyObjective: not null })
        {
            yield return latency;
        }

        if (policy.Query is { } query)
        {
            yield return query;
        }
    }
}
