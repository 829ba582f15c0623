using GpuExternalScaler.Scaling.Deciding;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>What must hold of every run, however it is disturbed.</summary>
internal static class TwinJudge
{
    /// <summary>
    /// The longest time, in seconds, for which the answer was above twice what the clairvoyant asked for. Two such times with less
    /// than a cold start between them are one, from the beginning of the first to the end of the second.
    /// </summary>
    public static (int Seconds, int Until, double Worst) LongestExcess(TwinLog log)
    {
        var asks = Clairvoyant.Asks(log);
        var bridge = (int)log.Scenario.Policy.ColdStart.TotalSeconds;
        var longest = (Seconds: 0, Until: 0, Worst: 0.0);
        var (from, until, worst) = (-1, -1, 0.0);
        for (var t = 0; t < asks.Length; t++)
        {
            // No answer is none too large: the comparison is false with NaN.
            if (log.Seconds[t].Answer > 2 * Math.Max(1, asks[t]))
            {
                (from, worst) = until >= 0 && t - until <= bridge ? (from, worst) : (t, 0);
                until = t;
                worst = Math.Max(worst, log.Seconds[t].Answer / Math.Max(1, asks[t]));
                longest = until - from + 1 > longest.Seconds ? (until - from + 1, until, worst) : longest;
            }
        }

        return longest;
    }

    /// <summary>
    /// Seconds in which the answer, on fresh readings, was for fewer slots than had all been at work for the 10 s before: the age
    /// that figures of a broker and its sweep have, and then some.
    /// </summary>
    public static (int Seconds, int First) BelowBusyWork(TwinLog log)
    {
        var (count, first) = (0, -1);
        for (var t = 10; t < log.Seconds.Count; t++)
        {
            var second = log.Seconds[t];
            var least = int.MaxValue;
            for (var i = t - 10; i <= t; i++)
            {
                least = Math.Min(least, log.Seconds[i].Busy);
            }

            if (second.IsFresh && second.Answer * log.Scenario.Concurrency < least - 1e-6)
            {
                (count, first) = (count + 1, first < 0 ? t : first);
            }
        }

        return (count, first);
    }

    /// <summary>
    /// How often an active workload became inactive although there had been a message in each of the 10 s before. And how many times
    /// of inactivity, once it had been active, lasted so long that a poll of KEDA must see them; no answer neither begins nor ends one.
    /// A broker may look at the one moment in which there is nothing, so shorter ones are no fault.
    /// </summary>
    public static (int WithMessages, int Seen) Deactivations(TwinLog log)
    {
        var (wrong, seen) = (0, 0);
        var (wasActive, isActive) = (false, false);
        var (inactive, lastEmpty) = (0, 0);
        for (var t = 0; t < log.Seconds.Count; t++)
        {
            var second = log.Seconds[t];
            lastEmpty = second.Busy + second.Waiting == 0 ? t : lastEmpty;
            if (double.IsNaN(second.Answer))
            {
                continue;
            }

            wrong += isActive && !second.IsActive && t - lastEmpty > 10 ? 1 : 0;
            isActive = second.IsActive;
            wasActive |= isActive;
            inactive = isActive ? 0 : inactive + 1;
            seen += wasActive && inactive == TwinRun.PollEvery ? 1 : 0;
        }

        return (wrong, seen);
    }

    /// <summary>How long each reason was given, longest first.</summary>
    public static string Reasons(TwinLog log) => string.Join(
        ", ",
        log.Seconds.GroupBy(static second => second.Reason).OrderByDescending(static reason => reason.Count()).Select(static reason => $"{reason.Key.Code()} {reason.Count()}"));
}
