using System.Collections.Concurrent;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Takes the consumer events of one connection. One that is to follow another holds its events back until the other has
/// ended, so that no event is lost between them and none counts twice: a second departure would be taken for another's.
/// </summary>
internal sealed class ConsumerListener(ConcurrentQueue<ConsumerEvent> events, int most, bool isSuccessor)
{
    private readonly Lock _gate = new();
    private List<ConsumerEvent>? _held = isSuccessor ? [] : null;
    private List<ConsumerEvent>? _seen;
    private bool _hasEnded;
    private bool _isShort;

    /// <summary>What they come over.</summary>
    public IAmqpConnection? Connection { get; set; }

    /// <summary>Whether they come in.</summary>
    public bool IsOpen => Connection is { IsOpen: true };

    /// <summary>Takes one event.</summary>
    public void Take(ConsumerEvent one)
    {
        lock (_gate)
        {
            if (_hasEnded)
            {
                return;
            }

            if (_held is not null)
            {
                Keep(_held, one);
                return;
            }

            if (events.Count < most)
            {
                events.Enqueue(one);
            }

            if (_seen is not null)
            {
                Keep(_seen, one);
            }
        }
    }

    /// <summary>Begins to remember what is taken, because a successor is about to listen.</summary>
    public void Remember()
    {
        lock (_gate)
        {
            _seen = [];
            _isShort = false;
        }
    }

    /// <summary>Remembers no longer: the successor has come to nothing.</summary>
    public void Forget()
    {
        lock (_gate)
        {
            _seen = null;
            _isShort = false;
        }
    }

    /// <summary>Ends this one, and has the successor go on where it ended.</summary>
    /// <returns>Whether that is without a gap; false where there were too many events to compare.</returns>
    public bool HandOverTo(ConsumerListener successor)
    {
        lock (_gate)
        {
            _hasEnded = true;
        }

        Connection?.Abandon();
        return successor.Follow(_seen ?? []) && !_isShort;
    }

    /// <summary>Goes on without what was held back, where the one before ended by itself.</summary>
    public void Follow() => Follow([]);

    private bool Follow(List<ConsumerEvent> seen)
    {
        lock (_gate)
        {
            var known = CountKnown(seen, _held ?? []);
            foreach (var one in _held ?? [])
            {
                if (known.GetValueOrDefault((one.Queue, one.Id)) is > 0 and var count)
                {
                    known[(one.Queue, one.Id)] = count - 1;
                }
                else if (events.Count < most)
                {
                    events.Enqueue(one);
                }
            }

            _held = null;
            return !_isShort;
        }
    }

    /// <summary>
    /// How many of each consumer's first events that were held were seen already: as many as are the last that were seen. In
    /// order, because one that left and came again with the same tag has come twice. For each consumer by itself, because the
    /// nodes of a cluster send their events independently of each other.
    /// </summary>
    private static Dictionary<(QueueName Queue, string Id), int> CountKnown(List<ConsumerEvent> seen, List<ConsumerEvent> held)
    {
        var before = seen.ToLookup(static one => (one.Queue, one.Id));
        var known = new Dictionary<(QueueName Queue, string Id), int>();
        foreach (var consumer in held.GroupBy(static one => (one.Queue, one.Id)))
        {
            ReadOnlySpan<ConsumerEvent> ended = [.. before[consumer.Key]];
            ReadOnlySpan<ConsumerEvent> begun = [.. consumer];
            var count = Math.Min(ended.Length, begun.Length);
            while (!ended[^count..].SequenceEqual(begun[..count]))
            {
                count--;
            }

            known[consumer.Key] = count;
        }

        return known;
    }

    private void Keep(List<ConsumerEvent> list, ConsumerEvent one)
    {
        if (list.Count < most)
        {
            list.Add(one);
        }
        else
        {
            _isShort = true;
        }
    }
}
