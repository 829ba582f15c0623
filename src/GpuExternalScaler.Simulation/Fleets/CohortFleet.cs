namespace GpuExternalScaler.Simulation.Fleets;

/// <summary>
/// All messages that arrive in a second are one cohort, and what starts and ends does so at whole seconds. Their number is right in the
/// mean: work that begins anywhere in a second and takes x ends x seconds later on average. Workers always drain here.
/// </summary>
internal sealed class CohortFleet : Fleet
{
    private const int Outcomes = 1024;

    private readonly Queue<(int Second, int Count)> _waiting = new();
    private readonly int[] _finishing;
    private readonly int[] _finishingDrains;

    // In how many seconds work ends: equally likely outcomes.
    private readonly int[] _ends = new int[Outcomes];
    private Chance _work;
    private int _waitingCount;
    private int _headLeft;

    public CohortFleet(SimulationSetup setup)
        : base(setup)
    {
        _work = Chance.For(setup.Seed, Purpose.Work);
        var longest = (int)Math.Ceiling(1.5 * setup.ServiceTime) + 2;
        _finishing = new int[longest];
        _finishingDrains = new int[longest];

        // Outcomes in an order that has nothing to do with their length, and whose mean is the service time.
        var offsets = new Chance(1);
        for (var i = 0; i < Outcomes; i++)
        {
            _ends[i] = (int)((setup.ServiceTime * (0.5 + ((i + 0.5) / Outcomes))) + offsets.Next());
        }
    }

    /// <summary>Whether messages can be followed so: work must not end in the second in which it begins.</summary>
    public static bool IsFit(SimulationSetup setup) => setup.ServiceTime >= 2 && setup.WorkersDrain;

    public override int Waiting => _waitingCount;

    public override void End(int second)
    {
        foreach (var (from, count) in _waiting)
        {
            if (second - from > Setup.LateAfter)
            {
                Waits.Add(second - from, _headLeft > 0 ? _headLeft : count);
            }

            _headLeft = 0;
        }
    }

    protected override void TakeAway(bool isBusy, int second, ref Chance chance)
    {
        if (!isBusy)
        {
            return;
        }

        Draining++;
        var nth = chance.Next(Busy);
        Busy--;
        for (var i = 0; ; i++)
        {
            nth -= _finishing[i];
            if (nth < 0)
            {
                _finishing[i]--;
                _finishingDrains[i]++;
                return;
            }
        }
    }

    protected override void Work(int second, int arrivals)
    {
        var slot = second % _finishing.Length;
        Busy -= _finishing[slot];
        Draining -= _finishingDrains[slot];
        Completed += _finishing[slot] + _finishingDrains[slot];
        _finishing[slot] = 0;
        _finishingDrains[slot] = 0;
        if (arrivals > 0)
        {
            _waiting.Enqueue((second, arrivals));
            _waitingCount += arrivals;
        }

        var start = Math.Min(Ready - Busy, _waitingCount);
        if (start <= 0)
        {
            return;
        }

        Busy += start;
        Delivered += start;
        _waitingCount -= start;
        Finish(slot, start);
        while (start > 0)
        {
            var (from, count) = _waiting.Peek();
            var left = _headLeft > 0 ? _headLeft : count;
            var taken = Math.Min(left, start);
            Waits.Add(second - from, taken);
            start -= taken;
            _headLeft = left - taken;
            if (_headLeft == 0)
            {
                _waiting.Dequeue();
            }
        }
    }

    private void Finish(int slot, int count)
    {
        // Of so many every outcome comes as often as is likely.
        for (; count >= Outcomes; count -= Outcomes)
        {
            foreach (var ends in _ends)
            {
                _finishing[(slot + ends) % _finishing.Length]++;
            }
        }

        for (; count > 0; count--)
        {
            _finishing[(slot + _ends[_work.NextBits() & (Outcomes - 1)]) % _finishing.Length]++;
        }
    }
}
