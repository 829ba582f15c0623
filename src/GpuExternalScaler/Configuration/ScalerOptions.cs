using System.Net;
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

/// <summary>One named RabbitMQ connection and who may use it.</summary>
/// <param name="Connection">What to read, and how often.</param>
/// <param name="Namespaces">Namespaces (globs) whose triggers may name it; empty: all.</param>
internal sealed record RabbitMqOptions(RabbitMqConnectionOptions Connection, IReadOnlyList<string> Namespaces)
{
    /// <summary>Whether triggers of a namespace may use the connection.</summary>
    public bool Allows(string @namespace) => Namespaces.Count == 0 || Namespaces.Any(pattern => WorkloadPattern.IsMatch(pattern, @namespace));

    /// <summary>Whether it is reached and read as another is, whoever may use it.</summary>
    public bool IsSameConnectionAs(RabbitMqOptions other)
    {
        var (one, two) = (this with { Namespaces = [] }, other with { Namespaces = [] });
        return FileKeys.RabbitMq.All(key => key.IsSame(one, two));
    }
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
