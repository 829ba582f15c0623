using GpuExternalScaler.Evaluation;
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
        if (!FileKeys.ConnectionSections.Any(root.Has))
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
        NoteStaleness(section, section.Has("staleAfter") ? "staleAfter" : "interval", connection.Interval, connection.StaleAfter);

        if (connection.MetricsUrls.Count != connection.MetricsUrls.Distinct().Count())
        {
            section.Warn("metrics.urls", "a node is listed more than once");
        }

        NoteCaFile(section, "metrics", connection.MetricsUrls.Any(static url => url.Scheme == Uri.UriSchemeHttps), "https in urls");
        NoteCaFile(section, "management", connection.Management?.Url.Scheme == Uri.UriSchemeHttps, "an https url");
        NoteCaFile(section, "amqp", connection.Amqp?.Url.Scheme == "amqps", "an amqps url");
    }

    /// <summary>Notes what is dubious about a Prometheus connection.</summary>
    public static void Note(FileSection section, PrometheusOptions options)
    {
        var connection = options.Connection;
        NoteStaleness(section, section.Has("staleAfter") ? "staleAfter" : "interval", connection.Interval, connection.StaleAfter);
        var usesTls = connection.Url.Scheme == Uri.UriSchemeHttps;
        if (section.Has("caFile") && !usesTls)
        {
            section.Warn("caFile", "has no effect without an https url");
        }

        if (section.Has("certFile") && !usesTls)
        {
            section.Warn("certFile", "has no effect without an https url");
        }
    }

    /// <summary>Notes readings that are soon stale.</summary>
    public static void NoteStaleness(FileSection section, string at, TimeSpan interval, TimeSpan staleAfter)
    {
        if (staleAfter < 3 * interval && staleAfter >= interval)
        {
            section.Warn(at, "staleAfter is below three intervals: one late sweep may take every answer away");
        }
    }

    /// <summary>Notes authorities where nothing uses TLS, or Prometheus has its own.</summary>
    public static void NoteCaFile(FileSection section, IReadOnlyList<Uri> pages, string key)
    {
        if (!section.Has("caFile"))
        {
            return;
        }

        if (section.Has(FileKeys.PrometheusSection))
        {
            section.Warn("caFile", "has no effect with prometheus, which has its own");
        }
        else if (!pages.Any(static url => url.Scheme == Uri.UriSchemeHttps))
        {
            section.Warn("caFile", $"has no effect without https in {key}");
        }
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

        if (isForAll && Sets(PolicyKeys.Query))
        {
            section.Warn(PolicyKeys.Query, "the same for every workload: each gets as many replicas as it says; set it for those it is about");
        }

        NoteWhatLooksAhead(section, settings, policy, options, isForAll);
        foreach (var threshold in (ReadOnlySpan<string>)[PolicyKeys.VramThreshold, "kvCacheThreshold"])
        {
            if (settings.Any(setting => setting.Key.Name == threshold && setting.Text == "1"))
            {
                section.Warn(threshold, "leaves no memory free: nothing is asked for before all of it is used, and nothing carries what arrives during a cold start");
            }
        }

        if (policy.ModelMemory is > 0 and < 1 << 20)
        {
            section.Warn("modelMemory", "less than a mebibyte: without a unit it is bytes, such as 40Gi with one");
        }

        bool Sets(string key) => settings.Any(setting => setting.Key.Name == key);
    }

    /// <summary>Notes a query without an objective, or the other way round, that no default completes.</summary>
    public static void NoteHalves(FileSection section, IReadOnlyList<PolicySetting> settings, IReadOnlyList<PolicySetting> defaults)
    {
        NoteHalf(PolicyKeys.LatencyQuery, PolicyKeys.LatencyObjective);
        NoteHalf(PolicyKeys.LatencyObjective, PolicyKeys.LatencyQuery);

        void NoteHalf(string given, string missing)
        {
            if (settings.Any(setting => setting.Key.Name == given) && !settings.Concat(defaults).Any(setting => setting.Key.Name == missing))
            {
                section.Warn(given, $"has no effect without {missing}, which neither this section nor defaults sets");
            }
        }
    }

    /// <summary>Notes what is dubious about forecasts, schedules and spare.</summary>
    private static void NoteWhatLooksAhead(FileSection section, IReadOnlyList<PolicySetting> settings, ScalingPolicy policy, ScalerOptions options, bool isForAll)
    {
        if (policy.Forecast == ForecastMode.Seasonal && options.HistoryPrometheus is null)
        {
            section.Warn(PolicyKeys.Forecast, "seasonal looks up the weeks before in the Prometheus that history names, and there is none: nothing is forecast");
        }

        if (policy.Forecast == ForecastMode.Off && settings.Any(static setting => setting.Key.Name == PolicyKeys.ForecastQuantile))
        {
            section.Warn(PolicyKeys.ForecastQuantile, "has no effect with forecast off");
        }

        var scheduled = policy.Schedule is { } text && Schedule.TryParse(text, out var schedule, out _) ? schedule!.Most : 0;
        foreach (var (key, replicas) in ((string, int)[])[(PolicyKeys.Schedule, scheduled), (PolicyKeys.WarmReplicas, policy.WarmReplicas)])
        {
            if (replicas > policy.MaxReplicas)
            {
                section.Warn(key, "more than maxReplicas: the HPA will not give as many");
            }

            if (isForAll && replicas > 0)
            {
                section.Warn(key, "keeps every workload awake; set it for those that must not sleep");
            }
        }

        foreach (var key in (ReadOnlySpan<string>)[PolicyKeys.WaitObjective, PolicyKeys.Forecast, PolicyKeys.WarmReplicas, PolicyKeys.Schedule])
        {
            if (policy.Mode == WorkloadMode.Job && settings.Any(setting => setting.Key.Name == key) && !(key == PolicyKeys.Forecast && policy.Forecast == ForecastMode.Off))
            {
                section.Warn(key, "has no effect on jobs: each is for a message that is there");
            }
        }
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
