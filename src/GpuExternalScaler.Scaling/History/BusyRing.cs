namespace GpuExternalScaler.Scaling.History;

/// <summary>Busy slots at one moment, and their integral over time up to it.</summary>
/// <param name="At">UTC ticks: an instant with an offset takes twice as much.</param>
/// <param name="Integral">∫B dt in slot seconds since the beginning.</param>
/// <param name="Busy">Busy slots (B).</param>
internal readonly record struct BusyPoint(long At, double Integral, long Busy);

/// <summary>The newest <see cref="Capacity"/> samples of busy slots, oldest first. Takes memory as it fills.</summary>
internal struct BusyRing
{
    /// <summary>Most points held; a power of two.</summary>
    public const int Capacity = 64;

    private const int FirstSize = 8;

    private BusyPoint[]? _points;
    private int _start;

    /// <summary>Points held.</summary>
    public int Count { get; private set; }

    /// <summary>A point, from 0 for the oldest.</summary>
    public readonly ref BusyPoint this[int index] => ref _points![(_start + index) & (_points.Length - 1)];

    /// <summary>Adds the newest; the oldest leaves when it is full.</summary>
    public void Add(in BusyPoint point)
    {
        if (_points is null || (Count == _points.Length && Count < Capacity))
        {
            Grow();
        }

        if (Count == Capacity)
        {
            _start = (_start + 1) & (Capacity - 1);
            Count--;
        }

        Count++;
        this[Count - 1] = point;
    }

    /// <summary>Forgets all.</summary>
    public void Clear() => (_start, Count) = (0, 0);

    /// <summary>An independent copy.</summary>
    public readonly BusyRing Copy() => this with { _points = (BusyPoint[]?)_points?.Clone() };

    private void Grow()
    {
        // Not full before, so it begins at the beginning.
        Array.Resize(ref _points, _points is null ? FirstSize : _points.Length * 2);
    }
}
