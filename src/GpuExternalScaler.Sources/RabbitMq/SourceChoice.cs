using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>Which endpoint serves which figures of a connection now, and what nobody serves (T2).</summary>
/// <param name="Gauges">Serves ready, and unacknowledged unless that is missing.</param>
/// <param name="Consumers">Serves the number of consumers.</param>
/// <param name="Counters">Serves completions, publishes and deliveries.</param>
/// <param name="Prefetch">Serves what is known about each consumer.</param>
public readonly record struct SourceChoice(
    RabbitMqEndpoint Gauges, RabbitMqEndpoint Consumers, RabbitMqEndpoint Counters, RabbitMqEndpoint Prefetch)
{
    /// <summary>The gauges nobody serves. Empty before the first sweep, when it is not known yet.</summary>
    public QueueGauges Missing => Gauges == RabbitMqEndpoint.None
        ? QueueGauges.None
        : (Gauges == RabbitMqEndpoint.Amqp ? QueueGauges.Unacked : QueueGauges.None)
            | (Consumers == RabbitMqEndpoint.None ? QueueGauges.Consumers : QueueGauges.None);
}
