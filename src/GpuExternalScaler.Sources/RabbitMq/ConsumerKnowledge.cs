using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// What is known of all queues' consumers (T5): the list every few minutes, events in between. Guarded by the source's lock.
/// </summary>
internal sealed class ConsumerKnowledge(QueueTable table)
{
    /// <summary>How often the list is read.</summary>
    internal static readonly TimeSpan ListInterval = TimeSpan.FromMinutes(5);

    /// <summary>The same when something was missed; twice as long after each list that did not help.</summary>
    internal static readonly TimeSpan DoubtInterval = TimeSpan.FromSeconds(30);

    private const int MostEarlyEvents = 1000;

    private readonly List<(ConsumerEvent Event, DateTimeOffset At)> _early = [];
    private DateTimeOffset _startedAt;
    private DateTimeOffset _succeededAt;
    private DateTimeOffset _lostAt;
    private TimeSpan _doubtWait = DoubtInterval;
    private bool _isListening;
    private bool _isDoubtful;
    private bool _wasShort;

    /// <summary>Whether the list should be read now.</summary>
    public bool IsListDue(DateTimeOffset now) => now - _startedAt >= (_isDoubtful ? _doubtWait : ListInterval);

    /// <summary>What tells of consumers now.</summary>
    public RabbitMqEndpoint Endpoint(DateTimeOffset now) => _isListening ? RabbitMqEndpoint.AmqpEvents
        : _succeededAt != default && now - _succeededAt <= 2 * ListInterval ? RabbitMqEndpoint.ManagementConsumers
        : RabbitMqEndpoint.None;

    /// <summary>Notes that reading the list ended in an exception of ours.</summary>
    public void NoteDefect(DateTimeOffset startedAt)
    {
        _startedAt = startedAt;
        WaitLonger();
    }

    /// <summary>Takes a list; the reason if it is of no use, which changes nothing.</summary>
    public SourceReason TakeList(EndpointAnswer answer, DateTimeOffset startedAt, out int queues)
    {
        _startedAt = startedAt;
        queues = 0;
        if (answer.Reason != SourceReason.None)
        {
            WaitLonger();
            return answer.Reason;
        }

        var listed = new List<(int Slot, int Prefetch, bool IsAutoAck)>();
        if (!ConsumerList.Read(answer.Body, table, (slot, prefetch, isAutoAck) => listed.Add((slot, prefetch, isAutoAck)), out var count))
        {
            WaitLonger();
            return SourceReason.MalformedAnswer;
        }

        if (count == 0 && AnyConsumers())
        {
            // With the tag management alone a user is shown its own consumers: an empty list means nothing.
            WaitLonger();
            return SourceReason.ConsumersHidden;
        }

        _doubtWait = DoubtInterval;
        queues = Replace(listed, startedAt);
        if (startedAt <= _lostAt)
        {
            // What happened while it was read may be among what was lost.
            Forget();
        }

        _succeededAt = startedAt;
        return SourceReason.None;
    }

    /// <summary>Takes events, in the order in which they came.</summary>
    /// <param name="events">The events.</param>
    /// <param name="isListening">Whether more would come.</param>
    /// <param name="isWhole">False if some were lost: then only the list can tell.</param>
    /// <param name="now">Now.</param>
    public void TakeEvents(IReadOnlyList<ConsumerEvent> events, bool isListening, bool isWhole, DateTimeOffset now)
    {
        // What happened before we listened, or while nobody did, is in the list alone.
        var isLost = !isWhole || (_isListening && !isListening);
        _isDoubtful |= isLost || isListening != _isListening;
        _isListening = isListening;

        // Consumers often come a moment after their queue, which no sweep has shown yet.
        var early = _early.ToArray();
        _early.Clear();
        foreach (var (one, at) in early)
        {
            Take(in one, at, now);
        }

        foreach (var one in events)
        {
            Take(in one, now, now);
        }

        if (isLost)
        {
            _lostAt = now;
            Forget();
        }
    }

    /// <summary>Puts what is known of a queue's consumers into its reading, or forgets them once they are known to be gone.</summary>
    public static void Finish(ref QueueEntry entry)
    {
        if (entry.Consumers is not { } consumers)
        {
            return;
        }

        ref readonly var reading = ref entry.Reading;
        var areCounted = reading.Presence == QueuePresence.Present && reading.Has(QueueGauges.Consumers);
        if ((consumers.Count == 0 && !consumers.IsForgotten)
            || (areCounted && reading.Consumers == 0 && reading.ObservedAt - consumers.ChangedAt > BrokerState.StatisticsLag))
        {
            entry.Consumers = null;
            entry.Reading = reading with { Prefetch = null, HasAutoAck = false };
            return;
        }

        // Of some consumers the largest prefetch is only known when all of them are. Those that came since a list that was
        // whole are taken to be like the others.
        var someAreUnknown = areCounted ? consumers.Count < reading.Consumers && !consumers.IsWhole : consumers.IsForgotten;
        var prefetch = someAreUnknown ? null : consumers.Prefetch;
        if (prefetch != reading.Prefetch || consumers.HasAutoAck != reading.HasAutoAck)
        {
            entry.Reading = reading with { Prefetch = prefetch, HasAutoAck = consumers.HasAutoAck };
        }
    }

    /// <summary>
    /// Forgets the consumers, of which some may have come or gone unseen: a prefetch that is too small would lower an answer.
    /// Lists, and events of consumers that come from now on, tell anew.
    /// </summary>
    private void Forget()
    {
        _isDoubtful = true;
        _early.Clear();
        foreach (ref var entry in table.Entries)
        {
            entry.Consumers?.Forget();
        }
    }

    private void WaitLonger() => _doubtWait = 2 * _doubtWait < ListInterval ? 2 * _doubtWait : ListInterval;

    private void Take(in ConsumerEvent one, DateTimeOffset at, DateTimeOffset now)
    {
        if (table.TryFind(one.Queue, out var slot))
        {
            ref var entry = ref table.Entries[slot];
            (entry.Consumers ??= new QueueConsumers()).Take(in one, at);
        }
        else if (now - at <= BrokerState.StatisticsLag && _early.Count < MostEarlyEvents)
        {
            // Not remembered for ever: programs that declare a queue per reply make many that no sweep ever shows.
            _early.Add((one, at));
        }
    }

    /// <summary>Replaces what is known by a list; returns the number of queues in it.</summary>
    private int Replace(List<(int Slot, int Prefetch, bool IsAutoAck)> listed, DateTimeOffset startedAt)
    {
        foreach (ref var entry in table.Entries)
        {
            entry.Consumers?.BeginList(startedAt);
        }

        foreach (var (slot, prefetch, isAutoAck) in listed)
        {
            ref var entry = ref table.Entries[slot];
            (entry.Consumers ??= new QueueConsumers()).AddListed(prefetch, isAutoAck, startedAt);
        }

        // Fewer than the queue has: the list is some seconds older, which a second look shows, or it is of the user's own.
        var isShort = false;
        var queues = 0;
        foreach (ref var entry in table.Entries)
        {
            if (entry.Consumers is { } consumers)
            {
                queues++;
                consumers.IsWhole = consumers.Count >= entry.Reading.Consumers;
                isShort |= !consumers.IsWhole;
            }
        }

        _isDoubtful = isShort && !_wasShort;
        _wasShort = isShort;
        return queues;
    }

    private bool AnyConsumers()
    {
        var entries = table.Entries;
        for (var slot = 0; slot < entries.Length; slot++)
        {
            if (entries[slot].Reading is { Presence: QueuePresence.Present, Consumers: > 0 } && !ConsumerList.IsOwn(table.Names[slot].Name))
            {
                return true;
            }
        }

        return false;
    }
}
