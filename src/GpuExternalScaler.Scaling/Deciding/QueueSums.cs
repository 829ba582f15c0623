using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// The queues of one workload added up, with what that sum is worth. All sums are of whole numbers, so that the
/// order of the queues cannot matter.
/// </summary>
internal ref struct QueueSums
{
    public int Count;
    public long Ready;
    public long Unacked;
    public long Consumers;
    public long Slots;
    public long Busy;
    public long Waiting;
    public bool AnyFresh;
    public bool AllFresh;
    public bool CountersUsable;
    public int Troubled;

    /// <summary>When the oldest figure was observed: what the operator is told.</summary>
    public DateTimeOffset ObservedAt;

    /// <summary>When the newest was: what moves the history on while one queue of several is late.</summary>
    public DateTimeOffset NewestAt;
    public TimeSpan StaleAfter;
    public DecisionReason? Undecided;
    public CounterSample? Counters;

    public static QueueSums Of(in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        var sums = new QueueSums
        {
            Count = snapshot.Queues.Length,
            AllFresh = true,
            CountersUsable = true,
            Troubled = -1,
            ObservedAt = DateTimeOffset.MaxValue,
        };
        var counters = new CounterSums();
        DecisionReason? trouble = null;
        for (var i = 0; i < snapshot.Queues.Length; i++)
        {
            ref readonly var queue = ref snapshot.Queues[i];
            if (queue.Kind == QueueKind.Stream)
            {
                sums.Undecided = DecisionReason.StreamUnsupported;
                sums.Troubled = i;
                sums.ObservedAt = queue.ObservedAt;
                return sums;
            }

            sums.ObservedAt = queue.ObservedAt < sums.ObservedAt ? queue.ObservedAt : sums.ObservedAt;
            sums.NewestAt = queue.ObservedAt > sums.NewestAt ? queue.ObservedAt : sums.NewestAt;
            sums.StaleAfter = queue.StaleAfter > sums.StaleAfter ? queue.StaleAfter : sums.StaleAfter;
            if (queue.Presence == QueuePresence.Absent && policy.MissingQueue == MissingQueuePolicy.Zero && queue.IsFresh(now))
            {
                // The operator said what absence means, and it is proven: it is a figure, and it is zero.
                sums.AnyFresh = true;
                continue;
            }

            sums.AddGauges(queue, policy);
            if (queue.Presence == QueuePresence.Present && queue.IsFresh(now))
            {
                sums.AnyFresh = true;
            }
            else
            {
                sums.AllFresh = false;
                sums.Troubled = sums.Troubled < 0 ? i : sums.Troubled;
                if (WhyGone(queue, snapshot.MatchedByPattern, policy, now) is { } why && (trouble is null || why > trouble))
                {
                    trouble = why;
                    sums.Troubled = i;
                }
            }

            counters.Add(queue.Counters, now);
        }

        if (trouble is not null && !(snapshot.MatchedByPattern && trouble == DecisionReason.QueueMissing && sums.AnyFresh))
        {
            sums.Undecided = trouble;
        }

        sums.CountersUsable = counters.Usable;
        sums.Counters = counters.Sample;
        return sums;
    }

    /// <summary>Why a queue without fresh figures is past holding on to, or null while it is not.</summary>
    private static DecisionReason? WhyGone(in QueueReading queue, bool matchedByPattern, ScalingPolicy policy, DateTimeOffset now)
    {
        if (queue.Presence == QueuePresence.Unobserved)
        {
            return DecisionReason.NotSampled;
        }

        if (!queue.IsUsable(now))
        {
            return DecisionReason.SourceStale;
        }

        if (queue.Presence == QueuePresence.Absent && policy.MissingQueue == MissingQueuePolicy.Hold)
        {
            // Never present reads as missing for two thousand years: gone.
            return now - queue.LastPresentAt > queue.StaleAfter ? DecisionReason.QueueMissing : null;
        }

        return null;
    }

    private void AddGauges(in QueueReading queue, ScalingPolicy policy)
    {
        var ready = Plausible(queue.Ready);
        var unacked = Plausible(queue.Unacked);
        var consumers = Plausible(queue.Consumers);
        var slots = consumers * policy.Concurrency;
        Ready += ready;
        Unacked += unacked;
        Consumers += consumers;
        Slots += slots;

        // B = min(U, C·m); what is prefetched beyond that is still waiting (prefetch 10, one worked on at a time).
        Busy += Math.Min(unacked, slots);
        Waiting += ready + Math.Max(0, unacked - slots);
    }

    // Garbage in one figure must not overflow a sum into its opposite. A billion is beyond every queue.
    private static long Plausible(long figure) => Math.Clamp(figure, 0, 1_000_000_000);

    private ref struct CounterSums
    {
        private DateTimeOffset _at;
        private long _messages;
        private long _completed;
        private long _published;
        private long _firstDeliveries;
        private bool _any;
        private bool _missing;
        private bool _stale;

        public readonly bool Usable => _any && !_missing && !_stale;

        public readonly CounterSample? Sample =>
            Usable ? new CounterSample(_at, _messages, _completed, _published, _firstDeliveries) : null;

        public void Add(in QueueCounters counters, DateTimeOffset now)
        {
            if (!counters.IsKnown || counters.Completed < 0)
            {
                _missing = true;
                return;
            }

            _stale |= now - counters.ObservedAt > counters.StaleAfter;

            // The oldest: a sum is as old as its oldest part.
            _at = !_any || counters.ObservedAt < _at ? counters.ObservedAt : _at;
            _messages += counters.Messages;
            _completed += counters.Completed;
            _published = _published < 0 || counters.Published < 0 ? -1 : _published + counters.Published;
            _firstDeliveries = _firstDeliveries < 0 || counters.Delivered < 0 || counters.Redelivered < 0
                ? -1
                : _firstDeliveries + Math.Max(0, counters.Delivered - counters.Redelivered);
            _any = true;
        }
    }
}
