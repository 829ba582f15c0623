using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What queues need when a replica asked for now would be ready, for given arrivals (signals 2 and 3). In slots.</summary>
internal readonly ref struct QueueDemand
{
    private readonly ScalingPolicy _policy;
    private readonly double _serviceTime;
    private readonly double _coldStart;
    private readonly double _busy;
    private readonly double _waiting;
    private readonly double _slots;
    private readonly bool _seesWork;
    private readonly bool _seesSlots;
    private readonly double _drain;

    /// <param name="sums">The queues.</param>
    /// <param name="busy">Slots busy, as far as they may be taken for steady.</param>
    /// <param name="seesWork">Whether every message that is being worked on is seen.</param>
    /// <param name="serviceTime">Seconds of work in one message (W), above 0.</param>
    /// <param name="coldStart">The cold start in force (L).</param>
    /// <param name="policy">The policy.</param>
    public QueueDemand(in QueueSums sums, double busy, bool seesWork, double serviceTime, TimeSpan coldStart, ScalingPolicy policy)
    {
        _policy = policy;
        _serviceTime = serviceTime;
        _coldStart = coldStart.TotalSeconds;
        _drain = Math.Max(policy.EffectiveDrainTime.TotalSeconds, 0.001);
        _busy = busy;
        _waiting = sums.Waiting;
        _slots = sums.Slots;
        _seesWork = seesWork;
        _seesSlots = !sums.ConsumersUnknown;
    }

    /// <summary>Slots to have for a load, so that there is slack: a/θ, or what the waiting objective takes.</summary>
    public double Staff(double load) => Staff(load, _serviceTime, _policy);

    /// <summary>Slots to have for a load; without a service time the threshold counts, whatever the objective.</summary>
    public static double Staff(double load, double? serviceTime, ScalingPolicy policy) => Bounded(
        policy.WaitObjective is { } objective && serviceTime is { } seconds
            ? ErlangStaffing.Slots(Bounded(load), seconds, objective)
            : load / policy.SaturationThreshold);

    /// <summary>
    /// Slots for what arrives and for what waits. Replicas on their way keep the answer from growing, and never lower it: what they
    /// will do counts down to <paramref name="last"/>.
    /// </summary>
    /// <param name="now">Arrivals now in 1/s.</param>
    /// <param name="then">Arrivals at the end of the cold start in 1/s.</param>
    /// <param name="helpedSlotSeconds">What replicas on their way will do until then.</param>
    /// <param name="last">Slots of the last answer.</param>
    /// <returns>Slots for the load, slots on top of them for the backlog, and the messages that will wait then.</returns>
    public (double Load, double Backlog, double Waiting) For(double now, double then, double helpedSlotSeconds, double last)
    {
        // Of the work going on some will still go on, and what arrives from now on is at work for no longer than it has been
        // there: in ten-minute jobs a minute of arrivals is a minute's worth of slots, not ten.
        var stays = _seesWork ? Math.Exp(-_coldStart / _serviceTime) : 0;
        var load = Staff((_busy * stays) + (then * _serviceTime * (1 - stays)));
        var arriving = Bounded((now + then) / 2 * _coldStart);
        var alone = WaitingThen(arriving, 0);
        var waiting = helpedSlotSeconds > 0 ? WaitingThen(arriving, helpedSlotSeconds) : alone;

        // Never more than one slot a message: ten 10-minute jobs are no reason for a hundred GPUs.
        var drained = Math.Min(1, _serviceTime / _drain);
        var backlog = Math.Max(waiting * drained, Math.Min(alone * drained, last - load));

        // A burst does not go on, and what waits of it is in both: never more slots than for what is there and what may
        // still come.
        var there = _busy + _waiting + arriving;
        if (_seesWork && load + backlog > there)
        {
            var most = Staff(there);
            load = Math.Min(load, most);
            backlog = Math.Min(backlog, most - load);
        }

        return (load, backlog, waiting);
    }

    private double WaitingThen(double arriving, double helpedSlotSeconds) => _seesSlots
        ? Bounded(Math.Max(0, _waiting + arriving - (((_slots * _coldStart) + helpedSlotSeconds) / _serviceTime)))
        : _waiting;

    // No number a broker or a policy can hold makes more than this; no infinity can become a NaN further on.
    private static double Bounded(double slots) => Math.Min(slots, 1e12);
}
