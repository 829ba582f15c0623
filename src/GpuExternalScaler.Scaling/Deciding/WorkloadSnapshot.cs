using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Everything one step may look at besides its state: the newest readings of the workload's sources.</summary>
public readonly ref struct WorkloadSnapshot
{
    /// <summary>
    /// One reading for each queue. Never empty: a selector without a match is one reading that is
    /// <see cref="QueuePresence.Absent"/> or <see cref="QueuePresence.Unobserved"/>. Empty only for a workload without a queue
    /// (<see cref="HasQueues"/>).
    /// </summary>
    public required ReadOnlySpan<QueueReading> Queues { get; init; }

    /// <summary>Whether the workload is about queues at all.</summary>
    public bool HasQueues => Queues.Length > 0;

    /// <summary>What its pods hold of accelerators.</summary>
    public ReadOnlySpan<PodMemory> Pods { get; init; }

    /// <summary>How much <see cref="Pods"/> is worth.</summary>
    public FleetReading Memory { get; init; }

    /// <summary>What its model servers say.</summary>
    public ModelServerReading ModelServers { get; init; }

    /// <summary>Seconds that its <c>latencyQuery</c> gives.</summary>
    public QueryReading Latency { get; init; }

    /// <summary>Replicas that its <c>query</c> gives.</summary>
    public QueryReading Query { get; init; }

    /// <summary>Replicas there are, and may be.</summary>
    public ReplicaReading Replicas { get; init; }

    /// <summary>Most replicas that its schedule demands between now and the end of the cold start; 0 without one.</summary>
    public double ScheduledReplicas { get; init; }

    /// <summary>What arrived in the weeks before.</summary>
    public SeasonalReading Seasonal { get; init; }

    /// <summary>
    /// Whether the queues were found by a pattern. Then one that vanished cannot be told from one deleted on purpose,
    /// and it stops the answer from shrinking instead of taking it away.
    /// </summary>
    public bool MatchedByPattern { get; init; }

    /// <summary>Changes when the queues are others than before, so that nothing may be compared across the change.</summary>
    public int QueueSetVersion { get; init; }
}
