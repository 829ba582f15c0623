namespace GpuExternalScaler.Demo;

/// <summary>The part of an HPA's specification that matters to one external metric of type <c>AverageValue</c>.</summary>
internal sealed record HorizontalPodAutoscalerOptions
{
    /// <summary>Fewest replicas. KEDA gives its HPA at least 1 and does the step to zero itself.</summary>
    public int MinReplicas { get; init; } = 1;

    /// <summary>Most replicas.</summary>
    public int MaxReplicas { get; init; } = 40;

    /// <summary>Time between two syncs. Kubernetes' default is 15 s.</summary>
    public TimeSpan SyncPeriod { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Relative distance from the target within which nothing changes. Kubernetes' default is 0.1.</summary>
    public double Tolerance { get; init; } = 0.1;

    /// <summary>The largest recommendation of this time holds when shrinking. Kubernetes' default is 300 s.</summary>
    public TimeSpan ScaleDownStabilization { get; init; } = TimeSpan.FromSeconds(300);

    /// <summary>Period of the scale-up limit. Kubernetes' default is 15 s.</summary>
    public TimeSpan ScaleUpPeriod { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Pods that may always be added in a period. Kubernetes' default is 4.</summary>
    public int ScaleUpPods { get; init; } = 4;

    /// <summary>Percent of the pods at the period's beginning that may be added in it. Kubernetes' default is 100.</summary>
    public int ScaleUpPercent { get; init; } = 100;
}

/// <summary>
/// The arithmetic of the HPA's controller for one <c>AverageValue</c> metric with the default behaviour: tolerance,
/// stabilisation when shrinking, the larger of two limits when growing. Time is an argument.
/// </summary>
internal sealed class HorizontalPodAutoscaler(HorizontalPodAutoscalerOptions options)
{
    private readonly List<(TimeSpan At, int Replicas)> _recommendations = [];
    private readonly List<(TimeSpan At, int Added)> _changes = [];

    /// <summary>Replicas wanted from now on.</summary>
    /// <param name="now">Time since some beginning; never goes back.</param>
    /// <param name="current">Replicas wanted so far, ready or not: readiness plays no part in <c>AverageValue</c>.</param>
    /// <param name="total">The metric's value, summed over all that KEDA returned.</param>
    /// <param name="target">The value one replica is worth.</param>
    public int Sync(TimeSpan now, int current, double total, double target)
    {
        if (current == 0)
        {
            // An HPA at zero replicas is switched off, and records nothing.
            return 0;
        }

        var stable = Stabilize(now, current, Propose(current, total, target));
        var wanted = Math.Clamp(Math.Min(stable, Math.Max(current, GrowthLimit(now, current))), options.MinReplicas, options.MaxReplicas);
        if (wanted != current)
        {
            _changes.Add((now, wanted - current));
        }

        return wanted;
    }

    private int Propose(int current, double total, double target)
    {
        var ratio = total / (target * current);
        return ratio >= 1 - options.Tolerance && ratio <= 1 + options.Tolerance
            ? current
            : (int)Math.Min(int.MaxValue, Math.Ceiling(total / target));
    }

    private int Stabilize(TimeSpan now, int current, int proposed)
    {
        var oldest = now - options.ScaleDownStabilization;
        _recommendations.RemoveAll(recommendation => recommendation.At <= oldest);
        _recommendations.Add((now, proposed));

        // Growing needs only the newest recommendation (its window is 0 s), shrinking has to be agreed by all.
        return proposed >= current
            ? proposed
            : Math.Min(current, _recommendations.Max(static recommendation => recommendation.Replicas));
    }

    private int GrowthLimit(TimeSpan now, int current)
    {
        _changes.RemoveAll(change => change.At <= now - options.ScaleUpPeriod);
        var atStart = current - _changes.Sum(static change => change.Added);
        return Math.Max(
            atStart + options.ScaleUpPods,
            (int)Math.Ceiling(atStart * (1 + (options.ScaleUpPercent / 100.0))));
    }
}
