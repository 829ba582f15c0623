using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Simulation.Traces;

/// <summary>What arrived at the queues of a workload, from a recording of a server (<c>docs/recording.md</c>).</summary>
public static class RecordedArrivals
{
    // Seconds of what is before and after a gap that say what was in it.
    private const double Beside = 60;

    /// <summary>Reads a recording.</summary>
    /// <remarks>
    /// Counters are read every few seconds, and what they grew by is spread over the seconds between. There are three accounts of
    /// arrivals: what is there now, less what was, plus what was completed; what was published; what was delivered for the first
    /// time (T4). Each can only be too low, so the one that comes to most over a stretch without a break is taken. A gap in which the
    /// counters went on has what they grew by. One after which they say nothing (others are counted, or fewer) has the mean rate of
    /// the minutes before and after it. Shares of a workload do not count: this is about its queues.
    /// </remarks>
    /// <param name="recording">The recording.</param>
    /// <param name="workload"><c>NAMESPACE/NAME</c>, or <c>NAMESPACE/NAME#TRIGGER</c>.</param>
    /// <param name="name">What the trace is called in reports and messages.</param>
    /// <exception cref="InvalidDataException">It is no recording, or a damaged one.</exception>
    /// <exception cref="FormatException">It does not tell what arrived.</exception>
    public static ArrivalTrace Read(Stream recording, string workload, string name)
    {
        var names = new List<RecordedName>();
        var counts = new CountedStretches();
        Recordings.ReadSnapshots(
            recording,
            recorded => recorded.IsMeantBy(workload) && (names.Contains(recorded) || Note(names, recorded)),
            (RecordedName _, DateTimeOffset _, in WorkloadSnapshot snapshot) => counts.Add(snapshot));
        return names.Count switch
        {
            0 => throw new FormatException($"{name}: nothing was recorded of {workload}"),
            1 => counts.ToTrace(name, workload),
            _ => throw new FormatException($"{name}: {workload} has several triggers: {string.Join(", ", names)}"),
        };
    }

    private static bool Note(List<RecordedName> names, RecordedName name)
    {
        names.Add(name);
        return true;
    }

    /// <summary>Sums of the counters of all queues, as of their oldest.</summary>
    private readonly record struct Counts(double At, long Messages, long Ready, long Completed, long? Published, long? FirstDelivered);

    private sealed class CountedStretches
    {
        private readonly List<List<Counts>> _stretches = [];
        private DateTimeOffset _origin;
        private (int Version, int Queues) _counted;

        public void Add(in WorkloadSnapshot snapshot)
        {
            if (Sum(snapshot.Queues) is not ({ } counts, var queues))
            {
                return;
            }

            var counted = (snapshot.QueueSetVersion, queues);
            if (_stretches.Count > 0 && counts.At <= _stretches[^1][^1].At)
            {
                return;
            }

            if (_stretches.Count == 0 || counted != _counted || IsLess(counts, _stretches[^1][^1]))
            {
                _stretches.Add([]);
                _counted = counted;
            }

            _stretches[^1].Add(counts);
        }

        public ArrivalTrace ToTrace(string name, string workload)
        {
            var stretches = _stretches.Where(static stretch => stretch.Count > 1).ToList();
            if (stretches.Count == 0)
            {
                throw new FormatException($"{name}: no counters of queues were recorded of {workload}, so it is not known what arrived");
            }

            var (knots, rates) = (new List<double> { 0 }, new List<double>());
            var origin = stretches[0][0].At;
            foreach (var stretch in stretches)
            {
                var arrivals = Arrivals(stretch);
                var isAfterGap = rates.Count > 0;
                var begin = stretch[0].At - origin;
                var gap = rates.Count;
                if (isAfterGap)
                {
                    // Its rate is not known before what comes after it is.
                    knots.Add(begin);
                    rates.Add(0);
                }

                for (var i = 0; i < arrivals.Length; i++)
                {
                    knots.Add(stretch[i + 1].At - origin);
                    rates.Add(arrivals[i] / (stretch[i + 1].At - stretch[i].At));
                }

                if (isAfterGap)
                {
                    rates[gap] = (Mean(knots, rates, gap - 1, -1) + Mean(knots, rates, gap + 1, 1)) / 2;
                }
            }

            return knots[^1] > TraceLimits.Seconds ? throw new FormatException($"{name}: longer than {TraceLimits.Days} days")
                : knots[^1] < 1 ? throw new FormatException($"{name}: less than a second was recorded of {workload}")
                : new ArrivalTrace(name, SpreadArrivals.OverSeconds(knots, rates), isMeasured: false);
        }

        private (Counts? Counts, int Queues) Sum(ReadOnlySpan<QueueReading> readings)
        {
            DateTimeOffset? at = null;
            var queues = 0;
            var sum = new Counts(0, 0, 0, 0, 0, 0);
            foreach (ref readonly var reading in readings)
            {
                var counters = reading.Counters;
                var isKnown = counters.IsKnown && counters.Completed >= 0;

                // A queue that is known to be gone counts no more: its totals stay what they were.
                var isGone = reading.Presence == QueuePresence.Absent;
                if (!isKnown && !isGone)
                {
                    return default;
                }

                if (!isGone && (at is null || counters.ObservedAt < at))
                {
                    at = counters.ObservedAt;
                }

                if (isKnown)
                {
                    queues++;
                    sum = sum with
                    {
                        Messages = sum.Messages + counters.Messages,
                        Ready = sum.Ready + counters.Messages - counters.Unacked,
                        Completed = sum.Completed + counters.Completed,
                        Published = counters.Published < 0 ? null : sum.Published + counters.Published,
                        FirstDelivered = counters.Delivered < 0 || counters.Redelivered < 0 ? null : sum.FirstDelivered + Math.Max(0, counters.Delivered - counters.Redelivered),
                    };
                }
            }

            if (at is not { } observed)
            {
                return default;
            }

            _origin = _stretches.Count == 0 ? observed : _origin;
            return (sum with { At = (observed - _origin).TotalSeconds }, queues);
        }

        private static bool IsLess(in Counts counts, in Counts before) =>
            counts.Completed < before.Completed || counts.Published < before.Published || counts.FirstDelivered < before.FirstDelivered;

        private static double[] Arrivals(List<Counts> stretch)
        {
            Func<Counts, Counts, double?>[] accounts =
            [
                static (from, to) => to.Messages - from.Messages + (to.Completed - from.Completed),
                static (from, to) => to.Published - from.Published,

                // Deliveries out of a backlog that was there are no arrivals.
                static (from, to) => to.FirstDelivered - from.FirstDelivered + Math.Min(0, to.Ready - from.Ready),
            ];
            return accounts
                .Select(account => stretch.Skip(1).Select((to, i) => Math.Max(0, account(stretch[i], to) ?? 0)).ToArray())
                .MaxBy(static arrivals => arrivals.Sum())!;
        }

        private static double Mean(List<double> knots, List<double> rates, int from, int step)
        {
            var (messages, seconds) = (0.0, 0.0);
            for (var i = from; i >= 0 && i < rates.Count && seconds < Beside; i += step)
            {
                var length = knots[i + 1] - knots[i];
                (messages, seconds) = (messages + (rates[i] * length), seconds + length);
            }

            return messages / seconds;
        }
    }
}
