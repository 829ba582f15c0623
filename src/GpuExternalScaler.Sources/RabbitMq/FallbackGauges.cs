using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Puts one queue's reading together from what stands in for the metrics (T2): totals know ready and unacknowledged but
/// no consumers, a passive declare knows ready and consumers but not unacknowledged, the statistics list knows all three
/// as they were some seconds ago. Ready and unacknowledged always come from one answer: a message taken between two
/// answers would be in neither.
/// </summary>
internal sealed class FallbackGauges(RabbitMqConnectionOptions options)
{
    /// <summary>
    /// How long a live figure of ready outlasts what a sweep says: the broker refreshes its own figures every 5 s, and
    /// those of a sweep are 2 s older still. A sweep later than that has seen what the declare saw.
    /// </summary>
    internal static readonly TimeSpan LiveMemory = TimeSpan.FromSeconds(7);

    /// <summary>What a declare said is fresh for no longer than this, however slowly declares come round.</summary>
    private static readonly TimeSpan LongestFresh = TimeSpan.FromMinutes(1);

    /// <summary>What a declare said is used for no longer than this, or <c>staleAfter</c>.</summary>
    private static readonly TimeSpan LongestUsable = TimeSpan.FromMinutes(3);

    public TimeSpan ListFreshFor { get; } = 2.5 * options.ManagementInterval;

    public TimeSpan ListStaleAfter { get; } = Max(options.StaleAfter, 3 * options.ManagementInterval);

    public TimeSpan TotalsFreshFor { get; } = 2.5 * options.TotalsInterval;

    public TimeSpan TotalsStaleAfter { get; } = Max(options.StaleAfter, 3 * options.TotalsInterval);

    /// <summary>Time between two passes over all wanted queues while declares stand in for the metrics.</summary>
    public TimeSpan AmqpInterval { get; } = Max(options.Interval, options.Amqp?.Interval ?? default);

    /// <summary>Time from one declare of a queue to the next, which is longer where many are wanted.</summary>
    public TimeSpan Rotation
    {
        get => Max(field, AmqpInterval);
        set;
    }

    public TimeSpan AmqpFreshFor => AmqpFresh(Rotation);

    public TimeSpan AmqpStaleAfter => AmqpStale(Rotation);

    /// <summary>An absent queue is asked for less often: the broker logs an error each time.</summary>
    public TimeSpan AbsentFreshFor => AmqpFresh(Max(Rotation, AmqpReader.AbsentInterval));

    public TimeSpan AbsentStaleAfter => AmqpStale(Max(Rotation, AmqpReader.AbsentInterval));

    /// <summary>Notes whether a list holds a queue, and says whether lists have missed it for long enough to call it gone.</summary>
    /// <param name="entry">The queue.</param>
    /// <param name="row">Its row.</param>
    /// <param name="wholeSince">Since when lists have shown all queues of the virtual host; null if this one may not.</param>
    /// <param name="at">When the list was asked for.</param>
    public static bool NoteListed(ref QueueEntry entry, in QueueRow row, DateTimeOffset? wholeSince, DateTimeOffset at)
    {
        if (row.Has(RowFields.Exists))
        {
            entry.Fallback.UnlistedSince = default;
            return false;
        }

        if (wholeSince is not { } since)
        {
            return false;
        }

        // While a node goes down or comes up, one list may lack its queues.
        entry.Fallback.UnlistedSince = entry.Fallback.UnlistedSince < since ? at : entry.Fallback.UnlistedSince;
        return at - entry.Fallback.UnlistedSince >= BrokerState.StatisticsLag;
    }

    /// <summary>Takes a queue's totals.</summary>
    public void TakeTotals(ref QueueEntry entry, in QueueRow row, DateTimeOffset at)
    {
        entry.Fallback.TotalsAt = at;
        long consumers = 0;
        var missing = QueueGauges.None;
        var freshFor = TotalsFreshFor;
        if (IsDeclared(in entry, at))
        {
            consumers = entry.Fallback.DeclaredConsumers;
        }
        else if (IsWithin(at, entry.Fallback.ListedAt, ListFreshFor))
        {
            // What is put together is no fresher than its oldest part.
            consumers = entry.Fallback.ListedConsumers;
            freshFor = Min(freshFor, entry.Fallback.ListedAt + ListFreshFor - at);
        }
        else
        {
            missing = QueueGauges.Consumers;
        }

        SetPresent(ref entry, RabbitMqEndpoint.ManagementTotals, at, row.Ready, row.Unacked, consumers, missing);
        entry.Reading = entry.Reading with { FreshFor = freshFor };
    }

    /// <summary>Takes a queue's row of the statistics list.</summary>
    public void TakeListed(ref QueueEntry entry, in QueueRow row, DateTimeOffset at)
    {
        entry.Fallback.ListedAt = at;
        entry.Fallback.ListedConsumers = row.Consumers;
        var isDeclared = IsDeclared(in entry, at);
        if (entry.GaugesFrom == RabbitMqEndpoint.ManagementTotals
            && entry.Reading.Presence == QueuePresence.Present
            && at - entry.Fallback.TotalsAt <= TotalsFreshFor)
        {
            // The totals are younger than the statistics; only the consumers are news.
            if (!isDeclared)
            {
                SetConsumers(ref entry, row.Consumers);
                entry.Reading = entry.Reading with { FreshFor = TotalsFreshFor };
            }

            return;
        }

        var consumers = isDeclared ? entry.Fallback.DeclaredConsumers : row.Consumers;
        SetPresent(ref entry, RabbitMqEndpoint.Management, at, row.Ready, row.Unacked, consumers, QueueGauges.None);
    }

    /// <summary>Takes the answer to a passive declare that found the queue.</summary>
    /// <param name="entry">The queue.</param>
    /// <param name="ready">Messages ready.</param>
    /// <param name="consumers">Consumers.</param>
    /// <param name="at">When the declare was sent.</param>
    /// <param name="mayServe">Whether the answer may be the gauges themselves where nothing better is fresh.</param>
    public void TakeDeclared(ref QueueEntry entry, long ready, long consumers, DateTimeOffset at, bool mayServe)
    {
        // Where there are consumers a message may be on its way to a free one at the very moment: what waits is what two
        // looks in a row have seen. Without consumers nothing is on its way.
        var isSecond = IsDeclared(in entry, at)
            || (entry.GaugesFrom == RabbitMqEndpoint.Amqp && entry.Reading.Presence == QueuePresence.Present && entry.Reading.IsUsable(at));
        var waits = consumers == 0 ? ready : isSecond ? Math.Min(entry.Fallback.DeclaredReady, ready) : 0;
        entry.LiveReady.Add(waits, at, LiveMemory);
        entry.Fallback.MissedAt = default;
        entry.Fallback.DeclaredAt = at;
        entry.Fallback.DeclaredReady = ready;
        entry.Fallback.DeclaredConsumers = consumers;
        entry.Reading = entry.Reading with { ReadyAt = at };
        var isCarried = entry.Reading.Presence == QueuePresence.Present
            && entry.GaugesFrom is RabbitMqEndpoint.Metrics or RabbitMqEndpoint.Management or RabbitMqEndpoint.ManagementTotals
            && at - entry.Reading.ObservedAt <= entry.Reading.FreshFor;
        if (isCarried)
        {
            if (mayServe && entry.GaugesFrom != RabbitMqEndpoint.Metrics)
            {
                SetConsumers(ref entry, consumers);
                entry.Reading = entry.GaugesFrom == RabbitMqEndpoint.ManagementTotals ? entry.Reading with { FreshFor = TotalsFreshFor } : entry.Reading;
            }
        }
        else if (mayServe || entry.Reading.Presence != QueuePresence.Present || entry.GaugesFrom == RabbitMqEndpoint.Amqp)
        {
            // Nothing is younger than what was asked a moment ago, so nothing recent need be kept above it; but it must
            // outlast the older figures of a sweep that takes over. Ready counts double here: with the unacknowledged
            // unknown, one message that waits means that every slot is taken. A first look has nothing to be compared
            // with but what another endpoint said, and else stands alone.
            var first = entry.Reading.Presence == QueuePresence.Present && entry.Reading.IsUsable(at) ? Math.Min(entry.SweptReady, ready) : ready;
            waits = consumers == 0 || isSecond ? waits : first;
            entry.LiveReady = default;
            entry.LiveReady.Add(waits, at, LiveMemory);
            SetPresent(ref entry, RabbitMqEndpoint.Amqp, at, waits, 0, consumers, QueueGauges.Unacked);
        }
    }

    /// <summary>
    /// Takes the broker's word that there is no such queue. Of one that is present it must be said twice within 10 s, with
    /// nothing that shows the queue in between: one that is deleted and declared anew is gone for an instant, and one that is
    /// gone is asked about only every 10 s.
    /// </summary>
    public void TakeNoSuchQueue(ref QueueEntry entry, DateTimeOffset at)
    {
        var isSecond = IsWithin(at, entry.Fallback.MissedAt, Max(AmqpReader.AbsentInterval, 2 * AmqpInterval))
            && entry.Reading.LastPresentAt <= entry.Fallback.MissedAt;
        if (entry.Reading.Presence == QueuePresence.Present && entry.Reading.IsUsable(at) && !isSecond)
        {
            entry.Fallback.MissedAt = at;
            return;
        }

        entry.Fallback.MissedAt = default;
        entry.Fallback.DeclaredAt = default;
        entry.LiveReady = default;
        if (at >= entry.Reading.ObservedAt)
        {
            SetAbsent(ref entry, RabbitMqEndpoint.Amqp, at);
        }
    }

    /// <summary>
    /// Whether something that knows the whole cluster has lately shown a queue that a complete sweep does not show. Then
    /// the nodes asked are not all there are, or the name is one that 3.10 does not escape properly.
    /// </summary>
    public bool VouchesFor(in QueueEntry entry, DateTimeOffset now) =>
        IsDeclared(in entry, now)
        || (entry.GaugesFrom is RabbitMqEndpoint.Management or RabbitMqEndpoint.ManagementTotals
            && entry.Reading.Presence == QueuePresence.Present
            && entry.Reading.IsFresh(now));

    /// <summary>Whether a declare has found a queue so lately that no list proves its absence.</summary>
    public bool IsDeclared(in QueueEntry entry, DateTimeOffset at) => IsWithin(at, entry.Fallback.DeclaredAt, AmqpFreshFor);

    /// <summary>Notes that a complete answer of an endpoint does not hold the queue. The gauges keep their last values.</summary>
    public void SetAbsent(ref QueueEntry entry, RabbitMqEndpoint source, DateTimeOffset at)
    {
        entry.GaugesFrom = source;
        var (freshFor, staleAfter) = Ages(source, isAbsent: true);
        entry.Reading = entry.Reading with
        {
            Presence = QueuePresence.Absent,
            ObservedAt = at,
            FreshFor = freshFor,
            StaleAfter = staleAfter,
        };
    }

    private static bool IsWithin(DateTimeOffset now, DateTimeOffset at, TimeSpan age) => at != default && now - at <= age;

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private TimeSpan AmqpFresh(TimeSpan turn) =>
        Min((2.5 * turn) + AmqpReader.DeclareTimeout, Max(LongestFresh, (2.5 * AmqpInterval) + AmqpReader.DeclareTimeout));

    private TimeSpan AmqpStale(TimeSpan turn) => Max(options.StaleAfter, Min(3 * turn, Max(LongestUsable, 3 * AmqpInterval)));

    private static void SetConsumers(ref QueueEntry entry, long consumers) => entry.Reading = entry.Reading with
    {
        Consumers = consumers,
        Missing = entry.Reading.Missing & ~QueueGauges.Consumers,
    };

    private void SetPresent(
        ref QueueEntry entry,
        RabbitMqEndpoint source,
        DateTimeOffset at,
        long ready,
        long unacked,
        long consumers,
        QueueGauges missing)
    {
        entry.GaugesFrom = source;
        entry.SweptReady = ready;
        var (freshFor, staleAfter) = Ages(source, isAbsent: false);
        entry.Reading = entry.Reading with
        {
            Presence = QueuePresence.Present,
            Ready = ready,
            Unacked = unacked,
            Consumers = consumers,
            Missing = missing,
            ObservedAt = at,
            LastPresentAt = at,
            FreshFor = freshFor,
            StaleAfter = staleAfter,
        };
    }

    private (TimeSpan FreshFor, TimeSpan StaleAfter) Ages(RabbitMqEndpoint source, bool isAbsent) => source switch
    {
        RabbitMqEndpoint.ManagementTotals => (TotalsFreshFor, TotalsStaleAfter),
        RabbitMqEndpoint.Amqp when isAbsent => (AbsentFreshFor, AbsentStaleAfter),
        RabbitMqEndpoint.Amqp => (AmqpFreshFor, AmqpStaleAfter),
        _ => (ListFreshFor, ListStaleAfter),
    };
}

/// <summary>When the stand-ins last told of a queue, and the consumers they told of.</summary>
internal struct FallbackFigures
{
    public DateTimeOffset TotalsAt;
    public DateTimeOffset ListedAt;

    /// <summary>When lists began to miss the queue; the minimum while they do not.</summary>
    public DateTimeOffset UnlistedSince;
    public DateTimeOffset DeclaredAt;
    public long ListedConsumers;
    public long DeclaredReady;
    public long DeclaredConsumers;

    /// <summary>When a declare did not find the queue, of which that was news; the minimum once one has found it.</summary>
    public DateTimeOffset MissedAt;
}
