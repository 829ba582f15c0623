using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>One node's answer within a sweep of the metrics.</summary>
internal readonly record struct NodeAnswer(string Endpoint, EndpointAnswer Answer);

/// <summary>
/// Turns answers into readings: merges nodes, differences counters, proves absence, and chooses between the metrics and
/// what stands in for them (<see cref="FallbackGauges"/>). Does no I/O; its lock is held for the milliseconds one answer
/// takes to read.
/// </summary>
internal sealed partial class BrokerState
{
    /// <summary>Failed sweeps in a row after which the management list steps in.</summary>
    internal const int FailuresBeforeFallback = 3;

    /// <summary>How long a node that answered once is expected in every sweep before its absence counts as normal.</summary>
    internal static readonly TimeSpan NodeMemory = TimeSpan.FromHours(24);

    /// <summary>How often the list is read only to learn the kinds of queues (4.0 has counters but no queue_info).</summary>
    internal static readonly TimeSpan KindsInterval = TimeSpan.FromMinutes(1);

    /// <summary>
    /// How long a queue's figures may be missing after it was declared or its node restarted. Where the metrics do not
    /// name queues without figures, complete sweeps must miss a queue for this long before it counts as absent: a 3.10
    /// that has just restarted answers properly with one queue out of four, and with the others 4 s later.
    /// </summary>
    internal static readonly TimeSpan StatisticsLag = TimeSpan.FromSeconds(10);

    /// <summary>How often the list is read only to learn how queues were declared: that cannot change while they exist.</summary>
    internal static readonly TimeSpan ArgumentsInterval = TimeSpan.FromMinutes(5);

    /// <summary>The same after queues have appeared.</summary>
    internal static readonly TimeSpan NewArgumentsInterval = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly RabbitMqConnectionOptions _options;
    private readonly FaultSentences _sentences;
    private readonly QueueTable _table;
    private readonly List<NodePage> _pages = [];
    private readonly List<NodeTrack> _pageNodes = [];
    private readonly QueueRows _merged = new();
    private readonly Dictionary<string, NodeTrack> _nodes = new(StringComparer.Ordinal);
    private readonly ManagementList _list = new();
    private readonly ManagementList _totals = new();
    private readonly FallbackGauges _fallback;
    private readonly ConsumerKnowledge _consumers;
    private readonly AmqpTroubles _troubles = new();
    private readonly CounterTrack _listTrack = new(countFromZero: false);

    private BrokerReadings _current;
    private BrokerStatus _status;
    private RabbitMqEndpoint _counterSource;
    private DateTimeOffset _listCountersAt;
    private DateTimeOffset _listStartedAt;
    private DateTimeOffset _totalsStartedAt;
    private DateTimeOffset _totalsSucceededAt;
    private DateTimeOffset _listSucceededAt;
    private DateTimeOffset _declaredUntil;
    private DateTimeOffset _argumentsAt;
    private int _argumentsKnownFor;
    private DateTimeOffset? _completeSince;
    private DateTimeOffset? _listWholeSince;
    private bool _metricsSwept;
    private bool _metricsSucceeded;
    private bool? _metricsHaveCounters;
    private bool _metricsHaveInfo;
    private int _metricsFailures;
    private int _metricsGaps;

    public BrokerState(RabbitMqConnectionOptions options, QueueTable? table = null)
    {
        _options = options;
        _sentences = new FaultSentences(options);
        _fallback = new FallbackGauges(options);
        _table = table ?? new QueueTable();
        _consumers = new ConsumerKnowledge(_table);
        _status = new BrokerStatus { Connection = options.Name, Vhosts = options.Vhosts };
        if (options is { HasMetrics: false, Management: null, Amqp: { } amqp })
        {
            var endpoint = FaultSentences.EndpointOf(amqp);
            _status = _status with { ListFault = Fault(RabbitMqEndpoint.Amqp, endpoint, SourceReason.CannotList, 0, default) };
        }

        MetricsFreshFor = Min(Max(2 * options.Interval, options.Interval + options.NodeTimeout), options.StaleAfter);
        _current = new BrokerReadings(_table.Index(), [], _status);
    }

    public BrokerReadings Current => Volatile.Read(ref _current);

    private TimeSpan MetricsFreshFor { get; }

    private TimeSpan ListFreshFor => _fallback.ListFreshFor;

    private TimeSpan ListStaleAfter => _fallback.ListStaleAfter;

    /// <summary>
    /// Counters wait this long for a node that has just stopped answering, so that they do not jump when it is back: in
    /// 4.x they live on the node of the consumer's channel, and nobody knows which queues that concerns. Half of the
    /// age at which they stop being believed.
    /// </summary>
    private TimeSpan CounterHold => _options.StaleAfter / 2;

    private bool FallbackServesGauges => !_options.HasMetrics || _metricsFailures >= FailuresBeforeFallback;

    private bool ListServesCounters => FallbackServesGauges || _metricsHaveCounters == false;

    private bool ListIsNeeded =>
        _options.Management is not null && (FallbackFillsGaps || ListServesCounters);

    /// <summary>Whether the metrics lack all queues or some node's, so that others must stand in.</summary>
    private bool FallbackFillsGaps => FallbackServesGauges || _metricsGaps >= FailuresBeforeFallback;

    /// <summary>Whether the management list should be read now.</summary>
    public bool ManagementIsDue(DateTimeOffset now)
    {
        lock (_gate)
        {
            if (_options.Management is null || (_options.HasMetrics && !_metricsSwept))
            {
                return false;
            }

            var sinceLast = _listStartedAt == default ? TimeSpan.MaxValue : now - _listStartedAt;

            // Half an interval of tolerance: a timer that comes a millisecond early must not skip a whole turn.
            return ListIsNeeded
                ? sinceLast >= _options.ManagementInterval - (_options.Interval / 2)
                : !_metricsHaveInfo && sinceLast >= KindsInterval;
        }
    }

    /// <summary>Takes the answers of one sweep over the nodes.</summary>
    /// <param name="startedAt">When the sweep began, name resolution included.</param>
    /// <param name="sentAt">When the requests were sent: the readings' <see cref="QueueReading.ObservedAt"/>.</param>
    /// <param name="now">Now.</param>
    /// <param name="answers">One per endpoint.</param>
    /// <param name="allAsked">Whether these are surely all the nodes; false when their name did not resolve.</param>
    public SweepOutcome ApplyMetrics(
        DateTimeOffset startedAt,
        DateTimeOffset sentAt,
        DateTimeOffset now,
        IReadOnlyList<NodeAnswer> answers,
        bool allAsked)
    {
        lock (_gate)
        {
            var faults = new List<SourceFault>();
            var since = _status.MetricsFault?.Since ?? now;
            var bytes = ReadPages(answers, now, faults, since);
            Merge();
            var queues = CountPresent(_merged.Span);
            if (queues == 0 && faults.Count == 0)
            {
                faults.Add(Fault(RabbitMqEndpoint.Metrics, "", SourceReason.NoQueuesVisible, 0, since));
            }

            var badLines = 0;
            var badValues = 0;
            foreach (var page in _pages.Take(_pageNodes.Count))
            {
                badLines += page.BadLines;
                badValues += page.BadValues;
            }

            var complete = queues > 0 && faults.Count == 0 && allAsked && badLines == 0 && AllKnownNodesAnswered(now);
            _completeSince = complete ? _completeSince ?? sentAt : null;
            _metricsHaveInfo = queues > 0 ? !AnyPage(page => !page.HasInfoFamily) : _metricsHaveInfo;
            var provesAbsence = complete && (_metricsHaveInfo || sentAt - _completeSince >= StatisticsLag);
            _metricsSwept = true;
            _metricsGaps = complete ? 0 : _metricsGaps + 1;
            _metricsFailures = queues > 0 ? 0 : _metricsFailures + 1;
            if (queues > 0)
            {
                SetMetricsReadings(sentAt, now, provesAbsence);
                _metricsSucceeded = true;
                _metricsHaveCounters = !AnyPage(page => !page.HasDeliveryFamily);
                AdvanceMetricsCounters(sentAt, now);
                _status = _status with { LastSuccessAt = startedAt };
            }

            _status = _status with
            {
                LastSweepStartedAt = startedAt,
                MetricsFault = faults.Count == 0 ? null : Summarise(faults),
                ManagementFault = ListIsNeeded ? _status.ManagementFault : null,
                TotalsFault = FallbackFillsGaps ? _status.TotalsFault : null,
            };
            if (provesAbsence)
            {
                _status = _status with
                {
                    CompleteSweepAt = sentAt,
                    CompleteVhosts = null,
                    CompleteFreshFor = MetricsFreshFor,
                    CompleteStaleAfter = _options.StaleAfter,
                };
            }

            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = RabbitMqEndpoint.Metrics,
                StartedAt = startedAt,
                Duration = now - startedAt,
                Bytes = bytes,
                Queues = queues,
                Asked = answers.Count,
                Answered = answers.Count - faults.Count(fault => fault.Reason != SourceReason.NoQueuesVisible),
                BadSamples = badLines + badValues,
                Succeeded = queues > 0,
                IsComplete = complete,
                Faults = faults,
                Choice = _status.Choice,
            };
        }
    }

    /// <summary>Takes the answers of one read of the management list.</summary>
    /// <param name="startedAt">When the read began: the readings' <see cref="QueueReading.ObservedAt"/>.</param>
    /// <param name="now">Now.</param>
    /// <param name="endpoint"><c>host:port</c>, for sentences.</param>
    /// <param name="answers">One per virtual host, or one for all.</param>
    /// <param name="statisticsDisabled">Whether the overview says that statistics are switched off.</param>
    public SweepOutcome ApplyManagement(
        DateTimeOffset startedAt,
        DateTimeOffset now,
        string endpoint,
        IReadOnlyList<EndpointAnswer> answers,
        bool statisticsDisabled)
    {
        lock (_gate)
        {
            _listWholeSince = startedAt - _listStartedAt > ListFreshFor ? null : _listWholeSince;
            _listStartedAt = startedAt;
            var faults = new List<SourceFault>();
            var since = _status.ManagementFault?.Since ?? now;
            var bytes = ReadLists(_list, RabbitMqEndpoint.Management, answers, now, endpoint, faults, since);
            var answered = answers.Count - faults.Count;
            var visible = faults.Count == 0 && _list is { Queues: > 0, BadEntries: 0 } ? VisibleVhosts(_list) : null;
            _listWholeSince = visible is null ? null : _listWholeSince ?? startedAt;
            if (faults.Count == 0 && _list.QueuesWithGauges == 0)
            {
                var reason = _list.Queues == 0 ? SourceReason.NoQueuesVisible
                    : statisticsDisabled ? SourceReason.StatisticsDisabled
                    : SourceReason.StatisticsMissing;
                faults.Add(Fault(RabbitMqEndpoint.Management, endpoint, reason, 0, since));
            }

            var succeeded = _list.QueuesWithGauges > 0;
            SetListReadings(startedAt, now, visible);
            NoteArguments(_list, faults.Count, startedAt);
            if (succeeded)
            {
                AdvanceListCounters(startedAt);
                _listSucceededAt = startedAt;
                _status = _status with { LastSuccessAt = Max(startedAt, _status.LastSuccessAt) };
            }

            _status = _status with
            {
                LastSweepStartedAt = Max(startedAt, _status.LastSweepStartedAt),
                ManagementFault = faults.Count == 0 ? null : Summarise(faults),
            };
            if (startedAt - _listWholeSince >= StatisticsLag
                && (FallbackServesGauges || now - _status.CompleteSweepAt > _status.CompleteFreshFor))
            {
                _status = _status with
                {
                    CompleteSweepAt = startedAt,
                    CompleteVhosts = visible,
                    CompleteFreshFor = ListFreshFor,
                    CompleteStaleAfter = ListStaleAfter,
                };
            }

            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = RabbitMqEndpoint.Management,
                StartedAt = startedAt,
                Duration = now - startedAt,
                Bytes = bytes,
                Queues = _list.QueuesWithGauges,
                Asked = answers.Count,
                Answered = answered,
                BadSamples = _list.BadEntries + _list.BadValues,
                Succeeded = succeeded,
                IsComplete = succeeded && visible is not null,
                Faults = faults,
                Choice = _status.Choice,
            };
        }
    }

    /// <summary>Records a sweep that ended in an exception of ours.</summary>
    public SweepOutcome ApplyDefect(RabbitMqEndpoint kind, DateTimeOffset startedAt, DateTimeOffset now, Exception exception)
    {
        lock (_gate)
        {
            var fault = new SourceFault(
                SourceReason.Unexpected, "", _sentences.DescribeDefect(kind, exception), _status.FaultOf(kind)?.Since ?? now);
            switch (kind)
            {
                case RabbitMqEndpoint.Metrics:
                    _metricsSwept = true;
                    _metricsGaps++;
                    _metricsFailures++;
                    _completeSince = null;
                    break;
                case RabbitMqEndpoint.Management:
                    _listStartedAt = startedAt;
                    _listWholeSince = null;
                    break;
                case RabbitMqEndpoint.ManagementTotals:
                    _totalsStartedAt = startedAt;
                    break;
                case RabbitMqEndpoint.ManagementConsumers:
                    _consumers.NoteDefect(startedAt);
                    break;
                default:
                    break;
            }

            _status = _status.With(kind, fault) with { LastSweepStartedAt = startedAt };
            Publish(now);
            return new SweepOutcome
            {
                Connection = _options.Name,
                Endpoint = kind,
                StartedAt = startedAt,
                Duration = now - startedAt,
                Faults = [fault],
                Choice = _status.Choice,
            };
        }
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static DateTimeOffset Max(DateTimeOffset a, DateTimeOffset b) => a > b ? a : b;

    private static int CountPresent(ReadOnlySpan<QueueRow> rows)
    {
        var count = 0;
        foreach (ref readonly var row in rows)
        {
            count += row.Has(RowFields.Gauges) ? 1 : 0;
        }

        return count;
    }

    private static SourceFault Summarise(List<SourceFault> faults) => faults.Count == 1
        ? faults[0]
        : faults[0] with { Sentence = $"{faults[0].Sentence} {faults.Count - 1} more failed in the same sweep." };

    private SourceFault Fault(RabbitMqEndpoint kind, string endpoint, SourceReason reason, int status, DateTimeOffset since) =>
        new(reason, endpoint, _sentences.Describe(kind, endpoint, reason, status), since);

    private long ReadPages(IReadOnlyList<NodeAnswer> answers, DateTimeOffset now, List<SourceFault> faults, DateTimeOffset since)
    {
        _pageNodes.Clear();
        long bytes = 0;
        foreach (var (endpoint, answer) in answers)
        {
            bytes += answer.Body.Length;
            var reason = answer.Reason;
            if (reason == SourceReason.None)
            {
                reason = ReadPage(endpoint, answer.Body, now);
            }

            if (reason != SourceReason.None)
            {
                faults.Add(Fault(RabbitMqEndpoint.Metrics, endpoint, reason, answer.Status, since));
            }
        }

        return bytes;
    }

    private SourceReason ReadPage(string endpoint, ReadOnlySpan<byte> body, DateTimeOffset now)
    {
        if (_pages.Count == _pageNodes.Count)
        {
            _pages.Add(new NodePage());
        }

        var page = _pages[_pageNodes.Count];
        page.Read(body, _table, now);
        if (!page.IsRabbitMq)
        {
            return SourceReason.NotExposition;
        }

        // Every page ends in a line feed. One that does not has lost its end, whatever the connection claims.
        if (body[^1] != '\n')
        {
            return SourceReason.Truncated;
        }

        // Nodes are told apart by their own name: a pod that restarts keeps it and changes its address, and two addresses
        // may lead to one node, whose counters must not be counted twice.
        var name = page.Node.Length > 0 ? page.Node : endpoint;
        if (!_nodes.TryGetValue(name, out var node))
        {
            node = new NodeTrack();
            _nodes.Add(name, node);
        }

        node.LastAnsweredAt = now;
        if (!_pageNodes.Contains(node))
        {
            _pageNodes.Add(node);
        }

        return SourceReason.None;
    }

    private bool AnyPage(Predicate<NodePage> predicate)
    {
        for (var i = 0; i < _pageNodes.Count; i++)
        {
            if (predicate(_pages[i]))
            {
                return true;
            }
        }

        return false;
    }

    private bool AllKnownNodesAnswered(DateTimeOffset now)
    {
        var all = true;
        foreach (var (name, node) in _nodes)
        {
            if (now - node.LastAnsweredAt > NodeMemory)
            {
                // Removing while enumerating is allowed for a dictionary.
                _nodes.Remove(name);
            }
            else if (!_pageNodes.Contains(node))
            {
                all = false;
            }
        }

        return all;
    }

    private void Merge()
    {
        _merged.Clear();
        for (var i = 0; i < _pageNodes.Count; i++)
        {
            var rows = _pages[i].Rows.Span;
            for (var slot = 0; slot < rows.Length; slot++)
            {
                if (rows[slot].Fields != RowFields.None)
                {
                    Merge(ref _merged[slot], in rows[slot]);
                }
            }
        }
    }

    /// <summary>
    /// Joins what a further node says of a queue. While the leader moves, two nodes may report it: the one that says it
    /// is the leader is believed, else the one with more messages, because a scaler errs less by seeing too many.
    /// </summary>
    private static void Merge(ref QueueRow merged, in QueueRow row)
    {
        merged.Kind = row.Kind == QueueKind.Unknown ? merged.Kind : row.Kind;
        var leads = row.Has(RowFields.Leader);
        var led = merged.Has(RowFields.Leader);
        var better = row.Has(RowFields.Coarse)
            && (!merged.Has(RowFields.Coarse)
                || (leads && !led)
                || (leads == led && row.Ready + row.Unacked > merged.Ready + merged.Unacked));
        if (better)
        {
            merged.Ready = row.Ready;
            merged.Unacked = row.Unacked;
            merged.Fields |= row.Fields & (RowFields.Coarse | RowFields.Leader);
        }

        if (row.Has(RowFields.Consumers) && (better || !merged.Has(RowFields.Consumers)))
        {
            merged.Consumers = row.Consumers;
            merged.Fields |= RowFields.Consumers;
        }

        merged.Fields |= row.Fields & (RowFields.Exists | RowFields.Counters);
    }

    private void SetMetricsReadings(DateTimeOffset sentAt, DateTimeOffset now, bool provesAbsence)
    {
        var entries = _table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            ref var entry = ref entries[slot];
            var row = _merged.Get(slot);
            if (row.Has(RowFields.Gauges))
            {
                // A page asked for before the broker said that the queue is gone knows nothing newer.
                if (entry.Reading.Presence != QueuePresence.Absent || entry.Reading.ObservedAt <= sentAt)
                {
                    SetPresent(ref entry, in row, sentAt);
                }
            }
            else if (provesAbsence
                && !row.Has(RowFields.Exists)
                && (_metricsHaveInfo || sentAt - entry.LastKnownAt >= StatisticsLag)
                && !_fallback.VouchesFor(in entry, now))
            {
                SetAbsent(ref entry, sentAt);
            }
        }
    }

    private void SetPresent(ref QueueEntry entry, in QueueRow row, DateTimeOffset at)
    {
        entry.GaugesFrom = RabbitMqEndpoint.Metrics;
        entry.SweptReady = row.Ready;
        entry.Reading = entry.Reading with
        {
            Presence = QueuePresence.Present,
            Kind = row.Kind == QueueKind.Unknown ? entry.Reading.Kind : row.Kind,
            Ready = row.Ready,
            Unacked = row.Unacked,
            Consumers = row.Consumers,
            Missing = QueueGauges.None,
            ObservedAt = at,
            LastPresentAt = at,
            FreshFor = MetricsFreshFor,
            StaleAfter = _options.StaleAfter,
        };
    }

    private void SetAbsent(ref QueueEntry entry, DateTimeOffset at)
    {
        entry.GaugesFrom = RabbitMqEndpoint.Metrics;
        entry.Reading = entry.Reading with
        {
            Presence = QueuePresence.Absent,
            ObservedAt = at,
            FreshFor = MetricsFreshFor,
            StaleAfter = _options.StaleAfter,
        };
    }

    private void AdvanceMetricsCounters(DateTimeOffset sentAt, DateTimeOffset now)
    {
        if (_metricsHaveCounters != true)
        {
            _counterSource = _counterSource == RabbitMqEndpoint.Metrics ? RabbitMqEndpoint.None : _counterSource;
            return;
        }

        if (_counterSource != RabbitMqEndpoint.Metrics)
        {
            // What the list counted meanwhile must not be counted again.
            _counterSource = RabbitMqEndpoint.Metrics;
            foreach (var node in _nodes.Values)
            {
                node.Counters.Clear();
            }
        }

        foreach (var node in _nodes.Values)
        {
            if (!_pageNodes.Contains(node) && node.IsCounted && now - node.LastAnsweredAt <= CounterHold)
            {
                return;
            }
        }

        foreach (var node in _nodes.Values)
        {
            if (!_pageNodes.Contains(node))
            {
                // Go on without it; when it is back, what it counted meanwhile would look like one enormous burst.
                node.Counters.Clear();
                node.IsCounted = false;
            }
        }

        var hasPublished = !AnyPage(page => !page.HasPublishFamily);
        for (var i = 0; i < _pageNodes.Count; i++)
        {
            AddNode(_pageNodes[i], _pages[i].Rows, hasPublished);
        }

        var entries = _table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            var row = _merged.Get(slot);
            if (row.Has(RowFields.Gauges))
            {
                SetCounters(ref entries[slot], in row, sentAt, _options.StaleAfter, hasPublished);
            }
        }
    }

    private void AddNode(NodeTrack node, QueueRows rows, bool hasPublished)
    {
        node.IsCounted = true;
        var entries = _table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            var row = rows.Get(slot);
            if (!row.Has(RowFields.Counters) && !_merged.Get(slot).Has(RowFields.Gauges))
            {
                continue;
            }

            // A node without series for a queue has delivered nothing of it yet: row.Counters is then all zero.
            var raw = row.Counters;
            raw.Published = hasPublished ? raw.Published : QueueCounters.Unknown;
            node.Counters.Advance(slot, in raw, ref entries[slot].Totals);
        }
    }

    private static void SetCounters(
        ref QueueEntry entry, in QueueRow row, DateTimeOffset at, TimeSpan staleAfter, bool hasPublished) =>
        entry.Reading = entry.Reading with
        {
            Counters = new QueueCounters
            {
                ObservedAt = at,
                StaleAfter = staleAfter,
                Messages = row.Ready + row.Unacked,
                Unacked = row.Unacked,
                Completed = entry.Totals.Completed,
                AutoAcked = entry.Totals.AutoAcked,
                Delivered = entry.Totals.Delivered,
                Redelivered = entry.Totals.Redelivered,
                Published = hasPublished ? entry.Totals.Published : QueueCounters.Unknown,
            },
        };

    private long ReadLists(
        ManagementList list,
        RabbitMqEndpoint kind,
        IReadOnlyList<EndpointAnswer> answers,
        DateTimeOffset now,
        string endpoint,
        List<SourceFault> faults,
        DateTimeOffset since)
    {
        long bytes = 0;
        var readable = new List<EndpointAnswer>(answers.Count);
        foreach (var answer in answers)
        {
            bytes += answer.Body.Length;
            if (answer.Reason == SourceReason.None)
            {
                readable.Add(answer);
            }
            else
            {
                faults.Add(Fault(kind, endpoint, answer.Reason, answer.Status, since));
            }
        }

        // A list that turns out malformed at its end has already left rows: begin again without it.
        var again = true;
        while (again)
        {
            again = false;
            list.Clear();
            for (var i = 0; i < readable.Count && !again; i++)
            {
                if (!list.Read(readable[i].Body, _table, now))
                {
                    faults.Add(Fault(kind, endpoint, SourceReason.MalformedAnswer, 0, since));
                    readable.RemoveAt(i);
                    again = true;
                }
            }
        }

        return bytes;
    }

    /// <summary>
    /// The virtual hosts for which a complete list proves absence. A user may lack the permission for some, and the list
    /// then leaves them out without a word (T6); asking for one by name is refused, so configured ones are all visible.
    /// </summary>
    private HashSet<string> VisibleVhosts(ManagementList list)
    {
        var vhosts = new HashSet<string>(_options.Vhosts, StringComparer.Ordinal);
        if (vhosts.Count == 0)
        {
            var names = _table.Names;
            var rows = list.Rows.Span;
            for (var slot = 0; slot < rows.Length; slot++)
            {
                if (rows[slot].Has(RowFields.Exists))
                {
                    vhosts.Add(names[slot].Vhost);
                }
            }
        }

        return vhosts;
    }

    /// <param name="startedAt">When the list was asked for.</param>
    /// <param name="now">Now.</param>
    /// <param name="visible">The virtual hosts of which the list shows all queues; null for none.</param>
    private void SetListReadings(DateTimeOffset startedAt, DateTimeOffset now, HashSet<string>? visible)
    {
        var entries = _table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            ref var entry = ref entries[slot];
            var row = _list.Rows.Get(slot);
            SetDeclaration(ref entry, in row);
            var isVisible = visible?.Contains(_table.Names[slot].Vhost) == true;
            var isGone = FallbackGauges.NoteListed(ref entry, in row, isVisible ? _listWholeSince : null, startedAt);
            var isGap = IsGap(in entry, startedAt, now);
            var isDisputed = entry.Reading.Presence == QueuePresence.Absent && now - entry.LastKnownAt > _options.StaleAfter;
            if (row.Has(RowFields.Gauges))
            {
                // Totals are younger than the statistics, which then still tell the consumers.
                if (isGap || isDisputed || entry.GaugesFrom == RabbitMqEndpoint.ManagementTotals)
                {
                    _fallback.TakeListed(ref entry, in row, startedAt);
                }
            }
            else if (isGap && isGone && !_fallback.IsDeclared(in entry, startedAt))
            {
                _fallback.SetAbsent(ref entry, RabbitMqEndpoint.Management, startedAt);
            }
        }
    }

    /// <summary>
    /// Whether something else than the metrics may set a queue's gauges: they are younger, so the rest only fills their
    /// gaps. A declare is younger still, but lacks the unacknowledged.
    /// </summary>
    private bool IsGap(in QueueEntry entry, DateTimeOffset startedAt, DateTimeOffset now) =>
        (entry.Reading.ObservedAt <= startedAt || (entry.GaugesFrom == RabbitMqEndpoint.Amqp && entry.Reading.Presence == QueuePresence.Present))
        && (FallbackServesGauges
            || entry.GaugesFrom is not (RabbitMqEndpoint.None or RabbitMqEndpoint.Metrics)
            || !entry.Reading.IsFresh(now));

    private static void SetDeclaration(ref QueueEntry entry, in QueueRow row)
    {
        var kind = row.Kind == QueueKind.Unknown ? entry.Reading.Kind : row.Kind;
        var isSingleActive = row.Has(RowFields.Arguments) ? row.IsSingleActive : entry.Reading.IsSingleActive;
        if (kind != entry.Reading.Kind || isSingleActive != entry.Reading.IsSingleActive)
        {
            entry.Reading = entry.Reading with { Kind = kind, IsSingleActive = isSingleActive };
        }
    }

    /// <summary>Notes that a list told how queues were declared; <paramref name="faults"/> of a list may have hidden some.</summary>
    private void NoteArguments(ManagementList list, int faults, DateTimeOffset startedAt)
    {
        if (list.Queues > 0)
        {
            _argumentsAt = Max(startedAt, _argumentsAt);
            _argumentsKnownFor = faults == 0 ? _table.Count : -1;
        }
    }

    private void AdvanceListCounters(DateTimeOffset startedAt)
    {
        if (!ListServesCounters)
        {
            return;
        }

        if (_counterSource != RabbitMqEndpoint.Management)
        {
            _counterSource = RabbitMqEndpoint.Management;
            _listTrack.Clear();
        }

        _listCountersAt = startedAt;
        var rows = _list.Rows.Span;
        var entries = _table.Entries;
        for (var slot = 0; slot < rows.Length; slot++)
        {
            ref readonly var row = ref rows[slot];
            if (row.Has(RowFields.Counters))
            {
                _listTrack.Advance(slot, in row.Counters, ref entries[slot].Totals);
                SetCounters(ref entries[slot], in row, startedAt, ListStaleAfter, hasPublished: true);
            }
        }
    }

    private void Publish(DateTimeOffset now)
    {
        var map = _table.Compact(now);
        if (map is not null)
        {
            _listTrack.Renumber(map);
            foreach (var node in _nodes.Values)
            {
                node.Counters.Renumber(map);
            }
        }

        FinishReadings(now);
        _status = _status with { Choice = Choose(now) };
        Volatile.Write(ref _current, new BrokerReadings(_table.Index(), _table.CopyReadings(), _status));
    }

    /// <summary>Adds to the sweeps' figures what else is known: live ready (T3) and the consumers (T5).</summary>
    private void FinishReadings(DateTimeOffset now)
    {
        foreach (ref var entry in _table.Entries)
        {
            if (entry.LiveReady.IsSet)
            {
                var ready = Math.Max(entry.SweptReady, entry.LiveReady.Value(now, FallbackGauges.LiveMemory));
                if (ready != entry.Reading.Ready)
                {
                    entry.Reading = entry.Reading with { Ready = ready };
                }
            }

            ConsumerKnowledge.Finish(ref entry);
        }
    }

    private SourceChoice Choose(DateTimeOffset now)
    {
        var before = _status.Choice;
        var listIsFresh = IsWithin(now, _listSucceededAt, ListFreshFor);
        var amqpIsFresh = now <= _declaredUntil;
        var gauges = !FallbackServesGauges ? _metricsSucceeded ? RabbitMqEndpoint.Metrics : before.Gauges
            : IsWithin(now, _totalsSucceededAt, _fallback.TotalsFreshFor) ? RabbitMqEndpoint.ManagementTotals
            : listIsFresh ? RabbitMqEndpoint.Management
            : amqpIsFresh ? RabbitMqEndpoint.Amqp
            : before.Gauges;
        var consumers = gauges switch
        {
            RabbitMqEndpoint.Metrics or RabbitMqEndpoint.None => gauges,
            RabbitMqEndpoint.Amqp => gauges,
            _ => amqpIsFresh ? RabbitMqEndpoint.Amqp : listIsFresh ? RabbitMqEndpoint.Management : RabbitMqEndpoint.None,
        };
        var listCountersAreOld = _counterSource == RabbitMqEndpoint.Management && now - _listCountersAt > ListStaleAfter;
        return new SourceChoice(gauges, consumers, listCountersAreOld ? RabbitMqEndpoint.None : _counterSource, _consumers.Endpoint(now));
    }

    private static bool IsWithin(DateTimeOffset now, DateTimeOffset at, TimeSpan age) => at != default && now - at <= age;

    /// <summary>What is remembered about a node.</summary>
    private sealed class NodeTrack
    {
        public CounterTrack Counters { get; } = new(countFromZero: true);

        public DateTimeOffset LastAnsweredAt { get; set; }

        /// <summary>Whether the totals hold this node's counters, so that they must wait for it.</summary>
        public bool IsCounted { get; set; }
    }
}
