namespace GpuExternalScaler.Simulation.Fleets;

/// <summary>
/// Replicas of one slot each, the queue they take from, and what has happened there. What both ways to follow messages share: pods
/// that start, and which go.
/// </summary>
internal abstract class Fleet(SimulationSetup setup)
{
    // When each that starts will be ready, oldest first.
    private readonly List<double> _starting = [];
    private readonly double _spread = setup.ColdStartSpread;
    private Chance _coldStarts = Chance.For(setup.Seed, Purpose.ColdStarts);
    private Chance _victims = Chance.For(setup.Seed, Purpose.Victims);
    private double _nextReady = double.PositiveInfinity;

    protected SimulationSetup Setup { get; } = setup;

    /// <summary>How long messages waited.</summary>
    public WaitHistogram Waits { get; private set; } = new(setup.LateAfter);

    /// <summary>Replicas wanted.</summary>
    public int Wanted { get; private set; }

    /// <summary>Replicas that can work.</summary>
    public int Ready { get; protected set; }

    /// <summary>Replicas of those that are at work.</summary>
    public int Busy { get; protected set; }

    /// <summary>Replicas that were taken away and finish what they work on.</summary>
    public int Draining { get; protected set; }

    /// <summary>Replicas that hold a GPU.</summary>
    public int Holding => Ready + Draining + _starting.Count;

    /// <summary>Messages that wait.</summary>
    public abstract int Waiting { get; }

    /// <summary>Messages delivered so far, those delivered again included.</summary>
    public long Delivered { get; protected set; }

    /// <summary>Messages delivered again.</summary>
    public long Redelivered { get; protected set; }

    /// <summary>Messages done with.</summary>
    public long Completed { get; protected set; }

    /// <summary>Seconds of work lost.</summary>
    public double WorkLost { get; protected set; }

    /// <summary>Replicas that are there, and ready, at the beginning.</summary>
    public void Begin(int replicas)
    {
        Wanted = replicas;
        Ready = replicas;
        Added(replicas);
    }

    /// <summary>Forgets what has been counted of waits and lost work.</summary>
    public void BeginToCount() => (Waits, WorkLost) = (new WaitHistogram(Setup.LateAfter), 0);

    /// <summary>Lets one second pass.</summary>
    /// <param name="second">Which, from 0.</param>
    /// <param name="arrivals">Messages that come in it.</param>
    public void Pass(int second, int arrivals)
    {
        var ready = 0;
        if (_nextReady < second + 1)
        {
            ready = _starting.RemoveAll(at => at < second + 1);
            _nextReady = _starting.Count == 0 ? double.PositiveInfinity : _starting.Min();
            Ready += ready;
        }

        if (ready > 0)
        {
            Added(ready);
        }

        Work(second, arrivals);
    }

    /// <summary>
    /// Wants so many from the end of a second on. Those to go are first those that are not ready, the newest of them, then any: how busy
    /// one is does not matter to a ReplicaSet.
    /// </summary>
    public void ScaleTo(int replicas, int second)
    {
        for (var missing = replicas - Wanted; missing > 0; missing--)
        {
            var takes = Setup.ColdStart * Math.Exp((_spread * _coldStarts.NextNormal()) - (_spread * _spread / 2));
            var at = second + 1 + takes;
            _starting.Add(at);
            _nextReady = Math.Min(_nextReady, at);
        }

        for (var surplus = Wanted - replicas; surplus > 0; surplus--)
        {
            if (_starting.Count > 0)
            {
                _starting.RemoveAt(_starting.Count - 1);
                continue;
            }

            var isBusy = _victims.Next(Ready) < Busy;
            Ready--;
            TakeAway(isBusy, second, ref _victims);
        }

        Wanted = replicas;
    }

    /// <summary>Messages still waiting at the end count if they are late already.</summary>
    public abstract void End(int second);

    /// <summary>Replicas have become ready.</summary>
    protected virtual void Added(int replicas)
    {
    }

    /// <summary>Takes a random replica away that is, or is not, at work; <see cref="Ready"/> is without it already.</summary>
    protected abstract void TakeAway(bool isBusy, int second, ref Chance chance);

    /// <summary>Messages come, are taken and finished in a second.</summary>
    protected abstract void Work(int second, int arrivals);
}
