using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Everything one connection's sweeps know, as of one moment. Immutable: take <see cref="RabbitMqSource.Current"/> once
/// per decision and read from that.
/// </summary>
/// <remarks>
/// A queue keeps its slot for as long as <see cref="Generation"/> stays the same, vanished queues included, so that a
/// workload may remember the slot and compare one number instead of looking a name up.
/// </remarks>
public sealed class BrokerReadings
{
    // 256 readings of some 220 bytes stay under the 85,000 bytes from which an array is collected only with generation 2:
    // a sweep every 2 s must not drive those collections.
    internal const int ChunkBits = 8;
    internal const int ChunkSize = 1 << ChunkBits;

    private readonly QueueNameIndex _index;
    private readonly QueueReading[][] _chunks;
    private readonly BrokerStatus _status;

    internal BrokerReadings(QueueNameIndex index, QueueReading[][] chunks, BrokerStatus status)
    {
        _index = index;
        _chunks = chunks;
        _status = status;
    }

    /// <summary>Name of the connection.</summary>
    public string Connection => _status.Connection;

    /// <summary>Changes when slots are renumbered; remembered slots of another generation are void.</summary>
    public int Generation => _index.Generation;

    /// <summary>Changes when a name was added (or slots were renumbered): time to look again for a missing queue or a pattern.</summary>
    public long NamesVersion => _index.Version;

    /// <summary>Number of slots.</summary>
    public int Count => _index.Count;

    /// <summary>Names by slot; within one generation names are only ever added at the end.</summary>
    public ReadOnlySpan<QueueName> Names => _index.Names;

    /// <summary>When the newest finished sweep of any kind began; <see cref="DateTimeOffset.MinValue"/> before the first.</summary>
    public DateTimeOffset LastSweepStartedAt => _status.LastSweepStartedAt;

    /// <summary>When the newest sweep that read at least one queue began; <see cref="DateTimeOffset.MinValue"/> before the first.</summary>
    public DateTimeOffset LastSuccessAt => _status.LastSuccessAt;

    /// <summary>Whether any sweep has succeeded yet.</summary>
    public bool HasSwept => _status.LastSuccessAt != default;

    /// <summary>
    /// What is wrong with the connection now, or null. Readings may be good despite a fault: one node of three may be
    /// down, or the management API may serve in place of the metrics.
    /// </summary>
    public SourceFault? Fault => _status.MetricsFault ?? _status.ManagementFault ?? _status.TotalsFault ?? (_status.AmqpFails ? _status.AmqpFault : null);

    /// <summary>What is wrong with the metrics endpoints now, or null.</summary>
    public SourceFault? MetricsFault => _status.MetricsFault;

    /// <summary>What is wrong with the management endpoint, as of its latest use, or null.</summary>
    public SourceFault? ManagementFault => _status.ManagementFault;

    /// <summary>What is wrong with the list of totals, as of its latest use, or null.</summary>
    public SourceFault? TotalsFault => _status.TotalsFault;

    /// <summary>
    /// What is wrong with the AMQP endpoint now, or null. Where only single queues or virtual hosts cannot be looked at it
    /// says how many, and is no fault of the connection: see <see cref="FaultOf"/>.
    /// </summary>
    public SourceFault? AmqpFault => _status.AmqpFault;

    /// <summary>
    /// Why no consumer events come, or null. No fault of the connection: an exchange that is not there, or not for our
    /// user, only means that consumers are learned from the management API every few minutes.
    /// </summary>
    public SourceFault? EventsFault => _status.EventsFault;

    /// <summary>
    /// Why the consumer list could not be used, or null. No fault of the connection: prefetch only helps to interpret.
    /// </summary>
    public SourceFault? ConsumersFault => _status.ConsumersFault;

    /// <summary>
    /// Set where the connection has nothing that lists queues, so that a pattern matches only what was known before:
    /// says so. No fault of the connection for those who name their queues.
    /// </summary>
    public SourceFault? ListFault => _status.ListFault;

    /// <summary>Why this queue, or its virtual host, cannot be looked at while others can; null if nothing is known against it.</summary>
    public SourceFault? FaultOf(QueueName queue) => _status.Troubles is not { } troubles ? null
        : troubles.Queues.GetValueOrDefault(queue) ?? troubles.Vhosts.GetValueOrDefault(queue.Vhost);

    /// <summary>Which endpoints serve which figures now, and what nobody serves.</summary>
    public SourceChoice Choice => _status.Choice;

    /// <summary>Which endpoint supplies ready and, unless it is missing, unacknowledged.</summary>
    public RabbitMqEndpoint GaugesFrom => _status.Choice.Gauges;

    /// <summary>Which endpoint supplies the counters; <see cref="RabbitMqEndpoint.None"/> when none does (say so: T4).</summary>
    public RabbitMqEndpoint CountersFrom => _status.Choice.Counters;

    /// <summary>Whether there are completion counters at all (T4).</summary>
    public bool HasCounters => _status.Choice.Counters != RabbitMqEndpoint.None;

    /// <summary>
    /// When the newest sweep began in which everything that was configured answered, so that a queue it did not show does
    /// not exist; <see cref="DateTimeOffset.MinValue"/> if there was none.
    /// </summary>
    public DateTimeOffset CompleteSweepAt => _status.CompleteSweepAt;

    /// <summary>The reading in a slot of this generation.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such slot.</exception>
    public ref readonly QueueReading this[int slot]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(slot);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, Count);
            return ref _chunks[slot >> ChunkBits][slot & (ChunkSize - 1)];
        }
    }

    /// <summary>Finds a queue's slot. False for a queue that was never seen: see <see cref="AbsentReading"/>.</summary>
    public bool TryFindSlot(string vhost, string name, out int slot) => _index.TryFind(vhost, name, out slot);

    /// <summary>
    /// Whether <see cref="CompleteSweepAt"/> speaks for a virtual host; absence of its queues means nothing otherwise.
    /// False for one that is not configured, and for one of which the management list shows nothing: the list leaves out
    /// what its user may not see, without a word (T6).
    /// </summary>
    public bool CoversVhost(string vhost) => _status.Vhosts.Count > 0
        ? _status.Vhosts.Contains(vhost, StringComparer.Ordinal)
        : _status.CompleteVhosts?.Contains(vhost) ?? true;

    /// <summary>
    /// The reading of a queue without a slot: absent as of <see cref="CompleteSweepAt"/>, and of the same freshness as any
    /// other reading; unobserved if no sweep was complete yet.
    /// </summary>
    public QueueReading AbsentReading() => CompleteSweepAt == default
        ? default
        : new QueueReading
        {
            Presence = QueuePresence.Absent,
            ObservedAt = CompleteSweepAt,
            FreshFor = _status.CompleteFreshFor,
            StaleAfter = _status.CompleteStaleAfter,
        };

    /// <summary>The reading of a queue by name: its slot's, or <see cref="AbsentReading"/>, or unobserved in a virtual host not read.</summary>
    public QueueReading Read(string vhost, string name)
    {
        if (TryFindSlot(vhost, name, out var slot))
        {
            return this[slot];
        }

        return NeverSeenReading(vhost);
    }

    /// <summary>The reading of a queue that has no slot: <see cref="AbsentReading"/>, or unobserved in a virtual host not read.</summary>
    public QueueReading NeverSeenReading(string vhost) => CoversVhost(vhost) ? AbsentReading() : default;
}

/// <summary>The part of <see cref="BrokerReadings"/> that is about the connection and not about a queue.</summary>
internal sealed record BrokerStatus
{
    public required string Connection { get; init; }

    public IReadOnlyList<string> Vhosts { get; init; } = [];

    public DateTimeOffset LastSweepStartedAt { get; init; }

    public DateTimeOffset LastSuccessAt { get; init; }

    public DateTimeOffset CompleteSweepAt { get; init; }

    /// <summary>The virtual hosts <see cref="CompleteSweepAt"/> speaks for; null for all that are read.</summary>
    public IReadOnlySet<string>? CompleteVhosts { get; init; }

    public TimeSpan CompleteFreshFor { get; init; }

    public TimeSpan CompleteStaleAfter { get; init; }

    public SourceFault? MetricsFault { get; init; }

    public SourceFault? ManagementFault { get; init; }

    public SourceFault? TotalsFault { get; init; }

    public SourceFault? AmqpFault { get; init; }

    /// <summary>Whether <see cref="AmqpFault"/> is of the connection, and not of single queues.</summary>
    public bool AmqpFails { get; init; }

    /// <summary>What is wrong with single queues and virtual hosts.</summary>
    public AmqpTroublesNow? Troubles { get; init; }

    public SourceFault? EventsFault { get; init; }

    public SourceFault? ConsumersFault { get; init; }

    public SourceFault? ListFault { get; init; }

    public SourceChoice Choice { get; init; }

    public SourceFault? FaultOf(RabbitMqEndpoint kind) => kind switch
    {
        RabbitMqEndpoint.Metrics => MetricsFault,
        RabbitMqEndpoint.Management => ManagementFault,
        RabbitMqEndpoint.ManagementTotals => TotalsFault,
        RabbitMqEndpoint.Amqp => AmqpFault,
        _ => null,
    };

    public BrokerStatus With(RabbitMqEndpoint kind, SourceFault fault) => kind switch
    {
        RabbitMqEndpoint.Metrics => this with { MetricsFault = fault },
        RabbitMqEndpoint.Management => this with { ManagementFault = fault },
        RabbitMqEndpoint.ManagementTotals => this with { TotalsFault = fault },
        RabbitMqEndpoint.Amqp => this with { AmqpFault = fault, AmqpFails = true },
        _ => this,
    };
}
