using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>
/// A snapshot but for its queues and pods. The one place where members of recorded types are written down by hand, for a type that
/// lives on the stack has no other: a test fails when the snapshot has one that is not here.
/// </summary>
public struct SnapshotFigures
{
    /// <summary><see cref="WorkloadSnapshot.Memory"/>.</summary>
    public FleetReading Memory { get; set; }

    /// <summary><see cref="WorkloadSnapshot.ModelServers"/>.</summary>
    public ModelServerReading ModelServers { get; set; }

    /// <summary><see cref="WorkloadSnapshot.Latency"/>.</summary>
    public QueryReading Latency { get; set; }

    /// <summary><see cref="WorkloadSnapshot.Query"/>.</summary>
    public QueryReading Query { get; set; }

    /// <summary><see cref="WorkloadSnapshot.Replicas"/>.</summary>
    public ReplicaReading Replicas { get; set; }

    /// <summary><see cref="WorkloadSnapshot.ScheduledReplicas"/>.</summary>
    public double ScheduledReplicas { get; set; }

    /// <summary><see cref="WorkloadSnapshot.Seasonal"/>.</summary>
    public SeasonalReading Seasonal { get; set; }

    /// <summary><see cref="WorkloadSnapshot.MatchedByPattern"/>.</summary>
    public bool MatchedByPattern { get; set; }

    /// <summary><see cref="WorkloadSnapshot.QueueSetVersion"/>.</summary>
    public int QueueSetVersion { get; set; }

    /// <summary>Those of a snapshot.</summary>
    public static SnapshotFigures Of(in WorkloadSnapshot snapshot) => new()
    {
        Memory = snapshot.Memory,
        ModelServers = snapshot.ModelServers,
        Latency = snapshot.Latency,
        Query = snapshot.Query,
        Replicas = snapshot.Replicas,
        ScheduledReplicas = snapshot.ScheduledReplicas,
        Seasonal = snapshot.Seasonal,
        MatchedByPattern = snapshot.MatchedByPattern,
        QueueSetVersion = snapshot.QueueSetVersion,
    };

    /// <summary>The snapshot.</summary>
    /// <param name="queues">Its queues.</param>
    /// <param name="pods">Its pods.</param>
    public readonly WorkloadSnapshot With(ReadOnlySpan<QueueReading> queues, ReadOnlySpan<PodMemory> pods) => new()
    {
        Queues = queues,
        Pods = pods,
        Memory = Memory,
        ModelServers = ModelServers,
        Latency = Latency,
        Query = Query,
        Replicas = Replicas,
        ScheduledReplicas = ScheduledReplicas,
        Seasonal = Seasonal,
        MatchedByPattern = MatchedByPattern,
        QueueSetVersion = QueueSetVersion,
    };
}
