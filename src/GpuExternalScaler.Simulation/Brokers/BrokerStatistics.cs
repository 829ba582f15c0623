using GpuExternalScaler.Simulation.Fleets;
using GpuExternalScaler.Simulation.Rules;

namespace GpuExternalScaler.Simulation.Brokers;

/// <summary>
/// What RabbitMQ tells of a queue, and when: the queue and every channel tell theirs once in 5 s, each at its own second of the five.
/// There is one publisher, and one consumer channel to each second of the five.
/// </summary>
internal sealed class BrokerStatistics
{
    private const int Interval = 5;
    private const int PublisherPhase = 3;

    // What each channel had counted by, and what it has told: a channel's share is a fifth of what happened.
    private readonly (long Delivered, long Redelivered, long Completed)[] _told = new (long, long, long)[Interval];
    private long _toldPublished;
    private double _publishRate;
    private (long Ready, long Unacked, int Consumers) _queue;

    /// <summary>What is told now.</summary>
    public BrokerView View { get; private set; }

    /// <summary>One second has passed.</summary>
    public void Tick(int second, Fleet fleet, long published)
    {
        var phase = second % Interval;
        _told[phase] = (fleet.Delivered, fleet.Redelivered, fleet.Completed);
        if (phase == 0)
        {
            _queue = (fleet.Waiting, fleet.Busy + fleet.Draining, fleet.Ready);
        }

        if (phase == PublisherPhase)
        {
            _publishRate = (published - _toldPublished) / (double)Interval;
            _toldPublished = published;
        }

        long delivered = 0, redelivered = 0, completed = 0;
        foreach (var told in _told)
        {
            delivered += told.Delivered;
            redelivered += told.Redelivered;
            completed += told.Completed;
        }

        View = new BrokerView
        {
            Ready = _queue.Ready,
            Unacked = _queue.Unacked,
            Consumers = _queue.Consumers,
            PublishRate = _publishRate,
            Published = _toldPublished,
            Delivered = delivered / Interval,
            Redelivered = redelivered / Interval,
            Completed = completed / Interval,
        };
    }
}
