using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What the signals besides queues have to know about the rest.</summary>
internal readonly ref struct FleetContext
{
    /// <summary>The moment of the step.</summary>
    public DateTimeOffset Now { get; init; }

    /// <summary>When the workload was first stepped.</summary>
    public DateTimeOffset BeganAt { get; init; }

    /// <summary>Replicas there are (n); 0 for none and for not known.</summary>
    public double Existing { get; init; }

    /// <summary>Where that came from.</summary>
    public ReplicaSource ExistingSource { get; init; }

    /// <summary>The most there may be; null if not known.</summary>
    public double? Maximum { get; init; }

    /// <summary>The cold start in force (L).</summary>
    public TimeSpan ColdStart { get; init; }

    /// <summary>Consumers on the queues; 0 without queues.</summary>
    public long Consumers { get; init; }

    /// <summary>Whether nothing is being worked on and nothing waits, as queues and model servers tell; null if neither tells.</summary>
    public bool? IsIdle { get; init; }

    /// <summary>Messages and requests being worked on; null if not told.</summary>
    public double? Load { get; init; }

    /// <summary>Who told that: figures of one kind cannot be compared with those of another.</summary>
    public LoadSource LoadSource { get; init; }

    /// <summary>Share of the slots that are busy, 0 to 1; null if not told.</summary>
    public double? Saturation { get; init; }

    /// <summary>Whether optional signals have not been fresh for so long that they hold nothing any more (<c>holdFor</c>).</summary>
    public bool HoldIsOver { get; init; }

    /// <summary>Whether a queue or model servers tell of demand, so that the rest is optional.</summary>
    public bool HasDemand { get; init; }

    /// <summary>A need just above what there is, as the HPA will hear it.</summary>
    public double AboveDeadBand(double need, ScalingPolicy policy) =>
        Provision.AboveDeadBand(need, Existing, policy);
}

/// <summary>Who tells how much is being worked on.</summary>
[Flags]
internal enum LoadSource : byte
{
    /// <summary>Neither: at most the devices do.</summary>
    None = 0,

    /// <summary>The queue.</summary>
    Queue = 1,

    /// <summary>The model servers.</summary>
    ModelServers = 2,
}
