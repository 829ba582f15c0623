using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>Tells each broker that is reached over AMQP which queues are wanted and which are worth a look every second (T3).</summary>
internal sealed class LiveWatch
{
    // Of the threshold: near enough that a sweep's delay would be felt.
    private const double Near = 0.8;

    private Dictionary<RabbitMqSource, Notes> _sources = [];
    private BrokerConnections? _brokers;

    /// <summary>Takes notes for the brokers in force from now on.</summary>
    public void Follow(BrokerConnections brokers)
    {
        if (ReferenceEquals(_brokers, brokers))
        {
            return;
        }

        _brokers = brokers;
        _sources = brokers.All
            .Where(static connection => connection.Options.Connection.Amqp is not null)
            .ToDictionary(static connection => connection.Source, connection => _sources.GetValueOrDefault(connection.Source) ?? new Notes(connection.Source));
    }

    /// <summary>Notes those queues of a workload just decided that are worth watching.</summary>
    public void Note(Workload workload, WorkloadSnapshot snapshot, in ScalingDecision decision, BrokerReadings readings)
    {
        if (workload is not { Connection: { } connection, Evaluation.Queues: { } bound } || !_sources.TryGetValue(connection.Source, out var notes))
        {
            return;
        }

        var wakesSoon = decision.IsDecided && IsNear(decision.Ready + decision.Unacked, workload.Policy.ActivationThreshold);
        for (var i = 0; i < snapshot.Queues.Length; i++)
        {
            ref readonly var queue = ref snapshot.Queues[i];
            if (!IsDeletedOfPattern(snapshot.MatchedByPattern, in queue) && (wakesSoon || IsWorthWatching(in queue, workload.Policy)))
            {
                notes.Watch(bound, i, readings);
            }
        }
    }

    /// <summary>Makes the queues noted since the last time the watched ones.</summary>
    public void Publish()
    {
        foreach (var notes in _sources.Values)
        {
            notes.Publish();
        }
    }

    /// <summary>Collects what all workloads want.</summary>
    public void CollectWanted(IEnumerable<Workload> workloads, DateTimeOffset now)
    {
        foreach (var workload in workloads)
        {
            if (workload is not { Connection: { } connection, Evaluation.Queues: { } bound } || !_sources.TryGetValue(connection.Source, out var notes))
            {
                continue;
            }

            // Slots of another generation are looked up again at the next evaluation.
            var readings = bound.Source.Current;
            ReadOnlySpan<int> slots = bound.IsBoundTo(readings) ? bound.Slots : [];
            var holdFor = workload.Policy.HoldFor;
            for (var i = 0; i < slots.Length; i++)
            {
                // One that was deleted may be declared anew, and with AMQP alone nothing else would tell.
                if (slots[i] < 0
                    || !IsDeletedOfPattern(bound.IsPattern, in readings[slots[i]])
                    || now - readings[slots[i]].LastPresentAt <= holdFor)
                {
                    notes.Want(bound, i, readings);
                }
            }
        }

        foreach (var notes in _sources.Values)
        {
            notes.PublishWanted();
        }
    }

    /// <summary>
    /// Whether a queue is at zero consumers, nearly saturated, or lacks figures: where the next second may matter.
    /// </summary>
    internal static bool IsWorthWatching(in QueueReading queue, ScalingPolicy policy)
    {
        if (queue.Presence != QueuePresence.Present || queue.Missing != QueueGauges.None || queue.Consumers == 0)
        {
            return true;
        }

        double slots = queue.Consumers * (double)policy.Concurrency;
        return Math.Min(queue.Unacked, slots) >= Near * policy.SaturationThreshold * slots;
    }

    /// <summary>Whether a few more messages would wake a workload: of threshold 5, with 4 or 5 messages.</summary>
    internal static bool IsNear(double messages, double threshold) => threshold > 0 && messages >= Near * threshold && messages <= threshold;

    /// <summary>
    /// Whether a queue of a pattern was deleted: it is part of no decision, and each declare of it is an error in the
    /// broker's log.
    /// </summary>
    private static bool IsDeletedOfPattern(bool isPattern, in QueueReading queue) => isPattern && queue.Presence == QueuePresence.Absent;

    /// <summary>What is noted for one broker.</summary>
    private sealed class Notes(RabbitMqSource source)
    {
        private readonly SlotMarks _watched = new();
        private readonly SlotMarks _wanted = new();
        private HashSet<QueueName> _names = [];

        public void Watch(QueueBinding queues, int index, BrokerReadings readings)
        {
            if (IsNew(_watched, queues, index, readings) && queues.NameAt(index, readings) is { } queue)
            {
                source.Interest.Watch(in queue);
            }
        }

        public void Publish()
        {
            source.Interest.PublishWatch();
            _watched.Clear();
        }

        public void Want(QueueBinding queues, int index, BrokerReadings readings)
        {
            if (IsNew(_wanted, queues, index, readings) && queues.NameAt(index, readings) is { } queue)
            {
                _names.Add(queue);
            }
        }

        public void PublishWanted()
        {
            source.Interest.Wanted = _names;
            _names = new HashSet<QueueName>(_names.Count);
            _wanted.Clear();
        }

        // A queue without a slot is always new, and so is one in a slot of another source, before an edit of the connection.
        private bool IsNew(SlotMarks marks, QueueBinding queues, int index, BrokerReadings readings) =>
            !ReferenceEquals(queues.Source, source) || index >= queues.Slots.Length || queues.Slots[index] is not (>= 0 and var slot) || marks.IsNew(slot, readings.Generation);
    }
}

/// <summary>
/// Tells slots noted already from new ones, so that a name is looked at once however many workloads mean its queue: a
/// thousand patterns that match 1,200 queues each are 1.2 million names a tick.
/// </summary>
internal sealed class SlotMarks
{
    private int[] _marks = [];
    private int _generation = -1;
    private int _round = 1;

    /// <summary>Marks a slot of a generation. False if it is marked already.</summary>
    public bool IsNew(int slot, int generation)
    {
        if (_generation != generation)
        {
            _generation = generation;
            Array.Clear(_marks);
        }

        if (slot >= _marks.Length)
        {
            Array.Resize(ref _marks, Math.Max(64, 2 * (slot + 1)));
        }

        ref var mark = ref _marks[slot];
        if (mark == _round)
        {
            return false;
        }

        mark = _round;
        return true;
    }

    /// <summary>Forgets all marks.</summary>
    public void Clear() => _round++;
}
