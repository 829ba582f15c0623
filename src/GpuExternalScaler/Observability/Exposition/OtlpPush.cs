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
        (!string.IsNullOrWhiteSpace(environment[Endpoint]) || !string.IsNullOrWhiteSpace(environment[MetricsEndpoint]))
        && !string.Equals(environment["OTEL_METRICS_EXPORTER"], "none", StringComparison.OrdinalIgnoreCase);

    /// <summary>Adds the exporter if an endpoint is named, otherwise nothing.</summary>
    public static MeterProviderBuilder AddOtlpPush(this MeterProviderBuilder builder, IConfiguration environment) =>
        IsConfigured(environment) ? builder.AddOtlpExporter() : builder;
}
