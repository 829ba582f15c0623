using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>KEDA's RabbitMQ scaler in mode <c>QueueLength</c>.</summary>
/// <param name="value">Messages a replica is worth.</param>
/// <param name="excludeUnacknowledged">Whether those that are being worked on do not count.</param>
public sealed class QueueLengthRule(double value, bool excludeUnacknowledged) : IScalingRule
{
    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view)
    {
        var messages = excludeUnacknowledged ? view.Ready : view.Ready + view.Unacked;
        return new RuleAnswer(new ExternalMetric(TargetType.AverageValue, messages, value), messages > 0);
    }
}

/// <summary>KEDA's RabbitMQ scaler in mode <c>MessageRate</c>: publishes in 1/s as the management API tells them.</summary>
/// <param name="value">Messages per second a replica is worth.</param>
public sealed class MessageRateRule(double value) : IScalingRule
{
    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view) =>
        new(new ExternalMetric(TargetType.AverageValue, view.PublishRate, value), view.PublishRate > 0 || view.Ready + view.Unacked > 0);
}

/// <summary>Unacknowledged messages divided by consumers, as a metric of type <c>Value</c>: how saturated those are that exist.</summary>
/// <param name="threshold">The ratio that is wanted, in (0, 1].</param>
public sealed class SaturationRatioRule(double threshold) : IScalingRule
{
    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view)
    {
        // Messages without a consumer saturate whatever there is.
        double ratio = view.Consumers > 0 ? view.Unacked / (double)view.Consumers : view.Ready > 0 ? 1 : 0;
        return new RuleAnswer(new ExternalMetric(TargetType.Value, ratio, threshold), view.Ready + view.Unacked > 0);
    }
}
