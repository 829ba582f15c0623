namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>
/// The largest of what was recommended in a window, or the smallest. Only what can still become that is kept: a recommendation goes when a
/// later one is as good, so the first is always the answer, however long the window.
/// </summary>
/// <param name="isLargest">Whether the largest is asked for.</param>
internal sealed class Recommendations(bool isLargest)
{
    private (TimeSpan At, int Replicas)[] _ring = new (TimeSpan, int)[8];
    private int _first;
    private int _count;

    // The length is a power of two.
    private int Mask => _ring.Length - 1;

    /// <summary>Remembers one.</summary>
    public void Add(TimeSpan now, int replicas)
    {
        while (_count > 0 && Best(replicas, _ring[(_first + _count - 1) & Mask].Replicas) == replicas)
        {
            _count--;
        }

        if (_count == _ring.Length)
        {
            Grow();
        }

        _ring[(_first + _count++) & Mask] = (now, replicas);
    }

    /// <summary>The best since then and what is recommended now. What is older is forgotten: time does not go back.</summary>
    public int BestSince(TimeSpan since, int replicas)
    {
        while (_count > 0 && _ring[_first].At < since)
        {
            _first = (_first + 1) & Mask;
            _count--;
        }

        return _count > 0 ? Best(replicas, _ring[_first].Replicas) : replicas;
    }

    private int Best(int one, int other) => isLargest ? Math.Max(one, other) : Math.Min(one, other);

    private void Grow()
    {
        var larger = new (TimeSpan, int)[2 * _ring.Length];
        for (var i = 0; i < _count; i++)
        {
            larger[i] = _ring[(_first + i) & Mask];
        }

        (_ring, _first) = (larger, 0);
    }
}
