namespace GpuExternalScaler.Scaling.History;

/// <summary>A few samples over time, the oldest making room for the newest. Bounded: 32 samples.</summary>
internal sealed class SampleRing
{
    private const int Capacity = 32;

    // Part of the samples' variance that a line must explain.
    private const double OnALine = 0.85;

    private readonly (long Ticks, double Value)[] _samples = new (long, double)[Capacity];
    private int _count;
    private int _next;

    /// <summary>Adds a sample; one that is no newer than the newest is left out.</summary>
    public void Add(DateTimeOffset at, double value)
    {
        if (_count > 0 && at.UtcTicks <= _samples[(_next + Capacity - 1) % Capacity].Ticks)
        {
            return;
        }

        _samples[_next] = (at.UtcTicks, value);
        _next = (_next + 1) % Capacity;
        _count = Math.Min(_count + 1, Capacity);
    }

    /// <summary>Forgets all samples.</summary>
    public void Clear() => (_count, _next) = (0, 0);

    /// <summary>Mean of the samples no older than a time; null without any.</summary>
    public double? MeanSince(DateTimeOffset since)
    {
        double sum = 0;
        var count = 0;
        for (var i = 0; i < _count; i++)
        {
            var (ticks, value) = At(i);
            if (ticks >= since.UtcTicks)
            {
                sum += value;
                count++;
            }
        }

        return count == 0 ? null : sum / count;
    }

    /// <summary>
    /// Rise per second over the samples since a time, by least squares; 0 unless there are at least four of them over such a time
    /// and they are near one line: a single step is no trend, however often it was looked at.
    /// </summary>
    public double RiseSince(DateTimeOffset since, TimeSpan atLeast)
    {
        double n = 0, st = 0, sv = 0, stt = 0, stv = 0, svv = 0;
        var origin = _count == 0 ? 0 : At(0).Ticks;
        double first = double.MaxValue, last = double.MinValue;
        for (var i = 0; i < _count; i++)
        {
            var (ticks, value) = At(i);
            if (ticks < since.UtcTicks)
            {
                continue;
            }

            var t = (ticks - origin) / (double)TimeSpan.TicksPerSecond;
            (first, last) = (Math.Min(first, t), Math.Max(last, t));
            n++;
            st += t;
            sv += value;
            stt += t * t;
            stv += t * value;
            svv += value * value;
        }

        var spread = stt - (st * st / Math.Max(n, 1));
        if (n < 4 || spread <= 0 || last - first < atLeast.TotalSeconds)
        {
            return 0;
        }

        var slope = (stv - (st * sv / n)) / spread;
        return slope > 0 && slope * slope * spread >= OnALine * (svv - (sv * sv / n)) ? slope : 0;
    }

    /// <summary>An independent copy.</summary>
    public SampleRing Clone()
    {
        var copy = new SampleRing { _count = _count, _next = _next };
        _samples.CopyTo(copy._samples, 0);
        return copy;
    }

    // From the oldest.
    private (long Ticks, double Value) At(int index) => _samples[(_next + Capacity - _count + index) % Capacity];
}
