using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

[Collection(BrokerTests.Name)]
public sealed class ExactNumbers3Tests(SharedBroker3 shared) : ExactNumbersTests(shared);

[Collection(BrokerTests4.Name)]
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class ExactNumbers4Tests(SharedBroker4 shared) : ExactNumbersTests(shared);

/// <summary>What a real broker's state becomes, through the running program, at a grpc-go client.</summary>
public abstract class ExactNumbersTests(SharedBroker shared) : IAsyncLifetime
{
    private readonly string _queue = SharedBroker.QueueName("exact");
    private ScalerProcess _scaler = null!;
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(shared.Broker);
        await _driver.DeclareQueueAsync(_queue);
        _scaler = await ScalerSetup.StartAsync(shared.Broker);
    }

    public async Task DisposeAsync()
    {
        await _scaler.DisposeAsync();
        await _driver.DisposeAsync();
    }

    [Fact]
    public async Task Seven_of_ten_consumers_busy_is_ten_replicas_and_full_with_thirty_waiting_is_more()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 10, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 7);
        await _driver.WaitForGaugesAsync(_queue, ready: 0, unacked: 7, consumers: 10);
        var workload = ScalerSetup.Workload(_queue);

        var answer = await _scaler.FirstAnswerAsync(workload);

        answer.Value.Should().Be(new GoMetricValue("gpu-demand", 1000, 1000.0));
        (await _scaler.Grpc.IsActiveAsync(workload)).Active.Should().BeTrue();
        (await _scaler.Grpc.GetMetricSpecAsync(workload)).Spec.Should().Be(new GoMetricSpec("gpu-demand", 100, 100.0));

        await _driver.PublishAsync(_queue, 33);
        await _driver.WaitForGaugesAsync(_queue, ready: 30, unacked: 10, consumers: 10);
        await _scaler.UntilAsync(workload, static value => value == 2000, "twice the consumers, as the service time is unknown");
    }

    [Fact]
    public async Task No_consumers_and_25_ready_wakes_with_one_and_grows_by_no_more_than_doubling()
    {
        await _driver.PublishAsync(_queue, 25);
        await _driver.WaitForGaugesAsync(_queue, ready: 25, unacked: 0, consumers: 0);
        var workload = ScalerSetup.Workload(_queue);

        (await _scaler.FirstAnswerAsync(workload)).Value.MetricValue.Should().Be(100);
        (await _scaler.Grpc.IsActiveAsync(workload)).Active.Should().BeTrue();

        await using var one = await _driver.StartWorkersAsync(_queue, 1, WorkStyle.Hold);
        await _scaler.UntilAsync(workload, static value => value == 200, "one consumer doubled");
        await using var second = await _driver.StartWorkersAsync(_queue, 1, WorkStyle.Hold);
        await _scaler.UntilAsync(workload, static value => value == 400, "two consumers doubled");
    }

    [Fact]
    public async Task Five_thousand_ready_with_an_unknown_service_time_never_asks_for_five_thousand()
    {
        await _driver.PublishAsync(_queue, 5000);
        await _driver.WaitForGaugesAsync(_queue, ready: 5000, unacked: 0, consumers: 0);
        var workload = ScalerSetup.Workload(_queue);
        await _scaler.FirstAnswerAsync(workload);

        // Over many evaluations and sweeps, the first of them included.
        var calls = await _scaler.Grpc.CallAsync("GetMetrics", workload, new GoCallOptions { Count = 2000 });

        calls.Should().OnlyContain(static call => call.Ok && call.Value.MetricValue == 100);
    }

    [Fact]
    public async Task Nothing_at_all_is_zero_and_inactive()
    {
        await _driver.WaitForGaugesAsync(_queue, ready: 0, unacked: 0, consumers: 0);
        var workload = ScalerSetup.Workload(_queue);

        // K19: zero means both fields zero.
        (await _scaler.FirstAnswerAsync(workload)).Value.Should().Be(new GoMetricValue("gpu-demand", 0, 0));
        (await _scaler.Grpc.IsActiveAsync(workload)).Active.Should().BeFalse();
    }

    [Theory]
    [InlineData(3, 429)] // 30 % load
    [InlineData(10, 1429)] // full, nothing waiting
    [InlineData(40, 2000)] // full, thirty waiting: in the queue, or prefetched
    public async Task A_serial_worker_with_prefetch_10_reads_like_one_with_prefetch_1(int messages, long value)
    {
        var other = _queue + "-prefetch-10";
        await _driver.DeclareQueueAsync(other);
        await using var with1 = await _driver.StartWorkersAsync(_queue, 10, WorkStyle.Hold, prefetch: 1);
        await using var with10 = await _driver.StartWorkersAsync(other, 10, WorkStyle.Hold, prefetch: 10);
        await _driver.PublishAsync(_queue, messages);
        await _driver.PublishAsync(other, messages);
        await _driver.WaitForGaugesAsync(_queue, ready: Math.Max(0, messages - 10), unacked: Math.Min(10, messages), consumers: 10);
        await _driver.WaitForGaugesAsync(other, ready: 0, unacked: messages, consumers: 10);

        await _scaler.UntilAsync(ScalerSetup.Workload(_queue, "with-1"), v => v == value, $"{value} with prefetch 1");
        await _scaler.UntilAsync(ScalerSetup.Workload(other, "with-10"), v => v == value, $"{value} with prefetch 10");
    }

    [Fact]
    public async Task Real_serial_workers_at_30_percent_load_give_the_same_answer_with_prefetch_1_and_10()
    {
        var other = _queue + "-prefetch-10";
        await _driver.DeclareQueueAsync(other);
        var style = WorkStyle.Serial(TimeSpan.FromMilliseconds(500));
        await using var with1 = await _driver.StartWorkersAsync(_queue, 10, style, prefetch: 1);
        await using var with10 = await _driver.StartWorkersAsync(other, 10, style, prefetch: 10);
        var one = ScalerSetup.Workload(_queue, "with-1");
        var ten = ScalerSetup.Workload(other, "with-10");
        await _scaler.FirstAnswerAsync(one);
        await _scaler.FirstAnswerAsync(ten);

        // Six a second of half a second each: three of ten busy, 3 ÷ 0.7 replicas. One at a time: three every half second
        // would march in step with the work, and the broker's statistics with both.
        var publishing = PublishEvenlyAsync();
        var answers = new List<(long With1, long With10)>();
        await Task.Delay(TimeSpan.FromSeconds(20), TimeProvider.System, CancellationToken.None);
        while (!publishing.IsCompleted)
        {
            answers.Add(((await _scaler.Grpc.GetMetricsAsync(one)).Value.MetricValue, (await _scaler.Grpc.GetMetricsAsync(ten)).Value.MetricValue));
            await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System, CancellationToken.None);
        }

        await publishing;

        // A sweep may catch six at once, three ending and three beginning: what exists is never given up while it is
        // busy, so single answers differ. Their means do not.
        var mean1 = answers.Average(static answer => answer.With1);
        var mean10 = answers.Average(static answer => answer.With10);
        mean1.Should().BeInRange(350, 550);
        mean10.Should().BeInRange(350, 550);
        Math.Abs(mean1 - mean10).Should().BeLessThan(70);

        async Task PublishEvenlyAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1.0 / 6), TimeProvider.System);
            for (var i = 0; i < 180 && await timer.WaitForNextTickAsync(); i++)
            {
                await Task.WhenAll(_driver.PublishAsync(_queue, 1), _driver.PublishAsync(other, 1));
            }
        }
    }

    [Fact]
    public async Task Two_ScaledObjects_on_one_queue_are_warned_about_and_right_with_share()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 10, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 7);
        await _driver.WaitForGaugesAsync(_queue, ready: 0, unacked: 7, consumers: 10);

        var first = await _scaler.FirstAnswerAsync(ScalerSetup.Workload(_queue, "first"));
        var second = await _scaler.FirstAnswerAsync(ScalerSetup.Workload(_queue, "second"));
        (first.Value.MetricValue + second.Value.MetricValue).Should().Be(2000, "each asks for the whole");
        await _scaler.WaitForLogAsync("shares add up to 2");
        (await _scaler.SeriesAsync("gpu_scaler_workload_queue_shares", "scaled_object=\"first\"")).Should().Be(2);

        await using var other = await ScalerSetup.StartAsync(shared.Broker);
        var quarter = await other.FirstAnswerAsync(ScalerSetup.Workload(_queue, "first", ("share", "0.25")));
        var rest = await other.FirstAnswerAsync(ScalerSetup.Workload(_queue, "second", ("share", "0.75")));
        (quarter.Value.MetricValue, rest.Value.MetricValue).Should().Be((250, 750));
        await Eventually.SeesAsync(
            () => other.SeriesAsync("gpu_scaler_workload_queue_shares", "scaled_object=\"second\""),
            static shares => shares == 1,
            "shares that add up to one");
        other.Log.Should().NotContain(static line => line.Contains("shares add up", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(QueueKind.Classic)]
    [InlineData(QueueKind.Quorum)]
    public async Task Queues_of_any_name_in_any_vhost_are_found(QueueKind kind)
    {
        var vhost = "gen ai/100%+é" + kind;
        await shared.Broker.DeclareVhostAsync(vhost);
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker, vhost);
        string[] names = ["a b", "a/b", "100%", "a+b", "bildgröße-画像", "a%2Fb", "dots.and-dashes_"];
        for (var i = 0; i < names.Length; i++)
        {
            await driver.DeclareQueueAsync(names[i], kind);
            await driver.PublishAsync(names[i], i + 1);
        }

        foreach (var (name, i) in names.Select(static (name, i) => (name, i)))
        {
            var workload = ScalerSetup.Workload(name, $"odd-{i}", ("vhost", vhost), ("serviceTime", "60s"));
            await _scaler.UntilAsync(workload, value => value == 100 * (i + 1), $"{i + 1} messages of {name}");
        }

        // A list is added up, and so is a pattern: its seven names hold 28 messages.
        var list = ScalerSetup.Workload(string.Join(',', names), "list", ("vhost", vhost), ("serviceTime", "60s"));
        (await _scaler.FirstAnswerAsync(list)).Value.MetricValue.Should().Be(2800);
        var pattern = list.Without("queue").With("queueRegex", ".*");
        (await _scaler.FirstAnswerAsync(pattern)).Value.MetricValue.Should().Be(2800);
        var some = list.Without("queue").With("queueRegex", "a.b");
        (await _scaler.FirstAnswerAsync(some)).Value.MetricValue.Should().Be(100 + 200 + 400);

        // A queue that is declared later joins the pattern.
        await driver.DeclareQueueAsync("a:b", kind);
        await driver.PublishAsync("a:b", 5);
        await _scaler.UntilAsync(some, static value => value == 1200, "the new queue's messages too");
    }

    [Fact]
    public async Task A_stream_is_refused_with_its_reason()
    {
        var stream = _queue + "-stream";
        await _driver.DeclareQueueAsync(stream, QueueKind.Stream);

        var call = await Eventually.SeesAsync(
            () => _scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(stream)),
            static call => call.Message.Contains("stream", StringComparison.Ordinal),
            "the reason");

        call.Code.Should().Be("Unavailable");
        call.Message.Should().StartWith("stream_unsupported: ");
    }

    [Fact]
    public async Task A_queue_that_does_not_exist_is_Unavailable_unless_the_policy_says_that_it_is_zero()
    {
        var call = await Eventually.SeesAsync(
            () => _scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload("nowhere")),
            static call => call.Message.StartsWith("queue_missing", StringComparison.Ordinal),
            "the reason");
        call.Code.Should().Be("Unavailable");

        (await _scaler.FirstAnswerAsync(ScalerSetup.Workload("nowhere", "zero", ("missingQueue", "zero")))).Value.MetricValue.Should().Be(0);
    }

    [Fact]
    public async Task Activation_is_strictly_above_its_threshold_and_the_need_is_reported_below_it() // K21
    {
        await _driver.PublishAsync(_queue, 5);
        await _driver.WaitForGaugesAsync(_queue, ready: 5);
        var workload = ScalerSetup.Workload(_queue, "workers", ("activationThreshold", "5"));

        (await _scaler.FirstAnswerAsync(workload)).Value.MetricValue.Should().Be(100);
        (await _scaler.Grpc.IsActiveAsync(workload)).Active.Should().BeFalse();

        await _driver.PublishAsync(_queue, 1);
        await Eventually.SeesAsync(() => _scaler.Grpc.IsActiveAsync(workload), static call => call.Active, "six messages to wake it");
    }

    [Fact]
    public async Task A_ScaledJob_is_told_messages_running_ones_included()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 3, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 15);
        await _driver.WaitForGaugesAsync(_queue, ready: 12, unacked: 3, consumers: 3);

        (await _scaler.FirstAnswerAsync(ScalerSetup.Workload(_queue, "jobs", ("mode", "job")))).Value.MetricValue.Should().Be(1500);
    }

    [Fact]
    public async Task Service_time_is_learned_from_real_workers_and_then_sizes_the_backlog()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 4, WorkStyle.Serial(TimeSpan.FromMilliseconds(400)));
        var workload = ScalerSetup.Workload(_queue, "learning", ("drainTime", "20s"), ("coldStart", "1s"));
        await _driver.PublishAsync(_queue, 400);
        await _scaler.FirstAnswerAsync(workload);

        var learned = await Eventually.SeesAsync(
            () => _scaler.SeriesAsync("gpu_scaler_workload_service_time_seconds", "scaled_object=\"learning\""),
            static seconds => seconds is not null,
            "a measured service time",
            TimeSpan.FromSeconds(60));

        learned.Should().BeApproximately(0.4, 0.1);
        (await _scaler.Grpc.GetMetricsAsync(workload)).Value.MetricValue.Should().BeGreaterThan(400);
    }
}
