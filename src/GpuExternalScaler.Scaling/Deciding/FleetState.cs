using GpuExternalScaler.Scaling.History;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What a workload remembers about its signals besides queues. Changed by <see cref="DecisionFold.Step"/> alone.</summary>
internal sealed class FleetState
{
    /// <summary>When the workload was first stepped.</summary>
    public DateTimeOffset BeganAt { get; init; }

    /// <summary>What VRAM remembers.</summary>
    public VramState Vram { get; private init; } = new();

    /// <summary>What latency remembers.</summary>
    public LatencyState Latency { get; private init; } = new();

    /// <summary>Requests running over the last minute.</summary>
    public SampleRing Running { get; private init; } = new();

    /// <summary>Whether there ever was an answer.</summary>
    public bool HasAnswer { get; set; }

    /// <summary>The last answer, over all signals.</summary>
    public ScalingDecision LastAnswer { get; set; }

    /// <summary>Set from the moment it was undecided until it has recovered.</summary>
    public bool Recovering { get; set; }

    /// <summary>Since when every demand source has been fresh without a break; null while one is not.</summary>
    public DateTimeOffset? FreshSince { get; set; }

    /// <summary>Since when an optional signal has not been fresh; null while all are.</summary>
    public DateTimeOffset? OptionalStaleSince { get; set; }

    /// <summary>Whether the model servers have told the fill of their caches.</summary>
    public bool HasToldCache { get; set; }

    /// <summary>The newest number the query gave, and when; null before.</summary>
    public (double Value, DateTimeOffset At)? Query { get; set; }

    /// <summary>An independent copy.</summary>
    public FleetState Clone() => new()
    {
        BeganAt = BeganAt,
        Vram = Vram.Clone(),
        Latency = Latency.Clone(),
        Running = Running.Clone(),
        HasAnswer = HasAnswer,
        LastAnswer = LastAnswer,
        Recovering = Recovering,
        FreshSince = FreshSince,
        OptionalStaleSince = OptionalStaleSince,
        HasToldCache = HasToldCache,
        Query = Query,
    };
}
