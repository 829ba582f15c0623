using GpuExternalScaler.Scaling.History;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// What one workload remembers from step to step. Changed by <see cref="DecisionFold.Step"/> alone; belongs to one
/// workload; can be copied, so that a simulation may branch.
/// </summary>
public sealed class WorkloadState
{
    /// <summary>A state that has seen nothing, or that starts with what is known of its queues.</summary>
    public WorkloadState(QueueHistory? history = null)
    {
        History = history ?? new QueueHistory();
    }

    /// <summary>What has been seen of the queues; outlives the workload.</summary>
    public QueueHistory History { get; }

    /// <summary>
    /// Notes that nobody is answered for a while, as in an outage: afterwards the answer is not below the one before until
    /// readings were fresh for long enough.
    /// </summary>
    public void Interrupt()
    {
        DecisionFold.BeginRecovery(this, afterOutage: true);
        if (Fleet is not null)
        {
            FleetFold.BeginRecovery(Fleet);
        }
    }

    /// <summary>Whether there ever was an answer.</summary>
    internal bool HasAnswer { get; set; }

    /// <summary>The last answer that rested on fresh readings (or on a floor above them).</summary>
    internal ScalingDecision LastAnswer { get; set; }

    /// <summary>Set from the moment readings are late until the workload has recovered.</summary>
    internal bool Recovering { get; set; }

    /// <summary>Whether it recovers from an outage (it was undecided) and not from a gap it could hold through.</summary>
    internal bool RecoveringFromOutage { get; set; }

    /// <summary>Replicas of the answer from before the outage.</summary>
    internal double RecoveryFloorReplicas { get; set; }

    /// <summary>Activity of the answer from before the outage.</summary>
    internal bool RecoveryFloorActive { get; set; }

    /// <summary>Since when readings have been fresh without a break; null while they are not.</summary>
    internal DateTimeOffset? FreshSince { get; set; }

    /// <summary>Since when a queue of the pattern has had no figures; null while there is none.</summary>
    internal DateTimeOffset? UnobservedSince { get; set; }

    /// <summary>Since when counters that were once known have been stale; null while they are not.</summary>
    internal DateTimeOffset? CountersStaleSince { get; set; }

    /// <summary>Whether work may go on that nobody can see, as of the last answer.</summary>
    internal bool BusyUnseen { get; set; }

    /// <summary>When there was last a sign that work goes on, or may go on unseen; null before.</summary>
    internal DateTimeOffset? SignOfWorkAt { get; set; }

    /// <summary>Whether the work not seen is that of consumers that acknowledge on delivery.</summary>
    internal bool AutoAckUnseen { get; set; }

    /// <summary>Whether consumers were ever counted.</summary>
    internal bool ConsumersKnown { get; set; }

    /// <summary>Since when they no longer are; null while they are, or never were.</summary>
    internal DateTimeOffset? ConsumersUnknownSince { get; set; }

    /// <summary>Replicas of the answer when progress ceased, above which nothing is asked for until it resumes; null while there is some.</summary>
    internal double? NoProgressCap { get; set; }

    /// <summary>Since when the season is gone by which the answer was forecast; null while it is not.</summary>
    internal DateTimeOffset? SeasonLostSince { get; set; }

    /// <summary>Replicas there were when they were last counted; null before.</summary>
    internal double? Replicas { get; set; }

    /// <summary>What was asked for lately.</summary>
    internal PendingAsks Pending;

    /// <summary>What forecasts cost and avoid; null while there are none.</summary>
    internal Ledger? Ledger { get; set; }

    /// <summary>What the signals besides queues remember; null while there are none.</summary>
    internal FleetState? Fleet { get; set; }

    /// <summary>An independent copy.</summary>
    public WorkloadState Clone() => new(History.Clone())
    {
        HasAnswer = HasAnswer,
        LastAnswer = LastAnswer,
        Recovering = Recovering,
        RecoveringFromOutage = RecoveringFromOutage,
        RecoveryFloorReplicas = RecoveryFloorReplicas,
        RecoveryFloorActive = RecoveryFloorActive,
        FreshSince = FreshSince,
        UnobservedSince = UnobservedSince,
        CountersStaleSince = CountersStaleSince,
        BusyUnseen = BusyUnseen,
        ConsumersKnown = ConsumersKnown,
        ConsumersUnknownSince = ConsumersUnknownSince,
        NoProgressCap = NoProgressCap,
        SignOfWorkAt = SignOfWorkAt,
        AutoAckUnseen = AutoAckUnseen,
        SeasonLostSince = SeasonLostSince,
        Replicas = Replicas,
        Pending = Pending.Copy(),
        Ledger = Ledger?.Clone(),
        Fleet = Fleet?.Clone(),
    };
}
