using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>What is allowed and probably not meant. Each finding says what comes of it.</summary>
internal static class DubiousSettings
{
    // Two of KEDA's default polling intervals.
    private static readonly TimeSpan SoonForgotten = TimeSpan.FromSeconds(60);

    /// <summary>Notes what is dubious about the server's own keys.</summary>
    public static void Note(FileSection root, ScalerOptions options)
    {
        if (!root.Has(FileKeys.RabbitMqSection))
        {
            root.Warn(FileKeys.RabbitMqSection, "no connection is configured: every trigger will be refused");
        }

        // A template that filled in nothing must not pass for TLS.
        if (options.Tls is null && root.HasSectionOf(FileKeys.TlsCertFile))
        {
            root.Warn("listen.tls", "names no files: the gRPC port is served without TLS");
        }

        if (options.ForgetAfter < SoonForgotten)
        {
            root.Warn("evaluation.forgetAfter", "below two of KEDA's default polling intervals (30s): workloads may be forgotten between two polls");
        }
    }

    /// <summary>Notes what is dubious about a connection.</summary>
    public static void Note(FileSection section, RabbitMqOptions options)
    {
        var connection = options.Connection;
        if (connection.StaleAfter < 3 * connection.Interval && connection.StaleAfter >= connection.Interval)
        {
            section.Warn(section.Has("staleAfter") ? "staleAfter" : "interval", "staleAfter is below three intervals: one late sweep may take every answer away");
        }

        if (connection.MetricsUrls.Count != connection.MetricsUrls.Distinct().Count())
        {
            section.Warn("metrics.urls", "a node is listed more than once");
        }

        NoteCaFile(section, "metrics", connection.MetricsUrls.Any(static url => url.Scheme == Uri.UriSchemeHttps), "https in urls");
        NoteCaFile(section, "management", connection.Management?.Url.Scheme == Uri.UriSchemeHttps, "an https url");
        NoteCaFile(section, "amqp", connection.Amqp?.Url.Scheme == "amqps", "an amqps url");
    }

    /// <summary>Notes what is dubious about policy keys that were set together.</summary>
    public static void Note(FileSection section, IReadOnlyList<PolicySetting> settings, ScalerOptions options, bool isForAll)
    {
        var policy = settings.Aggregate(ScalingPolicy.Default, static (policy, setting) => setting.Key.Apply(policy, setting.Text));
        if (Sets("saturationThreshold") && policy.SaturationThreshold >= 1)
        {
            section.Warn("saturationThreshold", "leaves no slot free: nothing is asked for before every consumer is busy, and nothing carries what arrives during a cold start");
        }

        if (Sets("coldStart") && options.RabbitMq.Count > 0 && policy.ColdStart < options.RabbitMq.Values.Min(static broker => SweepInterval(broker)))
        {
            section.Warn("coldStart", "below the interval of every connection: a replica is said to work sooner than its queue is looked at again");
        }

        if (Sets("prefetch") && Sets("concurrency") && policy.Prefetch is > 0 and { } prefetch && prefetch < policy.Concurrency)
        {
            section.Warn("prefetch", "below concurrency: a consumer cannot work on more messages than it is given");
        }

        if (isForAll && policy.MissingQueue == MissingQueuePolicy.Zero)
        {
            section.Warn("missingQueue", "zero for every workload: one whose queue is misspelt reads as idle; set it for those whose queues delete themselves");
        }

        bool Sets(string key) => settings.Any(setting => setting.Key.Name == key);
    }

    private static void NoteCaFile(FileSection section, string endpoint, bool usesTls, string what)
    {
        if (section.Has(endpoint + ".caFile") && !usesTls)
        {
            section.Warn(endpoint + ".caFile", $"has no effect without {what}");
        }
    }

    private static TimeSpan SweepInterval(RabbitMqOptions broker) =>
        broker.Connection is { HasMetrics: false, Amqp: null } ? broker.Connection.ManagementInterval : broker.Connection.Interval;
}
