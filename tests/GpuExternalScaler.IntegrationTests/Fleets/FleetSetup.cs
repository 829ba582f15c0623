using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>Configuration and calls that the tests of fleets share.</summary>
internal static class FleetSetup
{
    // One sync by itself: nothing is remembered, and growth is not held back.
    private static readonly AutoscalerSpec Unstabilised = new()
    {
        ScaleUp = ScalingRules.DefaultUp with { Policies = [new ScalingLimit(PolicyType.Pods, 100, 15)] },
        ScaleDown = ScalingRules.DefaultDown with { StabilizationWindowSeconds = 0 },
    };

    /// <summary>A Prometheus connection with the shortest interval there is.</summary>
    public static string PrometheusAt(Uri url, string more = "") => $$"""
        prometheus:
          main: { url: "{{url.ToString().TrimEnd('/')}}", interval: 1s, staleAfter: 15s{{more}} }
        """;

    /// <summary>Exporters read through that Prometheus.</summary>
    public static string Gpu(string kind = "dcgm", string staleAfter = "15s") => $$"""
        gpu:
          main: { kind: {{kind}}, prometheus: main, staleAfter: {{staleAfter}} }
        """;

    /// <summary>Exporters read directly.</summary>
    public static string Gpu(IEnumerable<GpuNode> nodes, string staleAfter = "15s") => $$"""
        gpu:
          main: { kind: dcgm, exporters: [{{string.Join(", ", nodes.Select(static node => $"\"{node.Url}\""))}}], interval: 1s, staleAfter: {{staleAfter}} }
        """;

    public static Task<ScalerProcess> StartAsync(params ReadOnlySpan<string> sections) => ScalerProcess.StartAsync(string.Join('\n', [
        .. sections,
        "evaluation: { interval: 100ms }",
        "log: { format: json, level: debug }",
    ]));

    /// <summary>A workload of VRAM alone.</summary>
    public static GoWorkload Vram(string name, params ReadOnlySpan<(string Key, string Value)> metadata)
    {
        var workload = new GoWorkload("genai", name, new Dictionary<string, string>(StringComparer.Ordinal) { ["vramThreshold"] = "0.85" });
        foreach (var (key, value) in metadata)
        {
            workload = workload.With(key, value);
        }

        return workload;
    }

    /// <summary>The name of a Deployment's pod.</summary>
    public static string Pod(string target, int number) => $"{target}-7d4b9c8f6d-{"bcdfghjklmnpqrstvwxz"[number % 20]}x2k{"bcdfghjklmnpqrstvwxz"[number / 20 % 20]}";

    /// <summary>What Kubernetes' HPA makes of an answer, tolerance and all.</summary>
    public static int Hpa(int replicas, long value) =>
        new HorizontalPodAutoscaler(Unstabilised).Sync(TimeSpan.Zero, replicas, replicas, [new ExternalMetric(TargetType.AverageValue, value, 100)]);

    /// <summary>Waits for an answer of which the HPA makes so many replicas.</summary>
    public static Task<GoCall> UntilHpaAsync(this ScalerProcess scaler, GoWorkload workload, int replicas, int expected) =>
        scaler.UntilAsync(workload, value => Hpa(replicas, value) == expected, $"{expected} replicas out of {replicas}");
}
