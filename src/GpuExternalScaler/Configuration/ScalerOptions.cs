using System.Net;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Configuration;

/// <summary>The operator's file, read and checked: one immutable snapshot.</summary>
internal sealed record ScalerOptions
{
    /// <summary>Where the gRPC service listens, HTTP/2 only (K3).</summary>
    public IPEndPoint Grpc { get; init; } = new(IPAddress.Any, 9090);

    /// <summary>Where probes and metrics listen, HTTP/1.1.</summary>
    public IPEndPoint Http { get; init; } = new(IPAddress.Any, 8080);

    /// <summary>TLS on the gRPC port; null without.</summary>
    public TlsOptions? Tls { get; init; }

    /// <summary>The RabbitMQ connections by name; a trigger can only name one of these.</summary>
    public IReadOnlyDictionary<string, RabbitMqOptions> RabbitMq { get; init; } = new Dictionary<string, RabbitMqOptions>(StringComparer.Ordinal);

    /// <summary>The Prometheus connections by name.</summary>
    public IReadOnlyDictionary<string, PrometheusOptions> Prometheus { get; init; } = new Dictionary<string, PrometheusOptions>(StringComparer.Ordinal);

    /// <summary>The connections to accelerator exporters by name.</summary>
    public IReadOnlyDictionary<string, GpuOptions> Gpu { get; init; } = new Dictionary<string, GpuOptions>(StringComparer.Ordinal);

    /// <summary>The connections to model servers by name.</summary>
    public IReadOnlyDictionary<string, ModelServerOptions> ModelServers { get; init; } = new Dictionary<string, ModelServerOptions>(StringComparer.Ordinal);

    /// <summary>The Prometheus connection that holds this program's own series, for what was before a start; null: none.</summary>
    public string? HistoryPrometheus { get; init; }

    /// <summary>Most workloads at once.</summary>
    public int MaximumWorkloads { get; init; } = 10_000;

    /// <summary>Most bytes of trigger metadata (keys and values) of one workload.</summary>
    public int MaximumMetadataBytes { get; init; } = 16_384;

    /// <summary>Time between two evaluations of every workload.</summary>
    public TimeSpan EvaluationInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a workload that nobody asks about is kept.</summary>
    public TimeSpan ForgetAfter { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time within which a change of a file takes effect.</summary>
    public TimeSpan ReloadInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Log lines: auto (text on a terminal, JSON otherwise), text or json.</summary>
    public LogFormat LogFormat { get; init; } = LogFormat.Auto;

    /// <summary>Least severe level logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>What the operator says about policies: defaults, and what holds for some workloads.</summary>
    public PolicyRules Policies { get; init; } = PolicyRules.None;

    /// <summary>
    /// How long a published decision may be given out: long enough for a collection or a busy second, short enough
    /// that a hung evaluation loop cannot freeze an answer.
    /// </summary>
    public TimeSpan DecisionValidFor => TimeSpan.FromSeconds(Math.Max(5, 5 * EvaluationInterval.TotalSeconds));
}

/// <summary>A named connection of any kind and who may use it.</summary>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal abstract record ConnectionOptions(IReadOnlyList<string> Namespaces)
{
    /// <summary>Whether triggers of a namespace may use the connection.</summary>
    public bool Allows(string @namespace) => Namespaces.Count == 0 || Namespaces.Any(pattern => WorkloadPattern.IsMatch(pattern, @namespace));
}

/// <summary>One named RabbitMQ connection and who may use it.</summary>
/// <param name="Connection">What to read, and how often.</param>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal sealed record RabbitMqOptions(RabbitMqConnectionOptions Connection, IReadOnlyList<string> Namespaces) : ConnectionOptions(Namespaces)
{
    /// <summary>Whether it is reached and read as another is, whoever may use it.</summary>
    public bool IsSameConnectionAs(RabbitMqOptions other) => FileKeys.RabbitMq.AreSameConnection(this, other);
}

/// <summary>One named Prometheus connection and who may use it: by name, for queries of a trigger's own.</summary>
/// <param name="Connection">What to ask, and how often.</param>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal sealed record PrometheusOptions(PrometheusConnectionOptions Connection, IReadOnlyList<string> Namespaces) : ConnectionOptions(Namespaces)
{
    /// <summary>Whether it is reached and read as another is, whoever may use it.</summary>
    public bool IsSameConnectionAs(PrometheusOptions other) => FileKeys.Prometheus.AreSameConnection(this, other);
}

/// <summary>One named set of accelerator exporters and who may use it.</summary>
/// <param name="Connection">What to read, and how often.</param>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal sealed record GpuOptions(GpuConnectionOptions Connection, IReadOnlyList<string> Namespaces) : ConnectionOptions(Namespaces)
{
    /// <summary>Whether it is reached and read as another is, whoever may use it. The Prometheus it names may be another all the same.</summary>
    public bool IsSameConnectionAs(GpuOptions other) => FileKeys.Gpu.AreSameConnection(this, other);
}

/// <summary>One named set of model servers and who may use it.</summary>
/// <param name="Connection">What to read, and how often.</param>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal sealed record ModelServerOptions(ModelServerConnectionOptions Connection, IReadOnlyList<string> Namespaces) : ConnectionOptions(Namespaces)
{
    /// <summary>Whether it is reached and read as another is, whoever may use it. The Prometheus it names may be another all the same.</summary>
    public bool IsSameConnectionAs(ModelServerOptions other) => FileKeys.ModelServers.AreSameConnection(this, other);
}

/// <summary>The files of TLS on the gRPC port (K4), all PEM.</summary>
/// <param name="CertFile">The server's certificate, and the intermediate ones after it.</param>
/// <param name="KeyFile">Its private key.</param>
/// <param name="ClientCaFile">Authorities whose clients are let in, and nobody else; null: certificates are not asked for.</param>
internal sealed record TlsOptions(string CertFile, string KeyFile, string? ClientCaFile);

/// <summary>How log lines are written.</summary>
internal enum LogFormat
{
    /// <summary>Text on a terminal, JSON otherwise.</summary>
    Auto,

    /// <summary>Readable lines.</summary>
    Text,

    /// <summary>One JSON object a line.</summary>
    Json,
}
