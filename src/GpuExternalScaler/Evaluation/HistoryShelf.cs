using GpuExternalScaler.Scaling.History;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// Queue histories that outlive their workloads, so that an edited trigger does not start from nothing. Belongs to
/// the evaluation loop; bounded in number and age.
/// </summary>
internal sealed class HistoryShelf(int capacity)
{
    private static readonly TimeSpan KeptFor = TimeSpan.FromHours(24);
    private readonly Dictionary<HistoryKey, (QueueHistory History, DateTimeOffset At)> _shelf = [];

    /// <summary>A copy of what is known of the queues: a history belongs to one workload at a time.</summary>
    public QueueHistory Take(HistoryKey key) =>
        _shelf.TryGetValue(key, out var kept) ? kept.History.Clone() : new QueueHistory();

    /// <summary>Remembers a living workload's history, or that of one that is being forgotten.</summary>
    public void Put(HistoryKey key, QueueHistory history, DateTimeOffset now)
    {
        _shelf[key] = (history, now);
        if (_shelf.Count <= capacity)
        {
            return;
        }

        foreach (var stale in _shelf.OrderBy(static pair => pair.Value.At).Take(_shelf.Count - capacity + (capacity / 10)).ToList())
        {
            _shelf.Remove(stale.Key);
        }
    }

    /// <summary>Drops what is too old; living workloads renew theirs.</summary>
    public void Expire(DateTimeOffset now)
    {
        foreach (var (key, kept) in _shelf)
        {
            if (now - kept.At > KeptFor)
            {
                _shelf.Remove(key);
            }
        }
    }
}

/// <summary>What a queue history belongs to: the queues.</summary>
internal readonly record struct HistoryKey(string Connection, string Vhost, string Queues);
