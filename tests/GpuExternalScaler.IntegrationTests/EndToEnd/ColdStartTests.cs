using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Cold starts of real consumers on a real broker, as the running server measures them: whoever is asked for appears 20 s later, where
/// the trigger says 30 s. What takes twenty minutes in a cluster without GPUs takes three and a half cold starts here; the long ones
/// are in the tests of the fold.
/// </summary>
public abstract class ColdStartTests(ColdStartTests.SideBySide fleets)
{
    private static readonly TimeSpan Truth = TimeSpan.FromSeconds(20);

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
        fleet.Seen.IsWithoutCapacity.Should().BeFalse();
    }

    private static async Task MeetOthersAsync(Fleet fleet)
    {
        // Two that nobody asked for, then one more while this fleet waits for its own.
        await fleet.AppearAsync(2);
        await ScenarioStage.Pass(3);
        await fleet.PublishAsync(5);
        await Eventually.IsTrueAsync(() => fleet.Asked > 8, "more to be asked for");
        await fleet.AppearAsync(1);
        await Eventually.IsTrueAsync(() => fleet.Seen.Consumers == 10 + 3, "its own to come", 2 * Truth);
        await ScenarioStage.Pass(3);
    }

    private static async Task LackGpusAsync(Fleet fleet)
    {
        fleet.HasGpus = false;
        await fleet.PublishAsync(3);
        await Eventually.IsTrueAsync(() => fleet.Seen.IsWithoutCapacity, "the lack to be said", TimeSpan.FromSeconds(80));
        fleet.Seen.Consumers.Should().Be(5);

        fleet.HasGpus = true;
        await Eventually.IsTrueAsync(() => fleet.Seen.Consumers == 8, "them to come", 2 * Truth);
        await Eventually.IsTrueAsync(() => !fleet.Seen.IsWithoutCapacity, "the lack to be over");
        await ScenarioStage.Pass(3);
    }

    private static async Task AfterFiveAsync(SideBySide broker, string name, int? maximum, Func<Fleet, Task> mishap)
    {
        await using var fleet = await Fleet.StartAsync(broker, name, maximum);
        for (var watches = 1; watches <= 5; watches++)
        {
            await fleet.PublishAsync(1);
            await Eventually.IsTrueAsync(() => fleet.Seen.Watches == watches, $"watch {watches} of {name}", 2 * Truth);
            await ScenarioStage.Pass(1);
        }

        var measured = fleet.Seen.MeasuredSeconds;
        measured.Should().BeInRange(0.8 * Truth.TotalSeconds, 1.2 * Truth.TotalSeconds);
        fleet.Seen.InForceSeconds.Should().BeApproximately(measured!.Value, 0.001);

        await mishap(fleet);
        (fleet.Seen.Watches, fleet.Seen.MeasuredSeconds).Should().Be((5, measured));
    }

    /// <summary>What the server's metrics say of one workload.</summary>
    private readonly record struct Figures(double Watches, double? MeasuredSeconds, double InForceSeconds, bool IsWithoutCapacity, long Consumers);

    /// <summary>A broker, the server that reads it, and all fleets at the same time.</summary>
    public abstract class SideBySide(RabbitMqInstallation installation) : IAsyncLifetime
    {
        public RabbitMqBroker RabbitMq { get; } = new(installation);

        public ScalerProcess Scaler { get; private set; } = null!;

        public Task AtMaximum { get; private set; } = Task.CompletedTask;

        public Task WithOthers { get; private set; } = Task.CompletedTask;

        public Task WithoutGpus { get; private set; } = Task.CompletedTask;

        public async Task InitializeAsync()
        {
            await RabbitMq.StartAsync();
            Scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(RabbitMq, interval: "500ms")));
            AtMaximum = AfterFiveAsync(this, "at-maximum", maximum: 5, ReachMaximumAsync);
            WithOthers = AfterFiveAsync(this, "with-others", maximum: null, MeetOthersAsync);
            WithoutGpus = AfterFiveAsync(this, "without-gpus", maximum: null, LackGpusAsync);
        }

        public async Task DisposeAsync()
        {
            await Task.WhenAll(AtMaximum, WithOthers, WithoutGpus).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (Scaler is not null)
            {
                await Scaler.DisposeAsync();
            }

            await RabbitMq.DisposeAsync();
        }
    }

    /// <summary>One queue, a trigger that is asked four times a second, and the Deployment that does what it is told: at once, and 20 s later.</summary>
    private sealed class Fleet : IAsyncDisposable
    {
        private readonly SideBySide _broker;
        private readonly string _name;
        private readonly int? _maximum;
        private readonly QueueDriver _driver;
        private readonly AnswerLog _answers;
        private readonly string _queue;
        private readonly List<RabbitMqWorkers> _workers = [];
        private readonly Queue<long> _starting = new();
        private readonly CancellationTokenSource _stopping = new();
        private Task _running = Task.CompletedTask;
        private int _wanted;

        private Fleet(SideBySide broker, string name, int? maximum, string queue, QueueDriver driver)
        {
            (_broker, _name, _maximum, _queue, _driver) = (broker, name, maximum, queue, driver);

            // Service times stay unknown, as nothing is ever acknowledged: then as many are asked for as there are messages.
            var workload = ScalerSetup.Workload(queue, name, ("coldStart", "auto 30s"), ("saturationThreshold", "1"));
            _answers = new AnswerLog(broker.Scaler, maximum is { } most ? workload.With("maxReplicas", $"{most}") : workload);
        }

        /// <summary>What was last seen.</summary>
        public Figures Seen { get; private set; }

        /// <summary>Replicas of the newest answer, as an HPA counts them.</summary>
        public int Asked { get; private set; }

        /// <summary>Whether pods can start.</summary>
        public bool HasGpus { get; set; } = true;

        public static async Task<Fleet> StartAsync(SideBySide broker, string name, int? maximum)
        {
            var driver = await QueueDriver.ConnectAsync(broker.RabbitMq);
            var queue = SharedBroker.QueueName(name);
            await driver.DeclareQueueAsync(queue);
            var fleet = new Fleet(broker, name, maximum, queue, driver);
            await fleet._answers.WaitForAsync(static answer => answer.IsDecided, "an answer");
            fleet._running = fleet.RunAsync();
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
            await _answers.DisposeAsync();
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
                if (_answers.Last is { IsDecided: true } answer)
                {
                    Want((int)Math.Ceiling(answer.Metrics.Value / 100.0));
                }

                while (HasGpus && _starting.TryPeek(out var asked) && TimeProvider.System.GetElapsedTime(asked) >= Truth)
                {
                    _starting.Dequeue();
                    await AppearAsync(1);
                }

                Seen = await ReadAsync();
            }
        }

        private async Task<Figures> ReadAsync()
        {
            var page = await _broker.Scaler.ReadMetricsAsync();
            return new Figures(
                Series("cold_start_watches") ?? 0,
                Series("cold_start_measured_seconds"),
                Series("cold_start_seconds") ?? double.NaN,
                Series("without_capacity") == 1,
                (long)(Series("consumers") ?? 0));

            double? Series(string name) => ScalerSetup.Series(page, $"gpu_scaler_workload_{name}", $"\"{_name}\"");
        }

        private void Want(int asked)
        {
            Asked = asked;
            if (asked <= _wanted * 1.1)
            {
                return;
            }

            for (var wanted = Math.Min(asked, _maximum ?? int.MaxValue); _wanted < wanted; _wanted++)
            {
                _starting.Enqueue(TimeProvider.System.GetTimestamp());
            }
        }
    }
}

public sealed class ColdStartTests3(ColdStartTests3.OnPackaged fleets) : ColdStartTests(fleets), IClassFixture<ColdStartTests3.OnPackaged>
{
    public sealed class OnPackaged() : SideBySide(RabbitMqInstallation.Packaged);
}

[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class ColdStartTests4(ColdStartTests4.OnUnpacked fleets) : ColdStartTests(fleets), IClassFixture<ColdStartTests4.OnUnpacked>
{
    public sealed class OnUnpacked() : SideBySide(RabbitMqInstallation.Unpacked);
}
