using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Cold starts of real consumers on a real broker: whoever is asked for appears 20 s later, where the policy says 30 s. What takes
/// twenty minutes in a cluster without GPUs takes three and a half cold starts here; the long ones are in the tests of the fold.
/// </summary>
public sealed class ColdStartTests(ColdStartTests.SideBySide fleets) : IClassFixture<ColdStartTests.SideBySide>
{
    private static readonly TimeSpan Truth = TimeSpan.FromSeconds(20);

    // Service times stay unknown, as nothing is ever acknowledged: then as many are asked for as there are messages.
    private static readonly ScalingPolicy Policy = ScalingPolicy.Default with
    {
        ColdStart = TimeSpan.FromSeconds(30),
        MeasuresColdStart = true,
        SaturationThreshold = 1,
    };

    [Fact]
    public Task After_five_watches_it_is_within_a_fifth_of_the_truth_and_a_maximum_does_not_move_it() => fleets.AtMaximum;

    [Fact]
    public Task Consumers_of_another_Deployment_do_not_move_it() => fleets.WithOthers;

    [Fact]
    public Task A_time_without_GPUs_is_said_and_does_not_move_it() => fleets.WithoutGpus;

    private static async Task ReachMaximumAsync(Fleet fleet)
    {
        await fleet.PublishAsync(5);
        await ScenarioStage.Pass(70);
        fleet.Asked.Should().BeGreaterThan(5);
        fleet.ColdStarts.IsWithoutCapacity.Should().BeFalse();
    }

    private static async Task MeetOthersAsync(Fleet fleet)
    {
        // Two that nobody asked for, then one more while this fleet waits for its own.
        await fleet.AppearAsync(2);
        await ScenarioStage.Pass(3);
        await fleet.PublishAsync(5);
        await Eventually.IsTrueAsync(() => fleet.Asked > 8, "more to be asked for");
        await fleet.AppearAsync(1);
        await Eventually.IsTrueAsync(() => fleet.Consumers == 10 + 3, "its own to come", 2 * Truth);
        await ScenarioStage.Pass(3);
    }

    private static async Task LackGpusAsync(Fleet fleet)
    {
        fleet.HasGpus = false;
        await fleet.PublishAsync(3);
        await Eventually.IsTrueAsync(() => fleet.ColdStarts.IsWithoutCapacity, "the lack to be said", TimeSpan.FromSeconds(80));
        fleet.Consumers.Should().Be(5);

        fleet.HasGpus = true;
        await Eventually.IsTrueAsync(() => fleet.Consumers == 8, "them to come", 2 * Truth);
        await Eventually.IsTrueAsync(() => !fleet.ColdStarts.IsWithoutCapacity, "the lack to be over");
        await ScenarioStage.Pass(3);
    }

    private static async Task AfterFiveAsync(SideBySide broker, ScalingPolicy policy, Func<Fleet, Task> mishap)
    {
        await using var fleet = await Fleet.StartAsync(broker, policy);
        for (var watches = 1; watches <= 5; watches++)
        {
            await fleet.PublishAsync(1);
            await Eventually.IsTrueAsync(() => fleet.ColdStarts.Watches == watches, $"watch {watches}", 2 * Truth);
            await ScenarioStage.Pass(1);
        }

        var measured = fleet.ColdStarts.MeasuredSeconds;
        measured.Should().BeInRange(0.8 * Truth.TotalSeconds, 1.2 * Truth.TotalSeconds);
        fleet.ColdStarts.InForce(policy).TotalSeconds.Should().BeApproximately(measured!.Value, 0.001);

        await mishap(fleet);
        (fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds).Should().Be((5, measured));
    }

    /// <summary>A broker, the source that reads it, and all fleets at the same time.</summary>
    public sealed class SideBySide : IAsyncLifetime
    {
        private readonly CancellationTokenSource _stopping = new();
        private Task _sweeping = Task.CompletedTask;

        public RabbitMqBroker RabbitMq { get; } = new(RabbitMqInstallation.Packaged);

        internal RabbitMqSource Source { get; private set; } = null!;

        internal MonotonicClock Clock { get; } = new(TimeProvider.System);

        public Task AtMaximum { get; private set; } = Task.CompletedTask;

        public Task WithOthers { get; private set; } = Task.CompletedTask;

        public Task WithoutGpus { get; private set; } = Task.CompletedTask;

        public async Task InitializeAsync()
        {
            await RabbitMq.StartAsync();
            var connection = ScenarioStage.ConnectionTo(RabbitMq) with { Interval = TimeSpan.FromMilliseconds(500) };
            Source = new RabbitMqSource(connection, Clock);
            _sweeping = Source.RunAsync(_stopping.Token);
            AtMaximum = AfterFiveAsync(this, Policy with { MaxReplicas = 5 }, ReachMaximumAsync);
            WithOthers = AfterFiveAsync(this, Policy, MeetOthersAsync);
            WithoutGpus = AfterFiveAsync(this, Policy, LackGpusAsync);
        }

        public async Task DisposeAsync()
        {
            await Task.WhenAll(AtMaximum, WithOthers, WithoutGpus).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await _stopping.CancelAsync();
            await _sweeping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Source.Dispose();
            _stopping.Dispose();
            await RabbitMq.DisposeAsync();
        }
    }

    /// <summary>One queue, decided four times a second, and the Deployment that does what it is told: at once, and 20 s later.</summary>
    private sealed class Fleet : IAsyncDisposable
    {
        private readonly SideBySide _broker;
        private readonly ScalingPolicy _policy;
        private readonly QueueDriver _driver;
        private readonly string _queue = SharedBroker.QueueName("cold-start");
        private readonly WorkloadState _state = new();
        private readonly List<RabbitMqWorkers> _workers = [];
        private readonly Queue<DateTimeOffset> _starting = new();
        private readonly CancellationTokenSource _stopping = new();
        private Task _running = Task.CompletedTask;
        private int _wanted;

        private Fleet(SideBySide broker, ScalingPolicy policy, QueueDriver driver) => (_broker, _policy, _driver) = (broker, policy, driver);

        /// <summary>A copy: the fold goes on.</summary>
        public ColdStarts ColdStarts { get; private set; } = new();

        /// <summary>Consumers that the source sees.</summary>
        public long Consumers { get; private set; }

        /// <summary>Replicas of the newest answer, as an HPA counts them.</summary>
        public int Asked { get; private set; }

        /// <summary>Whether pods can start.</summary>
        public bool HasGpus { get; set; } = true;

        public static async Task<Fleet> StartAsync(SideBySide broker, ScalingPolicy policy)
        {
            var fleet = new Fleet(broker, policy, await QueueDriver.ConnectAsync(broker.RabbitMq));
            await fleet._driver.DeclareQueueAsync(fleet._queue);
            fleet._running = fleet.RunAsync();
            await Eventually.IsTrueAsync(() => fleet._state.History.HasCounters, "the queue to be seen");
            return fleet;
        }

        public Task PublishAsync(int messages) => _driver.PublishAsync(_queue, messages);

        /// <summary>Consumers appear, each of which keeps one message for good.</summary>
        public async Task AppearAsync(int count)
        {
            var workers = await _driver.StartWorkersAsync(_queue, count, WorkStyle.Hold);
            lock (_workers)
            {
                _workers.Add(workers);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stopping.CancelAsync();
            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            foreach (var workers in _workers)
            {
                await workers.DisposeAsync();
            }

            await _driver.DisposeAsync();
            _stopping.Dispose();
        }

        private async Task RunAsync()
        {
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(250), TimeProvider.System);
            while (await timer.WaitForNextTickAsync(_stopping.Token))
            {
                var now = _broker.Clock.Now;
                var decision = DecisionFold.Step(_state, new WorkloadSnapshot { Queues = [_broker.Source.Current.Read("/", _queue)] }, _policy, now);
                ColdStarts = _state.History.ColdStarts.Clone();
                Consumers = decision.Consumers;
                if (decision.IsDecided)
                {
                    Want((int)Math.Ceiling(decision.Value / 100.0), now);
                }

                while (HasGpus && _starting.TryPeek(out var readyAt) && now >= readyAt)
                {
                    _starting.Dequeue();
                    await AppearAsync(1);
                }
            }
        }

        private void Want(int asked, DateTimeOffset now)
        {
            Asked = asked;
            if (asked <= _wanted * 1.1)
            {
                return;
            }

            for (var wanted = Math.Min(asked, _policy.MaxReplicas ?? int.MaxValue); _wanted < wanted; _wanted++)
            {
                _starting.Enqueue(now + Truth);
            }
        }
    }
}
