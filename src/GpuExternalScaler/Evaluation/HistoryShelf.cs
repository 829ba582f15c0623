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
    private readonly Dictionary<HistoryKey, HistoryKey> _newest = [];

    /// <summary>
    /// A copy of what is known of the queues, in other slots if need be, which is less: a history belongs to one workload at
    /// a time. Null for nothing.
    /// </summary>
    public QueueHistory? Take(HistoryKey key) =>
        (_shelf.TryGetValue(key, out var kept) || (_newest.TryGetValue(AnySlots(key), out var other) && _shelf.TryGetValue(other, out kept)))
            ? kept.History.Clone()
            : null;

    /// <summary>Remembers a living workload's history, or that of one that is being forgotten.</summary>
    public void Put(HistoryKey key, QueueHistory history, DateTimeOffset now)
    {
        _shelf[key] = (history, now);
        _newest[AnySlots(key)] = key;
        if (_shelf.Count <= capacity)
        {
            return;
        }

        foreach (var stale in _shelf.OrderBy(static pair => pair.Value.At).Take(_shelf.Count - capacity + (capacity / 10)).ToList())
        {
            Remove(stale.Key);
        }
    }

    /// <summary>Drops what is too old; living workloads renew theirs.</summary>
    public void Expire(DateTimeOffset now)
    {
        foreach (var (key, kept) in _shelf)
        {
            if (now - kept.At > KeptFor)
            {
                Remove(key);
            }
        }
    }

    private static HistoryKey AnySlots(HistoryKey key) => key with { Concurrency = 0 };

    private void Remove(HistoryKey key)
    {
        _shelf.Remove(key);
        if (_newest.GetValueOrDefault(AnySlots(key)) == key)
        {
            _newest.Remove(AnySlots(key));
        }
    }
}

/// <summary>What a queue history belongs to: the queues, and what counts as a busy slot of theirs.</summary>
internal readonly record struct HistoryKey(string Connection, string Vhost, string Queues, int Concurrency);
