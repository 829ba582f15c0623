using System.Globalization;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using static GpuExternalScaler.IntegrationTests.Fleets.FleetSetup;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>What is not known never lowers an answer: partial answers, old timestamps, and VRAM that goes beside a queue that stays.</summary>
[Collection(BrokerTests.Name)]
public sealed class HeldSignalTests(SharedBroker3 shared)
{
    [Fact]
    public async Task Beside_a_queue_VRAM_that_is_gone_lets_it_grow_and_after_holdFor_shrink()
    {
        var queue = SharedBroker.QueueName("vram");
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker);
        await driver.DeclareQueueAsync(queue);
        await using var node = new GpuNode("node-a");
        node.Show([.. Enumerable.Range(0, 3).Select(i => new GpuSlot("genai", Pod("workers", i), 0.9))]);
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(shared.Broker), Gpu([node], staleAfter: "3s")));
        var workers = await driver.StartWorkersAsync(queue, 10, WorkStyle.Hold);
        await driver.PublishAsync(queue, 1);
        await driver.WaitForGaugesAsync(queue, unacked: 1, consumers: 10);
        await using var answers = new AnswerLog(scaler, ScalerSetup.Workload(queue, "workers", ("vramThreshold", "0.85"), ("holdFor", "25s")));
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 331 }, "VRAM's 331");

        var decided = answers.Now;
        answers.Mark("exporter killed");
        await node.KillAsync();
        await Task.Delay(TimeSpan.FromSeconds(6), TimeProvider.System);
        answers.Last.Metrics.Value.Should().Be(331, "its last need is held");
        (await scaler.SeriesAsync("gpu_scaler_workload_reason", "reason=\"signal_stale\"")).Should().Be(1);

        answers.Mark("seven busy");
        await driver.PublishAsync(queue, 6);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: 1000 }, "the queue's 1000", TimeSpan.FromSeconds(60));

        answers.Mark("purged");
        await workers.DisposeAsync();
        await driver.PurgeQueueAsync(queue);
        await answers.WaitForAsync(static answer => answer is { IsDecided: true, Metrics.Value: < 331 }, "less, by its queue", TimeSpan.FromSeconds(120));
        answers.ShouldBeDecidedSince(decided);
    }

    [Fact]
    public async Task A_partial_answer_lets_nothing_shrink()
    {
        await using var node = new GpuNode("node-a");
        node.Show([.. Enumerable.Range(0, 4).Select(i => new GpuSlot("genai", Pod("llm", i), 0.8))]);
        await using var prometheus = await PrometheusServer.StartAsync(node.Target);
        await using var proxy = await WarningProxy.StartAsync(prometheus.Uri, LoopbackPorts.Reserve());
        await prometheus.WaitForAsync("count(DCGM_FI_DEV_FB_USED) and count(DCGM_FI_DEV_FB_FREE)");
        await using var scaler = await StartAsync(PrometheusAt(proxy.Uri), Gpu());
        await scaler.UntilAsync(Vram("llm"), static value => value == 377, "377");

        proxy.Warns = true;
        await Task.Delay(TimeSpan.FromSeconds(2), TimeProvider.System);
        node.Show([.. Enumerable.Range(0, 4).Select(i => new GpuSlot("genai", Pod("llm", i), 0.2))]);
        await Task.Delay(TimeSpan.FromSeconds(6), TimeProvider.System);
        (await scaler.Grpc.GetMetricsAsync(Vram("llm"))).Value.MetricValue.Should().Be(377);

        node.Show([.. Enumerable.Range(0, 4).Select(i => new GpuSlot("genai", Pod("llm", i), 0.95))]);
        await scaler.UntilAsync(Vram("llm"), static value => value >= 441, "growth");

        proxy.Warns = false;
        node.Show([.. Enumerable.Range(0, 4).Select(i => new GpuSlot("genai", Pod("llm", i), 0.2))]);
        await scaler.UntilAsync(Vram("llm"), static value => value == 95, "shrinking");
    }

    [Fact]
    public async Task Timestamps_that_stand_still_are_refused_though_Prometheus_still_has_the_series()
    {
        // T20: an Ascend exporter stamps its samples, and Prometheus keeps such for five minutes.
        await using var exporter = new ScriptedExporter("");
        using var stop = new CancellationTokenSource();
        var stamping = StampAsync(exporter, stop.Token);
        await using var prometheus = await PrometheusServer.StartAsync(new ScrapeTarget("npu", exporter.Address) { HonorLabels = true });
        await prometheus.WaitForAsync("npu_chip_info_hbm_total_memory");
        await using var scaler = await StartAsync(PrometheusAt(prometheus.Uri), Gpu("ascend"));
        await scaler.UntilAsync(Vram("llm"), static value => value == 111, "111");

        await stop.CancelAsync();
        await stamping;
        GoCall call = await Eventually.SeesAsync(() => scaler.Grpc.GetMetricsAsync(Vram("llm")), static answer => !answer.Ok, "Unavailable");

        call.Code.Should().Be("Unavailable");
        call.Message.Should().Contain("source_stale");
        (await prometheus.QueryAsync("npu_chip_info_hbm_used_memory")).Should().NotBeEmpty("it still has them");
        await Eventually.SeesAsync(() => scaler.SeriesAsync("gpu_scaler_source_bad_samples_total", "reason=\"stale\""), static refused => refused > 0, "refused samples");
    }

    private static async Task StampAsync(ScriptedExporter exporter, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var now = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds().ToString(CultureInfo.InvariantCulture);
            const string Labels = "{id=\"0\",model_name=\"910B-Ascend-V1\",vdie_id=\"1C0B\",container_name=\"worker\",namespace=\"genai\",pod_name=\"llm-0\"}";
            exporter.Page = $"npu_chip_info_hbm_used_memory{Labels} 58982 {now}\nnpu_chip_info_hbm_total_memory{Labels} 65536 {now}\n";
            await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, CancellationToken.None);
        }
    }
}
