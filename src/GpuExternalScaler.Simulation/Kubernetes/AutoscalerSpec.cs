namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>Which of several scaling policies holds (<c>selectPolicy</c>).</summary>
public enum PolicySelect
{
    /// <summary>The one that allows the largest change: the default.</summary>
    Max,

    /// <summary>The one that allows the smallest change.</summary>
    Min,

    /// <summary>None: no scaling in this direction.</summary>
    Disabled,
}

/// <summary>What a scaling policy counts.</summary>
public enum PolicyType
{
    /// <summary>Pods.</summary>
    Pods,

    /// <summary>Percent of the pods at the beginning of the period.</summary>
    Percent,
}

/// <summary>At most so much in so long.</summary>
/// <param name="Type">Pods or percent.</param>
/// <param name="Value">How many, above zero.</param>
/// <param name="PeriodSeconds">In how long, 1 to 1800 s.</param>
public sealed record ScalingLimit(PolicyType Type, int Value, int PeriodSeconds);

/// <summary>Rules of one direction: <c>behavior.scaleUp</c> or <c>behavior.scaleDown</c>.</summary>
public sealed record ScalingRules
{
    /// <summary>Kubernetes' defaults for growing: at once, by 100 % or 4 pods in 15 s, whichever is more.</summary>
    public static ScalingRules DefaultUp { get; } = new()
    {
        StabilizationWindowSeconds = 0,
        Policies = [new ScalingLimit(PolicyType.Pods, 4, 15), new ScalingLimit(PolicyType.Percent, 100, 15)],
    };

    /// <summary>Kubernetes' defaults for shrinking: after 300 s, by as much as is asked for.</summary>
    public static ScalingRules DefaultDown { get; } = new()
    {
        StabilizationWindowSeconds = 300,
        Policies = [new ScalingLimit(PolicyType.Percent, 100, 15)],
    };

    /// <summary>How long recommendations are remembered, 0 to 3600 s.</summary>
    public required int StabilizationWindowSeconds { get; init; }

    /// <summary>Which of the policies holds.</summary>
    public PolicySelect Select { get; init; } = PolicySelect.Max;

    /// <summary>The policies; none means no change in this direction, as Kubernetes' arithmetic has it.</summary>
    public required IReadOnlyList<ScalingLimit> Policies { get; init; }

    /// <summary>Tolerance of this direction (<c>tolerance</c>, Kubernetes 1.33 and later); null: that of the controller.</summary>
    public double? Tolerance { get; init; }
}

/// <summary>The part of an HPA's specification, and of its controller's settings, that decides how many replicas there are.</summary>
public sealed record AutoscalerSpec
{
    /// <summary>Fewest replicas. KEDA gives its HPA at least 1 and does the step to zero itself.</summary>
    public int MinReplicas { get; init; } = 1;

    /// <summary>Most replicas. KEDA's default is 100.</summary>
    public int MaxReplicas { get; init; } = 100;

    /// <summary>
    /// Whether it has a <c>behavior</c>. Where that is left out altogether, Kubernetes does not go by the defaults of its fields but by
    /// what was there before them: a sync at most doubles, or grows to 4, whatever was added a moment ago; the largest recommendation of
    /// the window holds for growing too. Of <see cref="ScaleUp"/> and <see cref="ScaleDown"/> the window for shrinking alone counts then.
    /// </summary>
    public bool HasBehavior { get; init; } = true;

    /// <summary>Rules for growing.</summary>
    public ScalingRules ScaleUp { get; init; } = ScalingRules.DefaultUp;

    /// <summary>Rules for shrinking.</summary>
    public ScalingRules ScaleDown { get; init; } = ScalingRules.DefaultDown;

    /// <summary>The controller's tolerance. Default 0.1.</summary>
    public double Tolerance { get; init; } = 0.1;

    /// <summary>Seconds from one sync to the next. Default 15.</summary>
    public int SyncSeconds { get; init; } = 15;
}

/// <summary>A ScaledObject: what its HPA is told, and what KEDA does itself.</summary>
public sealed record ScaledObjectSpec
{
    /// <summary>The HPA.</summary>
    public AutoscalerSpec Autoscaler { get; init; } = new();

    /// <summary>Replicas while nothing is to be done (<c>idleReplicaCount</c> or a <c>minReplicaCount</c> of 0); null: never below the HPA's minimum.</summary>
    public int? IdleReplicas { get; init; } = 0;

    /// <summary>Seconds from one poll of activity to the next. Default 30.</summary>
    public int PollingSeconds { get; init; } = 30;

    /// <summary>Seconds without activity until it goes to <see cref="IdleReplicas"/>. Default 300.</summary>
    public int CooldownSeconds { get; init; } = 300;
}

/// <summary>What a metric's value is held against.</summary>
public enum TargetType
{
    /// <summary>The value divided by the replicas there are.</summary>
    AverageValue,

    /// <summary>The value itself; the ratio is multiplied with the ready replicas.</summary>
    Value,
}

/// <summary>An external metric at a sync.</summary>
/// <param name="Type">What it is held against.</param>
/// <param name="Value">Its value; null when it could not be had.</param>
/// <param name="Target">The target, above zero.</param>
public readonly record struct ExternalMetric(TargetType Type, double? Value, double Target);
