using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Simulation.Kubernetes;
using static GpuExternalScaler.IntegrationTests.Fleets.FleetSetup;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>
/// VRAM headroom through the whole program: exporters, a real Prometheus that scrapes and relabels them, the running server, a
/// grpc-go client, and the HPA's arithmetic on the answer.
/// </summary>
public sealed class VramTests : IAsyncLifetime
{
    private readonly GpuNode[] _nodes = [new("node-a"), new("node-b")];
    private PrometheusServer _prometheus = null!;

    public async Task InitializeAsync() => _prometheus = await PrometheusServer.StartAsync([.. _nodes.Select(static node => node.Target)]);

    public async Task DisposeAsync()
    {
        await _prometheus.DisposeAsync();
        foreach (var node in _nodes)
        {
            await node.DisposeAsync();
        }
    }

    [Fact]
    public async Task Three_pods_at_90_percent_become_four_and_four_at_40_percent_two()
    {
        Spread("llm", 0.9, 0.9, 0.9);
        await using var scaler = await StartThroughPrometheusAsync();

        await scaler.UntilHpaAsync(Vram("llm"), 3, 4);
        (await scaler.Grpc.IsActiveAsync(Vram("llm"))).Active.Should().BeTrue();

        // Four pods that were there when another server starts: none of them is young.
        Spread("llm", 0.4, 0.4, 0.4, 0.4);
        await _prometheus.WaitForAsync("sum(DCGM_FI_DEV_FB_USED{exported_pod=~\"llm.*\"})", static samples => samples.Count == 1 && samples[0].Value < 140_000);
        await using var next = await StartThroughPrometheusAsync();
        var call = await next.UntilHpaAsync(Vram("llm"), 4, 2);

        call.Value.MetricValue.Should().Be(189, "4 × 0.4 ÷ 0.85 = 1.882");
    }

    [Fact]
    public async Task Pods_are_those_of_the_Deployment_and_of_its_namespace_alone()
    {
        // T15: llm is a prefix of llm-chat, and another team has an llm too.
        _nodes[0].Show(
            new GpuSlot("genai", Pod("llm", 1), 0.5),
            new GpuSlot("genai", Pod("llm-chat", 1), 0.9),
            new GpuSlot("other", Pod("llm", 2), 0.9));
        _nodes[1].Show(new GpuSlot("genai", "llm-0", 0.5), new GpuSlot("genai", "batch-llm-7d4b9c8f6d-bx2kb", 0.9));
        await using var scaler = await StartThroughPrometheusAsync();

        (await scaler.UntilAsync(Vram("llm"), static _ => true, "an answer")).Value.MetricValue.Should().Be(118, "llm's own two pods hold one GPU's worth");
        (await scaler.UntilAsync(Vram("llm-chat"), static _ => true, "an answer")).Value.MetricValue.Should().Be(111, "0.9 ÷ 0.85 is within the HPA's tolerance");
        (await scaler.UntilAsync(Vram("any", ("podRegex", "batch-.*")), static _ => true, "an answer")).Value.MetricValue.Should().Be(111);
    }

    [Fact]
    public async Task A_dead_exporter_is_held_and_then_Unavailable_and_after_it_comes_back_nothing_falls()
    {
        _nodes[0].Show([.. Enumerable.Range(0, 3).Select(i => new GpuSlot("genai", Pod("llm", i), 0.9))]);
        await using var scaler = await StartThroughPrometheusAsync();
        await using var answers = new AnswerLog(scaler, Vram("llm"));
        await answers.WaitForAsync(static answer => answer.IsDecided && answer.Metrics.Value == 331, "331");

        answers.Mark("exporter killed");
        var killed = answers.Now;
        await _nodes[0].KillAsync();
        var gone = await answers.WaitForAsync(static answer => answer.Metrics.Code == "Unavailable", "Unavailable", TimeSpan.FromSeconds(60));
        gone.Metrics.Message.Should().Contain("source_stale");
        (gone.AtSeconds - killed).Should().BeGreaterThan(3, "it is held first");

        answers.Mark("exporter back, pods nearly idle");
        _nodes[0].Show([.. Enumerable.Range(0, 3).Select(i => new GpuSlot("genai", Pod("llm", i), 0.1))]);
        _nodes[0].Revive();
        await answers.WaitForAsync(static answer => answer.IsDecided, "an answer");
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
        answers.ShouldNeverDropBelow(331);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task When_all_pod_labels_vanish_from_a_live_exporter_the_answer_never_falls(bool directly)
    {
        Spread("llm", 0.9, 0.9, 0.9, 0.9);
        await using var scaler = directly ? await StartAsync(Gpu(_nodes)) : await StartThroughPrometheusAsync();
        await using var answers = new AnswerLog(scaler, Vram("llm"));
        var value = (await answers.WaitForAsync(static answer => answer.IsDecided && answer.Metrics.Value > 400, "an answer")).Metrics.Value;

        // T21: the exporters cannot reach their kubelets. First one, then both.
        var decided = answers.Now;
        answers.Mark("labels of node-a gone");
        _nodes[0].Label(false);
        await Task.Delay(TimeSpan.FromSeconds(8), TimeProvider.System);
        answers.ShouldBeDecidedSince(decided);
        answers.Mark("labels of node-b gone");
        _nodes[1].Label(false);
        await answers.WaitForAsync(static answer => answer.Metrics.Code == "Unavailable", "Unavailable", TimeSpan.FromSeconds(60));
        answers.Mark("labels back");
        _nodes[0].Label(true);
        _nodes[1].Label(true);
        await answers.WaitForAsync(static answer => answer.IsDecided, "an answer");
        answers.ShouldNeverDropBelow(value);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_upgrade_of_the_exporters_in_mid_flight_shows_no_wrong_number(bool directly)
    {
        // T8: MiB become bytes, Hostname becomes hostname, one node after the other.
        Spread("llm", 0.9, 0.9, 0.9);
        await using var scaler = directly ? await StartAsync(Gpu(_nodes)) : await StartThroughPrometheusAsync();
        await using var answers = new AnswerLog(scaler, Vram("llm"));
        await answers.WaitForAsync(static answer => answer.IsDecided && answer.Metrics.Value == 331, "331");
        var decided = answers.Now;

        foreach (var (node, names) in (IReadOnlyList<(GpuNode, DcgmNames)>)[(_nodes[0], DcgmNames.Newer), (_nodes[1], DcgmNames.Newer), (_nodes[1], DcgmNames.Older), (_nodes[1], DcgmNames.Newer)])
        {
            answers.Mark($"{node.Name} {names}");
            node.Speak(names);
            await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System);
        }

        answers.ShouldBeDecidedSince(decided);
        answers.Answers.Where(static answer => answer.IsDecided).Select(static answer => answer.Metrics.Value).Distinct().Should().Equal([331], answers.Timeline());
    }

    [Fact]
    public async Task Scale_in_is_believed()
    {
        Spread("llm", 0.4, 0.4, 0.4, 0.4);
        _nodes[0].Show(new GpuSlot("genai", Pod("llm", 0), 0.4), new GpuSlot("genai", Pod("llm", 2), 0.4), new GpuSlot("other", "bystander", 0.5));
        _nodes[1].Show(new GpuSlot("genai", Pod("llm", 1), 0.4), new GpuSlot("genai", Pod("llm", 3), 0.4), new GpuSlot("other", "bystander", 0.5));
        await using var scaler = await StartThroughPrometheusAsync();
        await scaler.UntilAsync(Vram("llm"), static value => value == 189, "four pods");

        _nodes[0].Show(new GpuSlot("genai", Pod("llm", 0), 0.4), new GpuSlot(null, null, 0), new GpuSlot("other", "bystander", 0.5));
        await scaler.UntilAsync(Vram("llm"), static value => value == 142, "three pods");

        _nodes[0].Show(new GpuSlot(null, null, 0), new GpuSlot(null, null, 0), new GpuSlot("other", "bystander", 0.5));
        _nodes[1].Show(new GpuSlot(null, null, 0), new GpuSlot("other", "newcomer", 0.4), new GpuSlot("other", "bystander", 0.5));
        await scaler.UntilAsync(Vram("llm"), static value => value == 0, "none");
        (await scaler.Grpc.IsActiveAsync(Vram("llm"))).Active.Should().BeFalse();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Shared_and_divided_devices_count_once(bool directly)
    {
        // T11: two workloads on one time-sliced GPU, of which one has two pods there; MIG instances of three workloads on one card.
        _nodes[0].Show(
            new GpuSlot("genai", Pod("sliced", 0), 0.6) { Uuid = "GPU-shared" },
            new GpuSlot("genai", Pod("sliced", 1), 0.6) { Uuid = "GPU-shared" },
            new GpuSlot("genai", Pod("beside", 0), 0.6) { Uuid = "GPU-shared" });
        _nodes[1].Show(
            new GpuSlot("genai", Pod("mig-a", 0), 0.5) { Uuid = "GPU-mig", Instance = "7", CapacityGib = 10 },
            new GpuSlot("genai", Pod("mig-b", 0), 0.2) { Uuid = "GPU-mig", Instance = "8", CapacityGib = 10 },
            new GpuSlot("genai", Pod("mig-c", 0), 0.8) { Uuid = "GPU-mig", Instance = "9", CapacityGib = 10 },
            new GpuSlot(null, null, 0.2) { Uuid = "GPU-mig" });
        await using var scaler = directly ? await StartAsync(Gpu(_nodes)) : await StartThroughPrometheusAsync();

        foreach (var (name, used, pods) in (IReadOnlyList<(string, double, int)>)[("sliced", 0.6, 2), ("beside", 0.6, 1), ("mig-a", 0.5, 1), ("mig-b", 0.2, 1), ("mig-c", 0.8, 1)])
        {
            var call = await scaler.UntilAsync(Vram(name), static _ => true, "an answer");

            // Two pods that share a device have half of it each, so full means two of them.
            call.Value.MetricValue.Should().Be((long)Math.Ceiling(100 * pods * used / 0.85), name);
        }
    }

    [Fact]
    public async Task Weights_and_load_settle_through_the_whole_chain_without_oscillating()
    {
        // Weights are 60 %; a load of 0.9 GPUs spreads over the pods. The server was there when they were idle.
        Spread("llm", idle: true, 0.6, 0.6, 0.6);
        await using var scaler = await StartThroughPrometheusAsync();
        var workload = Vram("llm", ("coldStart", "20s"));
        await using var answers = new AnswerLog(scaler, workload);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 0 }, "idle");

        var decided = answers.Now;
        var hpa = new HpaLoop(3);
        var history = new List<int>();
        for (var i = 0; i < 10; i++)
        {
            Spread("llm", [.. Enumerable.Repeat(0.6 + (0.9 / hpa.Replicas), hpa.Replicas)]);
            await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
            hpa.Sync(TimeSpan.FromSeconds(5 * i), answers.Last.Metrics.Value);
            history.Add(hpa.Replicas);
        }

        answers.ShouldBeDecidedSince(decided);
        history.Skip(4).Distinct().Should().Equal([4], answers.Timeline());
    }

    [Fact]
    public async Task The_answer_explains_itself_on_the_metrics_page()
    {
        Spread("llm", 0.9, 0.9, 0.9);
        await using var scaler = await StartThroughPrometheusAsync();
        await scaler.UntilHpaAsync(Vram("llm"), 3, 4);

        (await scaler.SeriesAsync("gpu_scaler_workload_vram_used_ratio")).Should().BeApproximately(0.9, 1e-3);
        (await scaler.SeriesAsync("gpu_scaler_workload_vram_replicas")).Should().BeApproximately(3.31, 1e-9);
        (await scaler.SeriesAsync("gpu_scaler_workload_replicas")).Should().Be(3);
        (await scaler.SeriesAsync("gpu_scaler_workload_reason", "reason=\"vram_headroom\"")).Should().Be(1);
        (await scaler.SeriesAsync("gpu_scaler_fleet_source_up", "source=\"gpu\"")).Should().Be(1);
        (await scaler.SeriesAsync("gpu_scaler_workload_messages_ready")).Should().BeNull("there is no queue");
        (await Promtool.CheckMetricsAsync(await scaler.ReadMetricsAsync())).Should().Be(new PromtoolVerdict(true, ""));
    }

    /// <summary>The server, started once Prometheus has all that the exporters show: pods that it sees later are young (T15).</summary>
    private async Task<ScalerProcess> StartThroughPrometheusAsync()
    {
        var pods = _nodes.Sum(static node => node.Pods);
        await _prometheus.WaitForAsync("count({__name__=~\"DCGM_FI_DEV_FB_FREE(_BYTES)?\", exported_pod!=\"\"})", samples => samples.Count == 1 && (int)samples[0].Value == pods);
        await _prometheus.WaitForAsync("count({__name__=~\"DCGM_FI_DEV_FB_USED(_BYTES)?\", exported_pod!=\"\"})", samples => samples.Count == 1 && (int)samples[0].Value == pods);
        return await StartAsync(PrometheusAt(_prometheus.Uri), Gpu());
    }

    private void Spread(string target, params double[] used) => Spread(target, idle: false, used);

    private void Spread(string target, bool idle, params double[] used)
    {
        for (var n = 0; n < _nodes.Length; n++)
        {
            _nodes[n].Show([.. used
                .Select((share, i) => (Share: share, Number: i))
                .Where(pod => pod.Number % _nodes.Length == n)
                .Select(pod => new GpuSlot("genai", Pod(target, pod.Number), pod.Share) { Utilisation = idle ? 0 : 0.5 })]);
        }
    }

    /// <summary>An HPA with Kubernetes' defaults, stabilisation included: exporters are scraped one after the other, and what moves between them is seen twice or not at all for a moment.</summary>
    private sealed class HpaLoop(int replicas)
    {
        private readonly HorizontalPodAutoscaler _hpa = new(new AutoscalerSpec());

        public int Replicas { get; private set; } = replicas;

        public void Sync(TimeSpan now, long value) => Replicas = _hpa.Sync(now, Replicas, Replicas, [new ExternalMetric(TargetType.AverageValue, value, 100)]);
    }
}
