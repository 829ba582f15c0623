namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// One named broker connection. At least one of <see cref="MetricsUrls"/>, <see cref="MetricsDns"/>,
/// <see cref="Management"/> and <see cref="Amqp"/> is set; validation is the configuration's business.
/// </summary>
public sealed record RabbitMqConnectionOptions
{
    /// <summary>The connection's name in the configuration; appears in every sentence about it.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// Base URLs of the Prometheus plugin, such as <c>http://host:15692</c>: one for <em>every</em> node, because a node
    /// shows only the queues whose leader it is (T1). A load balancer's address shows a random part of the queues.
    /// </summary>
    public IReadOnlyList<Uri> MetricsUrls { get; init; } = [];

    /// <summary>
    /// A name all of whose addresses are nodes' Prometheus plugins over plain HTTP, such as a headless Service; resolved
    /// at each sweep.
    /// </summary>
    public HostAndPort? MetricsDns { get; init; }

    /// <summary>PEM file with the only authorities trusted for <c>https</c> in <see cref="MetricsUrls"/>; null trusts the system's.</summary>
    public string? MetricsCaFile { get; init; }

    /// <summary>The management API: counters where the metrics have none (T4), gauges where there are no metrics (T2).</summary>
    public RabbitMqManagementOptions? Management { get; init; }

    /// <summary>AMQP: live ready and consumers of the queues that workloads want (T2, T3), and consumer events (T5).</summary>
    public RabbitMqAmqpOptions? Amqp { get; init; }

    /// <summary>
    /// Time between two sweeps of the metrics. Default 2 s. Lower reads the broker's own figures (5 s old by default)
    /// more often for nothing; higher delays every reaction by as much.
    /// </summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Age past which a reading is no longer believed. Default 20 s. Too low: a node's restart stops decisions at once;
    /// too high: decisions rest on the past.
    /// </summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>The virtual hosts to read; empty reads all of them.</summary>
    public IReadOnlyList<string> Vhosts { get; init; } = [];

    /// <summary>Time allowed for one node's metrics, connection included. Default 2 s; a hung node delays each sweep by this.</summary>
    public TimeSpan NodeTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Time between two reads of the management list. Default 10 s: the list costs a broker with 1,200 queues about 0.3 s
    /// of CPU, and its figures are 5 to 10 s old anyway.
    /// </summary>
    public TimeSpan ManagementInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time allowed for the management list. Default 10 s; with a hung node the broker itself would take 60 s.</summary>
    public TimeSpan ManagementTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// Time between two reads of the list of totals, which stands in for the metrics: half of
    /// <see cref="ManagementInterval"/>, because it costs the broker less than half of what the statistics do.
    /// </summary>
    public TimeSpan TotalsInterval => ManagementInterval / 2;

    /// <summary>Largest answer accepted from any endpoint, unpacked, in bytes. Default 64 MiB (about 40,000 queues).</summary>
    public long MaxResponseBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Whether any metrics endpoint is configured.</summary>
    public bool HasMetrics => MetricsUrls.Count > 0 || MetricsDns is not null;
}

/// <summary>How to reach the management API. The user needs the tag <c>management</c> and no permissions (T6).</summary>
public sealed record RabbitMqManagementOptions
{
    /// <summary>Base URL, such as <c>https://host:15671</c>, without user information.</summary>
    public required Uri Url { get; init; }

    /// <summary>The user; null sends no credentials.</summary>
    public string? Username { get; init; }

    /// <summary>File holding the password, read again before each request, so that a rotated secret needs no restart.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>PEM file with the only authorities trusted, read again when it changes; null trusts the system's.</summary>
    public string? CaFile { get; init; }
}

/// <summary>
/// How to reach the broker over AMQP 0-9-1. The user needs access to each virtual host and no permissions (T6); consumer
/// events need a little more, see <see cref="EventVhost"/>.
/// </summary>
public sealed record RabbitMqAmqpOptions
{
    /// <summary><c>amqp://host:5672</c> or <c>amqps://host:5671</c>, without user information and virtual host.</summary>
    public required Uri Url { get; init; }

    /// <summary>The user; null is <c>guest</c>, which a broker accepts from its own machine only.</summary>
    public string? Username { get; init; }

    /// <summary>File holding the password, followed while connected, so that a rotated secret needs no restart.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>PEM file with the only authorities trusted, followed while connected; null trusts the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>
    /// Time between two looks at the queues worth watching. Default 1 s. Lower wakes a fleet sooner, for up to 256
    /// declares each time; higher gives away what this is for.
    /// </summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Virtual host of the exchange <c>amq.rabbitmq.event</c> (the broker's <c>event_exchange.vhost</c>). Default
    /// <c>/</c>. To listen there the user needs <c>configure</c> and <c>write</c> on <c>^amq\.gen-</c> and <c>read</c> on that
    /// and on the exchange.
    /// </summary>
    public string EventVhost { get; init; } = "/";

    /// <summary>The port, or its scheme's own.</summary>
    internal int Port => Url.Port > 0 ? Url.Port : UsesTls ? 5671 : 5672;

    internal bool UsesTls => Url.Scheme == "amqps";
}
