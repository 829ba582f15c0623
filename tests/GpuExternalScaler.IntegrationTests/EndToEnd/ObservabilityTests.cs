using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

[Collection(BrokerTests.Name)]
public sealed class ObservabilityTests(SharedBroker3 shared)
{
    [Fact]
    public async Task A_real_Prometheus_scrapes_what_KEDA_is_told_and_promtool_finds_nothing_wrong()
    {
        var queue = SharedBroker.QueueName("metrics");
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker);
        await driver.DeclareQueueAsync(queue);
        await using var workers = await driver.StartWorkersAsync(queue, 10, WorkStyle.Hold);
        await driver.PublishAsync(queue, 7);
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 7, consumers: 10);
        await using var scaler = await ScalerSetup.StartAsync(shared.Broker);
        (await scaler.FirstAnswerAsync(ScalerSetup.Workload(queue))).Value.MetricValue.Should().Be(1000);
        await scaler.FirstAnswerAsync(ScalerSetup.Workload(queue, "other", ("share", "0.5")));
        await scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload("nowhere", "undecided"));

        await using var prometheus = await PrometheusServer.StartAsync(new ScrapeTarget("scaler", scaler.HttpAddress) { HonorLabels = true });
        var needed = await prometheus.WaitForAsync("gpu_scaler_workload_replicas_needed{scaled_object=\"workers\"} == 10");
        needed.Should().ContainSingle().Which.Labels["namespace"].Should().Be("genai");
        (await prometheus.QueryAsync("gpu_scaler_workload_reason{scaled_object=\"workers\"}")).Should().ContainSingle()
            .Which.Labels["reason"].Should().Be("consumer_saturation");
        (await prometheus.QueryAsync("gpu_scaler_workload_consumers{scaled_object=\"workers\"}")).Should().ContainSingle().Which.Value.Should().Be(10);
        (await prometheus.QueryAsync("gpu_scaler_workload_replicas_needed{scaled_object=\"undecided\"}")).Should().BeEmpty("missing is not zero");
        (await prometheus.WaitForAsync("gpu_scaler_workload_decided{scaled_object=\"undecided\"} == 0")).Should().ContainSingle();
        (await prometheus.QueryAsync("gpu_scaler_grpc_requests_total{grpc_method=\"GetMetrics\",grpc_code=\"OK\"}")).Should().ContainSingle();
        (await prometheus.QueryAsync("gpu_scaler_source_up")).Should().ContainSingle().Which.Value.Should().Be(1);

        (await Promtool.CheckMetricsAsync(await scaler.ReadMetricsAsync())).Should().Be(new PromtoolVerdict(true, ""));
    }

    [Fact]
    public async Task A_workload_nobody_asks_about_is_forgotten_and_one_with_an_open_stream_is_not()
    {
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(shared.Broker))
            .Replace("interval: 100ms }", "interval: 100ms, forgetAfter: 2s }", StringComparison.Ordinal));
        var queue = SharedBroker.QueueName("forgotten");
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker);
        await driver.DeclareQueueAsync(queue);
        await scaler.FirstAnswerAsync(ScalerSetup.Workload(queue, "asked-once"));
        await using var stream = scaler.Grpc.Watch(ScalerSetup.Workload(queue, "streamed"));
        await stream.WaitForMessagesAsync(1);

        await Eventually.SeesAsync(() => scaler.SeriesAsync("gpu_scaler_workloads"), static count => count == 1, "one workload left");
        (await scaler.SeriesAsync("gpu_scaler_workload_decided", "scaled_object=\"streamed\"")).Should().Be(1);
        (await scaler.SeriesAsync("gpu_scaler_workload_decided", "scaled_object=\"asked-once\"")).Should().BeNull();

        // The stream still hears.
        await driver.PublishAsync(queue, 1);
        await stream.WaitForMessagesAsync(2);
        stream.Messages[1].Response!.Result.Should().BeTrue();
    }

    [Fact]
    public async Task What_was_learned_of_a_queue_survives_an_edit_of_the_trigger()
    {
        var queue = SharedBroker.QueueName("edited");
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker);
        await driver.DeclareQueueAsync(queue);
        await using var workers = await driver.StartWorkersAsync(queue, 4, WorkStyle.Serial(TimeSpan.FromMilliseconds(200)));
        await driver.PublishAsync(queue, 600);
        await using var scaler = await ScalerSetup.StartAsync(shared.Broker);
        var workload = ScalerSetup.Workload(queue);
        await scaler.FirstAnswerAsync(workload);
        await Eventually.SeesAsync(
            () => scaler.SeriesAsync("gpu_scaler_workload_service_time_seconds"),
            static seconds => seconds is not null,
            "a measured service time",
            TimeSpan.FromSeconds(60));

        var edited = workload.With("saturationThreshold", "0.6");
        await scaler.UntilAsync(edited, static _ => true, "an answer");
        var trigger = (await scaler.ReadMetricsAsync()).Split('\n')
            .Count(static line => line.StartsWith("gpu_scaler_workload_service_time_seconds{", StringComparison.Ordinal));
        trigger.Should().Be(2, "the new trigger knows at once what the old one measured");
    }
}
