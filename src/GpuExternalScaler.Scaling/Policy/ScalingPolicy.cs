namespace GpuExternalScaler.Scaling.Policy;

/// <summary>What kind of KEDA object the answer is for.</summary>
public enum WorkloadMode : byte
{
    /// <summary>A ScaledObject: the answer is replicas that should exist.</summary>
    Deployment,

    /// <summary>A ScaledJob: the answer is messages there are to work on, running ones included.</summary>
    Job,
}

/// <summary>What a queue that is proven not to exist means.</summary>
public enum MissingQueuePolicy : byte
{
    /// <summary>A fault: hold the last answer, then say that it cannot be decided.</summary>
    Hold,

    /// <summary>No demand: for auto-delete queues, whose absence is their normal idle state.</summary>
    Zero,
}

/// <summary>How the memory of a workload's accelerators is put together.</summary>
public enum VramAggregate : byte
{
    /// <summary>Added up: load that spreads over replicas.</summary>
    Total,

    /// <summary>The fullest accelerator's, for all: workloads where one runs hot.</summary>
    Max,
}

/// <summary>Which forecasts of arrivals may raise the answer.</summary>
public enum ForecastMode : byte
{
    /// <summary>Whichever has lately been right.</summary>
    Auto,

    /// <summary>None: the answer is for what arrives now.</summary>
    Off,

    /// <summary>Those that rest on the last minutes.</summary>
    Trend,

    /// <summary>The same time in the weeks before.</summary>
    Seasonal,
}

/// <summary>How long messages may wait: a share of them (0 to 1, exclusive) no longer than a time.</summary>
/// <param name="Share">Share of the messages, e.g. 0.99.</param>
/// <param name="Within">The time, above zero.</param>
public readonly record struct WaitObjective(double Share, TimeSpan Within);

/// <summary>
/// Everything an operator or a trigger may say about how one workload is decided. Immutable: one snapshot a step.
/// Ranges are checked where policies are read; the decision stays finite for any finite value.
/// </summary>
public sealed record ScalingPolicy
{
    /// <summary>The built-in defaults.</summary>
    public static ScalingPolicy Default { get; } = new();

    /// <summary>Deployment, or job for ScaledJobs. Default deployment.</summary>
    public WorkloadMode Mode { get; init; } = WorkloadMode.Deployment;

    /// <summary>
    /// Messages one consumer works on at once (m). Default 1, at least 1. Too low: prefetched messages that are in
    /// fact being worked on count as waiting, and too many replicas are asked for. Too high: waiting messages count
    /// as being worked on, and too few are.
    /// </summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>
    /// Messages a consumer holds unacknowledged (p): only interprets what the broker reports. Null (<c>auto</c>) takes it
    /// from the broker, else from what consumers hold while messages wait; 0 is no limit. Below
    /// <see cref="Concurrency"/> it bounds what a consumer can work on at once.
    /// </summary>
    public int? Prefetch { get; init; }

    /// <summary>Consumers one replica opens on the queue (k). Default 1, at least 1.</summary>
    public int ConsumersPerReplica { get; init; } = 1;

    /// <summary>
    /// Share of slots that may be busy before more replicas are asked for (θ), in (0, 1]. Default 0.7.
    /// Too low pays for idle GPUs; too high leaves no slack for arrivals during a cold start.
    /// </summary>
    public double SaturationThreshold { get; init; } = 0.7;

    /// <summary>
    /// How long messages may wait; null: <see cref="SaturationThreshold"/> says how many slots are staffed. Set, Erlang's formula
    /// does (<see cref="Deciding.ErlangStaffing"/>): small fleets get the slack they need, large ones pay for none. It needs a service time.
    /// </summary>
    public WaitObjective? WaitObjective { get; init; }

    /// <summary>Part of the queue's demand this workload carries, in (0, 1]. Default 1.</summary>
    public double Share { get; init; } = 1;

    /// <summary>Service time of one message until enough messages were seen to measure it; null when unknown.</summary>
    public TimeSpan? ServiceTime { get; init; }

    /// <summary>From asking for a replica to its first message (L), HPA sync and sweep included. Default 60 s.</summary>
    public TimeSpan ColdStart { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Whether the cold start is measured (<c>auto</c>): then <see cref="ColdStart"/> is what it begins with, and the measured one
    /// is kept within half and three times of it.
    /// </summary>
    public bool MeasuresColdStart { get; init; }

    /// <summary>Which forecasts may raise the answer. Default auto.</summary>
    public ForecastMode Forecast { get; init; } = ForecastMode.Auto;

    /// <summary>
    /// Share of the time in which arrivals should stay at or under the forecast, in (0, 1). Default 0.9. Too low: late half of the
    /// time; too high: pays for the worst jump ever seen.
    /// </summary>
    public double ForecastQuantile { get; init; } = 0.9;

    /// <summary>Replicas on top of need, at all times. Default 0.</summary>
    public int WarmReplicas { get; init; }

    /// <summary>Floors by the clock, in canonical text; null: none. Whoever makes snapshots evaluates it (<see cref="Deciding.WorkloadSnapshot.ScheduledReplicas"/>).</summary>
    public string? Schedule { get; init; }

    /// <summary>IANA zone of <see cref="Schedule"/> and of what counts as the same time last week. Default UTC.</summary>
    public string TimeZone { get; init; } = "UTC";

    /// <summary>Time in which a backlog should be gone (D). Null: the cold start.</summary>
    public TimeSpan? DrainTime { get; init; }

    /// <summary>Messages (ready + unacknowledged) above which a workload at zero wakes. Default 0.</summary>
    public double ActivationThreshold { get; init; }

    /// <summary>How long counters that have gone stale keep the answer from shrinking. Default 30 min.</summary>
    public TimeSpan HoldFor { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>
    /// How long readings must have been fresh without a break after an outage before the answer may fall below the
    /// one from before it. Default 300 s, the HPA's scale-down stabilisation and KEDA's cooldown, both of which are
    /// empty after an outage.
    /// </summary>
    public TimeSpan HoldAfterRecovery { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>What a queue that does not exist means. Default hold.</summary>
    public MissingQueuePolicy MissingQueue { get; init; } = MissingQueuePolicy.Hold;

    /// <summary>
    /// Share of its VRAM that an accelerator may use before more replicas are asked for (θᵥ), in (0, 1]; null: VRAM is not
    /// looked at. Too low pays for empty memory; too high leaves none for the requests of a cold start.
    /// </summary>
    public double? VramThreshold { get; init; }

    /// <summary>How VRAM is put together. Default total.</summary>
    public VramAggregate VramAggregate { get; init; } = VramAggregate.Total;

    /// <summary>Bytes of VRAM a replica holds without load; null: the least a replica was seen to hold while idle.</summary>
    public long? ModelMemory { get; init; }

    /// <summary>Accelerators of one replica; null: as many as a pod is seen to have. For replicas of several pods.</summary>
    public int? GpusPerReplica { get; init; }

    /// <summary>Share of its key-value cache that a model server may fill before more replicas are asked for. Default 0.8.</summary>
    public double KvCacheThreshold { get; init; } = 0.8;

    /// <summary>PromQL that gives a latency in seconds; null: none.</summary>
    public string? LatencyQuery { get; init; }

    /// <summary>The latency not to be exceeded; null: none is looked at.</summary>
    public TimeSpan? LatencyObjective { get; init; }

    /// <summary>PromQL that gives a number of replicas; null: none.</summary>
    public string? Query { get; init; }

    /// <summary>
    /// The HPA's tolerance, within which it ignores what it is told. Default 0.1. A need of limits (VRAM, latency) inside it is
    /// published just above it. Lower than the HPA's: such needs are ignored; higher: one replica more than needed.
    /// </summary>
    public double HpaTolerance { get; init; } = 0.1;

    /// <summary>Most replicas the ScaledObject allows; null: not known, unless kube-state-metrics tells.</summary>
    public int? MaxReplicas { get; init; }

    /// <summary>Age below which a pod is too young to tell anything by its memory (T15). 60 s; not a user's setting.</summary>
    public TimeSpan YoungPod { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Shortest window over which busy slots and arrivals are averaged. 15 s; not a user's setting.</summary>
    public TimeSpan MinimumWindow { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Longest such window. 60 s; not a user's setting.</summary>
    public TimeSpan MaximumWindow { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The drain time in force.</summary>
    public TimeSpan EffectiveDrainTime => DrainTime ?? ColdStart;

    /// <summary>Slots one consumer has: it works on <see cref="Concurrency"/> messages at once, or on as many as it is given.</summary>
    /// <param name="prefetch">Messages a consumer holds; 0 or null for no limit.</param>
    public long SlotsPerConsumer(int? prefetch) => prefetch is > 0 and { } held ? Math.Min(Concurrency, held) : Concurrency;
}
