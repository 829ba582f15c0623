namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>
/// Kubernetes' HPA with external metrics, case by case: tolerance, several metrics, stabilisation, policies, and what its controller
/// remembers of earlier syncs (<c>pkg/controller/podautoscaler</c>, as of 2026). An instance is the controller's memory of one
/// HPA. Time is an argument and never goes back.
/// </summary>
public sealed class HorizontalPodAutoscaler
{
    private readonly AutoscalerSpec _spec;
    private readonly ScalingLimit[] _upPolicies;
    private readonly ScalingLimit[] _downPolicies;
    private readonly TimeSpan _upWindow;
    private readonly TimeSpan _downWindow;
    private readonly double _upTolerance;
    private readonly double _downTolerance;
    private readonly Recommendations _smallest = new(isLargest: false);
    private readonly Recommendations _largest = new(isLargest: true);
    private readonly ScaleEvents _added;
    private readonly ScaleEvents _removed;
    private bool _hasBegun;

    /// <summary>An HPA that was just created.</summary>
    /// <exception cref="ArgumentException">The minimum is below 1, or the maximum below the minimum.</exception>
    public HorizontalPodAutoscaler(AutoscalerSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        if (spec.MinReplicas < 1 || spec.MaxReplicas < spec.MinReplicas)
        {
            throw new ArgumentException("An HPA needs a minimum of at least 1, and a maximum no less than that.", nameof(spec));
        }

        _spec = spec;
        _upPolicies = [.. spec.ScaleUp.Policies];
        _downPolicies = [.. spec.ScaleDown.Policies];
        _upWindow = TimeSpan.FromSeconds(spec.ScaleUp.StabilizationWindowSeconds);
        _downWindow = TimeSpan.FromSeconds(spec.ScaleDown.StabilizationWindowSeconds);
        _upTolerance = (spec.HasBehavior ? spec.ScaleUp.Tolerance : null) ?? spec.Tolerance;
        _downTolerance = (spec.HasBehavior ? spec.ScaleDown.Tolerance : null) ?? spec.Tolerance;
        _added = new ScaleEvents(_upPolicies);
        _removed = new ScaleEvents(_downPolicies);
    }

    /// <summary>Replicas wanted from now on.</summary>
    /// <param name="now">Time since some beginning.</param>
    /// <param name="current">Replicas wanted so far, all of which exist.</param>
    /// <param name="ready">Those that are ready: they matter to metrics of type <see cref="TargetType.Value"/> alone.</param>
    /// <param name="metrics">Each of its metrics.</param>
    public int Sync(TimeSpan now, int current, int ready, ReadOnlySpan<ExternalMetric> metrics)
    {
        if (!_hasBegun)
        {
            // A new HPA takes what there is for a recommendation, or it would shrink at once what it knows nothing of.
            _hasBegun = true;
            Remember(now, current);
        }

        if (current == 0)
        {
            return 0;
        }

        int wanted;
        if (current > _spec.MaxReplicas)
        {
            wanted = _spec.MaxReplicas;
        }
        else if (current < _spec.MinReplicas)
        {
            wanted = _spec.MinReplicas;
        }
        else if (Propose(current, ready, metrics) is { } proposed)
        {
            wanted = _spec.HasBehavior ? Limit(now, current, Stabilize(now, current, proposed)) : WithoutBehavior(now, current, proposed);
        }
        else
        {
            return current;
        }

        if (wanted > current)
        {
            _added.Add(now, wanted - current);
        }
        else if (wanted < current)
        {
            _removed.Add(now, current - wanted);
        }

        return wanted;
    }

    /// <summary>The largest that a metric asks for; null when that is not known well enough to act on it.</summary>
    private int? Propose(int current, int ready, ReadOnlySpan<ExternalMetric> metrics)
    {
        var (proposed, missing) = (0, 0);
        foreach (ref readonly var metric in metrics)
        {
            if (ReplicaArithmetic.Replicas(metric, current, ready, _downTolerance, _upTolerance) is { } replicas)
            {
                proposed = Math.Max(proposed, replicas);
            }
            else
            {
                missing++;
            }
        }

        // The one that is missing might ask for more than the others, so they cannot agree to shrink without it.
        return missing == metrics.Length || (missing > 0 && proposed < current) ? null : proposed;
    }

    /// <summary>Grows to the smallest recommendation of one window, shrinks to the largest of the other, stays between the two.</summary>
    private int Stabilize(TimeSpan now, int current, int proposed)
    {
        var least = _smallest.BestSince(YoungerThan(_upWindow), proposed);
        var largest = _largest.BestSince(YoungerThan(_downWindow), proposed);
        Remember(now, proposed);
        return Math.Min(Math.Max(current, least), largest);

        // One exactly as old as the window is out.
        TimeSpan YoungerThan(TimeSpan window) => now - window + TimeSpan.FromTicks(1);
    }

    private void Remember(TimeSpan now, int replicas)
    {
        _smallest.Add(now, replicas);
        _largest.Add(now, replicas);
    }

    /// <summary>As far as policies, minimum and maximum let it. A limit on the wrong side of what there is means no change.</summary>
    private int Limit(TimeSpan now, int current, int wanted)
    {
        if (wanted > current)
        {
            return Math.Min(wanted, Math.Min(_spec.MaxReplicas, Math.Max(current, UpLimit(now, current))));
        }

        return wanted < current
            ? Math.Max(wanted, Math.Max(_spec.MinReplicas, Math.Min(current, DownLimit(now, current))))
            : current;
    }

    private int UpLimit(TimeSpan now, int current)
    {
        if (_spec.ScaleUp.Select == PolicySelect.Disabled)
        {
            return current;
        }

        var isLeast = _spec.ScaleUp.Select == PolicySelect.Min;
        var limit = isLeast ? int.MaxValue : int.MinValue;
        foreach (var policy in _upPolicies)
        {
            var before = ReplicasBefore(now, current, policy);

            // Rounded up, or 10 % of one pod would never become two. That pods are added up in 32 bits, and may overflow, is Kubernetes'.
            var allowed = policy.Type == PolicyType.Pods
                ? unchecked(before + policy.Value)
                : ReplicaArithmetic.Whole(Math.Ceiling(before * (1 + (policy.Value / 100.0))));
            limit = isLeast ? Math.Min(limit, allowed) : Math.Max(limit, allowed);
        }

        return limit;
    }

    private int DownLimit(TimeSpan now, int current)
    {
        if (_spec.ScaleDown.Select == PolicySelect.Disabled)
        {
            return current;
        }

        var isLeast = _spec.ScaleDown.Select == PolicySelect.Min;
        var limit = isLeast ? int.MinValue : int.MaxValue;
        foreach (var policy in _downPolicies)
        {
            var before = ReplicasBefore(now, current, policy);

            // Cut off, not rounded: 90 % less than 20 is a hair below 2 in binary, and so 1.
            var allowed = policy.Type == PolicyType.Pods
                ? unchecked(before - policy.Value)
                : ReplicaArithmetic.Whole(before * (1 - (policy.Value / 100.0)));
            limit = isLeast ? Math.Max(limit, allowed) : Math.Min(limit, allowed);
        }

        return limit;
    }

    /// <summary>Replicas at the beginning of a policy's period, as far as this HPA has changed them since.</summary>
    private int ReplicasBefore(TimeSpan now, int current, ScalingLimit policy) =>
        current - _added.Sum(now, policy.PeriodSeconds) + _removed.Sum(now, policy.PeriodSeconds);

    /// <summary>What holds where there is no <c>behavior</c>: see <see cref="AutoscalerSpec.HasBehavior"/>.</summary>
    private int WithoutBehavior(TimeSpan now, int current, int proposed)
    {
        // Here one exactly as old as the window is in.
        var stable = _largest.BestSince(now - _downWindow, proposed);
        _largest.Add(now, proposed);
        var most = Math.Min(_spec.MaxReplicas, ReplicaArithmetic.Whole(Math.Max(2.0 * current, 4)));
        return Math.Clamp(stable, _spec.MinReplicas, Math.Max(_spec.MinReplicas, most));
    }
}
