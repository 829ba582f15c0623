using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.History;

/// <summary>
/// What has been seen of one set of queues: busy time, arrivals, completions, service time. It belongs to the queues
/// and not to the policy of a workload, so it is handed on when metadata is edited. Fixed size: two rings, about 6 kB.
/// </summary>
public sealed class QueueHistory
{
    private const int RingSize = 64;

    // Fewer completions than this and the service time would be noise (decision.md, Quantities).
    private const long MinimumCompletions = 20;

    // Messages seen at work after which the error of counting them is an eighth.
    private const double EnoughSeen = 64;

    // Longest time over which a rough measure is refined, in longest averaging windows.
    private const double LongestWindows = 10;

    // Share of a window's work in the broker's last look above which the window says nothing.
    private const double MostlyRecent = 0.4;

    // Messages acknowledged on delivery are never seen being worked on: more than this share of them, and ∫B ÷ completions
    // would be far too short.
    private const double MaximumAutoAcked = 0.1;

    // A message that crashes its worker comes back at once: when everything that is held has come back twice and nothing
    // was completed, it is not a restart.
    private const long RedeliveriesOfEach = 2;

    // More change of busy slots than this share of the completions and ∫B ÷ completions is biased: in a 5× step with
    // 10-minute jobs it would read three times too long.
    private const double MaximumBusyChange = 0.2;

    private readonly BusyPoint[] _busy = new BusyPoint[RingSize];
    private readonly CountPoint[] _counts = new CountPoint[RingSize];
    private int _busyCount;
    private int _countsCount;
    private DateTimeOffset _lastGaugeAt;
    private DateTimeOffset _lastWaitingAt;
    private DateTimeOffset _lastCountersAt;
    private double _busyIntegral;
    private long _lastBusy;
    private int _waitingSamples;
    private int _queueSetVersion;
    private int _countedQueues;
    private DateTimeOffset _progressAt;
    private long? _redelivered;
    private long _redeliveredSinceProgress;
    private long _mostUnackedSinceProgress;
    private long _autoAcked;
    private CounterSample? _lastSample;
    private long _returned;
    private DateTimeOffset _redeliveredAt;

    /// <summary>Measured seconds of work in one message, kept through idleness and outages; null before the first.</summary>
    public double? MeasuredServiceTimeSeconds { get; private set; }

    /// <summary>Newest arrival rate in 1/s; null before there was one.</summary>
    public double? ArrivalsPerSecond { get; private set; }

    /// <summary>Newest completion rate in 1/s; null before there was one.</summary>
    public double? CompletionsPerSecond { get; private set; }

    /// <summary>Whether completions were ever counted.</summary>
    public bool HasCounters => _lastCountersAt != default;

    /// <summary>When the newest counters were read.</summary>
    public DateTimeOffset LastCountersAt => _lastCountersAt;

    /// <summary>Whether messages waited in this and the sample before it: a wait that persists is not an average's business.</summary>
    public bool WaitingPersists => _waitingSamples >= 2;

    /// <summary>
    /// When a completion was last seen, or counting began; null before counters were read. Completions between two
    /// readings count as of the later one.
    /// </summary>
    public DateTimeOffset? LastProgressAt => _progressAt == default ? null : _progressAt;

    /// <summary>Whether messages were lately acknowledged on delivery, going by the counters.</summary>
    public bool HasAutoAcks => _autoAcked > 0;

    /// <summary>
    /// Messages each consumer holds, seen while more waited: a prefetch window that is full shows its size. Null before.
    /// </summary>
    public int? ObservedPrefetch { get; private set; }

    /// <summary>The smallest prefetch the broker last told of, kept when it no longer does; null before.</summary>
    public int? KnownPrefetch { get; set; }

    /// <summary>An independent copy.</summary>
    public QueueHistory Clone()
    {
        var copy = new QueueHistory
        {
            _busyCount = _busyCount,
            _countsCount = _countsCount,
            _lastGaugeAt = _lastGaugeAt,
            _lastWaitingAt = _lastWaitingAt,
            _lastCountersAt = _lastCountersAt,
            _busyIntegral = _busyIntegral,
            _lastBusy = _lastBusy,
            _waitingSamples = _waitingSamples,
            _queueSetVersion = _queueSetVersion,
            _countedQueues = _countedQueues,
            _progressAt = _progressAt,
            _redelivered = _redelivered,
            _redeliveredSinceProgress = _redeliveredSinceProgress,
            _mostUnackedSinceProgress = _mostUnackedSinceProgress,
            _autoAcked = _autoAcked,
            _lastSample = _lastSample,
            _returned = _returned,
            _redeliveredAt = _redeliveredAt,
            KnownPrefetch = KnownPrefetch,
            ObservedPrefetch = ObservedPrefetch,
            MeasuredServiceTimeSeconds = MeasuredServiceTimeSeconds,
            ArrivalsPerSecond = ArrivalsPerSecond,
            CompletionsPerSecond = CompletionsPerSecond,
        };
        _busy.CopyTo(copy._busy, 0);
        _counts.CopyTo(copy._counts, 0);
        return copy;
    }

    /// <summary>
    /// Adds a gauge sample. Samples not newer than the last are ignored, so that a step between two sweeps changes
    /// nothing; a gap longer than <paramref name="maximumGap"/> starts anew, because nobody knows what happened in it.
    /// </summary>
    public void AddGauges(DateTimeOffset at, long busy, long waiting, int queueSetVersion, ScalingPolicy policy, TimeSpan maximumGap)
    {
        if (queueSetVersion != _queueSetVersion)
        {
            // Other queues: rates start anew; W stays.
            _queueSetVersion = queueSetVersion;
            _countsCount = 0;
        }

        AddWaiting(at, waiting, maximumGap);
        if (at <= _lastGaugeAt)
        {
            return;
        }

        if (_lastGaugeAt == default || at - _lastGaugeAt > maximumGap)
        {
            _busyCount = 0;
            _countsCount = 0;

            // What arrived before the gap says nothing about now.
            ArrivalsPerSecond = null;
            CompletionsPerSecond = null;
        }
        else
        {
            // The trapezoid gives the newest sample weight at once.
            _busyIntegral += (at - _lastGaugeAt).TotalSeconds * (_lastBusy + busy) / 2;
        }

        _lastGaugeAt = at;
        _lastBusy = busy;
        var point = new BusyPoint(at, _busyIntegral, busy);

        // Sweeps shorter than a quarter of a second in tests must not push the window out of the ring.
        var spacing = policy.MaximumWindow / (RingSize - 4);
        if (_busyCount >= 2 && at - _busy[_busyCount - 2].At < spacing)
        {
            _busy[_busyCount - 1] = point;
            return;
        }

        if (_busyCount == RingSize)
        {
            Array.Copy(_busy, 1, _busy, 0, RingSize - 1);
            _busyCount--;
        }

        _busy[_busyCount++] = point;
    }

    /// <summary>
    /// Adds what waits alone, where nobody can tell how many slots are busy: an unknown must not enter the average as zero.
    /// </summary>
    public void AddWaiting(DateTimeOffset at, long waiting, TimeSpan maximumGap)
    {
        if (at > _lastWaitingAt)
        {
            var before = at - _lastWaitingAt > maximumGap ? 0 : _waitingSamples;
            _waitingSamples = waiting > 0 ? Math.Min(before + 1, 2) : 0;
            _lastWaitingAt = at;
        }
    }

    /// <summary>
    /// Learns how many messages a consumer holds, while others wait in the queue: only then is every window full.
    /// </summary>
    public void ObservePrefetch(long unacked, long consumers)
    {
        if (consumers > 0 && WaitingPersists)
        {
            ObservedPrefetch = (int)Math.Clamp((unacked + (consumers / 2)) / consumers, 1, int.MaxValue);
        }
    }

    /// <summary>Busy slots on average over the newest <paramref name="window"/>, or over what there is of it.</summary>
    public double AverageBusy(TimeSpan window)
    {
        if (_busyCount < 2)
        {
            return _lastBusy;
        }

        var newest = _busy[_busyCount - 1];
        var from = newest.At - window;
        for (var i = _busyCount - 2; i >= 0; i--)
        {
            if (_busy[i].At > from && i > 0)
            {
                continue;
            }

            var start = _busy[i];
            if (start.At < from)
            {
                // Inside a segment the integral is as good as straight.
                var next = _busy[i + 1];
                var part = (from - start.At) / (next.At - start.At);
                start = new BusyPoint(from, start.Integral + (part * (next.Integral - start.Integral)), start.Busy);
            }

            return Math.Max(0, (newest.Integral - start.Integral) / (newest.At - start.At).TotalSeconds);
        }

        return _lastBusy;
    }

    /// <summary>
    /// Adds counters read at <paramref name="sample"/>'s time and renews the rates. The service time is renewed apart,
    /// after the decision (<see cref="RenewServiceTime"/>), so that a reading cannot change what judges it.
    /// </summary>
    /// <returns>Whether the counters were new.</returns>
    public bool AddCounters(in CounterSample sample, ScalingPolicy policy)
    {
        if (sample.At <= _lastCountersAt)
        {
            return false;
        }

        _lastCountersAt = sample.At;
        if (_countsCount > 0 && sample.Completed < _counts[_countsCount - 1].Completed)
        {
            // The source starts counting anew only when it forgot the queue.
            _countsCount = 0;
        }

        var (busyIntegral, busy) = BusyAt(sample.At);
        var point = CountPoint.Of(sample, busyIntegral, busy);
        if (_countsCount > 0 && sample.Queues != _countedQueues)
        {
            TakeOverJoined(point);
        }

        NoteReturned(sample);
        point = point with { Returned = _returned };
        NoteProgress(sample);
        _countedQueues = sample.Queues;
        var spacing = policy.MinimumWindow / 16;
        if (_countsCount >= 2 && point.At - _counts[_countsCount - 2].At < spacing)
        {
            _counts[_countsCount - 1] = point;
        }
        else
        {
            if (_countsCount == RingSize)
            {
                ThinOldestHalf();
            }

            _counts[_countsCount++] = point;
        }

        RenewRates(policy);
        return true;
    }

    /// <summary>
    /// Measures W = ∫B dt ÷ messages worked on, over the longest window up to max(60 s, 2·W) that has enough of them and
    /// little change of busy slots, else over the shortest longer one; keeps the last W when there is none. A window
    /// of 2·W lets a new model's W be followed within 3·W; one below 30 s would mostly measure how many seconds the
    /// broker's counters are behind its gauges.
    /// </summary>
    /// <remarks>
    /// The broker looks every 5 s, so of short work only some is ever seen: as many messages as ∫B has times of 5 s. Few of
    /// them make a rough measure. It is made on longer windows, up to 10 min, for as long as these do not contradict it.
    /// </remarks>
    public void RenewServiceTime(ScalingPolicy policy)
    {
        if (_countsCount < 2 || _redeliveredSinceProgress > 0)
        {
            // Work that was lost is not service time: wait for the next completion.
            return;
        }

        var preferred = Math.Max(policy.MaximumWindow.TotalSeconds, 2 * (MeasuredServiceTimeSeconds ?? 0));
        var longest = LongestWindows * policy.MaximumWindow.TotalSeconds;
        var statisticsInterval = policy.MinimumWindow.TotalSeconds / 3;
        var newest = _counts[_countsCount - 1];
        double? found = null;
        var seen = 0.0;
        double low = 0;
        var high = double.PositiveInfinity;
        for (var i = _countsCount - 2; i >= 0; i--)
        {
            var oldest = _counts[i];
            var workedOn = WorkedOn(oldest, newest);
            var seconds = (newest.At - oldest.At).TotalSeconds;
            if (seconds > preferred && found is not null && (seen >= EnoughSeen || seconds > longest))
            {
                break;
            }

            if (workedOn < MinimumCompletions ||
                Math.Abs(newest.Busy - oldest.Busy) > MaximumBusyChange * workedOn ||
                newest.AutoAcked - oldest.AutoAcked > MaximumAutoAcked * workedOn ||
                seconds < policy.MaximumWindow.TotalSeconds / 2 ||
                IsMostlyRecent(i, statisticsInterval, workedOn))
            {
                continue;
            }

            var busyTime = newest.BusyIntegral - oldest.BusyIntegral;
            var candidate = busyTime / workedOn;
            if (seconds > preferred && found is not null && (candidate < low || candidate > high))
            {
                // What was then is not what is now.
                break;
            }

            found = candidate;
            seen = busyTime / statisticsInterval;
            if (seconds <= preferred || double.IsPositiveInfinity(high))
            {
                var error = 2 / Math.Sqrt(Math.Max(seen, 1));
                (low, high) = (candidate * (1 - error), candidate * (1 + error));
            }
        }

        if (found is { } serviceTime)
        {
            // Work too short to be caught by a sweep is not no work.
            MeasuredServiceTimeSeconds = Math.Max(serviceTime, 0.001);
        }
    }

    /// <summary>
    /// Whether most of a window's work was done within the broker's last look: counters and gauges are not of the same
    /// instant, and at the beginning of a burst completions would be compared with the idleness before it.
    /// </summary>
    private bool IsMostlyRecent(int oldest, double statisticsInterval, long workedOn)
    {
        var newest = _counts[_countsCount - 1];
        for (var i = _countsCount - 2; i > oldest; i--)
        {
            if ((newest.At - _counts[i].At).TotalSeconds >= statisticsInterval)
            {
                return WorkedOn(_counts[i], newest) > MostlyRecent * workedOn;
            }
        }

        return true;
    }

    /// <summary>
    /// Whether workers crash on what they are given: nothing completed for max(2 min, 3·W) while everything that was
    /// held has come back twice over. A restart of all workers redelivers everything once.
    /// </summary>
    public bool IsWithoutProgress(ScalingPolicy policy)
    {
        var patience = Math.Max(8 * policy.MinimumWindow.TotalSeconds, 3 * (MeasuredServiceTimeSeconds ?? policy.ServiceTime?.TotalSeconds ?? 0));
        return _progressAt != default
            && (_lastCountersAt - _progressAt).TotalSeconds >= patience
            && (_lastCountersAt - _redeliveredAt).TotalSeconds < patience
            && _redeliveredSinceProgress > RedeliveriesOfEach * Math.Max(1, _mostUnackedSinceProgress);
    }

    /// <summary>
    /// Messages that went back to the queue undone and have not been delivered again: what was held less, and waits more,
    /// without having been published.
    /// </summary>
    private void NoteReturned(in CounterSample sample)
    {
        if (_countsCount > 0 && _lastSample is { } last && sample.FirstDeliveries - last.FirstDeliveries is { } delivered)
        {
            var unacked = sample.Unacked - last.Unacked;
            var ready = sample.Messages - last.Messages - unacked;
            var redelivered = (sample.Redelivered ?? 0) - (last.Redelivered ?? 0);
            _returned += Math.Clamp(ready, 0, Math.Max(0, delivered + redelivered - unacked)) - redelivered;
        }

        _lastSample = sample;
    }

    private void NoteProgress(in CounterSample sample)
    {
        if (_countsCount == 0 || sample.Queues != _countedQueues || sample.Completed > _counts[_countsCount - 1].Completed)
        {
            if (_redeliveredSinceProgress > _mostUnackedSinceProgress)
            {
                // All that was held was lost at least once; no window may reach back over that.
                _countsCount = 0;
            }

            _progressAt = sample.At;
            _redeliveredSinceProgress = 0;
            _mostUnackedSinceProgress = 0;
        }
        else if (sample.Redelivered - _redelivered is > 0 and { } redelivered)
        {
            _redeliveredSinceProgress += redelivered;
            _redeliveredAt = sample.At;
        }

        _redelivered = sample.Redelivered;
        _mostUnackedSinceProgress = Math.Max(_mostUnackedSinceProgress, sample.Unacked);
    }

    /// <summary>
    /// Messages worked on between two points: those completed, or, where clearly more, those delivered for the first time
    /// that are neither held any more nor back in the queue. Rejected messages took their time too, and in a retry loop
    /// through a dead-letter exchange they are most of them; λ counts each of their rounds as an arrival.
    /// </summary>
    private static long WorkedOn(in CountPoint then, in CountPoint now)
    {
        var completed = now.Completed - then.Completed;
        if (now.FirstDeliveries < 0 || then.FirstDeliveries < 0)
        {
            return completed;
        }

        var unacked = now.Unacked - then.Unacked;
        var left = now.FirstDeliveries - then.FirstDeliveries - unacked - (now.Returned - then.Returned);

        // Deliveries and gauges are some seconds apart: a small surplus is that and nothing else.
        return left - completed > Math.Max(MinimumCompletions, completed / 4) ? left : completed;
    }

    private void RenewRates(ScalingPolicy policy)
    {
        var newest = _counts[_countsCount - 1];
        var window = AveragingWindow(policy);
        var start = -1;
        for (var i = _countsCount - 2; i >= 0; i--)
        {
            start = i;
            if (newest.At - _counts[i].At >= window)
            {
                break;
            }
        }

        // Two readings a moment apart say more about the broker's statistics interval than about arrivals.
        if (start < 0 || newest.At - _counts[start].At < policy.MinimumWindow / 3)
        {
            return;
        }

        var then = _counts[start];
        var seconds = (newest.At - then.At).TotalSeconds;
        var completed = newest.Completed - then.Completed;

        // T4: what came in is what is there now, less what was, plus what left. Expired and purged messages make this
        // too low, a retry loop through a dead-letter exchange nets nothing: hence the larger of three accounts.
        double arrived = newest.Messages - then.Messages + completed;
        if (newest.Published >= 0 && then.Published >= 0)
        {
            arrived = Math.Max(arrived, newest.Published - then.Published);
        }

        if (newest.FirstDeliveries >= 0 && then.FirstDeliveries >= 0)
        {
            // Deliveries out of a backlog that was there are no arrivals.
            var ready = newest.Messages - newest.Unacked - (then.Messages - then.Unacked);
            arrived = Math.Max(arrived, newest.FirstDeliveries - then.FirstDeliveries + Math.Min(0, ready));
        }

        ArrivalsPerSecond = Math.Max(0, arrived) / seconds;
        CompletionsPerSecond = completed / seconds;
        if (completed > 0)
        {
            // Consumers do not change their ways by having nothing to do.
            _autoAcked = newest.AutoAcked - then.AutoAcked;
        }
    }

    /// <summary>max(15 s, W/2), at most 60 s.</summary>
    public TimeSpan AveragingWindow(ScalingPolicy policy)
    {
        var half = (MeasuredServiceTimeSeconds ?? policy.ServiceTime?.TotalSeconds ?? 0) / 2;
        return TimeSpan.FromSeconds(Math.Clamp(half, policy.MinimumWindow.TotalSeconds, policy.MaximumWindow.TotalSeconds));
    }

    /// <summary>
    /// The integral and the busy slots at the moment of the counters. They may be older than the newest gauges by as
    /// much as a slow management list takes, so both are looked up and not guessed from the present.
    /// </summary>
    private (double Integral, long Busy) BusyAt(DateTimeOffset at)
    {
        if (_busyCount == 0 || at >= _lastGaugeAt)
        {
            return (_busyIntegral + ((at - _lastGaugeAt).TotalSeconds * _lastBusy), _lastBusy);
        }

        for (var i = _busyCount - 2; i >= 0; i--)
        {
            if (_busy[i].At <= at)
            {
                var next = _busy[i + 1];
                var part = (at - _busy[i].At) / (next.At - _busy[i].At);
                return (_busy[i].Integral + (part * (next.Integral - _busy[i].Integral)), part < 0.5 ? _busy[i].Busy : next.Busy);
            }
        }

        return (_busy[0].Integral, _busy[0].Busy);
    }

    /// <summary>
    /// Other queues are counted than in the sample before: what a queue brings along when it joins, messages and totals,
    /// is neither arrivals nor completions. The one interval in which it happened is taken to have gone on as before,
    /// by shifting all earlier points to where they would then have been.
    /// </summary>
    private void TakeOverJoined(in CountPoint point)
    {
        var last = _counts[_countsCount - 1];
        var seconds = (point.At - last.At).TotalSeconds;
        var completed = (long)Math.Round((CompletionsPerSecond ?? 0) * seconds);
        var arrived = (long)Math.Round((ArrivalsPerSecond ?? 0) * seconds);
        var messagesShift = point.Messages - last.Messages - (arrived - completed);
        var completedShift = point.Completed - last.Completed - completed;
        var autoAckedShift = point.AutoAcked - last.AutoAcked;
        var unackedShift = point.Unacked - last.Unacked;
        for (var i = 0; i < _countsCount; i++)
        {
            ref var then = ref _counts[i];
            then = then with
            {
                Messages = then.Messages + messagesShift,
                Unacked = then.Unacked + unackedShift,
                Completed = then.Completed + completedShift,
                AutoAcked = then.AutoAcked + autoAckedShift,
                Published = Shifted(then.Published, last.Published, point.Published),
                FirstDeliveries = Shifted(then.FirstDeliveries, last.FirstDeliveries, point.FirstDeliveries),
            };
        }

        long Shifted(long then, long before, long now) => then < 0 || before < 0 || now < 0 ? -1 : then + now - before - arrived;
    }

    // Long jobs need completions from long ago, short ones a fine recent past: keep the newer half as it is and every
    // second point of the older half, so that 64 points reach as far back as is needed.
    private void ThinOldestHalf()
    {
        var kept = 0;
        for (var i = 0; i < RingSize / 2; i += 2)
        {
            _counts[kept++] = _counts[i];
        }

        for (var i = RingSize / 2; i < RingSize; i++)
        {
            _counts[kept++] = _counts[i];
        }

        _countsCount = kept;
    }

    private readonly record struct BusyPoint(DateTimeOffset At, double Integral, long Busy);

    // Nullables and instants with offsets would double the ring; −1 is a counter that is not known.
    private readonly record struct CountPoint(
        DateTime At, long Messages, long Unacked, long Completed, long AutoAcked, long Published, long FirstDeliveries, double BusyIntegral, long Busy)
    {
        public long Returned { get; init; }

        public static CountPoint Of(in CounterSample sample, double busyIntegral, long busy) => new(
            sample.At.UtcDateTime, sample.Messages, sample.Unacked, sample.Completed, sample.AutoAcked, sample.Published ?? -1, sample.FirstDeliveries ?? -1, busyIntegral, busy);
    }
}

/// <summary>Counters of a set of queues at one moment, added up; null where a counter is not known.</summary>
/// <param name="At">When they were read.</param>
/// <param name="Queues">How many queues were added up.</param>
/// <param name="Messages">Ready + unacknowledged in the same answer.</param>
/// <param name="Completed">Messages done with.</param>
/// <param name="Published">Messages published, or null.</param>
/// <param name="FirstDeliveries">Deliveries less redeliveries, or null.</param>
public readonly record struct CounterSample(DateTimeOffset At, int Queues, long Messages, long Completed, long? Published, long? FirstDeliveries)
{
    /// <summary>The unacknowledged part of <see cref="Messages"/>.</summary>
    public long Unacked { get; init; }

    /// <summary>The part of <see cref="Completed"/> that was acknowledged on delivery; 0 where not known.</summary>
    public long AutoAcked { get; init; }

    /// <summary>Deliveries of messages that had been delivered before, or null.</summary>
    public long? Redelivered { get; init; }
}
