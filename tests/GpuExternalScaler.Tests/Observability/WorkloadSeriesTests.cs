using System.Buffers;
using System.Text;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Forecasting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Observability;

public class WorkloadSeriesTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 22, 10, 0, 0, TimeSpan.Zero);

    [Fact]
    public async Task What_a_decision_saw_ahead_is_on_the_page()
    {
        var page = await PageAsync(Decision with
        {
            ServiceTimeSeconds = 2.5,
            ServiceTimeSource = ServiceTimeSource.Measured,
            ColdStart = TimeSpan.FromSeconds(45),
            Forecast = new ForecastFigures
            {
                Forecaster = Forecaster.ShortTrend,
                ArrivalsPerSecond = 12,
                Replicas = 30,
                ReactiveReplicas = 20,
                Coverage = 0.875,
                Scored = 40,
                PendingReplicas = 4,
                MeasuredColdStartSeconds = 42,
                ColdStartWatches = 7,
                ScheduledReplicas = 8,
                WarmReplicas = 2,
                ReplicaSecondsAdded = -120,
                WaitSecondsAvoided = 900,
            },
        });

        page.Should().Equal(
            ("cold_start_seconds", "45"),
            ("cold_start_measured_seconds", "42"),
            ("cold_start_watches", "7"),
            ("reactive_replicas", "20"),
            ("forecast_arrivals_per_second", "12"),
            ("forecast_replicas", "30"),
            ("forecast_coverage_ratio", "0.875"),
            ("forecasts_scored", "40"),
            ("pending_replicas", "4"),
            ("scheduled_replicas", "8"),
            ("warm_replicas", "2"),
            ("ledger_replica_seconds", "-120"),
            ("ledger_wait_avoided_seconds", "900"),
            ("service_time_measured_seconds", "2.5"),
            ("forecaster short_trend", "1"));
    }

    [Fact]
    public async Task What_is_not_known_has_no_sample()
    {
        var page = await PageAsync(Decision with { ServiceTimeSeconds = 2.5, ServiceTimeSource = ServiceTimeSource.Policy });

        page.Should().Equal(("cold_start_seconds", "0"), ("reactive_replicas", "0"), ("pending_replicas", "0"));
    }

    private static ScalingDecision Decision => new() { Reason = DecisionReason.OfferedLoad, Replicas = 20, Queues = 1, DecidedAt = Now };

    /// <summary>Names and values of what this is about, in the page's order.</summary>
    private static async Task<List<(string Name, string Value)>> PageAsync(ScalingDecision decision)
    {
        const string prefix = "gpu_scaler_workload_";
        const string yaml = """
            listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }
            rabbitmq: { main: { metrics: { dns: "rabbitmq.invalid:15692" } } }
            """;
        await using var server = ScalerServer.Build(ConfigurationFile.Parse(yaml, out _)!, static logging => logging.ClearProviders());
        server.Services.GetRequiredService<WorkloadRegistry>().TryRegister(TriggerMetadata.Parse("genai", "filter", [new("queue", "images")], out _)!, out var workload);
        workload!.Publish(new PublishedDecision(1, decision, DateTimeOffset.MaxValue, null), Now);
        var output = new ArrayBufferWriter<byte>();
        server.Services.GetRequiredService<WorkloadSeries>().WriteTo(new PrometheusTextWriter(output));

        string[] kinds = ["measured", "cold_start", "reactive", "forecast", "pending", "scheduled", "warm", "ledger"];
        return [.. Encoding.UTF8.GetString(output.WrittenSpan).Split('\n')
            .Where(line => line.StartsWith(prefix, StringComparison.Ordinal) && kinds.Any(kind => line.Split('{')[0].Contains(kind, StringComparison.Ordinal)))
            .Select(static line =>
            {
                var name = line[prefix.Length..line.IndexOf('{', StringComparison.Ordinal)];
                var forecaster = line.Split("forecaster=\"") is [_, var rest] ? " " + rest.Split('"')[0] : "";
                return (name + forecaster, line[(line.LastIndexOf(' ') + 1)..]);
            })];
    }
}
