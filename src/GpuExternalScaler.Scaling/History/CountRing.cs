using System.Runtime.InteropServices;

namespace GpuExternalScaler.Scaling.History;

/// <summary>
/// Counters and busy slots at one moment, as distances from what their <see cref="CountRing"/> begins at: only
/// differences of two points mean anything. Half the size of the figures themselves.
/// </summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal readonly record struct CountPoint(
    long At, double BusyIntegral, int Busy, int Messages, int Unacked, int Completed, int AutoAcked, int Published, int FirstDeliveries, int Returned)
{
    /// <summary>Stands for a counter that is not known.</summary>
    public const int Unknown = int.MinValue;
}

/// <summary>The same with the figures themselves; null for a counter that is not known.</summary>
internal readonly record struct WideCounts(
    long At, double BusyIntegral, long Busy, long Messages, long Unacked, long Completed, long AutoAcked, long? Published, long? FirstDeliveries, long Returned)
{
    public static WideCounts Of(in CounterSample sample, double busyIntegral, long busy) => new(
        sample.At.UtcTicks, busyIntegral, busy, sample.Messages, sample.Unacked, sample.Completed, sample.AutoAcked, sample.Published, sample.FirstDeliveries, Returned: 0);
}

/// <summary>
/// Up to 64 samples of counters, oldest first and the older the sparser. Takes memory as it fills.
/// </summary>
internal struct CountRing
{
    /// <summary>Most points held.</summary>
    public const int Capacity = 64;

    private const int FirstSize = 8;

    private CountPoint[]? _points;
    private Origin _origin;

    /// <summary>Points held.</summary>
    public int Count { get; private set; }

    /// <summary>Completions at the newest point.</summary>
    public readonly long NewestCompleted => _origin.Completed + _points![Count - 1].Completed;

    /// <summary>The newest point's own figures.</summary>
    public readonly WideCounts Newest => _origin.Widen(_points![Count - 1]);

    /// <summary>A point, from 0 for the oldest.</summary>
    public readonly ref readonly CountPoint this[int index] => ref _points![index];

    /// <summary>Adds the newest; when it is full, one of the older half leaves.</summary>
    public void Add(in WideCounts counts)
    {
        var point = Fit(counts);
        if (_points is null || (Count == _points.Length && Count < Capacity))
        {
            Array.Resize(ref _points, _points is null ? FirstSize : _points.Length * 2);
        }
        else if (Count == Capacity)
        {
            ThinOut();
        }

        _points[Count++] = point;
    }

    /// <summary>Puts another in the newest one's place.</summary>
    public void ReplaceNewest(in WideCounts counts)
    {
        Count--;
        var point = Fit(counts);
        _points![Count++] = point;
    }

    /// <summary>Forgets all.</summary>
    public void Clear() => Count = 0;

    /// <summary>Adds to every point's counters; null makes them unknown, as does a total that would be below zero.</summary>
    public void Shift(in WideCounts by)
    {
        _origin.Shift(by);
        foreach (ref var point in _points.AsSpan(0, Count))
        {
            point = point with
            {
                Published = by.Published is null || _origin.Published + point.Published < 0 ? CountPoint.Unknown : point.Published,
                FirstDeliveries = by.FirstDeliveries is null || _origin.FirstDeliveries + point.FirstDeliveries < 0 ? CountPoint.Unknown : point.FirstDeliveries,
            };
        }
    }

    /// <summary>An independent copy.</summary>
    public readonly CountRing Copy() => this with { _points = (CountPoint[]?)_points?.Clone() };

    /// <summary>A point's distance from the origin, which moves when it would be more than an int holds.</summary>
    private CountPoint Fit(in WideCounts counts)
    {
        if (Count > 0 && _origin.TryNarrow(counts, out var point))
        {
            return point;
        }

        var origin = new Origin(counts);
        for (var i = Count - 1; i >= 0; i--)
        {
            if (!origin.TryNarrow(_origin.Widen(_points![i]), out _points[i]))
            {
                // Two billion messages ago: no window needs to reach so far.
                Count -= i + 1;
                Array.Copy(_points, i + 1, _points, 0, Count);
                break;
            }
        }

        _origin = origin;
        _ = origin.TryNarrow(counts, out point);
        return point;
    }

    // Long jobs need completions from long ago, short ones a fine recent past: the newer half stays as it is, and of the
    // older half goes the point that leaves the smallest gap for its age, so that the gaps grow with age as far back as
    // there is anything.
    private void ThinOut()
    {
        var newest = _points![Count - 1].At;
        var least = 1;
        var leastGap = double.PositiveInfinity;
        for (var i = 1; i < Capacity / 2; i++)
        {
            var gap = (_points[i + 1].At - _points[i - 1].At) / (double)(newest - _points[i].At);
            if (gap < leastGap)
            {
                (least, leastGap) = (i, gap);
            }
        }

        Count--;
        Array.Copy(_points, least + 1, _points, least, Count - least);
    }

    /// <summary>What the points' counters are counted from.</summary>
    private struct Origin(in WideCounts counts)
    {
        private readonly long _busy = counts.Busy;
        private readonly long _returned = counts.Returned;
        private long _messages = counts.Messages;
        private long _unacked = counts.Unacked;
        private long _autoAcked = counts.AutoAcked;

        public long Completed { get; private set; } = counts.Completed;

        public long Published { get; private set; } = counts.Published ?? 0;

        public long FirstDeliveries { get; private set; } = counts.FirstDeliveries ?? 0;

        public void Shift(in WideCounts by)
        {
            _messages += by.Messages;
            _unacked += by.Unacked;
            _autoAcked += by.AutoAcked;
            Completed += by.Completed;
            Published += by.Published ?? 0;
            FirstDeliveries += by.FirstDeliveries ?? 0;
        }

        public readonly WideCounts Widen(in CountPoint point) => new(
            point.At,
            point.BusyIntegral,
            _busy + point.Busy,
            _messages + point.Messages,
            _unacked + point.Unacked,
            Completed + point.Completed,
            _autoAcked + point.AutoAcked,
            point.Published == CountPoint.Unknown ? null : Published + point.Published,
            point.FirstDeliveries == CountPoint.Unknown ? null : FirstDeliveries + point.FirstDeliveries,
            _returned + point.Returned);

        public readonly bool TryNarrow(in WideCounts counts, out CountPoint point)
        {
            var fits = true;
            point = new CountPoint(
                counts.At,
                counts.BusyIntegral,
                Narrow(counts.Busy - _busy, ref fits),
                Narrow(counts.Messages - _messages, ref fits),
                Narrow(counts.Unacked - _unacked, ref fits),
                Narrow(counts.Completed - Completed, ref fits),
                Narrow(counts.AutoAcked - _autoAcked, ref fits),
                counts.Published is { } published ? Narrow(published - Published, ref fits) : CountPoint.Unknown,
                counts.FirstDeliveries is { } deliveries ? Narrow(deliveries - FirstDeliveries, ref fits) : CountPoint.Unknown,
                Narrow(counts.Returned - _returned, ref fits));
            return fits;
        }

        private static int Narrow(long distance, ref bool fits)
        {
            fits &= distance is > int.MinValue and <= int.MaxValue;
            return unchecked((int)distance);
        }
    }
}
