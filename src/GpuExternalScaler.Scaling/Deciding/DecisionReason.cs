namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// Why a decision is what it is: one code that feeds answer, log, metric label and test. The names in
/// <see cref="DecisionReasons.Code"/> are part of the product's surface.
/// </summary>
public enum DecisionReason : byte
{
    /// <summary>Undecided: no sweep has reported on the queue yet.</summary>
    NotSampled,

    /// <summary>Undecided: the newest figures are older than the source's <c>staleAfter</c>.</summary>
    SourceStale,

    /// <summary>Undecided: the broker answers, and says that a queue does not exist.</summary>
    QueueMissing,

    /// <summary>Undecided: a stream, whose figures say nothing about work to do.</summary>
    StreamUnsupported,

    /// <summary>Undecided: the source answers, and has never shown a pod of the workload.</summary>
    PodsNotSeen,

    /// <summary>Undecided: the workload's query is answered with nothing, or with no number.</summary>
    QueryEmpty,

    /// <summary>Undecided: the trigger and the configuration name nothing to go by.</summary>
    NoDemandSignal,

    /// <summary>Decided: no message anywhere.</summary>
    Idle,

    /// <summary>Decided by busy consumers over the saturation threshold (signal 1).</summary>
    ConsumerSaturation,

    /// <summary>Decided by offered load: arrivals times service time (signal 2), nothing waiting.</summary>
    OfferedLoad,

    /// <summary>Decided by offered load plus the slots that drain what waits (signals 2 and 3).</summary>
    Backlog,

    /// <summary>Decided by what waits, growing by no more than doubling, because no service time is known yet.</summary>
    ServiceTimeUnknown,

    /// <summary>Decided for a ScaledJob: messages there are.</summary>
    JobMessages,

    /// <summary>Held: the newest readings are late, the last answer is repeated.</summary>
    Holding,

    /// <summary>Held: some of the queues have no fresh figures, so the answer may grow and not shrink.</summary>
    PartialReadings,

    /// <summary>Held: counters went stale, so the answer may grow and not shrink, for <c>holdFor</c>.</summary>
    CountersStale,

    /// <summary>Held: back after an outage; not below the answer from before it until readings were fresh long enough.</summary>
    Recovering,

    /// <summary>
    /// Held: nobody can tell how many messages are being worked on, so the answer may grow and not shrink. The source
    /// does not count unacknowledged messages (T2), or consumers have theirs acknowledged on delivery.
    /// </summary>
    UnackedUnknown,

    /// <summary>Capped: the queue lets one consumer work at a time, so more replicas would not help.</summary>
    SingleActiveConsumer,

    /// <summary>
    /// Capped: messages come back again and again and none is completed, so more replicas would only crash too.
    /// </summary>
    NoProgress,

    /// <summary>
    /// Held: workers that have cancelled their consumers still hold messages; for these the answer neither grows nor falls.
    /// </summary>
    Draining,

    /// <summary>Decided by the memory of accelerators (signal 4).</summary>
    VramHeadroom,

    /// <summary>Decided by the fill of key-value caches, which stands in for VRAM that is taken beforehand (T14).</summary>
    CacheFill,

    /// <summary>Decided by requests waiting and running in model servers.</summary>
    ModelServerRequests,

    /// <summary>Decided by the workload's latency (signal 5).</summary>
    Latency,

    /// <summary>Decided by the workload's own query.</summary>
    Query,

    /// <summary>Held: VRAM is the only signal, and it does not move with load.</summary>
    VramSaysNothing,

    /// <summary>Held: a signal other than demand is not fresh, so the answer may grow and not shrink, for <c>holdFor</c>.</summary>
    SignalStale,

    /// <summary>Decided by offered load and backlog that are forecast for the end of the cold start, above those of now.</summary>
    Forecast,

    /// <summary>Decided by the schedule that is in force, or will be when a replica asked for now is ready.</summary>
    Schedule,

    /// <summary>Nothing is needed but the spare replicas the policy asks for.</summary>
    WarmReplicas,

    /// <summary>More was asked for than came within three cold starts, and no maximum is known to be the cause: no GPUs to be had.</summary>
    Capacity,
}

/// <summary>The stable names of <see cref="DecisionReason"/>.</summary>
public static class DecisionReasons
{
    private static readonly string[] Codes =
    [
        "not_sampled", "source_stale", "queue_missing", "stream_unsupported", "pods_not_seen", "query_empty", "no_demand_signal", "idle", "consumer_saturation",
        "offered_load", "backlog", "service_time_unknown", "job_messages", "holding", "partial_readings",
        "counters_stale", "recovering", "unacked_unknown", "single_active_consumer", "no_progress", "draining",
        "vram_headroom", "cache_fill", "model_server_requests", "latency", "query", "vram_says_nothing", "signal_stale",
        "forecast", "schedule", "warm_replicas", "capacity",
    ];

    /// <summary>All reasons, in order.</summary>
    public static IReadOnlyList<DecisionReason> All { get; } = Enum.GetValues<DecisionReason>();

    /// <summary>The reason's name in metrics, logs and pages, in snake case.</summary>
    public static string Code(this DecisionReason reason) => Codes[(int)reason];

    /// <summary>Whether the reason says that there is no answer.</summary>
    public static bool IsUndecided(this DecisionReason reason) => reason <= DecisionReason.NoDemandSignal;
}
