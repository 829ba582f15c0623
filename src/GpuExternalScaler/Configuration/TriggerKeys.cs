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

    /// <summary>The virtual host when the trigger names none.</summary>
    public const string DefaultVhost = "/";

    /// <summary>The name of the metric when the trigger gives none.</summary>
    public const string DefaultMetricName = "gpu-demand";

    /// <summary>Name, default, expression for schemas and meaning of each.</summary>
    public static IReadOnlyList<(string Name, string? Default, string Pattern, string Meaning)> Identity { get; } =
    [
        (Queue, null, "[^\\s,]", "a queue's name, or up to 100 with commas between, which are added up"),
        (QueueRegex, null, "^.{1,256}$", "instead of queue: all queues of the virtual host whose whole name matches; no look-around or back references"),
        (Vhost, DefaultVhost, "\\S", "virtual host, as it is named, not encoded"),
        (RabbitMq, null, "\\S", "name of a connection; the only one configured without it"),
        (MetricName, DefaultMetricName, "^[A-Za-z0-9]([A-Za-z0-9-]{0,98}[A-Za-z0-9])?$", "for several triggers on one ScaledObject: each needs its own"),
    ];

    /// <summary>KEDA's own: where and how it connects to us. They say nothing about the workload (K9).</summary>
    public static IReadOnlySet<string> Transport { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey",
    };

    /// <summary>Whether a key belongs to the trigger alone.</summary>
    public static bool IsIdentity(string key) => Identity.Any(identity => identity.Name == key);
}
