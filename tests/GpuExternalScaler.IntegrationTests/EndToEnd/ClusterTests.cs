using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using Xunit.Abstractions;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>Three nodes for all tests of the class; each test leaves all of them running.</summary>
public sealed class RunningCluster : IAsyncLifetime
{
    /// <summary>
    /// net_ticktime. While the others still count on a node that hangs, 4.3 answers on none of them in less than 10 s
    /// when it is asked about queues.
    /// </summary>
    public static readonly TimeSpan NetTick = TimeSpan.FromSeconds(8);

    public RabbitMqCluster Cluster { get; private set; } = null!;

    public async Task InitializeAsync() => Cluster = await RabbitMqCluster.StartNewAsync(new RabbitMqBrokerOptions { NetTick = NetTick });

    public async Task DisposeAsync() => await Cluster.DisposeAsync();
}

/// <summary>
/// A node of three hangs, dies or is restarted while every workload is asked four times a second. Each node has a
/// classic queue and leads a quorum queue, and each queue has workers on every node.
/// </summary>
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class ClusterTests(RunningCluster running, ITestOutputHelper output) : IClassFixture<RunningCluster>, IAsyncLifetime
{
    // Without one node's workers there is still one for each message.
    private const int WorkersPerNode = 4;
    private const int Messages = 7;

    // Seven busy slots at the threshold of 0.7.
    private const long Value = 1000;

    private readonly RabbitMqCluster _cluster = running.Cluster;
    private readonly List<QueueDriver> _drivers = [];
    private readonly List<Watched> _watched = [];
    private ScalerProcess? _scaler;

    private ScalerProcess Scaler => _scaler ?? throw new InvalidOperationException("Not started.");

    public async Task InitializeAsync()
    {
        foreach (var node in _cluster.Nodes)
        {
            _drivers.Add(await QueueDriver.ConnectAsync(node, automaticRecovery: true));
        }
    }

    public async Task DisposeAsync()
    {
        foreach (var watched in _watched)
        {
            output.WriteLine(watched.Log.Timeline());
            await watched.Log.DisposeAsync();
        }

        if (_scaler is not null)
        {
            await _scaler.DisposeAsync();
        }

        foreach (var driver in _drivers)
        {
            await driver.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_node_that_hangs_takes_away_the_answers_of_its_own_classic_queue_and_no_others()
    {
        // Longer than the others need to notice: a quarter more than net_ticktime, and then a sweep.
        await WatchAsync(staleAfter: "15s");
        var hung = _cluster.Nodes[1];
        Mark("node 1 hangs");
        hung.Pause();
        try
        {
            var stale = await ClassicOf(1).WaitForAsync(static answer => answer.Metrics.Code == "Unavailable", "Unavailable");
            ShouldName(stale, hung);
            foreach (var other in Without(ClassicOf(1)))
            {
                other.Last.IsDecided.Should().BeTrue(other.Timeline());
            }

            // What is still answered is not merely repeated: more work shows. The hung node's quorum queue has a new leader.
            Mark("more work");
            await ShouldGrowAsync(ClassicOf(0), driver: 0);
            await ShouldGrowAsync(QuorumOf(1), driver: 2);
        }
        finally
        {
            Mark("node 1 goes on");
            hung.Resume();
        }

        await ShouldAllComeBackAsync();
        foreach (var other in Without(ClassicOf(1)))
        {
            other.ShouldAlwaysBeDecided();
        }
    }

    [Fact]
    public async Task A_node_that_dies_takes_away_the_answers_of_its_own_classic_queue_and_no_others()
    {
        await WatchAsync();
        var dead = _cluster.Nodes[2];
        Mark("node 2 dies");
        await dead.KillAsync();
        try
        {
            var stale = await ClassicOf(2).WaitForAsync(static answer => answer.Metrics.Code == "Unavailable", "Unavailable");
            ShouldName(stale, dead);
            Mark("more work");
            await ShouldGrowAsync(ClassicOf(1), driver: 1);
            await ShouldGrowAsync(QuorumOf(2), driver: 0);
        }
        finally
        {
            Mark("node 2 is started");
            await dead.StartAsync();
        }

        await ShouldAllComeBackAsync();
        foreach (var other in Without(ClassicOf(2)))
        {
            other.ShouldAlwaysBeDecided();
        }
    }

    [Fact]
    public async Task Leaders_that_move_are_not_noticed()
    {
        await WatchAsync();
        for (var round = 1; round <= 2; round++)
        {
            foreach (var watched in _watched.Where(static w => w.Kind == QueueKind.Quorum))
            {
                var to = _cluster.Nodes[(watched.Node + round) % _cluster.Nodes.Count];
                Mark($"the leader of {watched.Queue} moves to {to.NodeName}");
                await _cluster.MoveLeaderAsync(watched.Queue, to);
            }
        }

        Mark("leaders are spread evenly");
        await _cluster.RebalanceAsync();
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System, CancellationToken.None);

        foreach (var log in _watched.Select(static watched => watched.Log))
        {
            log.ShouldAlwaysBeDecided();
            log.ShouldNeverDropBelow(Value);
            log.Answers.Count(static answer => answer.Metrics.Value != Value).Should().Be(0, log.Timeline());
        }
    }

    [Fact]
    public async Task A_rolling_restart_takes_away_at_most_the_answers_of_the_classic_queue_of_the_node_that_is_away()
    {
        await WatchAsync();
        for (var i = 0; i < _cluster.Nodes.Count; i++)
        {
            var from = _watched[0].Log.Now;
            Mark($"node {i} is stopped");
            await _cluster.Nodes[i].StopAsync();
            Mark($"node {i} is started");
            await _cluster.Nodes[i].StartAsync();
            Mark($"node {i} is back");
            await ShouldAllComeBackAsync();
            foreach (var log in Without(ClassicOf(i)))
            {
                log.Since(from).Count(static answer => !answer.IsDecided).Should().Be(0, log.Timeline());
            }
        }
    }

    [Fact]
    public async Task Rates_survive_the_loss_and_the_return_of_a_node_without_a_jump()
    {
        const double PerSecond = 8;
        var queue = SharedBroker.QueueName("rates");
        await _drivers[0].DeclareQueueAsync(queue, QueueKind.Quorum);
        foreach (var driver in _drivers)
        {
            // 20 a second in all, so that two nodes' workers can do what comes.
            await driver.StartWorkersAsync(queue, 2, WorkStyle.Serial(TimeSpan.FromMilliseconds(300)));
        }

        _scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(_cluster)));
        var workload = ScalerSetup.Workload(queue, "rates");
        await Scaler.FirstAnswerAsync(workload);
        using var stopping = new CancellationTokenSource();
        var publishing = PublishEvenlyAsync();
        var start = TimeProvider.System.GetTimestamp();
        var seen = new List<(double At, double Arrivals)>();
        var lost = _cluster.Nodes[2];
        await WatchRatesAsync(20);
        await lost.KillAsync();
        await WatchRatesAsync(15);
        await lost.StartAsync();
        await WatchRatesAsync(20);
        await stopping.CancelAsync();
        await publishing;

        // The averages begin at zero and have windows of 15 s. What the lost node's workers had done would be an extra
        // 2.7 a second since the beginning; their two messages, delivered again, are not new ones.
        seen.Should().Contain(static rate => rate.At < 20, "rates are known before the fault");
        seen.Where(static rate => rate.At > 15).Should().OnlyContain(static rate => rate.Arrivals >= PerSecond * 0.5 && rate.Arrivals <= PerSecond * 1.5);
        seen[^1].Arrivals.Should().BeApproximately(PerSecond, PerSecond * 0.25);

        async Task WatchRatesAsync(double seconds)
        {
            var from = TimeProvider.System.GetTimestamp();
            while (TimeProvider.System.GetElapsedTime(from).TotalSeconds < seconds)
            {
                if (await Scaler.SeriesAsync("gpu_scaler_workload_arrivals_per_second", "scaled_object=\"rates\"") is { } arrivals)
                {
                    var at = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
                    seen.Add((at, arrivals));
                    output.WriteLine($"{at:0.0} s  {arrivals:0.00} a second");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, CancellationToken.None);
            }
        }

        async Task PublishEvenlyAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1 / PerSecond), TimeProvider.System);
            try
            {
                while (await timer.WaitForNextTickAsync(stopping.Token))
                {
                    await _drivers[0].PublishAsync(queue, 1);
                }
            }
            catch (OperationCanceledException)
            {
                // Enough.
            }
        }
    }

    private static void ShouldName(Answer stale, RabbitMqBroker node)
    {
        stale.Metrics.Message.Should().StartWith("source_stale: ").And.Contain($"127.0.0.1:{node.MetricsPort}");
        stale.Active.Code.Should().Be("Unavailable");
    }

    private AnswerLog ClassicOf(int node) => LogOf(QueueKind.Classic, node);

    private AnswerLog QuorumOf(int node) => LogOf(QueueKind.Quorum, node);

    private AnswerLog LogOf(QueueKind kind, int node) => _watched.Single(watched => watched.Kind == kind && watched.Node == node).Log;

    private IEnumerable<AnswerLog> Without(AnswerLog log) => _watched.Select(static watched => watched.Log).Where(other => other != log);

    private void Mark(string what)
    {
        foreach (var watched in _watched)
        {
            watched.Log.Mark(what);
        }
    }

    private async Task ShouldGrowAsync(AnswerLog log, int driver)
    {
        // Twice the slots there are, while the service time is unknown: eight workers at least.
        await _drivers[driver].PublishAsync(_watched.Single(watched => watched.Log == log).Queue, 30);
        await log.WaitForAsync(static answer => answer.IsDecided && answer.Metrics.Value >= 1600, "more for more work", TimeSpan.FromSeconds(15));
    }

    private async Task ShouldAllComeBackAsync()
    {
        foreach (var watched in _watched)
        {
            await watched.Log.WaitForAsync(static answer => answer.IsDecided, "an answer again", TimeSpan.FromSeconds(60));
        }

        foreach (var node in _cluster.Nodes)
        {
            await _cluster.WaitForMembersAsync(node);
        }

        // Long enough for consumers and figures to be gone, wrong or late.
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System, CancellationToken.None);
        foreach (var watched in _watched)
        {
            watched.Log.Last.IsDecided.Should().BeTrue(watched.Log.Timeline());
            watched.Log.ShouldNeverDropBelow(Value);
        }
    }

    /// <summary>Queues with work and workers, each watched once its answer is there.</summary>
    private async Task WatchAsync(string staleAfter = "10s")
    {
        _scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(_cluster, staleAfter: staleAfter)));
        var workloads = new List<(string Queue, QueueKind Kind, int Node, GoWorkload Workload)>();
        for (var i = 0; i < _drivers.Count; i++)
        {
            foreach (var kind in new[] { QueueKind.Classic, QueueKind.Quorum })
            {
                var queue = SharedBroker.QueueName($"{kind}-{i}".ToLowerInvariant());
                await _drivers[i].DeclareQueueAsync(queue, kind);
                foreach (var driver in _drivers)
                {
                    await driver.StartWorkersAsync(queue, WorkersPerNode, WorkStyle.Hold);
                }

                await _drivers[i].PublishAsync(queue, Messages);
                workloads.Add((queue, kind, i, ScalerSetup.Workload(queue, $"{kind}-{i}".ToLowerInvariant())));
            }
        }

        foreach (var (queue, kind, i, workload) in workloads)
        {
            await _drivers[i].WaitForGaugesAsync(queue, ready: 0, unacked: Messages, consumers: WorkersPerNode * _drivers.Count);
            await _scaler.UntilAsync(workload, static value => value == Value, $"{Value} for {queue}");
        }

        foreach (var (queue, kind, node, workload) in workloads)
        {
            _watched.Add(new Watched(queue, kind, node, new AnswerLog(_scaler, workload)));
        }

        foreach (var watched in _watched)
        {
            await watched.Log.WaitForAsync(static answer => answer.IsDecided, "the first answer");
        }
    }

    private sealed record Watched(string Queue, QueueKind Kind, int Node, AnswerLog Log);
}
