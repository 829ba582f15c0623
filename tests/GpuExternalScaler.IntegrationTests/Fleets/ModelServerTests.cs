using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using static GpuExternalScaler.IntegrationTests.Fleets.FleetSetup;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>Workloads without a queue: vLLM-like servers with flat VRAM, a real Prometheus, the running server, a grpc-go client.</summary>
public sealed class ModelServerTests : IAsyncLifetime
{
    private const string ThroughPrometheus = """
        modelServers:
          vllm: { kind: vllm, prometheus: main, staleAfter: 15s }
        """;

    private readonly ModelServerPod[] _pods = [.. Enumerable.Range(0, 3).Select(static i => new ModelServerPod(Pod("llm", i)))];
    private readonly GpuNode _node = new("node-a");
    private readonly ScriptedExporter _states = new("");
    private PrometheusServer _prometheus = null!;

    public async Task InitializeAsync()
    {
        _node.Show([.. _pods.Select(static pod => new GpuSlot("genai", pod.Name, 0.92))]);
        _prometheus = await PrometheusServer.StartAsync([
            _node.Target,
            .. _pods.Select(static pod => pod.Target),
            new ScrapeTarget("kube-state-metrics", _states.Address) { HonorLabels = true },
        ]);
    }

    public async Task DisposeAsync()
    {
        await _prometheus.DisposeAsync();
        await _node.DisposeAsync();
        await _states.DisposeAsync();
        foreach (var pod in _pods)
        {
            await pod.DisposeAsync();
        }
    }

    [Fact]
    public async Task Flat_VRAM_at_92_percent_is_scaled_by_requests_and_cache()
    {
        // T14: five requests each of eight at once, caches at 20 %.
        ShowAll(0, 5, 0.2);
        await using var scaler = await StartThroughPrometheusAsync(PrometheusAt(_prometheus.Uri), Gpu(), ThroughPrometheus);
        var workload = Vram("llm", ("modelServer", "vllm"), ("concurrency", "8"));
        await using var answers = new AnswerLog(scaler, workload);

        // It stays where it is.
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 268 }, "15 ÷ (8 × 0.7)");
        await Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System);
        answers.Answers.Where(static answer => answer.IsDecided).Select(static answer => Hpa(3, answer.Metrics.Value)).Distinct().Should().Equal([3], answers.Timeline());
        (await scaler.SeriesAsync("gpu_scaler_workload_vram_used_ratio")).Should().BeApproximately(0.92, 1e-3);
        (await scaler.SeriesAsync("gpu_scaler_workload_vram_replicas")).Should().BeNull("the cache stands in for VRAM");

        answers.Mark("85 % of the cache");
        ShowAll(0, 5, 0.85);
        await scaler.UntilHpaAsync(workload, 3, 4);
        (await scaler.SeriesAsync("gpu_scaler_workload_reason", "reason=\"cache_fill\"")).Should().Be(1);

        answers.Mark("idle");
        ShowAll(0, 0, 0);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 0, Active.Result: false }, "idle", TimeSpan.FromSeconds(90));
    }

    [Fact]
    public async Task Waiting_requests_without_a_queue_are_demand_read_from_the_servers_themselves()
    {
        ShowAll(4, 8, 0.3);
        await using var scaler = await StartAsync($$"""
            modelServers:
              vllm: { kind: vllm, urls: [{{string.Join(", ", _pods.Select(static pod => $"\"{pod.Url}\""))}}], interval: 1s, staleAfter: 10s }
            """);
        var workload = new GoWorkload("genai", "llm", new Dictionary<string, string>(StringComparer.Ordinal) { ["modelServer"] = "vllm", ["concurrency"] = "8" });

        // 24 running ÷ 5.6, and 12 waiting ÷ 8.
        await scaler.UntilAsync(workload, static value => value == 579, "579");

        // One server does not answer: what it had is held.
        await _pods[0].KillAsync();
        ShowAll(0, 0, 0);
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System);
        (await scaler.Grpc.GetMetricsAsync(workload)).Value.MetricValue.Should().Be(579);

        // None does: held, and then no answer.
        await _pods[1].KillAsync();
        await _pods[2].KillAsync();
        GoCall call = await Eventually.SeesAsync(() => scaler.Grpc.GetMetricsAsync(workload), static answer => !answer.Ok, "Unavailable");
        call.Code.Should().Be("Unavailable");
        call.Message.Should().Contain("source_stale").And.Contain("vllm");
    }

    [Fact]
    public async Task Replicas_are_those_of_kube_state_metrics_where_it_is()
    {
        // Pods that exist and are not seen yet count for the HPA.
        _states.Page = """
            kube_deployment_status_replicas{namespace="genai",deployment="llm"} 5
            kube_deployment_status_replicas_ready{namespace="genai",deployment="llm"} 3
            kube_horizontalpodautoscaler_spec_max_replicas{namespace="genai",horizontalpodautoscaler="keda-hpa-llm"} 40

            """;
        ShowAll(0, 1, 0.1);
        await using var scaler = await StartThroughPrometheusAsync(PrometheusAt(_prometheus.Uri), Gpu(), ThroughPrometheus);
        var workload = Vram("llm", ("modelServer", "vllm"));
        await scaler.UntilAsync(workload, static _ => true, "an answer");

        await Eventually.SeesAsync(() => scaler.SeriesAsync("gpu_scaler_workload_replicas"), static value => value == 5, "five replicas");
        (await scaler.SeriesAsync("gpu_scaler_workload_replicas_maximum")).Should().Be(40);
    }

    [Fact]
    public async Task Latency_five_times_the_objective_doubles_once_and_missing_latency_is_neither_demand_nor_a_fault()
    {
        _states.Page = "p99_seconds{service=\"llm\"} 10\nkube_deployment_status_replicas{namespace=\"genai\",deployment=\"llm\"} 3\n";
        ShowAll(0, 7, 0.1);
        await using var scaler = await StartThroughPrometheusAsync(PrometheusAt(_prometheus.Uri, ", allowTriggerQueries: true"), ThroughPrometheus);
        var workload = new GoWorkload("genai", "llm", new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["modelServer"] = "vllm",
            ["concurrency"] = "8",
            ["coldStart"] = "1s",
            ["latencyQuery"] = "max(p99_seconds{service=\"llm\"})",
            ["latencyObjective"] = "2s",
        });
        await using var answers = new AnswerLog(scaler, workload);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 600 }, "twice three");

        // It does not help: no second time, though cold start and window are over many times.
        await Task.Delay(TimeSpan.FromSeconds(12), TimeProvider.System);
        answers.Answers.Max(static answer => answer.Metrics.Value).Should().Be(600, answers.Timeline());

        answers.Mark("no traffic, no latency");
        _states.Page = "kube_deployment_status_replicas{namespace=\"genai\",deployment=\"llm\"} 3\n";
        ShowAll(0, 0, 0);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 0 }, "nothing", TimeSpan.FromSeconds(90));
        answers.Since(1).Count(static answer => !answer.IsDecided).Should().Be(0, answers.Timeline());
    }

    [Fact]
    public async Task A_query_of_the_workloads_own_gives_replicas_and_one_that_is_not_allowed_is_refused()
    {
        _states.Page = "wanted_replicas 4.2\n";
        await using var scaler = await StartThroughPrometheusAsync(PrometheusAt(_prometheus.Uri, ", allowTriggerQueries: true"));
        var workload = new GoWorkload("genai", "own", new Dictionary<string, string>(StringComparer.Ordinal) { ["query"] = "wanted_replicas" });
        await scaler.UntilAsync(workload, static value => value == 420, "420");

        var broken = await Eventually.SeesAsync(
            () => scaler.Grpc.GetMetricsAsync(workload.With("query", "wanted_replicas{s3cret=")),
            static call => call.Message.Contains("query_rejected", StringComparison.Ordinal) || call.Message.Contains("rejected the query", StringComparison.Ordinal),
            "the query's fault");
        broken.Code.Should().Be("Unavailable");
        broken.Message.Should().NotContain("s3cret");

        await using var strict = await StartThroughPrometheusAsync(PrometheusAt(_prometheus.Uri));
        var refused = await strict.Grpc.GetMetricsAsync(workload);
        refused.Code.Should().Be("PermissionDenied");
        refused.Message.Should().Contain("allowTriggerQueries");
        scaler.Log.Concat(strict.Log).Should().NotContain(static line => line.Contains("s3cret", StringComparison.Ordinal));
    }

    /// <summary>The server, started once Prometheus has all that there is: pods that it sees later are young (T15).</summary>
    private async Task<ScalerProcess> StartThroughPrometheusAsync(string connection, params string[] sections)
    {
        await _prometheus.WaitForAsync("count(vllm:num_requests_running)", static samples => samples.Count == 1 && samples[0].Value == 3);
        await _prometheus.WaitForAsync("count(DCGM_FI_DEV_FB_USED)", static samples => samples.Count == 1 && samples[0].Value == 3);
        return await StartAsync([connection, .. sections]);
    }

    private void ShowAll(double waiting, double running, double fill)
    {
        foreach (var pod in _pods)
        {
            pod.Show(waiting, running, fill);
        }
    }
}
