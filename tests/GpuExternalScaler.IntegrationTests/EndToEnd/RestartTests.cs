using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

[Collection(BrokerTests.Name)]
public sealed class Restart3Tests(SharedBroker3 shared) : RestartTests(shared);

[Collection(BrokerTests4.Name)]
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class Restart4Tests(SharedBroker4 shared) : RestartTests(shared);

/// <summary>What a server that was started anew makes of the Prometheus that remembers it.</summary>
public abstract class RestartTests(SharedBroker shared) : IAsyncLifetime
{
    private readonly string _queue = SharedBroker.QueueName("restart");
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(shared.Broker);
        await _driver.DeclareQueueAsync(_queue);
    }

    public async Task DisposeAsync()
    {
        await _driver.DeleteQueueAsync(_queue);
        await _driver.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task In_mid_ramp_the_first_answers_are_those_of_a_server_that_never_stopped(bool honorLabels)
    {
        // From 10 to 40 messages a second in 150 s, of two seconds each: of many busy slots a single look is near the mean.
        await using var workers = new WorkerFleet(() => shared.Broker.CreateConnectionFactory(), _queue, 100, new WorkerBehaviour { ServiceTime = TimeSpan.FromSeconds(2), Prefetch = 1 });
        var publishing = SteadyPublisher.RunAsync(() => shared.Broker.CreateConnectionFactory(), _queue, static at => 1 / (10 + Math.Min(30, 0.2 * at)), TimeSpan.FromSeconds(150));
        await using var undisturbed = await StartAsync("");
        await using var restarted = await StartAsync("");

        // Its own series alone, which outlive it.
        await using var prometheus = await PrometheusServer.StartAsync(
            new ScrapeTarget("scaler", restarted.HttpAddress) { HonorLabels = honorLabels, Labels = [("namespace", "gpu-scaler"), ("pod", "gpu-scaler-0")] });
        restarted.Reconfigure(Configuration(History(prometheus.Uri)));
        var workload = ScalerSetup.Workload(_queue, metadata: [("coldStart", "30s")]);
        await using var answers = new AnswerLog(undisturbed, workload);
        await using var others = new AnswerLog(restarted, workload);
        await others.WaitForAsync(static answer => answer.IsDecided, "an answer");
        await Task.Delay(TimeSpan.FromSeconds(100), TimeProvider.System);
        var serviceTime = await restarted.SeriesAsync("gpu_scaler_workload_service_time_measured_seconds");
        serviceTime.Should().NotBeNull(others.Timeline());

        var stopped = others.Now;
        await restarted.RestartAsync();
        var first = await others.WaitForAsync(static answer => answer.IsDecided, "an answer");
        var arrivalsAtFirst = await restarted.SeriesAsync("gpu_scaler_workload_arrivals_per_second");
        (await restarted.SeriesAsync("gpu_scaler_workload_service_time_seconds")).Should().BeApproximately(serviceTime!.Value, 0.1 * serviceTime.Value);
        await Task.Delay(TimeSpan.FromSeconds(8), TimeProvider.System);
        await publishing;

        // Both polled from the same moment, to within a quarter of a second.
        var shift = answers.Now - others.Now;
        var differences = others.Since(stopped).Where(answer => answer.IsDecided && answer.AtSeconds >= first.AtSeconds && answer.AtSeconds <= first.AtSeconds + 5).Select(answer =>
        {
            var same = answers.Answers.Where(static other => other.IsDecided).MinBy(other => Math.Abs(other.AtSeconds - shift - answer.AtSeconds));
            return (answer.AtSeconds, Restarted: answer.Metrics.Value, Undisturbed: same.Metrics.Value);
        }).ToList();
        var said = string.Join(", ", differences) + $"; arrivals {arrivalsAtFirst}\n" + others.Timeline();
        differences.Should().NotBeEmpty(said);

        // A single look at 60 busy slots is off by a twentieth, and the two servers do not look at once.
        differences.Average(static pair => pair.Restarted / (double)pair.Undisturbed).Should().BeApproximately(1, 0.1, said);
        differences.Should().OnlyContain(static pair => Math.Abs(pair.Restarted - pair.Undisturbed) <= 0.2 * pair.Undisturbed, said);
        (await Promtool.CheckMetricsAsync(await restarted.ReadMetricsAsync())).Should().Be(new PromtoolVerdict(true, ""));
    }

    [Fact]
    public async Task A_Prometheus_that_is_down_or_talks_nonsense_takes_no_answer_away()
    {
        await _driver.PublishAsync(_queue, 5);
        await using var page = new ScriptedExporter("<html>Sign in</html>");
        foreach (var address in (string[])[$"127.0.0.1:{LoopbackPorts.Reserve()}", page.Address])
        {
            await using var scaler = await StartAsync(History(new Uri($"http://{address}")));

            await AnswersWithinAsync(scaler, TimeSpan.FromSeconds(10));

            scaler.Log.Count(static line => line.Contains("by its past fails", StringComparison.Ordinal)).Should().Be(1, string.Join('\n', scaler.Log));
        }
    }

    [Fact]
    public async Task A_Prometheus_that_hangs_delays_the_first_answer_by_ten_seconds_at_most()
    {
        await _driver.PublishAsync(_queue, 5);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        await using var scaler = await StartAsync(History((IPEndPoint)listener.LocalEndpoint, "timeout: 60s"));

        var waited = await AnswersWithinAsync(scaler, TimeSpan.FromSeconds(10));

        waited.Should().BeGreaterThan(TimeSpan.FromSeconds(5), "it was waited for");
        (await scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(_queue))).Ok.Should().BeTrue();
    }

    /// <summary>How long the first answer took, from when it was first asked for.</summary>
    private async Task<TimeSpan> AnswersWithinAsync(ScalerProcess scaler, TimeSpan limit)
    {
        var start = TimeProvider.System.GetTimestamp();
        await scaler.UntilAsync(ScalerSetup.Workload(_queue), static _ => true, "an answer", limit + TimeSpan.FromSeconds(20));
        var waited = TimeProvider.System.GetElapsedTime(start);
        waited.Should().BeLessThan(limit + TimeSpan.FromSeconds(1), "asking takes a moment too");
        return waited;
    }

    private Task<ScalerProcess> StartAsync(string history) => ScalerProcess.StartAsync(Configuration(history));

    private string Configuration(string history) => ScalerSetup.Configuration(ScalerSetup.Connection(shared.Broker), history);

    private static string History(Uri url) => History(url.Authority, "timeout: 10s");

    private static string History(IPEndPoint address, string more) => History(address.ToString(), more);

    private static string History(string authority, string more) =>
        $$"""
        prometheus:
          main: { url: "http://{{authority}}", {{more}} }
        history: { prometheus: main }
        """;
}
