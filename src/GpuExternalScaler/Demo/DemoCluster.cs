namespace GpuExternalScaler.Demo;

/// <summary>What the cluster looked like at one moment.</summary>
/// <param name="At">Time since the beginning.</param>
/// <param name="Ready">Messages ready.</param>
/// <param name="Unacked">Messages unacknowledged.</param>
/// <param name="Consumers">Consumers on the queue.</param>
/// <param name="Published">Messages published so far.</param>
/// <param name="Delivered">Messages delivered so far.</param>
/// <param name="Acknowledged">Messages acknowledged so far.</param>
/// <param name="Wanted">Pods wanted.</param>
/// <param name="Serving">Pods that consume.</param>
internal sealed record DemoMoment(
    TimeSpan At, int Ready, int Unacked, int Consumers, long Published, long Delivered, long Acknowledged, int Wanted, int Serving);

/// <summary>
/// The simulated world: producers, queue and pods, moved on from event to event. Deterministic for a seed and a sequence
/// of calls. Safe to ask from several threads, since a broker is asked while the world moves on.
/// </summary>
internal sealed class DemoCluster
{
    private readonly Lock _gate = new();
    private readonly DemoSettings _settings;
    private readonly DemoScript _script;
    private readonly DemoQueue _queue = new();
    private readonly DemoFleet _fleet = new();

    // One generator each: how the fleet is scaled must not change which messages arrive.
    private readonly Random _arrivals;
    private readonly Random _work;
    private readonly Random _starts;
    private TimeSpan? _nextArrival;
    private TimeSpan _now;

    public DemoCluster(DemoSettings settings)
    {
        _settings = settings;
        _script = new DemoScript(settings);
        _arrivals = new Random(settings.Seed);
        _work = new Random(settings.Seed + 1);
        _starts = new Random(settings.Seed + 2);
        _nextArrival = _script.NextArrival(TimeSpan.Zero, _arrivals);
    }

    /// <summary>Moves the world on and looks at it. Asking about the past tells the present.</summary>
    public DemoMoment At(TimeSpan at)
    {
        lock (_gate)
        {
            Advance(at);
            return new DemoMoment(
                _now, _queue.Ready, _queue.Unacked, _fleet.Ready, _queue.Published, _queue.Delivered, _queue.Acknowledged, _fleet.Wanted, _fleet.Ready);
        }
    }

    /// <summary>Wants this many pods from now on.</summary>
    public void ScaleTo(int replicas, TimeSpan at)
    {
        lock (_gate)
        {
            Advance(at);
            _fleet.ScaleTo(replicas, _now, () => Vary(_settings.ColdStart, _starts));
        }
    }

    /// <summary>What happened so far.</summary>
    public DemoSummary Summarize()
    {
        lock (_gate)
        {
            return DemoSummary.Of(_now, _queue, _fleet, _settings.Patience);
        }
    }

    private void Advance(TimeSpan to)
    {
        while (true)
        {
            var next = _fleet.NextEventAt;
            if (_nextArrival is { } arrival && !(next < arrival))
            {
                next = arrival;
            }

            if (next is not { } at || at > to)
            {
                break;
            }

            if (at == _nextArrival)
            {
                _queue.Publish(at);
                _nextArrival = _script.NextArrival(at, _arrivals);
            }

            Work(at);
        }

        if (to > _now)
        {
            Work(to);
        }
    }

    private void Work(TimeSpan at)
    {
        _now = at;
        _fleet.Work(at, _queue, () => Vary(_settings.ServiceTime, _work));
    }

    private TimeSpan Vary(TimeSpan mean, Random random) =>
        mean * (1 + (_settings.Spread * ((2 * random.NextDouble()) - 1)));
}
