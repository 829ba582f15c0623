namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Which queues workloads want and which of them are worth watching live (T3), as the evaluation tells the source.
/// Queues count once, however many workloads name them. Telling is cheap and allocates nothing once it has settled.
/// </summary>
public sealed class QueueInterest
{
    private readonly Lock _gate = new();
    private readonly Queue<QueueName> _ring = [];
    private readonly HashSet<QueueName> _inRing = [];
    private HashSet<QueueName> _watched = [];
    private HashSet<QueueName> _next = [];
    private IReadOnlyCollection<QueueName> _wanted = [];

    /// <summary>
    /// Every queue that some workload names or matches; what declares ask for when they stand in for the metrics. To be
    /// set when that changes, or every few seconds.
    /// </summary>
    public IReadOnlyCollection<QueueName> Wanted
    {
        get => Volatile.Read(ref _wanted);
        set => Volatile.Write(ref _wanted, value);
    }

    /// <summary>Notes a queue for the watch that <see cref="PublishWatch"/> makes known. For the evaluation alone.</summary>
    public void Watch(in QueueName queue) => _next.Add(queue);

    /// <summary>Replaces the watched queues by those noted since the last time. For the evaluation alone.</summary>
    public void PublishWatch()
    {
        lock (_gate)
        {
            (_watched, _next) = (_next, _watched);
        }

        _next.Clear();
    }

    /// <summary>
    /// Adds up to so many watched queues to a list, those first whose turn is longest ago. Those that cannot be asked for
    /// take nobody's place.
    /// </summary>
    internal void TakeWatched(int most, List<QueueName> taken, Predicate<QueueName>? canBeAsked = null)
    {
        lock (_gate)
        {
            foreach (var queue in _watched)
            {
                if (_inRing.Add(queue))
                {
                    _ring.Enqueue(queue);
                }
            }

            for (var left = _ring.Count; left > 0 && most > 0; left--)
            {
                var queue = _ring.Dequeue();
                if (_watched.Contains(queue))
                {
                    _ring.Enqueue(queue);
                    if (canBeAsked?.Invoke(queue) != false)
                    {
                        taken.Add(queue);
                        most--;
                    }
                }
                else
                {
                    _inRing.Remove(queue);
                }
            }
        }
    }
}
