using System.Globalization;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>Pushes the instruments by OTLP when the standard variables say where to.</summary>
internal static class OtlpPush
{
    private const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string MetricsEndpoint = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

    /// <summary>
    /// Whether an endpoint is named. The exporter alone would dial localhost without one. <c>OTEL_METRICS_EXPORTER=none</c>
    /// keeps metrics out when the endpoint is meant for something else.
    /// </summary>
    public static bool IsConfigured(IConfiguration environment) =>
        (Value(environment, Endpoint) ?? Value(environment, MetricsEndpoint)) is not null
        && !string.Equals(environment["OTEL_METRICS_EXPORTER"], "none", StringComparison.OrdinalIgnoreCase);

    /// <summary>Adds the exporter if an endpoint is named, otherwise nothing.</summary>
    /// <exception cref="InvalidOperationException">A variable holds what cannot be used.</exception>
    public static MeterProviderBuilder AddOtlpPush(this MeterProviderBuilder builder, IConfiguration environment) =>
        IsConfigured(environment) ? builder.AddOtlpExporter(options => ApplyMetricsVariables(options, environment)) : builder;

    /// <summary>The exporter reads the variables for all signals by itself, but not those for metrics alone, which win.</summary>
    private static void ApplyMetricsVariables(OtlpExporterOptions options, IConfiguration environment)
    {
        _ = EndpointIn(environment, Endpoint);
        if (EndpointIn(environment, MetricsEndpoint) is { } endpoint)
        {
            // Setting it, even to what it was, also stops the exporter from adding /v1/metrics, as the specification
            // asks for this variable and only for this one.
            options.Endpoint = endpoint;
        }

        options.Headers = Value(environment, "OTEL_EXPORTER_OTLP_METRICS_HEADERS") ?? options.Headers;
        options.Protocol = Value(environment, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL") switch
        {
            null => options.Protocol,
            "grpc" => OtlpExportProtocol.Grpc,
            "http/protobuf" => OtlpExportProtocol.HttpProtobuf,
            _ => throw new InvalidOperationException("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL is neither grpc nor http/protobuf."),
        };
        if (Value(environment, "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT") is { } timeout)
        {
            options.TimeoutMilliseconds = int.TryParse(timeout, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds)
                ? milliseconds
                : throw new InvalidOperationException("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT is not a number of milliseconds.");
        }
    }

    /// <summary>
    /// The exporter by itself would pass over an endpoint it cannot read, and dial localhost. The value is not in the
    /// message, since it may hold a password.
    /// </summary>
    private static Uri? EndpointIn(IConfiguration environment, string variable)
    {
        if (Value(environment, variable) is not { } value)
        {
            return null;
        }

        return Uri.TryCreate(value, UriKind.Absolute, out var endpoint) && endpoint.Scheme is "http" or "https"
            ? endpoint
            : throw new InvalidOperationException($"{variable} is not an absolute http or https address.");
    }

    private static string? Value(IConfiguration environment, string variable) =>
        string.IsNullOrWhiteSpace(environment[variable]) ? null : environment[variable];
}
