using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>A message. Times in seconds since the beginning of the run.</summary>
/// <param name="PublishedAt">When it was published, or came back.</param>
/// <param name="Work">Seconds of work in it.</param>
/// <param name="Rejections">How often it will yet be rejected.</param>
/// <param name="WasDelivered">Whether a worker had it before.</param>
internal readonly record struct TwinMessage(double PublishedAt, double Work, int Rejections, bool WasDelivered);

/// <summary>One queue of a broker: first in, first out, and what the broker tells of it and when.</summary>
internal sealed class TwinBroker
{
    // RabbitMQ's default statistics interval, and the source's sweep.
    private const int StatisticsEvery = 5;
    private const int SweepEvery = 2;

    // The queue and each channel emit theirs every so often, each at its own second of the interval: the publisher's is this.
    private const int PublisherPhase = 3;

    private readonly Queue<TwinMessage> _returned = new();
    private readonly Queue<TwinMessage> _ready = new();
    private readonly Totals[] _counted = new Totals[StatisticsEvery];
    private readonly Totals[] _told = new Totals[StatisticsEvery];
    private QueueReading _statistics;

    /// <summary>Messages ready for delivery (R).</summary>
    public int Ready => _returned.Count + _ready.Count;

    /// <summary>Messages delivered and not yet acknowledged (U).</summary>
    public int Unacked { get; private set; }

    /// <summary>What the newest sweep saw; unobserved before the first.</summary>
    public QueueReading Reading { get; private set; }

    /// <summary>A message is published, or comes back through a dead-letter exchange, which nothing counts.</summary>
    public void Publish(in TwinMessage message, bool counts)
    {
        _ready.Enqueue(message);
        _counted[PublisherPhase].Published += counts ? 1 : 0;
    }

    /// <summary>Gives the first message away; those that came back go first.</summary>
    public bool TryDeliver(int consumer, out TwinMessage message)
    {
        if (!_returned.TryDequeue(out message) && !_ready.TryDequeue(out message))
        {
            return false;
        }

        Unacked++;
        ref var channel = ref _counted[consumer % StatisticsEvery];
        channel.Delivered++;
        channel.Redelivered += message.WasDelivered ? 1 : 0;
        return true;
    }

    /// <summary>A worker is done with a message.</summary>
    public void Acknowledge(int consumer)
    {
        Unacked--;
        _counted[consumer % StatisticsEvery].Completed++;
    }

    /// <summary>A worker wants nothing to do with a message.</summary>
    public void Reject() => Unacked--;

    /// <summary>A worker is gone with a message undone.</summary>
    public void Requeue(in TwinMessage message)
    {
        Unacked--;
        _returned.Enqueue(message with { WasDelivered = true });
    }

    /// <summary>One second has passed: queues and channels emit their statistics, and the source looks at them unless it cannot.</summary>
    public void Tick(int second, DateTimeOffset now, int consumers, bool isReachable)
    {
        _told[second % StatisticsEvery] = _counted[second % StatisticsEvery];
        if (second % StatisticsEvery == 0)
        {
            _statistics = new QueueReading
            {
                Presence = QueuePresence.Present,
                Kind = QueueKind.Classic,
                Ready = Ready,
                Unacked = Unacked,
                Consumers = consumers,
            };
        }

        // As the source makes them: as of the sweep, though the figures are up to one interval older.
        if (isReachable && second % SweepEvery == 0 && _statistics.Presence == QueuePresence.Present)
        {
            Reading = _statistics with
            {
                ObservedAt = now,
                LastPresentAt = now,
                FreshFor = TimeSpan.FromSeconds(2 * SweepEvery),
                StaleAfter = TimeSpan.FromSeconds(20),
                Counters = new QueueCounters
                {
                    ObservedAt = now,
                    StaleAfter = TimeSpan.FromSeconds(20),
                    Messages = _statistics.Ready + _statistics.Unacked,
                    Unacked = _statistics.Unacked,
                    AutoAcked = 0,
                    Completed = _told.Sum(static channel => channel.Completed),
                    Delivered = _told.Sum(static channel => channel.Delivered),
                    Redelivered = _told.Sum(static channel => channel.Redelivered),
                    Published = _told.Sum(static channel => channel.Published),
                },
            };
        }
    }

    private struct Totals
    {
        public long Published;
        public long Delivered;
        public long Redelivered;
        public long Completed;
    }
}
