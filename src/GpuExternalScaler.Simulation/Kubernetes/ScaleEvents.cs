namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>How many replicas an HPA added, or how many it took away, and when: what its policies count.</summary>
internal sealed class ScaleEvents
{
    private readonly TimeSpan _longest;
    private (TimeSpan At, int Replicas)[] _events = new (TimeSpan, int)[4];
    private int _count;

    /// <param name="policies">The policies of this direction.</param>
    public ScaleEvents(ReadOnlySpan<ScalingLimit> policies)
    {
        var longest = 0;
        foreach (var policy in policies)
        {
            longest = Math.Max(longest, policy.PeriodSeconds);
        }

        _longest = TimeSpan.FromSeconds(longest);
    }

    /// <summary>
    /// Remembers one. It takes the place of one that is older than every period of its own direction, though a longer period of the other
    /// direction may have counted that until now: so does the controller, and it is why the list stays short.
    /// </summary>
    public void Add(TimeSpan now, int replicas)
    {
        for (var i = _count - 1; i >= 0; i--)
        {
            if (_events[i].At < now - _longest)
            {
                _events[i] = (now, replicas);
                return;
            }
        }

        if (_count == _events.Length)
        {
            Array.Resize(ref _events, 2 * _count);
        }

        _events[_count++] = (now, replicas);
    }

    /// <summary>Replicas of the last so many seconds. One exactly as old as that is not counted.</summary>
    public int Sum(TimeSpan now, int periodSeconds)
    {
        var cutoff = now - TimeSpan.FromSeconds(periodSeconds);
        var sum = 0;
        for (var i = 0; i < _count; i++)
        {
            sum += _events[i].At > cutoff ? _events[i].Replicas : 0;
        }

        return sum;
    }
}
