using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>What a broker tells of a queue. As old as its statistics are; cumulative counters since the beginning.</summary>
public readonly record struct BrokerView
{
    /// <summary>Messages ready (R).</summary>
    public long Ready { get; init; }

    /// <summary>Messages unacknowledged (U).</summary>
    public long Unacked { get; init; }

    /// <summary>Consumers (C).</summary>
    public int Consumers { get; init; }

    /// <summary>Messages published in 1/s over the newest statistics interval, as the management API tells it.</summary>
    public double PublishRate { get; init; }

    /// <summary>Messages published.</summary>
    public long Published { get; init; }

    /// <summary>Messages delivered.</summary>
    public long Delivered { get; init; }

    /// <summary>Of those, delivered again.</summary>
    public long Redelivered { get; init; }

    /// <summary>Messages acknowledged.</summary>
    public long Completed { get; init; }
}

/// <summary>What a rule answers to KEDA.</summary>
/// <param name="Metric">What the HPA is told; without a value when it could not be decided.</param>
/// <param name="IsActive">Whether there is something to do; of no meaning when undecided.</param>
public readonly record struct RuleAnswer(ExternalMetric Metric, bool IsActive);

/// <summary>Somebody who says how many replicas are needed. It belongs to one run and may remember.</summary>
public interface IScalingRule
{
    /// <summary>Takes note of one second; called for every second, in order, with what was last read of the broker.</summary>
    /// <param name="second">The second, from 0.</param>
    /// <param name="view">What the broker tells.</param>
    void Observe(int second, in BrokerView view);

    /// <summary>The answer at this moment. The view is that of the newest <see cref="Observe"/>.</summary>
    RuleAnswer Answer(int second, in BrokerView view);
}
