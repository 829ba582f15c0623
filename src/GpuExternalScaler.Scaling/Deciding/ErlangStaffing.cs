using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// Slots for a waiting objective, by Erlang's C formula (M/M/c): the least c with C(c, a)·exp(−(c − a)·T ÷ W) ≤ 1 − share.
/// Grows with load and share and with a shorter time.
/// </summary>
public static class ErlangStaffing
{
    // Up to here the formula itself. Beyond, the slack grows with the root of the load, as if no help came from waiting:
    // at most 0.9 % too many (a quarter of 6 ÷ 181: the largest slack in roots of the load, and this load's root), and one
    // rule that begins where the other ends.
    private const double ExactUpTo = 32_768;

    // Roots of the load below it at which the recursion may begin with a guess: at the load its error has shrunk by exp(−24).
    private const double GuessBelow = 7;

    // One message in a billion. A larger share is taken for this one.
    private const double LeastLate = 1e-9;

    /// <summary>The least number of slots with which at most 1 − share of the messages wait longer than the objective's time.</summary>
    /// <param name="load">Offered load (a) in slots, finite and not negative.</param>
    /// <param name="serviceTimeSeconds">Service time (W) in seconds, above 0.</param>
    /// <param name="objective">The objective.</param>
    /// <returns>Slots, a whole number above the load; 0 for no load.</returns>
    public static double Slots(double load, double serviceTimeSeconds, WaitObjective objective)
    {
        if (!(load > 0))
        {
            return 0;
        }

        var late = Math.Max(1 - objective.Share, LeastLate);
        var patience = Math.Max(objective.Within.TotalSeconds, 0) / Math.Max(serviceTimeSeconds, double.Epsilon);
        if (load <= ExactUpTo)
        {
            return Least(load, late, patience);
        }

        var slack = Least(ExactUpTo, late, patience) - ExactUpTo;
        return Math.Ceiling(load + (slack * Math.Sqrt(load / ExactUpTo)));
    }

    private static double Least(double load, double late, double patience)
    {
        // 1 ÷ B(c, a), B being Erlang's loss formula: i(c) = 1 + i(c − 1)·c ÷ a, from i(0) = 1. It needs no division and forgets
        // what it began with while c < a, so for large loads it begins near them, with what i settles to where c stays put.
        var slots = Math.Floor(Math.Max(0, load - (GuessBelow * Math.Sqrt(load))));
        var inverseLoss = load / (load - slots);
        var each = 1 / load;
        var needed = Math.Floor(load) + 1;
        while (slots < needed)
        {
            slots++;
            inverseLoss = Math.FusedMultiplyAdd(inverseLoss, slots * each, 1);
        }

        // C = 1 ÷ (i − (i − 1)·a ÷ c), compared without dividing.
        var waiting = Math.Exp(-(slots - load) * patience);
        var fewer = Math.Exp(-patience);
        while (waiting * slots > late * ((inverseLoss * (slots - load)) + load))
        {
            slots++;
            inverseLoss = Math.FusedMultiplyAdd(inverseLoss, slots * each, 1);
            waiting *= fewer;
        }

        return slots;
    }
}
