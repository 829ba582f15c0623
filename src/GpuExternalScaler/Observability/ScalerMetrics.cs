using System.Diagnostics.Metrics;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Observability;

/// <summary>The program's own instruments: sweeps and RPCs. Per-workload series are <see cref="WorkloadSeries"/>.</summary>
internal sealed class ScalerMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "GpuExternalScaler";

    // From a sweep of a small broker on loopback (5 ms) to its timeout (10 s).
    private static readonly double[] SweepSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    // RPCs answer from memory: what matters is below a millisecond, and whether anything ever is not.
    private static readonly double[] RpcSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1];

    private readonly Meter _meter = new(MeterName);
    private readonly Histogram<double> _sweepDuration;
    private readonly Counter<long> _sweepBytes;
    private readonly Counter<long> _sweepErrors;
    private readonly Counter<long> _badSamples;
    private readonly Counter<long> _rpcs;
    private readonly Histogram<double> _rpcDuration;
    private readonly UpDownCounter<long> _openStreams;
    private readonly Counter<long> _connectionsRefused;
    private readonly Counter<long> _tlsRefused;

    public ScalerMetrics()
    {
        _sweepDuration = _meter.CreateHistogram("gpu_scaler.source.sweep.duration", "s", "Time one sweep of a source took.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = SweepSeconds });
        _sweepBytes = _meter.CreateCounter<long>("gpu_scaler.source.read", "By", "Bytes read from a source, unpacked.");
        _sweepErrors = _meter.CreateCounter<long>("gpu_scaler.source.errors", null, "Failed requests to a source, by reason.");
        _badSamples = _meter.CreateCounter<long>("gpu_scaler.source.bad_samples", null, "Samples lost because they could not be understood.");
        _rpcs = _meter.CreateCounter<long>("gpu_scaler.grpc.requests", null, "RPCs finished, by method and status.");
        _rpcDuration = _meter.CreateHistogram("gpu_scaler.grpc.request.duration", "s", "Time a unary RPC took inside the server.",
            advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = RpcSeconds });
        _openStreams = _meter.CreateUpDownCounter<long>("gpu_scaler.grpc.open_streams", null, "Streaming RPCs open now.");
        _connectionsRefused = _meter.CreateCounter<long>("gpu_scaler.grpc.connections_refused", null, "Connections to the gRPC port that were one too many: of their address, or of all.");
        _tlsRefused = _meter.CreateCounter<long>("gpu_scaler.tls.refused", null, "Connections to the gRPC port that did not get through TLS, by reason.");
    }

    /// <summary>Notes a sweep.</summary>
    public void Swept(SweepOutcome outcome)
    {
        var connection = new KeyValuePair<string, object?>("connection", outcome.Connection);
        var endpoint = new KeyValuePair<string, object?>("endpoint", EndpointName(outcome.Endpoint));
        _sweepDuration.Record(outcome.Duration.TotalSeconds, connection, endpoint);
        _sweepBytes.Add(outcome.Bytes, connection, endpoint);
        if (outcome.BadSamples > 0)
        {
            _badSamples.Add(outcome.BadSamples, connection, endpoint);
        }

        foreach (var fault in outcome.Faults)
        {
            _sweepErrors.Add(1, connection, endpoint, new("reason", fault.Reason.Code()));
        }
    }

    /// <summary>Notes a sweep of another source than a broker.</summary>
    public void Swept(FleetSweep sweep)
    {
        var connection = new KeyValuePair<string, object?>("connection", sweep.Connection);
        var endpoint = new KeyValuePair<string, object?>("endpoint", SourceName(sweep.Source));
        _sweepDuration.Record(sweep.Duration.TotalSeconds, connection, endpoint);
        _sweepBytes.Add(sweep.Bytes, connection, endpoint);
        foreach (var refused in sweep.Refused)
        {
            _badSamples.Add(refused.Count, connection, endpoint, new("reason", refused.Reason.Code()));
        }

        foreach (var fault in sweep.Faults)
        {
            _sweepErrors.Add(1, connection, endpoint, new("reason", fault.Reason.Code()));
        }
    }

    /// <summary>Notes that a stream opened (+1) or ended (-1).</summary>
    public void StreamCount(string method, int change) => _openStreams.Add(change, new KeyValuePair<string, object?>("grpc_method", method));

    /// <summary>Notes a finished RPC; the duration of a stream says nothing and is left out.</summary>
    public void RpcFinished(string method, string status, TimeSpan? unaryDuration)
    {
        var name = new KeyValuePair<string, object?>("grpc_method", method);
        _rpcs.Add(1, name, new("grpc_code", status));
        if (unaryDuration is { } duration)
        {
            _rpcDuration.Record(duration.TotalSeconds, name);
        }
    }

    /// <summary>Notes a connection that was one too many.</summary>
    public void ConnectionRefused(string reason) => _connectionsRefused.Add(1, new KeyValuePair<string, object?>("reason", reason));

    /// <summary>Notes a connection that did not get through TLS.</summary>
    public void TlsRefused(string reason) => _tlsRefused.Add(1, new KeyValuePair<string, object?>("reason", reason));

    /// <summary>Shows when the certificates of TLS expire, as long as the server runs.</summary>
    public void ObserveCertificates(Func<(DateTimeOffset Server, DateTimeOffset? ClientAuthorities)> expire) => _meter.CreateObservableGauge(
        "gpu_scaler.tls.certificate.expiry_timestamp",
        () => Expiries(expire()),
        "s",
        "When the certificate of the gRPC port expires, and the first of the authorities of its clients, in Unix time.");

    /// <summary>The endpoint's name in labels and logs.</summary>
    public static string EndpointName(RabbitMqEndpoint endpoint) => endpoint switch
    {
        RabbitMqEndpoint.Metrics => "metrics",
        RabbitMqEndpoint.Management => "management",
        RabbitMqEndpoint.ManagementTotals => "management_totals",
        RabbitMqEndpoint.ManagementConsumers => "management_consumers",
        RabbitMqEndpoint.Amqp => "amqp",
        RabbitMqEndpoint.AmqpEvents => "amqp_events",
        _ => "none",
    };

    /// <summary>The source's name in labels and logs.</summary>
    public static string SourceName(FleetSource source) => source switch
    {
        FleetSource.Gpu => "gpu",
        FleetSource.ModelServers => "model_servers",
        FleetSource.Replicas => "replicas",
        FleetSource.Past => "past",
        FleetSource.Seasonal => "seasonal",
        _ => "queries",
    };

    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<double>> Expiries((DateTimeOffset Server, DateTimeOffset? ClientAuthorities) expire)
    {
        yield return new(expire.Server.ToUnixTimeSeconds(), new KeyValuePair<string, object?>("file", "server"));
        if (expire.ClientAuthorities is { } clientAuthorities)
        {
            yield return new(clientAuthorities.ToUnixTimeSeconds(), new KeyValuePair<string, object?>("file", "client_ca"));
        }
    }
}
