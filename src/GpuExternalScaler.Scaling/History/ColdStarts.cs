using System.Runtime.CompilerServices;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.History;

/// <summary>
/// Cold starts as they were seen: from asking for more replicas than there are to the first that came. What is seen are
/// consumers, and they come and go for many reasons besides, so a watch counts only where nothing else explains the rise;
/// one too few costs nothing. About 350 bytes, and the same whatever happens.
/// </summary>
public sealed class ColdStarts
{
    /// <summary>Watches that it takes before they count, and before they replace what was remembered.</summary>
    public const int Enough = 5;

    // Newest watches kept.
    private const int Most = 16;

    // Cold starts after which nothing that has not come will.
    private const double Patience = 3;

    // Cold starts for which nothing is measured when consumers rose that nobody had asked for. A rollout's pods follow each
    // other by one cold start, so it is over long before; another Deployment that keeps scaling keeps this from measuring.
    private const double Distrust = 10;

    // The part of the HPA's stabilisation that has passed, as seen in spans of time, when it takes replicas away.
    private const double Hesitation = 0.9;

    private const double Quantile = 0.9;

    private LastWatches _watches;
    private int _next;
    private double? _p90;
    private double? _remembered;

    // UTC ticks of the newest step; and the clock that all else is on, which stands still where nothing is seen: what leaves
    // in an outage is remembered until some time after it, and no patience runs out meanwhile.
    private long _at;
    private long _clock;
    private Peaks _asked;
    private Peaks _replicas;
    private long _peakSince;
    private long _trustedFrom;

    private Phase _phase;
    private long _began;
    private long _askedAt;
    private long _hopedFrom;
    private double _target;
    private double _before;
    private double _most;
    private double? _readyBefore;
    private long? _rose;

    private enum Phase : byte
    {
        /// <summary>Nothing has been seen yet.</summary>
        New,

        /// <summary>As many as are asked for are there.</summary>
        Settled,

        /// <summary>The first of those that are missing will show how long it took.</summary>
        Watching,

        /// <summary>Some are missing, and when they were asked for is not known or no longer matters.</summary>
        Pending,
    }

    /// <summary>P90 of the newest watches in seconds; with fewer than five, what was remembered from before a restart; null without either.</summary>
    public double? MeasuredSeconds => _p90 ?? _remembered;

    /// <summary>Watches kept.</summary>
    public int Watches { get; private set; }

    /// <summary>Whether more was asked for than came within three cold starts, with no maximum reached.</summary>
    public bool IsWithoutCapacity { get; private set; }

    /// <summary>The cold start to go by (L): the measured one where the policy says so, within half and three times the policy's.</summary>
    public TimeSpan InForce(ScalingPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.MeasuresColdStart && MeasuredSeconds is { } measured
            ? TimeSpan.FromTicks(Math.Clamp((long)(measured * TimeSpan.TicksPerSecond), Times(0.5, policy.ColdStart), Times(3, policy.ColdStart)))
            : policy.ColdStart;
    }

    /// <summary>Takes a decision in, after it was made. Not to be called while consumers are not known, nor for jobs.</summary>
    /// <param name="now">The moment of the step.</param>
    /// <param name="asked">Replicas of the answer; 0 while it is inactive and there are none, for then nobody is asked.</param>
    /// <param name="replicas">Replicas there are (n): consumers ÷ <c>consumersPerReplica</c>.</param>
    /// <param name="ready">Ready replicas as kube-state-metrics tells, null if not known.</param>
    /// <param name="maximum">Most replicas there may be; null if not known.</param>
    /// <param name="coldStart">The cold start in force (L).</param>
    /// <param name="policy">The policy.</param>
    public void Note(DateTimeOffset now, double asked, double replicas, double? ready, double? maximum, TimeSpan coldStart, ScalingPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (policy.Share < 1 || !double.IsFinite(asked) || !double.IsFinite(replicas))
        {
            // Consumers are not all this workload's, and what it asks for is not all there will be.
            (_phase, IsWithoutCapacity) = (Phase.New, false);
            return;
        }

        var at = now.UtcTicks;
        if (at <= _at)
        {
            return;
        }

        var unseen = _phase == Phase.New || at - _at > policy.MinimumWindow.Ticks;
        _clock += unseen ? 0 : at - _at;
        _at = at;

        var ask = Ask.Of(asked, replicas, maximum, policy);
        RenewPeaks(ask, replicas, ready, policy);
        Follow(ask, replicas, ready, unseen, Math.Max(Times(Patience, coldStart), policy.MaximumWindow.Ticks));
        if (_phase != Phase.Watching)
        {
            _rose = null;
        }
    }

    /// <summary>Begins with a cold start that somebody else remembers: it counts as measured until there are five own watches.</summary>
    public void Fill(double seconds)
    {
        if (double.IsFinite(seconds) && seconds > 0)
        {
            _remembered ??= seconds;
        }
    }

    /// <summary>An independent copy.</summary>
    public ColdStarts Clone() => (ColdStarts)MemberwiseClone();

    private void Follow(in Ask ask, double replicas, double? ready, bool unseen, long patience)
    {
        switch (_phase)
        {
            case Phase.New:
            case Phase.Settled:
                if (ask.IsHeard)
                {
                    // What was there a while ago and is missing is on its way back: it crashed, or lost its broker.
                    var trusted = !unseen && _clock >= _trustedFrom && replicas > _replicas.Highest - 0.5;
                    (_phase, _began, _hopedFrom) = (trusted ? Phase.Watching : Phase.Pending, _clock, _clock);
                    (_target, _before, _most, _readyBefore, _askedAt) = (ask.Replicas, replicas, replicas, ready, _clock);
                }
                else
                {
                    _phase = Phase.Settled;
                }

                return;

            case Phase.Watching:
                Watch(ask, replicas, ready, unseen, patience);
                break;
        }

        Wait(ask, replicas, patience);
    }

    private void Watch(in Ask ask, double replicas, double? ready, bool unseen, long patience)
    {
        if (replicas < _before + 1 - Rounding)
        {
            _rose = null;
        }
        else
        {
            _rose ??= _clock;
        }

        if (unseen || _clock < _trustedFrom)
        {
            _phase = Phase.Pending;
        }
        else if (_rose is { } rose && IsOurs(replicas, ready))
        {
            Add(TimeSpan.FromTicks(rose - _began).TotalSeconds);
            _phase = Phase.Pending;
        }
        else if (_clock - _began > patience || (ask.Replicas <= Whole(_before) && _rose is null))
        {
            // Too late, or no longer asked for: the HPA may have started it all the same, or not.
            _phase = Phase.Pending;
        }
    }

    /// <summary>kube-state-metrics is read less often, so it may take some time to agree that what rose are replicas of this workload.</summary>
    private bool IsOurs(double replicas, double? ready) =>
        _readyBefore is not { } before || (ready >= before + 1 - Rounding && ready - before >= replicas - _before - 0.5);

    /// <summary>Until all are there that were asked for; what comes late belongs to no later ask.</summary>
    private void Wait(in Ask ask, double replicas, long patience)
    {
        if (replicas >= _most + 1 - Rounding)
        {
            (_most, _hopedFrom) = (replicas, _clock);
            IsWithoutCapacity = false;
        }

        if (ask.IsMore)
        {
            (_target, _askedAt) = (Math.Max(_target, ask.Replicas), _clock);
            IsWithoutCapacity |= ask.IsHeard && _clock - _hopedFrom > patience;
            return;
        }

        (_hopedFrom, IsWithoutCapacity) = (_clock, false);
        if (_phase == Phase.Pending && (replicas > Math.Min(_target, ask.Maximum) - 0.5 || _clock - _askedAt > patience))
        {
            _phase = Phase.Settled;
        }
    }

    /// <summary>What was lately there, and lately asked for; and whether what is there now is explained by either.</summary>
    private void RenewPeaks(in Ask ask, double replicas, double? ready, ScalingPolicy policy)
    {
        // For so long an HPA holds on to what it was told, and then it takes a cold start.
        var spacing = Math.Max(1, (policy.HoldAfterRecovery.Ticks / Peaks.Count) + Times(Patience / Peaks.Count, policy.ColdStart));
        if (_phase == Phase.New)
        {
            _asked.Reset(ask.Replicas);
            _replicas.Reset(replicas);
            _peakSince = _clock;
            return;
        }

        if (ready is null && replicas > Math.Max(_replicas.Highest, _asked.Highest) + 0.5)
        {
            _trustedFrom = _clock + Times(Distrust, policy.ColdStart);
        }

        for (var i = 0; i < Peaks.Count && _clock - _peakSince >= spacing; i++)
        {
            _peakSince = i == Peaks.Count - 1 ? _clock : _peakSince + spacing;
            _asked.Begin();
            _replicas.Begin();
        }

        _asked.Add(ask.Replicas);
        _replicas.Add(replicas);
        var held = (int)Math.Clamp(Hesitation * policy.HoldAfterRecovery.Ticks / spacing, 1, Peaks.Count);
        if (_asked.HighestOf(held) <= Whole(replicas))
        {
            // For as long as an HPA hesitates no more than this was asked for: the others were taken away, and none was lost.
            _replicas.Reset(replicas);
        }
    }

    private void Add(double seconds)
    {
        _watches[_next] = (float)seconds;
        _next = (_next + 1) % Most;
        Watches = Math.Min(Watches + 1, Most);
        if (Watches >= Enough)
        {
            Span<float> sorted = stackalloc float[Most];
            sorted = sorted[..Watches];
            ((ReadOnlySpan<float>)_watches)[..Watches].CopyTo(sorted);
            sorted.Sort();
            _p90 = sorted[(int)Math.Ceiling(Quantile * Watches) - 1];
        }
    }

    // Half of all time at most, so that sums of such cannot overflow.
    private static long Times(double factor, TimeSpan time) => (long)Math.Clamp(factor * time.Ticks, 0, long.MaxValue / 2);

    // Consumers come one by one: of four consumers a replica, three and a quarter replicas are four.
    private static double Whole(double replicas) => Math.Ceiling(replicas - Rounding);

    private const double Rounding = 1e-6;

    /// <summary>An answer as an HPA understands it.</summary>
    /// <param name="Replicas">Whole replicas it comes to.</param>
    /// <param name="Maximum">Most there may be.</param>
    /// <param name="IsMore">Whether that is more than there are.</param>
    /// <param name="IsHeard">Whether it is so much more that the HPA's tolerance does not swallow it.</param>
    private readonly record struct Ask(double Replicas, double Maximum, bool IsMore, bool IsHeard)
    {
        public static Ask Of(double asked, double replicas, double? maximum, ScalingPolicy policy)
        {
            var most = maximum ?? double.PositiveInfinity;
            var there = Whole(replicas);
            var wanted = Math.Min(Math.Ceiling(ScalingDecision.ToValue(asked) / (double)ScalingDecision.Target), most);
            return new Ask(wanted, most, wanted > there, wanted > there && asked > there * (1 + policy.HpaTolerance));
        }
    }

    [InlineArray(Most)]
    private struct LastWatches
    {
        private float _first;
    }

    /// <summary>The highest of each of the newest spans of time, newest first.</summary>
    private struct Peaks
    {
        public const int Count = 16;

        private Spans _spans;

        public readonly double Highest => HighestOf(Count);

        public readonly double HighestOf(int spans)
        {
            var highest = 0f;
            foreach (var one in ((ReadOnlySpan<float>)_spans)[..spans])
            {
                highest = Math.Max(highest, one);
            }

            return highest;
        }

        public void Begin()
        {
            Span<float> spans = _spans;
            spans[..^1].CopyTo(spans[1..]);
            spans[0] = 0;
        }

        public void Add(double value) => _spans[0] = Math.Max(_spans[0], (float)value);

        public void Reset(double value) => ((Span<float>)_spans).Fill((float)value);

        [InlineArray(Count)]
        private struct Spans
        {
            private float _first;
        }
    }
}
