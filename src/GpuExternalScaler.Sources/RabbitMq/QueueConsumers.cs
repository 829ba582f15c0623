namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// What is known of the consumers of one queue (T5): those of the newest list, and those that came since. The list does
/// not name consumers as events do, so a departure of one that did not come by event is one fewer of the list's.
/// </summary>
internal sealed class QueueConsumers
{
    // Of one queue; beyond that only the list counts.
    private const int MostKnown = 10_000;

    private readonly Dictionary<string, (int Prefetch, bool IsAutoAck, DateTimeOffset At)> _known = new(StringComparer.Ordinal);
    private int _listed;
    private int _listedPrefetch;
    private bool _listedAutoAck;
    private bool _isListing;
    private bool _forgottenAutoAck;

    /// <summary>Consumers known.</summary>
    public int Count => _listed + _known.Count;

    /// <summary>Whether the newest list was of all consumers that the queue had.</summary>
    public bool IsWhole { get; set; }

    /// <summary>Whether some that are not known any more may still be there.</summary>
    public bool IsForgotten { get; private set; }

    /// <summary>When something was last learned.</summary>
    public DateTimeOffset ChangedAt { get; private set; }

    /// <summary>The largest prefetch, 0 for no limit; null without consumers.</summary>
    public int? Prefetch
    {
        get
        {
            if (Count == 0)
            {
                return null;
            }

            var largest = _listed > 0 ? Order(_listedPrefetch) : 0;
            foreach (var (prefetch, _, _) in _known.Values)
            {
                largest = Math.Max(largest, Order(prefetch));
            }

            return largest == int.MaxValue ? 0 : largest;
        }
    }

    /// <summary>Whether one of them has its messages acknowledged on delivery, or had when they were forgotten.</summary>
    public bool HasAutoAck => _forgottenAutoAck || (_listed > 0 && _listedAutoAck) || _known.Values.Any(static one => one.IsAutoAck);

    /// <summary>Begins to take a list that was asked for at an instant; what came before is in it.</summary>
    public void BeginList(DateTimeOffset at)
    {
        IsForgotten = false;
        _forgottenAutoAck = false;
        _isListing = false;
        _listed = 0;
        _listedPrefetch = 0;
        _listedAutoAck = false;
        foreach (var (id, one) in _known)
        {
            if (one.At < at)
            {
                _known.Remove(id);
            }
        }
    }

    /// <summary>Forgets which consumers there are, because some may have come or gone unseen.</summary>
    public void Forget()
    {
        _forgottenAutoAck = HasAutoAck;
        IsForgotten = true;
        IsWhole = false;
        _listed = 0;
        _known.Clear();
    }

    /// <summary>Takes one consumer of a list.</summary>
    public void AddListed(int prefetch, bool isAutoAck, DateTimeOffset at)
    {
        _listedPrefetch = _isListing && Order(_listedPrefetch) >= Order(prefetch) ? _listedPrefetch : prefetch;
        _isListing = true;
        _listed++;
        _listedAutoAck |= isAutoAck;
        ChangedAt = at;
    }

    /// <summary>Takes an event.</summary>
    public void Take(in ConsumerEvent one, DateTimeOffset at)
    {
        ChangedAt = at;
        if (!one.IsCreated)
        {
            if (!_known.Remove(one.Id) && _listed > 0)
            {
                _listed--;
            }

            IsWhole &= _listed > 0;
        }
        else if (_known.Count < MostKnown)
        {
            _known[one.Id] = (one.Prefetch, one.IsAutoAck, at);
        }
    }

    // No limit is the largest limit.
    private static int Order(int prefetch) => prefetch == 0 ? int.MaxValue : prefetch;
}
