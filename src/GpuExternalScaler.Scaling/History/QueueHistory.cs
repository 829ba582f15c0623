using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.History;

/// <summary>
/// What has been seen of one set of queues: busy time, arrivals, completions, service time. It belongs to the queues
/// and not to the policy of a workload, so it is handed on when metadata is edited. Bounded: two rings that grow to
/// 64 points each, together 4.6 kB; the second stays empty where nothing counts.
/// </summary>
public sealed class QueueHistory
{
    // Fewer completions than this and the service time would be noise (decision.md, Quantities).
    private const long MinimumCompletions = 20;

    // Messages seen at work after which the error of counting them is a twelfth.
    private const double EnoughSeen = 150;

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

    // Redeliveries must fall into so many quarters of the patience: a burst of them is a rollout that went wrong.
    private const int RedeliverySpells = 3;

    // Seconds for which workers that left are taken to be those who hold what nobody else can.
    private const double LongestDrain = 3600;

    // Times that most of what is held must have vanished at once for impatience where W is not known.
    private const int Vanishings = 3;

    // More change of busy slots than this share of the completions and W is biased: in a 5× step with 10-minute jobs
    // ∫B ÷ completions would read three times too long.
    private const double MaximumBusyChange = 0.4;

    // Half of the work in a message that is being worked on has been done on average. Without this a window in which busy
    // slots rise reads too long, and allowing no such window leaves W at what it was: of 36 busy slots one window of three
    // has none that is even enough.
    private const double DoneOfBusy = 0.5;

    // Seconds; what somebody else remembers as more is no service time, and its multiples no time spans.
    private const double LongestServiceTime = 1e9;

    private BusyRing _busy;
    private CountRing _counts;
    private DateTimeOffset _lastGaugeAt;
    private DateTimeOffset _lastWaitingAt;
    private DateTimeOffset _lastCountersAt;
    private double _busyIntegral;
    private long _lastBusy;
    private int _waitingSamples;
    private int _queueSetVersion;
    private int _countedQueues;
    private int _concurrency;
    private DateTimeOffset _progressAt;
    private long? _redelivered;
    private bool _hasRates;
    private long _redeliveredSinceProgress;
    private long _mostUnackedSinceProgress;
    private long _autoAcked;
    private long _returned;

    // Of the work before it (UTC ticks) not all was seen or done: W is not measured over it.
    private long _measurableSince;
    private long _leftSinceProgress;
    private long _peakUnacked;
    private int _vanishings;
    private int _redeliverySpells;
    private DateTimeOffset _spellAt;
    private long _consumers;
    private long _leavers;
    private DateTimeOffset _leftAt;
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

    /// <summary>Cold starts that were seen.</summary>
    public ColdStarts ColdStarts { get; private set; } = new();

    /// <summary>Takes in what somebody else remembers, where this has seen nothing newer.</summary>
    public void Fill(PastArrivals past)
    {
        ArgumentNullException.ThrowIfNull(past);
        MeasuredServiceTimeSeconds ??= past.ServiceTimeSeconds is { } seconds and > 0 and <= LongestServiceTime ? seconds : null;
        Forecast.Fill(past.Arrivals);
        if (past.ColdStartSeconds is { } coldStart)
        {
            ColdStarts.Fill(coldStart);
        }
    }

    /// <summary>What arrives and has arrived, and what is forecast.</summary>
    internal ArrivalForecast Forecast { get; private set; } = new();

    /// <summary>
    /// Arrivals in 1/s: measured, or, until the first two readings make a rate, as somebody else remembers them from a minute or two ago, carried on;
    /// null when neither.
    /// </summary>
    public double? ArrivalsAt(DateTimeOffset now, ScalingPolicy policy) => ArrivalsPerSecond ?? Remembered(now, policy);

    private double? Remembered(DateTimeOffset now, ScalingPolicy policy) =>
        !_hasRates && Forecast.Newest is { } newest && newest.At <= now && now - newest.At <= 2 * policy.MaximumWindow ? Forecast.CarriedTo(now) : null;

    /// <summary>An independent copy.</summary>
    public QueueHistory Clone()
    {
        var copy = (QueueHistory)MemberwiseClone();
        copy.ColdStarts = ColdStarts.Clone();
        copy.Forecast = Forecast.Clone();
        copy._busy = _busy.Copy();
        copy._counts = _counts.Copy();
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
            _counts.Clear();
        }

        if (policy.Concurrency != _concurrency)
        {
            ForgetSlots(busy);
            _concurrency = policy.Concurrency;
        }

        AddWaiting(at, waiting, maximumGap);
        if (at <= _lastGaugeAt)
        {
            return;
        }

        if (_lastGaugeAt == default || at - _lastGaugeAt > maximumGap)
        {
            _busy.Clear();
            _counts.Clear();

            // What arrived before the gap says nothing about now.
            ArrivalsPerSecond = null;
            CompletionsPerSecond = null;
            if (_lastGaugeAt == default && Remembered(at, policy) * MeasuredServiceTimeSeconds is { } load)
            {
                // One look after a restart is no average; what is remembered makes it one.
                var window = AveragingWindow(policy);
                _busyIntegral = load * window.TotalSeconds;
                _busy.Add(new BusyPoint(at.UtcTicks - window.Ticks, 0, (long)Math.Round(load)));
            }
        }
        else
        {
            // The trapezoid gives the newest sample weight at once.
            _busyIntegral += (at - _lastGaugeAt).TotalSeconds * (_lastBusy + busy) / 2;
        }

        _lastGaugeAt = at;
        _lastBusy = busy;
        var point = new BusyPoint(at.UtcTicks, _busyIntegral, busy);

        // Sweeps shorter than a quarter of a second in tests must not push the window out of the ring.
        var spacing = policy.MaximumWindow / (BusyRing.Capacity - 4);
        if (_busy.Count >= 2 && point.At - _busy[_busy.Count - 2].At < spacing.Ticks)
        {
            _busy[_busy.Count - 1] = point;
            return;
        }

        _busy.Add(point);
    }

    /// <summary>Busy slots are others than before: their average begins with those of now, and W is learned anew.</summary>
    private void ForgetSlots(long busy)
    {
        if (_concurrency == 0 || _lastGaugeAt == default)
        {
            return;
        }

        MeasuredServiceTimeSeconds = null;
        _measurableSince = Math.Max(_measurableSince, _lastGaugeAt.UtcTicks + 1);
        _lastBusy = busy;
        _busy.Clear();
        _busy.Add(new BusyPoint(_lastGaugeAt.UtcTicks, _busyIntegral, busy));
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
    /// Counts the consumers that leave: their workers finish what they hold. Forgotten when none has left for
    /// max(2 min, 3·W), or for an hour while more is held than the others can hold. To be called before
    /// <see cref="AddGauges"/> of the same moment.
    /// </summary>
    public void NoteConsumers(DateTimeOffset at, long consumers, long beyond, ScalingPolicy policy)
    {
        if (at <= _lastGaugeAt)
        {
            return;
        }

        if (consumers < _consumers)
        {
            _leavers += _consumers - consumers;
            _leftAt = at;
        }
        else if ((at - _leftAt).TotalSeconds >= (beyond > 0 ? Math.Max(LongestDrain, Patience(policy)) : Patience(policy)))
        {
            _leavers = 0;
        }

        _consumers = consumers;
    }

    /// <summary>Of messages held beyond what consumers can hold, those that consumers which left may hold, so many each.</summary>
    public long HeldByLeavers(long beyond, long each) => Math.Min(beyond, _leavers > long.MaxValue / each ? long.MaxValue : _leavers * each);

    /// <summary>
    /// Work goes on that busy slots do not show: no service time is measured over it, nor from what was counted before.
    /// </summary>
    public void NoteUnseenWork(DateTimeOffset at) => _measurableSince = Math.Max(_measurableSince, at.UtcTicks);

    /// <summary>
    /// Learns how many messages a consumer holds, while others wait in the queue: only then is every window full. Not
    /// while consumers that left may hold some of them.
    /// </summary>
    public void ObservePrefetch(long unacked, long consumers)
    {
        if (consumers > 0 && consumers == _consumers && _leavers == 0 && WaitingPersists)
        {
            ObservedPrefetch = (int)Math.Clamp((unacked + (consumers / 2)) / consumers, 1, int.MaxValue);
        }
    }

    /// <summary>Busy slots on average over the newest <paramref name="window"/>, or over what there is of it.</summary>
    public double AverageBusy(TimeSpan window)
    {
        if (_busy.Count < 2)
        {
            return _lastBusy;
        }

        ref readonly var newest = ref _busy[_busy.Count - 1];
        var from = newest.At - window.Ticks;
        for (var i = _busy.Count - 2; i >= 0; i--)
        {
            ref readonly var start = ref _busy[i];
            if (start.At > from && i > 0)
            {
                continue;
            }

            var (at, integral) = (start.At, start.Integral);
            if (at < from)
            {
                // Inside a segment the integral is as good as straight.
                ref readonly var next = ref _busy[i + 1];
                integral += Part(from, start.At, next.At) * (next.Integral - start.Integral);
                at = from;
            }

            return Math.Max(0, (newest.Integral - integral) / Seconds(at, newest.At));
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
        if (_counts.Count > 0 && sample.Completed < _counts.NewestCompleted)
        {
            // The source starts counting anew only when it forgot the queue.
            _counts.Clear();
        }

        var (busyIntegral, busy) = BusyAt(sample.At);
        var point = WideCounts.Of(sample, busyIntegral, busy);
        if (_counts.Count > 0 && sample.Queues != _countedQueues)
        {
            TakeOverJoined(point);
        }

        var left = NoteReturned(sample);
        point = point with { Returned = _returned };
        NoteProgress(sample, left, policy);
        _countedQueues = sample.Queues;
        var spacing = policy.MinimumWindow / 16;
        if (_counts.Count >= 2 && point.At - _counts[_counts.Count - 2].At < spacing.Ticks)
        {
            _counts.ReplaceNewest(point);
        }
        else
        {
            _counts.Add(point);
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
        if (_counts.Count < 2 || _redeliveredSinceProgress > 0)
        {
            // Work that was lost is not service time: wait for the next completion.
            return;
        }

        var preferred = Math.Max(policy.MaximumWindow.TotalSeconds, 2 * (MeasuredServiceTimeSeconds ?? 0));
        var longest = LongestWindows * policy.MaximumWindow.TotalSeconds;
        var statisticsInterval = policy.MinimumWindow.TotalSeconds / 3;
        var halfWindow = policy.MaximumWindow.TotalSeconds / 2;
        ref readonly var newest = ref _counts[_counts.Count - 1];
        double? found = null;
        var seen = 0.0;
        double low = 0;
        var high = double.PositiveInfinity;
        for (var i = _counts.Count - 2; i >= 0; i--)
        {
            ref readonly var oldest = ref _counts[i];
            if (oldest.At < _measurableSince)
            {
                break;
            }

            var seconds = Seconds(oldest.At, newest.At);
            if (seconds > preferred && found is not null && (seen >= EnoughSeen || seconds > longest))
            {
                break;
            }

            if (seconds < halfWindow)
            {
                continue;
            }

            var workedOn = WorkedOn(oldest, newest);
            if (workedOn < MinimumCompletions ||
                Math.Abs((long)newest.Busy - oldest.Busy) > MaximumBusyChange * workedOn ||
                (long)newest.AutoAcked - oldest.AutoAcked > MaximumAutoAcked * workedOn ||
                IsMostlyRecent(i, statisticsInterval, workedOn))
            {
                continue;
            }

            var busyTime = newest.BusyIntegral - oldest.BusyIntegral;
            var candidate = busyTime / (workedOn + (DoneOfBusy * ((long)newest.Busy - oldest.Busy)));
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
        ref readonly var newest = ref _counts[_counts.Count - 1];
        for (var i = _counts.Count - 2; i > oldest; i--)
        {
            if (Seconds(_counts[i].At, newest.At) >= statisticsInterval)
            {
                return WorkedOn(_counts[i], newest) > MostlyRecent * workedOn;
            }
        }

        return true;
    }

    /// <summary>
    /// Whether workers crash on what they are given: nothing completed or rejected for good for max(2 min, 3·W) while
    /// everything that was held has come back twice over, and not in one burst. A restart of all workers redelivers
    /// everything once.
    /// </summary>
    public bool IsWithoutProgress(ScalingPolicy policy)
    {
        var patience = ProgressPatience(policy);
        return _progressAt != default
            && (_lastCountersAt - _progressAt).TotalSeconds >= patience
            && (_lastCountersAt - _redeliveredAt).TotalSeconds < patience
            && _redeliverySpells >= RedeliverySpells
            && _redeliveredSinceProgress > RedeliveriesOfEach * Math.Max(1, _mostUnackedSinceProgress);
    }

    // With W unknown two minutes without a completion may be how the work is, and one broken worker alone may redeliver
    // while others are at it: then ten, unless most of what is held vanishes again and again.
    private double ProgressPatience(ScalingPolicy policy) =>
        MeasuredServiceTimeSeconds is null && policy.ServiceTime is null && _vanishings < Vanishings
            ? LongestWindows * policy.MaximumWindow.TotalSeconds
            : Patience(policy);

    /// <summary>
    /// Messages that went back to the queue undone and have not been delivered again: what is held less, was not completed,
    /// and waits more or was delivered again.
    /// </summary>
    /// <returns>Messages delivered for the first time that are neither held, completed nor back: rejected for good.</returns>
    private long NoteReturned(in CounterSample sample)
    {
        if (_counts.Count == 0 || sample.Queues != _countedQueues)
        {
            // What a queue that joins went through before is not its work now.
            return 0;
        }

        var last = _counts.Newest;
        if (sample.FirstDeliveries - last.FirstDeliveries is not { } delivered)
        {
            return 0;
        }

        var unacked = sample.Unacked - last.Unacked;
        var ready = sample.Messages - last.Messages - unacked;
        var redelivered = (sample.Redelivered ?? 0) - (_redelivered ?? 0);
        var left = delivered - unacked - (sample.Completed - last.Completed);

        // Of a backlog that grows nobody can tell which of it came back, so all that may have is taken to: publishes are
        // counted seconds apart from the gauges.
        var returned = Math.Clamp(ready + redelivered, 0, Math.Max(0, left + redelivered));
        _returned += returned - redelivered;
        return left + redelivered - returned;
    }

    private void NoteProgress(in CounterSample sample, long left, ScalingPolicy policy)
    {
        // A message rejected for good is done with too. Gauges and deliveries are some seconds apart: as much as is held.
        _leftSinceProgress += left;
        if (_counts.Count == 0 || sample.Queues != _countedQueues || sample.Completed > _counts.NewestCompleted ||
            _leftSinceProgress > Math.Max(1, _mostUnackedSinceProgress))
        {
            if (_redeliveredSinceProgress > _mostUnackedSinceProgress)
            {
                // All that was held was lost at least once. Arrivals are arrivals all the same.
                _measurableSince = Math.Max(_measurableSince, sample.At.UtcTicks);
            }

            _progressAt = sample.At;
            _redeliveredSinceProgress = 0;
            _mostUnackedSinceProgress = 0;
            _leftSinceProgress = 0;
            _redeliverySpells = 0;
            _vanishings = 0;
            _peakUnacked = 0;
        }
        else if (sample.Redelivered - _redelivered is > 0 and { } redelivered)
        {
            _redeliveredSinceProgress += redelivered;
            _redeliveredAt = sample.At;
            if (_redeliverySpells == 0 || (sample.At - _spellAt).TotalSeconds >= ProgressPatience(policy) / (RedeliverySpells + 1))
            {
                _redeliverySpells++;
                _spellAt = sample.At;
            }
        }

        _redelivered = sample.Redelivered;
        _mostUnackedSinceProgress = Math.Max(_mostUnackedSinceProgress, sample.Unacked);
        _peakUnacked = Math.Max(_peakUnacked, sample.Unacked);
        if (2 * sample.Unacked < _peakUnacked)
        {
            _vanishings++;
            _peakUnacked = sample.Unacked;
        }
    }

    /// <summary>
    /// Messages worked on between two points: those completed, or, where clearly more, those delivered for the first time
    /// that are neither held any more nor back in the queue. Rejected messages took their time too, and in a retry loop
    /// through a dead-letter exchange they are most of them; λ counts each of their rounds as an arrival.
    /// </summary>
    private static long WorkedOn(in CountPoint then, in CountPoint now)
    {
        var completed = (long)now.Completed - then.Completed;
        if (Difference(then.FirstDeliveries, now.FirstDeliveries) is not { } delivered)
        {
            return completed;
        }

        var unacked = (long)now.Unacked - then.Unacked;
        var left = delivered - unacked - ((long)now.Returned - then.Returned);

        // Deliveries and gauges are some seconds apart: a small surplus is that and nothing else.
        return left - completed > Math.Max(MinimumCompletions, completed / 4) ? left : completed;
    }

    private void RenewRates(ScalingPolicy policy)
    {
        ref readonly var newest = ref _counts[_counts.Count - 1];
        var window = AveragingWindow(policy).Ticks;
        var start = -1;
        for (var i = _counts.Count - 2; i >= 0; i--)
        {
            start = i;
            if (newest.At - _counts[i].At >= window)
            {
                break;
            }
        }

        // Two readings a moment apart say more about the broker's statistics interval than about arrivals.
        if (start < 0 || newest.At - _counts[start].At < (policy.MinimumWindow / 3).Ticks)
        {
            return;
        }

        if (newest.At - _counts[start].At < policy.MinimumWindow.Ticks && Remembered(new DateTimeOffset(newest.At, TimeSpan.Zero), policy) is not null)
        {
            // Nor does a first short window say more than what is remembered.
            return;
        }

        ref readonly var then = ref _counts[start];
        var seconds = Seconds(then.At, newest.At);
        var completed = (long)newest.Completed - then.Completed;

        // T4: what came in is what is there now, less what was, plus what left. Expired and purged messages make this
        // too low, a retry loop through a dead-letter exchange nets nothing: hence the larger of three accounts.
        double arrived = (long)newest.Messages - then.Messages + completed;
        if (Difference(then.Published, newest.Published) is { } published)
        {
            arrived = Math.Max(arrived, published);
        }

        if (Difference(then.FirstDeliveries, newest.FirstDeliveries) is { } delivered)
        {
            // Deliveries out of a backlog that was there are no arrivals.
            var ready = (long)newest.Messages - newest.Unacked - ((long)then.Messages - then.Unacked);
            arrived = Math.Max(arrived, delivered + Math.Min(0, ready));
        }

        _hasRates = true;
        ArrivalsPerSecond = Math.Max(0, arrived) / seconds;
        CompletionsPerSecond = completed / seconds;
        if (completed > 0)
        {
            // Consumers do not change their ways by having nothing to do.
            _autoAcked = (long)newest.AutoAcked - then.AutoAcked;
        }
    }

    /// <summary>max(2 min, 3·W): in so long a time something is completed, or somebody gone has finished.</summary>
    private double Patience(ScalingPolicy policy) =>
        Math.Max(8 * policy.MinimumWindow.TotalSeconds, 3 * (MeasuredServiceTimeSeconds ?? policy.ServiceTime?.TotalSeconds ?? 0));

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
        if (_busy.Count == 0 || at >= _lastGaugeAt)
        {
            return (_busyIntegral + ((at - _lastGaugeAt).TotalSeconds * _lastBusy), _lastBusy);
        }

        var ticks = at.UtcTicks;
        for (var i = _busy.Count - 2; i >= 0; i--)
        {
            ref readonly var before = ref _busy[i];
            if (before.At <= ticks)
            {
                ref readonly var next = ref _busy[i + 1];
                var part = Part(ticks, before.At, next.At);
                return (before.Integral + (part * (next.Integral - before.Integral)), part < 0.5 ? before.Busy : next.Busy);
            }
        }

        return (_busy[0].Integral, _busy[0].Busy);
    }

    /// <summary>
    /// Other queues are counted than in the sample before: what a queue brings along when it joins, messages and totals,
    /// is neither arrivals nor completions. The one interval in which it happened is taken to have gone on as before,
    /// by shifting all earlier points to where they would then have been.
    /// </summary>
    private void TakeOverJoined(in WideCounts point)
    {
        var last = _counts.Newest;
        var seconds = Seconds(last.At, point.At);
        var completed = (long)Math.Round((CompletionsPerSecond ?? 0) * seconds);
        var arrived = (long)Math.Round((ArrivalsPerSecond ?? 0) * seconds);
        _counts.Shift(new WideCounts(
            At: 0,
            BusyIntegral: 0,
            Busy: 0,
            Messages: point.Messages - last.Messages - (arrived - completed),
            Unacked: point.Unacked - last.Unacked,
            Completed: point.Completed - last.Completed - completed,
            AutoAcked: point.AutoAcked - last.AutoAcked,
            Published: Joined(last.Published, point.Published),
            FirstDeliveries: Joined(last.FirstDeliveries, point.FirstDeliveries),
            Returned: 0));

        long? Joined(long? before, long? now) => now - before - arrived;
    }

    private static double Seconds(long from, long to) => new TimeSpan(to - from).TotalSeconds;

    // As TimeSpan divides: both as doubles.
    private static double Part(long at, long from, long to) => (at - from) / (double)(to - from);

    private static long? Difference(int then, int now) =>
        then == CountPoint.Unknown || now == CountPoint.Unknown ? null : (long)now - then;
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
