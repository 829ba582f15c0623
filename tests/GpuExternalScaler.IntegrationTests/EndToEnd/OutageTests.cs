using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

public sealed class Outage3Tests() : OutageTests(RabbitMqInstallation.Packaged);

[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class Outage4Tests() : OutageTests(RabbitMqInstallation.Unpacked);

/// <summary>K20 with real brokers that are killed and hung: missing is not zero.</summary>
public abstract class OutageTests(RabbitMqInstallation installation) : IAsyncLifetime
{
    private RabbitMqBroker _broker = null!;
    private RabbitMqBroker _other = null!;
    private ScalerProcess _scaler = null!;
    private readonly List<IAsyncDisposable> _disposables = [];

    public async Task InitializeAsync()
    {
        _broker = await RabbitMqBroker.StartNewAsync(installation);
        _other = await RabbitMqBroker.StartNewAsync(installation);
        _scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            ScalerSetup.Connection(_broker, staleAfter: "5s") + ScalerSetup.Connection(_other, "other", staleAfter: "5s")));
    }

    public async Task DisposeAsync()
    {
        foreach (var disposable in _disposables)
        {
            await disposable.DisposeAsync();
        }

        await _scaler.DisposeAsync();
        await _other.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Fact]
    public async Task A_killed_broker_is_held_then_Unavailable_with_a_reason_then_back_and_the_other_broker_never_notices()
    {
        var (workload, _) = await BusyAsync(_broker, "main");
        var (bystander, _) = await BusyAsync(_other, "other");
        (await _scaler.FirstAnswerAsync(bystander)).Value.MetricValue.Should().Be(1000);
        (await _scaler.FirstAnswerAsync(workload)).Value.MetricValue.Should().Be(1000);
        await using var stream = _scaler.Grpc.Watch(workload);
        await stream.WaitForMessagesAsync(1);

        await _broker.KillAsync();
        var seen = new List<GoCall>();
        var undecided = await Eventually.SeesAsync(
            async () =>
            {
                var call = await _scaler.Grpc.GetMetricsAsync(workload);
                seen.Add(call);
                (await _scaler.Grpc.GetMetricsAsync(bystander)).Value.MetricValue.Should().Be(1000);
                return call;
            },
            static call => call.Code == "Unavailable",
            "Unavailable");

        seen.Where(static call => call.Ok).Should().NotBeEmpty().And.OnlyContain(static call => call.Value.MetricValue == 1000, "held, never lower");
        undecided.Message.Should().StartWith("source_stale: ").And.Contain("main").And.NotContain(RabbitMqBroker.ScalerPassword);
        (await _scaler.Grpc.IsActiveAsync(workload)).Code.Should().Be("Unavailable");
        (await _scaler.Grpc.GetMetricSpecAsync(workload)).Ok.Should().BeTrue("K12: the spec does not depend on sources");
        (await _scaler.SeriesAsync("gpu_scaler_source_up", "connection=\"main\"")).Should().Be(0);
        (await _scaler.SeriesAsync("gpu_scaler_source_up", "connection=\"other\"")).Should().Be(1);
        (await _scaler.SeriesAsync("gpu_scaler_workload_replicas_needed", "connection=\"main\"", "scaled_object=\"main-workers\"")).Should().BeNull("missing is not zero");

        await _broker.RestartAsync();

        // The queue is back with its messages and without its consumers; the answer from before is the floor.
        var back = await Eventually.SeesAsync(() => _scaler.Grpc.GetMetricsAsync(workload), static call => call.Ok, "an answer again");
        back.Value.MetricValue.Should().Be(1000);
        (await _scaler.Grpc.IsActiveAsync(workload)).Active.Should().BeTrue();
        for (var i = 0; i < 20; i++)
        {
            (await _scaler.Grpc.GetMetricsAsync(workload)).Value.MetricValue.Should().BeGreaterThanOrEqualTo(1000);
        }

        // K22: through all of it the stream stayed open, and never said false.
        stream.HasEnded.Should().BeFalse();
        stream.Messages.Should().OnlyContain(static message => message.Response!.Result == true);
        _scaler.Log.Should().Contain(static line => line.Contains("works again", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_broker_that_comes_back_is_answered_within_two_sweeps()
    {
        // Sweeps a second apart, so that they can be counted.
        await using var slow = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(_broker, interval: "1s", staleAfter: "5s")));
        var (workload, driver) = await BusyAsync(_broker, "main");
        await slow.FirstAnswerAsync(workload);
        await _broker.KillAsync();
        await Eventually.SeesAsync(() => slow.Grpc.GetMetricsAsync(workload), static call => call.Code == "Unavailable", "Unavailable");

        await _broker.RestartAsync();
        await Eventually.SeesAsync(() => driver.ReadGaugesAsync(workload.Metadata["queue"]), static gauges => gauges is not null, "the queue on the broker's own page");
        var sweeps = await slow.SweepsAsync();
        await Eventually.SeesAsync(() => slow.Grpc.GetMetricsAsync(workload), static call => call.Ok, "an answer again");

        (await slow.SweepsAsync() - sweeps).Should().BeLessThanOrEqualTo(2);
    }

    [Fact]
    public async Task A_hung_broker_and_with_it_a_hung_sweep_leads_to_Unavailable_and_RPCs_never_wait_for_it() // K2
    {
        var (workload, _) = await BusyAsync(_broker, "main");
        await _scaler.FirstAnswerAsync(workload);

        _broker.Pause();
        try
        {
            var calls = new List<GoCall>();
            var undecided = await Eventually.SeesAsync(
                async () =>
                {
                    var call = await _scaler.Grpc.GetMetricsAsync(workload, new GoCallOptions { Deadline = TimeSpan.FromSeconds(1) });
                    calls.Add(call);
                    return call;
                },
                static call => !call.Ok,
                "Unavailable");

            undecided.Code.Should().Be("Unavailable", "and not DeadlineExceeded");
            undecided.Message.Should().StartWith("source_stale: ");
            calls.Where(static call => call.Ok).Should().OnlyContain(static call => call.Value.MetricValue == 1000);
        }
        finally
        {
            _broker.Resume();
        }

        var back = await Eventually.SeesAsync(() => _scaler.Grpc.GetMetricsAsync(workload), static call => call.Ok, "an answer again");
        back.Value.MetricValue.Should().Be(1000);
    }

    [Fact]
    public async Task A_broker_that_was_down_past_the_cooldown_and_comes_back_empty_and_alone_switches_nothing_off()
    {
        // What KEDA and the HPA remember (300 s by default) is gone after such an outage: they would obey the first zero.
        // Say they remember for ten seconds here. The hold outlasts the wait for consumers by as long as the average of
        // busy slots takes to forget that there were none.
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            ScalerSetup.Connection(_broker, staleAfter: "10s"), "defaults: { holdAfterRecovery: 50s, coldStart: 5s }"));
        var queue = SharedBroker.QueueName("recovery");
        var workload = ScalerSetup.Workload(queue);
        await using (var driver = await QueueDriver.ConnectAsync(_broker))
        {
            await driver.DeclareQueueAsync(queue);
            await driver.StartWorkersAsync(queue, 10, WorkStyle.Hold);
            await driver.PublishAsync(queue, 7, persistent: false);
            await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 7, consumers: 10);
            await scaler.UntilAsync(workload, static value => value == 1000, "the answer before the outage");
        }

        await using var log = new AnswerLog(scaler, workload);
        await log.WaitForAsync(static answer => answer.IsDecided, "the first answer");
        log.Mark("the broker dies");
        await _broker.KillAsync();
        await log.WaitForAsync(static answer => answer.Metrics.Code == "Unavailable", "Unavailable");
        await Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System, CancellationToken.None);
        log.Mark("the broker is started, with neither messages nor consumers");
        await _broker.StartAsync();

        // A broker that was killed may have lost a queue it has only just been told of; it would show none at all.
        await using var returned = await QueueDriver.ConnectAsync(_broker);
        await returned.DeclareQueueAsync(queue);
        await log.WaitForAsync(static answer => answer.IsDecided, "an answer again", TimeSpan.FromSeconds(60));
        await returned.WaitForGaugesAsync(queue, ready: 0, unacked: 0, consumers: 0);
        await Task.Delay(TimeSpan.FromSeconds(30), TimeProvider.System, CancellationToken.None);
        log.Mark("work and consumers return");
        await using var workers = await returned.StartWorkersAsync(queue, 10, WorkStyle.Hold);
        await returned.PublishAsync(queue, 7);

        // Past the hold: what is answered now is what there is.
        await Task.Delay(TimeSpan.FromSeconds(25), TimeProvider.System, CancellationToken.None);
        log.ShouldNeverDropBelow(1000);
        log.Last.Metrics.Value.Should().Be(1000, log.Timeline());

        log.Mark("the work is done");
        await workers.AckAsync();
        await log.WaitForAsync(static answer => answer.IsDecided && !answer.Active.Result, "the hold to have ended", TimeSpan.FromSeconds(120));
    }

    /// <summary>Ten consumers, seven of them busy.</summary>
    private async Task<(GoWorkload Workload, QueueDriver Driver)> BusyAsync(RabbitMqBroker broker, string connection)
    {
        var queue = SharedBroker.QueueName("outage");
        var driver = await QueueDriver.ConnectAsync(broker);
        _disposables.Add(driver);
        await driver.DeclareQueueAsync(queue);
        await driver.StartWorkersAsync(queue, 10, WorkStyle.Hold);
        await driver.PublishAsync(queue, 7);
        await driver.WaitForGaugesAsync(queue, ready: 0, unacked: 7, consumers: 10);
        return (ScalerSetup.Workload(queue, connection + "-workers", ("rabbitmq", connection)), driver);
    }
}
