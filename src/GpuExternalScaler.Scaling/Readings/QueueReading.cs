namespace GpuExternalScaler.Scaling.Readings;

/// <summary>What a source knows about whether a queue exists.</summary>
public enum QueuePresence : byte
{
    /// <summary>No sweep has told anything about this queue yet.</summary>
    Unobserved,

    /// <summary>The newest figures are the queue's own, as of <see cref="QueueReading.ObservedAt"/>.</summary>
    Present,

    /// <summary>
    /// A sweep in which every node answered did not contain the queue. The gauges keep their last known values
    /// (all zero if the queue was never seen): absence is a fact about the queue, never a reading of zero.
    /// </summary>
    Absent,
}

/// <summary>The kind of a RabbitMQ queue, as far as the source in use tells it (3.10's metrics do not).</summary>
public enum QueueKind : byte
{
    /// <summary>Not told.</summary>
    Unknown,

    /// <summary>A classic queue.</summary>
    Classic,

    /// <summary>A quorum queue.</summary>
    Quorum,

    /// <summary>A stream: ready is not its backlog and nothing is ever unacknowledged, so it cannot be scaled on.</summary>
    Stream,
}

/// <summary>The gauges of a queue, as a set.</summary>
[Flags]
public enum QueueGauges : byte
{
    /// <summary>None of them.</summary>
    None = 0,

    /// <summary>Messages ready.</summary>
    Ready = 1,

    /// <summary>Messages unacknowledged.</summary>
    Unacked = 2,

    /// <summary>Consumers.</summary>
    Consumers = 4,
}

/// <summary>
/// One queue as one source last saw it. A value: sweeps replace it, nothing changes it.
/// All instants are on the clock that also supplies <c>now</c> to the decision.
/// </summary>
public readonly record struct QueueReading
{
    /// <summary>Whether the figures are the queue's own, and if not, why not.</summary>
    public QueuePresence Presence { get; init; }

    /// <summary>The kind of queue, where known.</summary>
    public QueueKind Kind { get; init; }

    /// <summary>Messages ready for delivery (R). Never negative.</summary>
    public long Ready { get; init; }

    /// <summary>Messages delivered and not yet acknowledged (U). Never negative.</summary>
    public long Unacked { get; init; }

    /// <summary>Consumers on the queue (C). Never negative.</summary>
    public long Consumers { get; init; }

    /// <summary>
    /// When the sweep that set <see cref="Presence"/> asked: for <see cref="QueuePresence.Present"/> the moment of the
    /// gauges, for <see cref="QueuePresence.Absent"/> the newest sweep that proved the absence.
    /// </summary>
    public DateTimeOffset ObservedAt { get; init; }

    /// <summary>When the queue was last present; <see cref="DateTimeOffset.MinValue"/> if it never was.</summary>
    public DateTimeOffset LastPresentAt { get; init; }

    /// <summary>Age up to which the gauges count as fresh: about two sweep intervals of the source that read them.</summary>
    public TimeSpan FreshFor { get; init; }

    /// <summary>Age past which the gauges are no longer believed at all (the connection's <c>staleAfter</c>).</summary>
    public TimeSpan StaleAfter { get; init; }

    /// <summary>
    /// Gauges that the source in use does not have (T2): AMQP knows nothing of unacknowledged messages, list totals
    /// nothing of consumers. They are 0 here and mean nothing: missing is not zero.
    /// </summary>
    public QueueGauges Missing { get; init; }

    /// <summary>
    /// When <see cref="Ready"/> was last asked of the broker apart from the other gauges (the fast path, T3); default
    /// when it was not. <see cref="Ready"/> is then the larger of the sweep's figure and what was seen lately, because
    /// the sweep's is some seconds old: it may rise on this, and falls only when the sweep agrees.
    /// </summary>
    public DateTimeOffset ReadyAt { get; init; }

    /// <summary>
    /// Messages a consumer may hold unacknowledged (p, T5), the largest where consumers differ; 0 for no limit, null
    /// when not known. Only interprets <see cref="Unacked"/>.
    /// </summary>
    public int? Prefetch { get; init; }

    /// <summary>
    /// Whether some consumer has its messages acknowledged on delivery: then <see cref="Unacked"/> does not show what is
    /// being worked on.
    /// </summary>
    public bool HasAutoAck { get; init; }

    /// <summary>Whether the queue lets one consumer work at a time, however many there are (single active consumer).</summary>
    public bool IsSingleActive { get; init; }

    /// <summary>Cumulative counters, on their own schedule (T4); default when the source has none.</summary>
    public QueueCounters Counters { get; init; }

    /// <summary>Whether the source in use has a gauge.</summary>
    public bool Has(QueueGauges gauge) => (Missing & gauge) == QueueGauges.None;

    /// <summary>Whether the sweep behind <see cref="ObservedAt"/> is recent enough to act on.</summary>
    public bool IsFresh(DateTimeOffset now) =>
        Presence != QueuePresence.Unobserved && now - ObservedAt <= FreshFor;

    /// <summary>Whether the sweep behind <see cref="ObservedAt"/> is recent enough to hold the last answer on.</summary>
    public bool IsUsable(DateTimeOffset now) =>
        Presence != QueuePresence.Unobserved && now - ObservedAt <= StaleAfter;
}

/// <summary>
/// Cumulative message counters of one queue, already joined over nodes and over counter resets by the source (T4):
/// within one life of the process they never fall. Only differences between two observations mean anything.
/// </summary>
public readonly record struct QueueCounters
{
    /// <summary>Value of a counter that the source does not have.</summary>
    public const long Unknown = -1;

    /// <summary>When the counters were read; <see cref="DateTimeOffset.MinValue"/> when there are none.</summary>
    public DateTimeOffset ObservedAt { get; init; }

    /// <summary>Age past which the counters are no longer believed.</summary>
    public TimeSpan StaleAfter { get; init; }

    /// <summary>Ready + unacknowledged in the same answer as the counters, so that conservation compares like with like.</summary>
    public long Messages { get; init; }

    /// <summary>The unacknowledged part of <see cref="Messages"/>.</summary>
    public long Unacked { get; init; }

    /// <summary>
    /// Messages that left the queue as done: acknowledged, or delivered in automatic-acknowledgement mode.
    /// <see cref="Unknown"/> where the source cannot tell.
    /// </summary>
    public long Completed { get; init; }

    /// <summary>The part of <see cref="Completed"/> that was acknowledged by the broker on delivery, or <see cref="Unknown"/>.</summary>
    public long AutoAcked { get; init; }

    /// <summary>Deliveries of every kind, redeliveries included, or <see cref="Unknown"/>.</summary>
    public long Delivered { get; init; }

    /// <summary>Deliveries of messages that had been delivered before, or <see cref="Unknown"/>.</summary>
    public long Redelivered { get; init; }

    /// <summary>Messages published to the queue by channels (dead-lettering is not counted by the broker), or <see cref="Unknown"/>.</summary>
    public long Published { get; init; }

    /// <summary>Whether there are counters at all.</summary>
    public bool IsKnown => ObservedAt != default;
}
