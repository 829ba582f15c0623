namespace GpuExternalScaler.Configuration;

/// <summary>
/// The keys of trigger metadata that are no policy: what a trigger is about. They belong to the trigger alone, because a
/// metric's identity must not change under a running ScaledObject (K14).
/// </summary>
internal static class TriggerKeys
{
    public const string Queue = "queue";
    public const string QueueRegex = "queueRegex";
    public const string Vhost = "vhost";
    public const string RabbitMq = "rabbitmq";
    public const string MetricName = "metricName";

    /// <summary>Name, default and meaning of each.</summary>
    public static IReadOnlyList<(string Name, string? Default, string Meaning)> Identity { get; } =
    [
        (Queue, null, "a queue's name, or up to 100 with commas between, which are added up"),
        (QueueRegex, null, "instead of queue: all queues of the virtual host whose whole name matches"),
        (Vhost, "/", "virtual host, as it is named, not encoded"),
        (RabbitMq, null, "name of a connection; the only one configured without it"),
        (MetricName, "gpu-demand", "for several triggers on one ScaledObject: each needs its own"),
    ];

    /// <summary>KEDA's own: where and how it connects to us. They say nothing about the workload (K9).</summary>
    public static IReadOnlySet<string> Transport { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey",
    };

    /// <summary>Whether a key belongs to the trigger alone.</summary>
    public static bool IsIdentity(string key) => Identity.Any(identity => identity.Name == key);
}
