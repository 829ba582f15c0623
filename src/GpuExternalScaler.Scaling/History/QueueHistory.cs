using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.History;

/// <summary>
/// What has been seen of one set of queues: busy time, arrivals, completions, service time. It belongs to the queues
/// and not to the policy of a workload, so it is handed on when metadata is edited. Fixed size: two rings, about 5 kB.
/// </summary>
public sealed class QueueHistory
{
    private const int RingSize = 64;

    // Fewer completions than this and the service time would be noise (decision.md, Quantities).
    private const long MinimumCompletions = 20;

    // More change of busy slots than this share of the completions and ∫B ÷ completions is biased: in a 5× step with
    // 10-minute jobs it would read three times too long.
    private const double MaximumBusyChange = 0.2;

    private readonly BusyPoint[] _busy = new BusyPoint[RingSize];
    private readonly CountPoint[] _counts = new CountPoint[RingSize];
    private int _busyCount;
    private int _countsCount;
    private DateTimeOffset _lastGaugeAt;
    private DateTimeOffset _lastCountersAt;
    private double _busyIntegral;
    private long _lastBusy;
    private int _waitingSamples;
    private int _queueSetVersion;

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

    /// <summary>An independent copy.</summary>
    public QueueHistory Clone()
    {
        var copy = new QueueHistory
        {
            _busyCount = _busyCount,
            _countsCount = _countsCount,
            _lastGaugeAt = _lastGaugeAt,
            _lastCountersAt = _lastCountersAt,
            _busyIntegral = _busyIntegral,
            _lastBusy = _lastBusy,
            _waitingSamples = _waitingSamples,
            _queueSetVersion = _queueSetVersion,
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

        if (at <= _lastGaugeAt)
        {
            return;
        }

        if (_lastGaugeAt == default || at - _lastGaugeAt > maximumGap)
        {
            _busyCount = 0;
            _countsCount = 0;
            _waitingSamples = 0;

            // What arrived before the gap says nothing about now.
            ArrivalsPerSecond = null;
            CompletionsPerSecond = null;
        }
        else
        {
            // The trapezoid gives the newest sample weight at once.
            _busyIntegral += (at - _lastGaugeAt).TotalSeconds * (_lastBusy + busy) / 2;
        }

        _waitingSamples = waiting > 0 ? Math.Min(_waitingSamples + 1, 2) : 0;
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
        if (_countsCount > 0 && sample.Completed < _counts[_countsCount - 1].Sample.Completed)
        {
            // The source starts counting anew only when it forgot the queue.
            _countsCount = 0;
        }

        if (_countsCount > 0 && sample.Queues != _counts[_countsCount - 1].Sample.Queues)
        {
            TakeOverJoined(sample);
        }

        var (busyIntegral, busy) = BusyAt(sample.At);
        var point = new CountPoint(sample, busyIntegral, busy);
        var spacing = policy.MinimumWindow / 16;
        if (_countsCount >= 2 && sample.At - _counts[_countsCount - 2].Sample.At < spacing)
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
    /// Measures W = ∫B dt ÷ completions over the longest window up to max(60 s, 2·W) that has enough completions and
    /// little change of busy slots, else over the shortest longer one; keeps the last W when there is none. A window
    /// of 2·W lets a new model's W be followed within 3·W.
    /// </summary>
    public void RenewServiceTime(ScalingPolicy policy)
    {
        if (_countsCount < 2)
        {
            return;
        }

        var preferred = Math.Max(policy.MaximumWindow.TotalSeconds, 2 * (MeasuredServiceTimeSeconds ?? 0));
        var newest = _counts[_countsCount - 1];
        double? found = null;
        for (var i = _countsCount - 2; i >= 0; i--)
        {
            var oldest = _counts[i];
            var completed = newest.Sample.Completed - oldest.Sample.Completed;
            var seconds = (newest.Sample.At - oldest.Sample.At).TotalSeconds;
            if (seconds > preferred && found is not null)
            {
                break;
            }

            if (completed >= MinimumCompletions &&
                Math.Abs(newest.Busy - oldest.Busy) <= MaximumBusyChange * completed &&
                seconds >= policy.MinimumWindow.TotalSeconds)
            {
                found = (newest.BusyIntegral - oldest.BusyIntegral) / completed;
            }
        }

        if (found is { } serviceTime)
        {
            // Work too short to be caught by a sweep is not no work.
            MeasuredServiceTimeSeconds = Math.Max(serviceTime, 0.001);
        }
    }

    private void RenewRates(ScalingPolicy policy)
    {
        var newest = _counts[_countsCount - 1];
        var window = AveragingWindow(policy);
        var start = -1;
        for (var i = _countsCount - 2; i >= 0; i--)
        {
            start = i;
            if (newest.Sample.At - _counts[i].Sample.At >= window)
            {
                break;
            }
        }

        // Two readings a moment apart say more about the broker's statistics interval than about arrivals.
        if (start < 0 || newest.Sample.At - _counts[start].Sample.At < policy.MinimumWindow / 3)
        {
            return;
        }

        var then = _counts[start].Sample;
        var seconds = (newest.Sample.At - then.At).TotalSeconds;
        var completed = newest.Sample.Completed - then.Completed;

        // T4: what came in is what is there now, less what was, plus what left. Expired and purged messages make this
        // too low, a retry loop through a dead-letter exchange nets nothing: hence the larger of three accounts.
        double arrived = newest.Sample.Messages - then.Messages + completed;
        if (newest.Sample.Published - then.Published is { } published)
        {
            arrived = Math.Max(arrived, published);
        }

        if (newest.Sample.FirstDeliveries - then.FirstDeliveries is { } delivered)
        {
            arrived = Math.Max(arrived, delivered);
        }

        ArrivalsPerSecond = Math.Max(0, arrived) / seconds;
        CompletionsPerSecond = completed / seconds;
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
    private void TakeOverJoined(in CounterSample sample)
    {
        var last = _counts[_countsCount - 1].Sample;
        var seconds = (sample.At - last.At).TotalSeconds;
        var completed = (long)Math.Round((CompletionsPerSecond ?? 0) * seconds);
        var arrived = (long)Math.Round((ArrivalsPerSecond ?? 0) * seconds);
        var messagesShift = sample.Messages - last.Messages - (arrived - completed);
        var completedShift = sample.Completed - last.Completed - completed;
        var publishedShift = sample.Published - last.Published - arrived;
        var deliveriesShift = sample.FirstDeliveries - last.FirstDeliveries - arrived;
        for (var i = 0; i < _countsCount; i++)
        {
            var then = _counts[i].Sample;
            _counts[i] = _counts[i] with
            {
                Sample = then with
                {
                    Queues = sample.Queues,
                    Messages = then.Messages + messagesShift,
                    Completed = then.Completed + completedShift,
                    Published = Shifted(then.Published, sample.Published, publishedShift),
                    FirstDeliveries = Shifted(then.FirstDeliveries, sample.FirstDeliveries, deliveriesShift),
                },
            };
        }

        static long? Shifted(long? then, long? now, long? shift) => then is null || now is null ? null : then + shift;
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

    private readonly record struct CountPoint(CounterSample Sample, double BusyIntegral, long Busy);
}

/// <summary>Counters of a set of queues at one moment, added up; null where a counter is not known.</summary>
/// <param name="At">When they were read.</param>
/// <param name="Queues">How many queues were added up.</param>
/// <param name="Messages">Ready + unacknowledged in the same answer.</param>
/// <param name="Completed">Messages done with.</param>
/// <param name="Published">Messages published, or null.</param>
/// <param name="FirstDeliveries">Deliveries less redeliveries, or null.</param>
public readonly record struct CounterSample(DateTimeOffset At, int Queues, long Messages, long Completed, long? Published, long? FirstDeliveries);
