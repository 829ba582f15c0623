namespace GpuExternalScaler.Simulation.Traces;

/// <summary>
/// Turns messages counted over longer intervals into means of seconds. The total of each interval stays what it is, no second goes
/// below zero, and the rate has no steps where one interval ends and the next begins: a step every five minutes would be the
/// counting's and not the workload's, and would flatter or punish whoever reacts to steps.
/// </summary>
/// <remarks>
/// The messages so far are known at the ends of intervals; between them runs a monotone cubic (Fritsch and Carlson, SIAM J. Numer.
/// Anal. 17, 1980), whose slope is the rate. At an end the rate is the mean of both intervals, each weighted by the other's length,
/// but at most three times the lower one, which keeps the cubic from falling. Rates on a straight line come out on that line. Within
/// an interval the rate may rise to one and a half times its mean, as at the top of a peak.
/// </remarks>
internal static class SpreadArrivals
{
    /// <summary>Means of the whole seconds from the first knot on; what is left of a second at the end is dropped.</summary>
    /// <param name="knots">Seconds at which intervals end and begin, rising, one more than <paramref name="perSecond"/>.</param>
    /// <param name="perSecond">Mean rate in each interval, not below zero.</param>
    public static double[] OverSeconds(IReadOnlyList<double> knots, IReadOnlyList<double> perSecond)
    {
        var rates = RatesAt(knots, perSecond);
        var first = knots[0];
        var seconds = new double[(int)Math.Floor(knots[^1] - first + 1e-9)];
        var interval = 0;
        for (var second = 0; second < seconds.Length; second++)
        {
            var (from, to) = (first + second, Math.Min(first + second + 1, knots[^1]));
            double messages = 0;
            while (true)
            {
                var end = Math.Min(to, knots[interval + 1]);
                messages += Within(interval, end) - Within(interval, from);
                if (end >= to)
                {
                    break;
                }

                (from, interval) = (end, interval + 1);
            }

            // Rounding alone can bring it below.
            seconds[second] = Math.Max(0, messages);
        }

        return seconds;

        // Messages from the beginning of an interval to a moment in it.
        double Within(int interval, double at)
        {
            var length = knots[interval + 1] - knots[interval];
            var u = (at - knots[interval]) / length;
            var (mean, start, end) = (perSecond[interval], rates[interval], rates[interval + 1]);
            return length * u * (start + (u * ((3 * mean) - (2 * start) - end + (u * (start + end - (2 * mean))))));
        }
    }

    private static double[] RatesAt(IReadOnlyList<double> knots, IReadOnlyList<double> perSecond)
    {
        var rates = new double[knots.Count];
        for (var i = 1; i < perSecond.Count; i++)
        {
            var (before, after) = (knots[i] - knots[i - 1], knots[i + 1] - knots[i]);
            var mean = ((perSecond[i - 1] * after) + (perSecond[i] * before)) / (before + after);
            rates[i] = Math.Min(mean, 3 * Math.Min(perSecond[i - 1], perSecond[i]));
        }

        // At the trace's own ends as a straight line would go on.
        rates[0] = perSecond.Count == 1 ? perSecond[0] : Outer(perSecond[0], rates[1]);
        rates[^1] = perSecond.Count == 1 ? perSecond[0] : Outer(perSecond[^1], rates[^2]);
        return rates;

        static double Outer(double mean, double inner) => Math.Clamp((2 * mean) - inner, 0, 3 * mean);
    }
}
