using System.Text.Json;
using System.Text.Json.Serialization;

namespace GpuExternalScaler.IntegrationTests.GrpcGo;

/// <summary>Who is asking: what KEDA puts into a ScaledObjectRef. <c>{i}</c> in a value becomes the number of the call.</summary>
public sealed record GoWorkload(string Namespace, string Name, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>A request with nothing in it.</summary>
    public static GoWorkload Empty { get; } = new("", "", new Dictionary<string, string>());

    public GoWorkload With(string key, string value) =>
        this with { Metadata = new Dictionary<string, string>(Metadata, StringComparer.Ordinal) { [key] = value } };

    public GoWorkload Without(string key)
    {
        var metadata = new Dictionary<string, string>(Metadata, StringComparer.Ordinal);
        metadata.Remove(key);
        return this with { Metadata = metadata };
    }
}

/// <summary>How a unary call is made. The defaults are KEDA's.</summary>
public sealed record GoCallOptions
{
    public int Count { get; init; } = 1;

    public int Concurrency { get; init; } = 1;

    /// <summary>None in KEDA.</summary>
    public TimeSpan? Deadline { get; init; }

    public bool Gzip { get; init; }

    public string Metric { get; init; } = "gpu-demand";

    /// <summary>GetMetrics without its scaledObjectRef.</summary>
    public bool NoReference { get; init; }

    /// <summary>Sent as the message, whatever it is.</summary>
    public ReadOnlyMemory<byte> Payload { get; init; }

    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();
}

/// <summary>TLS as KEDA speaks it: files with the authorities to trust, and with a certificate to show and its key.</summary>
/// <param name="Ca">KEDA's caCert; null: the system's authorities.</param>
/// <param name="Cert">KEDA's tlsClientCert.</param>
/// <param name="Key">KEDA's tlsClientKey.</param>
/// <param name="ServerName">The name to find in the server's certificate; null: the host of the address, as in KEDA.</param>
public sealed record GoTls(string? Ca, string? Cert = null, string? Key = null, string? ServerName = null)
{
    internal IEnumerable<string> Arguments()
    {
        (string Name, string? Value)[] flags = [("--ca", Ca), ("--cert", Cert), ("--key", Key), ("--server-name", ServerName)];
        return ["--tls", .. flags.Where(static flag => flag.Value is not null).SelectMany(static flag => new[] { flag.Name, flag.Value! })];
    }
}

public sealed record GoMetricSpec(string MetricName, long TargetSize, double TargetSizeFloat);

public sealed record GoMetricValue(string MetricName, long MetricValue, double MetricValueFloat);

/// <summary>A reply; the property of the RPC that was called is set.</summary>
public sealed record GoResponse(
    bool? Result, IReadOnlyList<GoMetricSpec>? MetricSpecs, IReadOnlyList<GoMetricValue>? MetricValues);

/// <summary>One unary call. <see cref="Raw"/> is the reply's bytes in hex, as they came.</summary>
public sealed record GoCall(
    int Call,
    string Code,
    string Message,
    GoResponse? Response,
    string Raw,
    IReadOnlyDictionary<string, string[]>? Headers,
    IReadOnlyDictionary<string, string[]>? Trailers,
    double ElapsedMs)
{
    public bool Ok => Code == "OK";

    /// <summary>The header gpu-scaler-decision; null where there is none.</summary>
    public string? Decision =>
        Headers?.TryGetValue("gpu-scaler-decision", out var values) == true ? values[0] : null;

    public bool Active => Reply.Result ?? throw Unexpected();

    public GoMetricSpec Spec => Reply.MetricSpecs is [var only] ? only : throw Unexpected();

    public GoMetricValue Value => Reply.MetricValues is [var only] ? only : throw Unexpected();

    // What a record would print by itself includes properties that throw, with this in their message.
    public override string ToString() => $"call {Call}: {Code} {Message} {Raw}";

    private GoResponse Reply => Response ?? throw Unexpected();

    private InvalidOperationException Unexpected() => new($"Not the reply that was asked for: {this}");
}

public sealed record GoHalf(
    string Code, string Message, string Decision, long Value, double ValueFloat, bool Result, double ElapsedMs);

/// <summary>GetMetrics and the IsActive that followed it, as in one poll of KEDA.</summary>
public sealed record GoPair(int Pair, GoHalf Metrics, GoHalf Active);

/// <summary>A line of a command that lasts; which properties are set depends on <see cref="Event"/>.</summary>
public sealed record GoEvent
{
    /// <summary>opened, unary, closed, headers, message, status, end, check, reflection or pair.</summary>
    public string Event { get; init; } = "";

    /// <summary>Since the client started, by its monotonic clock.</summary>
    public double AtMs { get; init; }

    public string? Code { get; init; }

    public string? Message { get; init; }

    public GoResponse? Response { get; init; }

    public string? Raw { get; init; }

    public IReadOnlyDictionary<string, string[]>? Headers { get; init; }

    /// <summary>opened: streams asked for; with <c>stuck</c>, streams open.</summary>
    public int Streams { get; init; }

    /// <summary>opened: streams that have had their first message.</summary>
    public int First { get; init; }

    public int Failed { get; init; }

    public double SlowestFirstMs { get; init; }

    public double ElapsedMs { get; init; }

    /// <summary>opened, closed: streams that the server ended, by status.</summary>
    public IReadOnlyDictionary<string, int> Ended { get; init; } = new Dictionary<string, int>();

    /// <summary>closed: messages received on all streams.</summary>
    public int Received { get; init; }

    /// <summary>unary: calls made beside the streams, and their statuses and latencies.</summary>
    public int Count { get; init; }

    public IReadOnlyDictionary<string, int> Codes { get; init; } = new Dictionary<string, int>();

    public double MinMs { get; init; }

    public double P50Ms { get; init; }

    public double P99Ms { get; init; }

    public double MaxMs { get; init; }

    /// <summary>check, status: of the health service.</summary>
    public string? Status { get; init; }

    /// <summary>reflection: names of services.</summary>
    public IReadOnlyList<string> Services { get; init; } = [];

    /// <summary>reflection: file descriptors in hex.</summary>
    public IReadOnlyList<string> Files { get; init; } = [];

    public string? ErrorCode { get; init; }

    public string? ErrorMessage { get; init; }

    /// <summary>pair: GetMetrics, called at <see cref="AtMs"/>.</summary>
    public GoHalf? Metrics { get; init; }

    /// <summary>pair: the IsActive that followed it.</summary>
    public GoHalf? Active { get; init; }
}

internal static class GoJson
{
    // A server must not send NaN; should it, the test is to say so rather than the parser.
    private static readonly JsonSerializerOptions Options = new(JsonSerializerDefaults.Web)
    {
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    public static T Parse<T>(string line) =>
        JsonSerializer.Deserialize<T>(line, Options) ?? throw new InvalidDataException($"Not a line of the Go client: {line}");
}
