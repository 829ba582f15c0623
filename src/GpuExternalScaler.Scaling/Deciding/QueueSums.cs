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

    /// <summary>Messages held beyond what the consumers there are can hold (C·p), where p is known.</summary>
    public long Beyond;

    /// <summary>Those of them that workers hold which have cancelled their consumers; not in <see cref="Waiting"/>.</summary>
    public long Draining;
    public bool AnyFresh;

    /// <summary>Whether every queue's figures are fresh, so that the sum may lower the answer.</summary>
    public bool AllFresh;

    /// <summary>Whether every queue that exists has fresh figures, so that counters may be compared.</summary>
    public bool PresentFresh;

    /// <summary>Whether a pattern matched a queue that has no figures yet.</summary>
    public bool AnyUnobserved;

    /// <summary>Whether a queue's figures are late, and not merely a pattern's queue gone or new.</summary>
    public bool AnyLate;

    /// <summary>
    /// Whether nobody can tell how many messages are being worked on: the source does not count unacknowledged ones, or
    /// consumers have theirs acknowledged on delivery.
    /// </summary>
    public bool UnackedUnknown;

    /// <summary>Whether some queue's source does not count unacknowledged messages, consumers or not.</summary>
    public bool LacksUnacked;

    /// <summary>The fewest slots a consumer of any of the queues has; 0 without queues.</summary>
    public long LeastSlotsPerConsumer;

    /// <summary>The smallest prefetch the broker tells of, no limit left aside; null when it tells of none.</summary>
    public int? LeastPrefetch;

    /// <summary>Whether some consumers have their messages acknowledged on delivery, as the source tells.</summary>
    public bool HasAutoAck;

    /// <summary>Whether the source does not count consumers.</summary>
    public bool ConsumersUnknown;

    /// <summary>Queues whose gauges are in the sums.</summary>
    public int Counted;

    /// <summary>Those of them of which one consumer works at a time, however many there are.</summary>
    public int SingleActive;

    /// <summary>The largest prefetch in force over the queues, 0 for no limit; null when not known of any.</summary>
    public int? Prefetch;

    public bool CountersUsable;
    public int Troubled;

    /// <summary>When the oldest figure was observed: what the operator is told.</summary>
    public DateTimeOffset ObservedAt;

    /// <summary>When the newest was: what moves the history on while one queue of several is late.</summary>
    public DateTimeOffset NewestAt;
    public TimeSpan StaleAfter;

    /// <summary>The longest time between two readings that is still fresh.</summary>
    public TimeSpan FreshFor;
    public DecisionReason? Undecided;
    public CounterSample? Counters;

    public static QueueSums Of(in WorkloadSnapshot snapshot, ScalingPolicy policy, QueueHistory history, DateTimeOffset now)
    {
        var sums = new QueueSums
        {
            Count = snapshot.Queues.Length,
            AllFresh = true,
            PresentFresh = true,
            CountersUsable = true,
            Troubled = -1,
            ObservedAt = DateTimeOffset.MaxValue,
        };
        var counters = new CounterSums();
        DecisionReason? trouble = null;
        DecisionReason? gone = null;
        var known = 0;
        for (var i = 0; i < snapshot.Queues.Length; i++)
        {
            ref readonly var queue = ref snapshot.Queues[i];
            if (queue is { Kind: QueueKind.Stream, Presence: QueuePresence.Present })
            {
                sums.Undecided = DecisionReason.StreamUnsupported;
                sums.Troubled = i;
                sums.ObservedAt = queue.ObservedAt;
                return sums;
            }

            if (queue.Presence == QueuePresence.Unobserved && snapshot.MatchedByPattern)
            {
                // A queue that was just created and has no figures yet: the others are not to blame.
                sums.AnyUnobserved = true;
                sums.Troubled = sums.Troubled < 0 ? i : sums.Troubled;
                continue;
            }

            known++;
            sums.ObservedAt = queue.ObservedAt < sums.ObservedAt ? queue.ObservedAt : sums.ObservedAt;
            sums.NewestAt = queue.ObservedAt > sums.NewestAt ? queue.ObservedAt : sums.NewestAt;

            // What was asked apart (T3) is a new sample too, though of one figure: that is how a wait persists.
            sums.NewestAt = queue.ReadyAt > sums.NewestAt ? queue.ReadyAt : sums.NewestAt;
            sums.FreshFor = queue.FreshFor > sums.FreshFor ? queue.FreshFor : sums.FreshFor;
            sums.StaleAfter = queue.StaleAfter > sums.StaleAfter ? queue.StaleAfter : sums.StaleAfter;
            var absent = queue.Presence == QueuePresence.Absent;
            if (absent)
            {
                counters.AddFrozen(queue.Counters);
            }
            else
            {
                counters.Add(queue.Counters, now);
            }

            if (absent && policy.MissingQueue == MissingQueuePolicy.Zero && queue.IsFresh(now))
            {
                // The operator said what absence means, and it is proven: it is a figure, and it is zero.
                sums.AnyFresh = true;
                continue;
            }

            var goneFromPattern = absent && snapshot.MatchedByPattern;
            if (goneFromPattern && now - queue.LastPresentAt > policy.HoldFor)
            {
                // Gone for so long from a pattern it is taken to be deleted.
                gone = Later(gone, WhyGone(queue, policy, now));
                continue;
            }

            // A queue that was named is held with what it last showed; of one that is gone from a pattern, or whose
            // absence means zero, nothing is left to work on.
            if (!absent || (!goneFromPattern && policy.MissingQueue == MissingQueuePolicy.Hold))
            {
                sums.AddGauges(queue, policy, history);
            }

            if (queue.Presence == QueuePresence.Present && queue.IsFresh(now))
            {
                sums.AnyFresh = true;
                continue;
            }

            sums.AllFresh = false;
            sums.PresentFresh &= absent;
            sums.Troubled = sums.Troubled < 0 ? i : sums.Troubled;
            var why = WhyGone(queue, policy, now);
            if (goneFromPattern)
            {
                // Gone from a pattern: nobody can tell whether on purpose, so it must not take the answer away as
                // long as any of the others is there.
                gone = Later(gone, why);
                continue;
            }

            sums.AnyLate = true;
            if (why is { } reason && (trouble is null || reason > trouble))
            {
                trouble = reason;
                sums.Troubled = i;
            }
        }

        // With none of a pattern's queues there, or none known yet, there is nothing to decide on.
        sums.Undecided = trouble
            ?? (known == 0 ? DecisionReason.NotSampled : !sums.AnyFresh && !sums.AnyLate ? gone : null);

        sums.CountersUsable = counters.Usable;
        sums.Counters = counters.SampleAt(sums.NewestAt);
        return sums;
    }

    private static DecisionReason? Later(DecisionReason? one, DecisionReason? other) =>
        other is not null && (one is null || other > one) ? other : one;

    /// <summary>Why a queue without fresh figures is past holding on to, or null while it is not.</summary>
    private static DecisionReason? WhyGone(in QueueReading queue, ScalingPolicy policy, DateTimeOffset now)
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

    /// <summary>Slots one consumer has, on average over the queues where they differ; never 0.</summary>
    public readonly double SlotsPerConsumer(ScalingPolicy policy) =>
        Slots > 0 && SingleActive == 0 && !ConsumersUnknown ? Slots / (double)Consumers
        : LeastSlotsPerConsumer > 0 ? LeastSlotsPerConsumer : policy.SlotsPerConsumer(Prefetch);

    /// <summary>Takes what workers hold that are finishing out of what waits: nobody else can have it.</summary>
    public void SetDrainingApart(QueueHistory history)
    {
        Draining = history.HeldByLeavers(Beyond, Prefetch is > 0 and { } each ? each : int.MaxValue);
        Waiting -= Draining;
    }

    private void AddGauges(in QueueReading queue, ScalingPolicy policy, QueueHistory history)
    {
        var ready = Plausible(queue.Ready);
        var unacked = Plausible(queue.Unacked);
        var consumers = Plausible(queue.Consumers);

        // A prefetch that the broker no longer tells of has not changed by that.
        var prefetch = policy.Prefetch ?? queue.Prefetch ?? history.KnownPrefetch;
        var slotsPerConsumer = policy.SlotsPerConsumer(prefetch);
        if (!queue.Has(QueueGauges.Consumers))
        {
            // As many as it takes to hold what is held. Idle ones are not seen, and not counting them errs upwards.
            ConsumersUnknown = true;
            var window = prefetch ?? history.ObservedPrefetch ?? 0;
            var each = window > 0 ? window : slotsPerConsumer;
            consumers = (unacked + each - 1) / each;
        }

        if (queue.IsSingleActive)
        {
            SingleActive++;
        }

        var slots = (queue.IsSingleActive ? Math.Min(consumers, 1) : consumers) * slotsPerConsumer;
        if (!queue.Has(QueueGauges.Unacked) && consumers > 0)
        {
            // Messages that wait are what no window had room for. With none waiting, anything from idle to fully busy is
            // possible. Without consumers nothing is held.
            UnackedUnknown = true;
            unacked = ready > 0 ? slots : 0;
        }

        Counted++;
        LacksUnacked |= !queue.Has(QueueGauges.Unacked);
        LeastSlotsPerConsumer = LeastSlotsPerConsumer == 0 ? slotsPerConsumer : Math.Min(LeastSlotsPerConsumer, slotsPerConsumer);
        LeastPrefetch = queue.Prefetch is > 0 and { } told && !(LeastPrefetch <= told) ? told : LeastPrefetch;
        HasAutoAck |= queue.HasAutoAck;
        Prefetch = prefetch is { } known && (Prefetch is null || (Prefetch > 0 && (known == 0 || known > Prefetch))) ? known : Prefetch;
        Ready += ready;
        Unacked += unacked;
        Consumers += consumers;
        Slots += slots;

        // B = min(U, C·m); what is prefetched beyond that is still waiting (prefetch 10, one worked on at a time).
        Busy += Math.Min(unacked, slots);
        Waiting += ready + Math.Max(0, unacked - slots);
        if (prefetch is > 0 and { } held && queue.Has(QueueGauges.Consumers))
        {
            Beyond += Math.Max(0, unacked - (consumers * held));
        }
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
        private long _unacked;
        private long _autoAcked;
        private long _redelivered;
        private int _queues;
        private bool _any;
        private bool _gone;
        private bool _frozen;
        private bool _missing;
        private bool _stale;

        public readonly bool Usable => (_any || _gone) && !_missing && !_stale;

        /// <summary>The sum; of queues that are all gone as of the sweep that proved it.</summary>
        public readonly CounterSample? SampleAt(DateTimeOffset sweepAt) =>
            Usable && (_any || _frozen)
                ? new CounterSample(_any ? _at : sweepAt, _queues, _messages, _completed, _published < 0 ? null : _published, _firstDeliveries < 0 ? null : _firstDeliveries)
                {
                    Unacked = _unacked,
                    AutoAcked = _autoAcked,
                    Redelivered = _redelivered < 0 ? null : _redelivered,
                }
                : null;

        /// <summary>
        /// A queue that is proven not to exist counts nothing any more: its totals are constants, whatever their age.
        /// Were they left out, they would leave the sum and come back at full height with the queue.
        /// </summary>
        public void AddFrozen(in QueueCounters counters)
        {
            _gone = true;
            if (counters.IsKnown && counters.Completed >= 0)
            {
                _frozen = true;
                AddTotals(counters);
            }
        }

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
            _any = true;
            AddTotals(counters);
        }

        private void AddTotals(in QueueCounters counters)
        {
            _queues++;
            _messages += counters.Messages;
            _completed += counters.Completed;
            _unacked += counters.Unacked;
            _autoAcked += Math.Max(0, counters.AutoAcked);
            _redelivered = _redelivered < 0 || counters.Redelivered < 0 ? -1 : _redelivered + counters.Redelivered;
            _published = _published < 0 || counters.Published < 0 ? -1 : _published + counters.Published;
            _firstDeliveries = _firstDeliveries < 0 || counters.Delivered < 0 || counters.Redelivered < 0
                ? -1
                : _firstDeliveries + Math.Max(0, counters.Delivered - counters.Redelivered);
        }
    }
}
