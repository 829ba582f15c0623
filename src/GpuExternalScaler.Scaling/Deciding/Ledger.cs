namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// What forecasts cost and avoid: two modelled fleets, one that asks for what is forecast and one that asks for what is needed now, get the
/// same arrivals through the same model of the HPA (sync every 15 s, stabilisation of 300 s, the default limit of growth) and of the cold
/// start. Fluid, and a model: the fleets that it compares do not exist. Bounded: 0.8 kB.
/// </summary>
internal sealed class Ledger
{
    // Kubernetes' defaults, in syncs.
    private const int Stabilisation = 20;
    private const int LongestColdStart = 64;
    private const double Tolerance = 0.1;

    private readonly Fleet _ahead = new();
    private readonly Fleet _reactive = new();
    private long _at;

    /// <summary>Seconds of replicas that forecasts added, less those they saved.</summary>
    public double ReplicaSecondsAdded { get; private set; }

    /// <summary>Seconds of waiting, added up over messages, that they avoided, less those they caused.</summary>
    public double WaitSecondsAvoided { get; private set; }

    /// <summary>One sync of the HPA; further calls before the next is due change nothing.</summary>
    /// <param name="now">The moment of the step.</param>
    /// <param name="demand">What both fleets get.</param>
    /// <param name="arrivalsAhead">Arrivals forecast for the end of the cold start, in 1/s.</param>
    public void Note(DateTimeOffset now, in LedgerDemand demand, double arrivalsAhead)
    {
        var seconds = demand.Sync.TotalSeconds;
        var elapsed = (now.UtcTicks - _at) / (double)demand.Sync.Ticks;
        if (elapsed < 1)
        {
            return;
        }

        _at = now.UtcTicks;
        if (elapsed > 2)
        {
            // Nobody knows what came meanwhile.
            _ahead.Begin(demand.Replicas);
            _reactive.Begin(demand.Replicas);
            return;
        }

        _ahead.Sync(seconds, demand, arrivalsAhead);
        _reactive.Sync(seconds, demand, demand.ArrivalsPerSecond);
        ReplicaSecondsAdded += seconds * (_ahead.Replicas - _reactive.Replicas);
        WaitSecondsAvoided += seconds * (_reactive.Waiting - _ahead.Waiting);
    }

    /// <summary>An independent copy.</summary>
    public Ledger Clone() => new(this);

    public Ledger()
    {
    }

    private Ledger(Ledger other)
    {
        (_at, ReplicaSecondsAdded, WaitSecondsAvoided) = (other._at, other.ReplicaSecondsAdded, other.WaitSecondsAvoided);
        _ahead.Copy(other._ahead);
        _reactive.Copy(other._reactive);
    }

    private sealed class Fleet
    {
        // By sync, rings: what the HPA recommended, and how many replicas it asked for.
        private readonly float[] _recommended = new float[Stabilisation];
        private readonly float[] _asked = new float[LongestColdStart];
        private int _sync;

        /// <summary>Replicas that are paid for, ready or not.</summary>
        public double Replicas { get; private set; }

        /// <summary>Messages that wait.</summary>
        public double Waiting { get; private set; }

        public void Begin(double replicas)
        {
            (Replicas, Waiting) = (Math.Ceiling(replicas), 0);
            Array.Fill(_recommended, (float)replicas);
            Array.Fill(_asked, (float)replicas);
        }

        public void Copy(Fleet other)
        {
            (Replicas, Waiting, _sync) = (other.Replicas, other.Waiting, other._sync);
            other._recommended.CopyTo(_recommended, 0);
            other._asked.CopyTo(_asked, 0);
        }

        public void Sync(double seconds, in LedgerDemand demand, double arrivalsAhead)
        {
            // Ready is what was asked for during the whole of a cold start.
            var ready = (float)Replicas;
            var syncs = (int)Math.Clamp(Math.Ceiling(demand.ColdStartSeconds / seconds), 0, LongestColdStart);
            for (var i = 1; i <= syncs; i++)
            {
                ready = Math.Min(ready, _asked[(_sync + LongestColdStart - i) % LongestColdStart]);
            }

            var capacity = ready * demand.SlotsPerReplica / demand.ServiceTimeSeconds;
            var work = Waiting + (demand.ArrivalsPerSecond * seconds);
            var done = Math.Min(work, capacity * seconds);
            Waiting = Math.Min(work - done, 1e12);
            var busy = done / seconds * demand.ServiceTimeSeconds;
            var mean = (demand.ArrivalsPerSecond + arrivalsAhead) / 2;
            var then = Math.Max(0, Waiting + ((mean - capacity) * demand.ColdStartSeconds));
            var slots = Math.Max(busy, arrivalsAhead * demand.ServiceTimeSeconds) / demand.Threshold;
            slots += then * Math.Min(1, demand.ServiceTimeSeconds / demand.DrainSeconds);
            Replicas = Math.Min(Hpa(Math.Min(slots / demand.SlotsPerReplica, 1e6)), demand.Maximum);
            _asked[_sync % LongestColdStart] = (float)Replicas;
            _sync = (_sync + 1) % (Stabilisation * LongestColdStart);
        }

        private double Hpa(double need)
        {
            var wanted = Math.Abs(need - Replicas) <= Tolerance * Replicas ? Replicas : Math.Ceiling(need);
            _recommended[_sync % Stabilisation] = (float)wanted;
            if (wanted > Replicas)
            {
                return Math.Min(wanted, Math.Max(2 * Replicas, Replicas + 4));
            }

            double most = 0;
            foreach (var recommended in _recommended)
            {
                most = Math.Max(most, recommended);
            }

            return Math.Min(Replicas, most);
        }
    }
}

/// <summary>What both fleets of the ledger get.</summary>
internal readonly ref struct LedgerDemand
{
    /// <summary>Arrivals in 1/s.</summary>
    public double ArrivalsPerSecond { get; init; }

    /// <summary>Service time (W) in seconds, above 0.</summary>
    public double ServiceTimeSeconds { get; init; }

    /// <summary>Cold start (L) in seconds.</summary>
    public double ColdStartSeconds { get; init; }

    /// <summary>Drain time (D) in seconds, above 0.</summary>
    public double DrainSeconds { get; init; }

    /// <summary>Saturation threshold (θ).</summary>
    public double Threshold { get; init; }

    /// <summary>Messages a replica works on at once.</summary>
    public double SlotsPerReplica { get; init; }

    /// <summary>Most replicas there may be.</summary>
    public double Maximum { get; init; }

    /// <summary>Replicas there are, which both begin with.</summary>
    public double Replicas { get; init; }

    /// <summary>Time from one sync of the HPA to the next.</summary>
    public TimeSpan Sync { get; init; }
}
