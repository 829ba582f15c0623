using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Forecasting;

/// <summary>
/// Forecasts arrivals at the end of a cold start. Several cheap forecasters are held against what came, at the horizon in use, by the
/// pinball loss of the policy's quantile; each learns by how much it has to be raised to be right that often, and the one with the least
/// recent loss is used. Bounded: 512 buckets of arrivals and 256 forecasts, 3.5 kB; 2 kB more with a season.
/// </summary>
/// <remarks>
/// Pinball loss: Koenker and Bassett, Regression Quantiles (1978). The quantile is followed by steps in its subgradient, as in online
/// conformal prediction (Gibbs and Candès, 2021). Every forecast is a function of the buckets alone, so that scores can be made anew
/// from them whenever the horizon changes.
/// </remarks>
internal sealed class ArrivalForecast
{
    // Three times the horizon is looked back from the origin of a forecast that is scored a horizon later.
    private const int Capacity = 512;
    private const int LongestHorizon = 96;
    private const int IssuedCapacity = 256;

    // Fewer forecasts held against what came and the scores are luck (two minutes of them).
    private const int EnoughScored = 24;

    // The last value is beaten by more than luck.
    private const double Beaten = 0.97;

    // Buckets, in horizons, after which a loss counts a third.
    private const int Memory = 12;
    private const int LeastMemory = 240;

    // Spreads by which a quantile moves within a horizon: forecasts that overlap err together, and one jump is one jump.
    private const double QuantileStep = 0.3;
    private const double LeastSpread = 0.02;

    // A forecast is raised by at most a half and lowered to at least half: what jumps further is not foreseen by a factor.
    private static readonly double MostRaised = Math.Log(1.5);
    private static readonly double MostLowered = -Math.Log(2);

    // What a trend may make of arrivals within one cold start.
    private const double MostGrowth = 2;

    // What never was is for a trend to foresee: the other forecasts are not raised above the highest of the last forty minutes,
    // by more than noise.
    private const double AboveHighest = 1.1;

    // Buckets without a reading that are taken to lie between their neighbours.
    private const int Bridged = 24;

    // Neighbouring forecasts are nearly the same; a restart rescores thousands of workloads at once.
    private const int RescoredEvery = 3;

    // Buckets over which a rise is carried on across a restart: a minute.
    private const int CarriedBuckets = 12;

    // No queue takes more in a second; a figure that does is none.
    private const double MostArrivals = 1e12;

    private const int Forecasters = (int)Forecaster.Seasonal + 1;

    private float[]? _rates;
    private float[]? _issued;
    private float[]? _season;
    private Score[]? _scores;
    private Line[]? _lines;
    private long _origin;
    private long _bucketTicks;
    private long _first;
    private long _newest = -1;
    private long _bridgeFrom;
    private long _bridgeTo = -1;
    private int _horizon;
    private double _quantile;
    private double _floor;
    private double _highest;
    private double _coverage;
    private int _scored;

    /// <summary>Share of the time, 0 to 1, in which what came stayed at or under what had been forecast.</summary>
    public double Coverage => _coverage;

    /// <summary>Forecasts held against what came.</summary>
    public int Scored => _scored;

    /// <summary>The newest arrivals held in 1/s, and when they were; null before there are any.</summary>
    public (double ArrivalsPerSecond, DateTimeOffset At)? Newest =>
        _newest < 0 ? null : (_rates![_newest & (Capacity - 1)], new DateTimeOffset(_origin + (_newest * _bucketTicks), TimeSpan.Zero));

    /// <summary>
    /// The newest arrivals held in 1/s, carried on to a later moment along how they rose in the last minute; null before there are any.
    /// What fell is not carried on: nobody has seen that it did.
    /// </summary>
    public double? CarriedTo(DateTimeOffset at)
    {
        if (Newest is not { } newest)
        {
            return null;
        }

        var rise = Math.Max(0, Rise(_newest, CarriedBuckets)) is var perBucket && double.IsNaN(perBucket) ? 0 : perBucket;
        return Math.Min(newest.ArrivalsPerSecond + (rise * ((at - newest.At).Ticks / (double)_bucketTicks)), MostGrowth * newest.ArrivalsPerSecond);
    }

    /// <summary>Takes in arrivals from before, oldest first, where nothing was seen yet.</summary>
    public void Fill(IReadOnlyList<(DateTimeOffset At, double ArrivalsPerSecond)> past)
    {
        if (_newest >= 0)
        {
            return;
        }

        _bucketTicks = _bucketTicks == 0 ? (ScalingPolicy.Default.MinimumWindow / 3).Ticks : _bucketTicks;
        _horizon = 0;
        foreach (var (at, rate) in past)
        {
            if (rate is >= 0 and <= MostArrivals)
            {
                Put(at.UtcTicks, rate);
            }
        }
    }

    /// <summary>Sets the horizon; scores are made anew from what is held when it is another.</summary>
    /// <param name="coldStart">The cold start in force (L).</param>
    /// <param name="policy">The policy.</param>
    public void Prepare(TimeSpan coldStart, ScalingPolicy policy)
    {
        var bucketTicks = Math.Max(1, (policy.MinimumWindow / 3).Ticks);
        while (coldStart.Ticks / bucketTicks > LongestHorizon)
        {
            bucketTicks *= 2;
        }

        var horizon = (int)Math.Max(1, (coldStart.Ticks + (bucketTicks / 2)) / bucketTicks);
        var isNear = bucketTicks == _bucketTicks && Math.Abs(horizon - _horizon) <= _horizon / 4;
        if (isNear && policy.ForecastQuantile == _quantile)
        {
            return;
        }

        _floor = 1 / policy.MinimumWindow.TotalSeconds;
        (_horizon, _quantile) = (horizon, policy.ForecastQuantile);
        if (bucketTicks != _bucketTicks)
        {
            Rebucket(bucketTicks);
        }

        Rescore();
    }

    /// <summary>Adds what arrives now, after the decision that it is part of, and holds older forecasts against it.</summary>
    /// <param name="at">When it was measured.</param>
    /// <param name="arrivalsPerSecond">Arrivals in 1/s.</param>
    /// <param name="season">What the season says about the end of the cold start in 1/s; NaN for nothing.</param>
    /// <param name="mode">Whose forecasts are used.</param>
    public void Add(DateTimeOffset at, double arrivalsPerSecond, double season, ForecastMode mode)
    {
        if (Newest is { } newest && newest.At > at)
        {
            // Remembered by a clock that was ahead: it would not let anything in until then.
            (_newest, _bridgeTo, _lines, _season) = (-1, -1, null, null);
            Array.Fill(_rates!, float.NaN);
            Rescore();
        }

        var before = _newest;
        Put(at.UtcTicks, arrivalsPerSecond);
        if (_newest != before)
        {
            // The newest bucket may still be written to; those before it are done.
            for (var bucket = Math.Max(Math.Max(before, 0), _newest - Capacity); bucket < _newest; bucket++)
            {
                Judge(bucket);
            }

            DrawNewest();
        }

        var ahead = _newest + _horizon;
        _season ??= double.IsNaN(season) ? null : NewRing(Capacity);
        if (_season is not null)
        {
            _season[ahead & (Capacity - 1)] = (float)season;
            _lines![(int)Forecaster.Seasonal] = new Line(0, season, 0);
        }

        var issued = TryForecast(arrivalsPerSecond, mode)?.ArrivalsPerSecond;
        _issued ??= issued is null ? null : NewRing(IssuedCapacity);
        if (_issued is not null)
        {
            _issued[ahead & (IssuedCapacity - 1)] = (float)(issued ?? double.NaN);
        }
    }

    /// <summary>Arrivals in 1/s at the end of the cold start that the policy's share of the time will not exceed; null while too little was seen.</summary>
    /// <param name="arrivalsPerSecond">Arrivals now in 1/s; more of them never lower the forecast.</param>
    /// <param name="mode">Whose forecasts may be used.</param>
    public (Forecaster Forecaster, double ArrivalsPerSecond)? TryForecast(double arrivalsPerSecond, ForecastMode mode)
    {
        if (mode == ForecastMode.Off || _scores is null || _lines is null || _scores[(int)Forecaster.LastValue].Count < EnoughScored)
        {
            return null;
        }

        var best = Forecaster.LastValue;
        var least = _scores[(int)Forecaster.LastValue].Loss * Beaten;
        for (var i = (int)Forecaster.ShortTrend; i < Forecasters; i++)
        {
            ref readonly var score = ref _scores[i];
            if (score.Count >= EnoughScored && score.Loss < least && !double.IsNaN(_lines[i].Add)
                && (i == (int)Forecaster.Seasonal ? mode != ForecastMode.Trend : mode != ForecastMode.Seasonal))
            {
                (best, least) = ((Forecaster)i, score.Loss);
            }
        }

        var plain = _lines[(int)best].At(arrivalsPerSecond, _floor);
        return (best, Math.Min(Raised(plain, _scores[(int)best].Shift), Math.Max(plain, AboveHighest * Math.Max(arrivalsPerSecond, _highest))));
    }

    /// <summary>An independent copy.</summary>
    public ArrivalForecast Clone()
    {
        var copy = (ArrivalForecast)MemberwiseClone();
        copy._rates = (float[]?)_rates?.Clone();
        copy._issued = (float[]?)_issued?.Clone();
        copy._season = (float[]?)_season?.Clone();
        copy._scores = (Score[]?)_scores?.Clone();
        copy._lines = (Line[]?)_lines?.Clone();
        return copy;
    }

    private static float[] NewRing(int capacity)
    {
        var ring = new float[capacity];
        Array.Fill(ring, float.NaN);
        return ring;
    }

    private void Put(long ticks, double rate)
    {
        if (_newest < 0)
        {
            _rates ??= NewRing(Capacity);
            (_origin, _first, _newest) = (ticks, 0, 0);
            _rates[0] = (float)rate;
            return;
        }

        var bucket = (ticks - _origin) / _bucketTicks;
        if (bucket < _newest)
        {
            return;
        }

        var gap = bucket - _newest - 1;
        if (gap >= _horizon && _horizon > 0)
        {
            _bridgeFrom = _bridgeTo >= _newest - _horizon ? _bridgeFrom : _newest + 1;
            _bridgeTo = bucket - 1;
        }

        var last = _rates![_newest & (Capacity - 1)];
        for (var i = Math.Max(_newest + 1, bucket - Capacity + 1); i < bucket; i++)
        {
            // A counter is read every few seconds; of a longer silence nobody knows what came in it.
            _rates[i & (Capacity - 1)] = gap <= Bridged ? last + (((float)rate - last) * (i - _newest) / (gap + 1)) : float.NaN;
        }

        _rates[bucket & (Capacity - 1)] = (float)rate;
        _newest = bucket;
        _first = Math.Max(_first, bucket - Capacity + 1);
    }

    private void Rebucket(long bucketTicks)
    {
        var old = (Rates: _rates, First: _first, Newest: _newest, Origin: _origin, Ticks: _bucketTicks);
        (_rates, _issued, _season, _newest, _bridgeTo, _bucketTicks) = (null, null, null, -1, -1, bucketTicks);
        for (var bucket = old.First; bucket <= old.Newest; bucket++)
        {
            var rate = old.Rates![bucket & (Capacity - 1)];
            if (!float.IsNaN(rate))
            {
                Put(old.Origin + (bucket * old.Ticks), rate);
            }
        }
    }

    private void Rescore()
    {
        _scores = new Score[Forecasters];
        _issued = null;
        for (var bucket = _first + _horizon; bucket < _newest; bucket += RescoredEvery)
        {
            Judge(bucket);
        }

        if (_newest >= 0)
        {
            DrawNewest();
        }
    }

    /// <summary>Holds what would have been, and what was, forecast a horizon before a bucket against what came in it.</summary>
    private void Judge(long bucket)
    {
        double came = _rates![bucket & (Capacity - 1)];
        var origin = bucket - _horizon;

        // A forecast may not begin on a line that ends in what it is held against.
        if (double.IsNaN(came) || origin < _first || (origin >= _bridgeFrom && origin <= _bridgeTo && bucket > _bridgeTo))
        {
            return;
        }

        if (_issued is not null)
        {
            ref var issued = ref _issued[bucket & (IssuedCapacity - 1)];
            if (!float.IsNaN(issued))
            {
                _scored++;
                _coverage += ((came <= issued ? 1 : 0) - _coverage) / Math.Min(_scored, MemoryBuckets);
                issued = float.NaN;
            }
        }

        double then = _rates[origin & (Capacity - 1)];
        if (double.IsNaN(then))
        {
            return;
        }

        Span<Line> lines = stackalloc Line[Forecasters];
        Draw(origin, lines);
        lines[(int)Forecaster.Seasonal] = new Line(0, _season is null ? double.NaN : _season[bucket & (Capacity - 1)], 0);
        for (var i = (int)Forecaster.LastValue; i < Forecasters; i++)
        {
            if (!double.IsNaN(lines[i].Add))
            {
                _scores![i].Take(lines[i].At(then, _floor), came, this);
            }
        }
    }

    private void DrawNewest()
    {
        Draw(_newest, _lines ??= new Line[Forecasters]);
        _highest = Peak(_newest, Capacity);
    }

    private int MemoryBuckets => Math.Max(Memory * _horizon, LeastMemory);

    /// <summary>Every forecaster as a line over what arrives at a bucket; NaN where it has nothing to go by.</summary>
    private void Draw(long origin, Span<Line> lines)
    {
        lines[(int)Forecaster.LastValue] = new Line(1, 0, 0);
        lines[(int)Forecaster.ShortTrend] = Trend(origin, Math.Max(6, _horizon / 2), 1);
        lines[(int)Forecaster.Trend] = Trend(origin, Math.Max(6, _horizon), 0.8);
        lines[(int)Forecaster.LongTrend] = Trend(origin, Math.Max(12, 2 * _horizon), 0.8);
        lines[(int)Forecaster.Growth] = Growth(origin, Math.Max(6, _horizon));
        lines[(int)Forecaster.Mean] = new Line(0, Mean(origin, Math.Max(24, 3 * _horizon)), 0);
        lines[(int)Forecaster.Peak] = new Line(1, 0, Peak(origin, Math.Max(12, 2 * _horizon)));
        lines[(int)Forecaster.Seasonal] = new Line(0, double.NaN, 0);
    }

    private Line Trend(long origin, int window, double damping)
    {
        return new Line(1, Rise(origin, window) * damping * _horizon, 0);
    }

    /// <summary>By how much arrivals rise from bucket to bucket: the later half of a window against the earlier one.</summary>
    private double Rise(long origin, int window)
    {
        var half = window / 2;
        return (Mean(origin, half) - Mean(origin - half, half)) / half;
    }

    private Line Growth(long origin, int window)
    {
        var half = window / 2;
        var factor = (Mean(origin, half) + _floor) / (Mean(origin - half, half) + _floor);
        return new Line(Math.Clamp(Math.Pow(factor, _horizon / (double)half), 1 / MostGrowth, MostGrowth), double.IsNaN(factor) ? double.NaN : 0, 0);
    }

    private double Mean(long newest, int buckets)
    {
        if (newest - buckets + 1 < _first)
        {
            return double.NaN;
        }

        double sum = 0;
        for (var i = newest - buckets + 1; i <= newest; i++)
        {
            sum += _rates![i & (Capacity - 1)];
        }

        return sum / buckets;
    }

    private double Peak(long newest, int buckets)
    {
        double most = 0;
        for (var i = Math.Max(_first, newest - buckets + 1); i <= newest; i++)
        {
            most = Math.Max(most, _rates![i & (Capacity - 1)] is var rate && float.IsNaN(rate) ? 0 : rate);
        }

        return most;
    }

    // Relative, with a message a window on either side: noise grows with arrivals, and of nothing nothing is a multiple.
    private double Raised(double forecast, double shift) => Math.Max(0, ((forecast + _floor) * Math.Exp(shift)) - _floor);

    /// <summary>A forecast as a function of what arrives now; rises with it. <see cref="Add"/> is NaN where there is none.</summary>
    private readonly record struct Line(double Factor, double Add, double Least)
    {
        public double At(double now, double floor) =>
            Math.Max(Math.Clamp((Factor * now) + Add, 0, Factor > 0 ? MostGrowth * (now + floor) : double.MaxValue), Least);
    }

    /// <summary>How a forecaster does.</summary>
    private struct Score
    {
        private float _spread;

        public double Loss { get; private set; }

        /// <summary>Logarithm of what its forecasts are multiplied with.</summary>
        public float Shift { get; private set; }

        public int Count { get; private set; }

        public void Take(double forecast, double came, ArrivalForecast all)
        {
            var raised = all.Raised(forecast, Shift);
            var loss = came > raised ? all._quantile * (came - raised) : (1 - all._quantile) * (raised - came);
            Count = Math.Min(Count + 1, all.MemoryBuckets);
            Loss += (loss - Loss) / Count;
            var error = Math.Abs(Math.Log((came + all._floor) / (forecast + all._floor)) - Shift);
            _spread += (float)((Math.Min(error, 2) - _spread) / Count);
            var step = Math.Max(QuantileStep / all._horizon, 1.0 / (Count + all._horizon)) * Math.Max(_spread, LeastSpread) * (came > raised ? all._quantile : all._quantile - 1);
            Shift = (float)Math.Clamp(Shift + step, MostLowered, MostRaised);
        }
    }
}
