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
    public const string Gpu = "gpu";
    public const string Target = "target";
    public const string PodRegex = "podRegex";
    public const string ModelServer = "modelServer";
    public const string Prometheus = "prometheus";
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
        (Gpu, null, "\\S", "name of a connection to accelerator exporters; the only one configured without it"),
        (Target, null, "^[a-z0-9.-]{1,253}$", "the Deployment, StatefulSet or Job whose pods count; the ScaledObject's name without it"),
        (PodRegex, null, "^.{1,256}$", "instead of target: all pods of the namespace whose whole name matches; no look-around or back references"),
        (ModelServer, null, "\\S", "name of a connection to model servers, whose requests are the demand"),
        (Prometheus, null, "\\S", "name of the Prometheus connection that latencyQuery and query are sent to; without it that of gpu or modelServer, or the only one configured"),
        (MetricName, DefaultMetricName, "^[A-Za-z0-9]([A-Za-z0-9-]{0,98}[A-Za-z0-9])?$", "for several triggers on one ScaledObject: each needs its own"),
    ];

    /// <summary>Keys that name a demand where there is no queue. <c>gpu</c> does with the operator's <c>vramThreshold</c>.</summary>
    public static IReadOnlyList<string> DemandWithoutQueue { get; } = [ModelServer, Gpu, PolicyKeys.VramThreshold, PolicyKeys.Query];

    /// <summary>Keys of which a trigger gives one.</summary>
    public static IReadOnlyList<(string One, string Other)> Alternatives { get; } = [(Queue, QueueRegex), (Target, PodRegex)];

    /// <summary>KEDA's own: where and how it connects to us. They say nothing about the workload (K9).</summary>
    public static IReadOnlySet<string> Transport { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "scalerAddress", "enableTLS", "unsafeSsl", "caCert", "tlsClientCert", "tlsClientKey",
    };

    /// <summary>Whether a key belongs to the trigger alone.</summary>
    public static bool IsIdentity(string key) => Identity.Any(identity => identity.Name == key);
}
