namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>A queue's identity on its broker.</summary>
/// <param name="Vhost">Virtual host.</param>
/// <param name="Name">Queue name; any text of up to 255 bytes of UTF-8.</param>
public readonly record struct QueueName(string Vhost, string Name);
