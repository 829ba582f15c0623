using GpuExternalScaler.IntegrationTests.Brokers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Acts the recorded scenarios out again on a real broker with its default intervals, all side by side because they
/// mostly wait. The unit tests replay the recordings; here the same claims must hold anew. Five minutes each:
/// <c>tests/run --scenarios</c> includes them.
/// <c>GPU_SCALER_RECORD_SCENARIOS</c> names a folder to record into, <c>GPU_SCALER_SCENARIO</c> one scenario to act out.
/// </summary>
public abstract class ScenarioTests(ScenarioTests.Performance performance)
{
    /// <summary>Tells these tests from all others.</summary>
    public const string Trait = "Scenarios";

    private static readonly TimeSpan BrokerDefault = TimeSpan.FromSeconds(5);

    private static readonly Dictionary<string, Func<ScenarioStage, RabbitMqBroker, Task>> Acts = new(StringComparer.Ordinal)
    {
        ["workers-crash-on-every-message"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            var behaviour = new WorkerBehaviour();
            await using var workers = stage.Workers(4, behaviour);
            var publishing = stage.PublishAsync(perSecond: 2, seconds: 260);
            await ScenarioStage.Pass(60);
            (behaviour.Outcome, behaviour.ServiceTime) = (WorkOutcome.Crashed, TimeSpan.FromMilliseconds(300));
            await ScenarioStage.Pass(160);
            (behaviour.Outcome, behaviour.ServiceTime) = (WorkOutcome.Acknowledged, TimeSpan.FromSeconds(1));
            await publishing;
        },
        ["dead-letter-retry-loop"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync(arguments: new Dictionary<string, object?>
            {
                ["x-dead-letter-exchange"] = "",
                ["x-dead-letter-routing-key"] = $"{stage.Queue}-wait",
            });
            await driver.DeclareQueueAsync($"{stage.Queue}-wait", QueueKind.Classic, new Dictionary<string, object?>
            {
                ["x-message-ttl"] = 5000,
                ["x-dead-letter-exchange"] = "",
                ["x-dead-letter-routing-key"] = stage.Queue,
            });
            await using var workers = stage.Workers(6, new WorkerBehaviour { Outcome = WorkOutcome.Rejected });
            await stage.PublishAsync(perSecond: 2, seconds: 6);
            await ScenarioStage.Pass(180);
        },
        ["messages-expire"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync(arguments: new Dictionary<string, object?> { ["x-message-ttl"] = 10_000 });
            await using var workers = stage.Workers(2);
            await stage.PublishAsync(perSecond: 1, seconds: 60);
            await driver.PublishAsync(stage.Queue, 400);
            await stage.PublishAsync(perSecond: 1, seconds: 100);
        },
        ["purge-of-10000"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            await using var workers = stage.Workers(4);
            var publishing = stage.PublishAsync(perSecond: 2, seconds: 180);
            await ScenarioStage.Pass(40);
            await driver.PublishAsync(stage.Queue, 10_000);
            await ScenarioStage.Pass(30);
            await driver.PurgeQueueAsync(stage.Queue);
            await publishing;
        },
        ["rolling-restart-of-workers"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            await using var workers = stage.Workers(8, new WorkerBehaviour { ServiceTime = TimeSpan.FromSeconds(2), RestartDelay = TimeSpan.FromSeconds(8) });
            var publishing = stage.PublishAsync(perSecond: 2, seconds: 220);
            await ScenarioStage.Pass(80);
            for (var i = 0; i < 8; i++)
            {
                workers.Restart(i);
                await ScenarioStage.Pass(10);
            }

            await publishing;
        },
        ["queue-deleted-and-declared-again"] = static async (stage, _) =>
        {
            await using (var driver = await stage.DeclareAsync())
            {
                await using var workers = stage.Workers(4);
                await stage.PublishAsync(perSecond: 2, seconds: 60);
                await driver.DeleteQueueAsync(stage.Queue);
            }

            await ScenarioStage.Pass(50);
            await using var again = await stage.DeclareAsync();
            await using var back = stage.Workers(4);
            await stage.PublishAsync(perSecond: 2, seconds: 90);
        },
        ["prefetch-without-limit"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            await using var workers = stage.Workers(4, new WorkerBehaviour { Prefetch = 0, ServiceTime = TimeSpan.FromSeconds(0.5) });
            await stage.PublishAsync(perSecond: 4, seconds: 60);
            await driver.PublishAsync(stage.Queue, 400);
            await stage.PublishAsync(perSecond: 4, seconds: 120);
        },
        ["automatic-acknowledgement"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            await using var workers = stage.Workers(4, new WorkerBehaviour { AutoAck = true });
            await stage.PublishAsync(perSecond: 2, seconds: 90);
            await ScenarioStage.Pass(60);
        },
        ["single-active-consumer"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync(arguments: new Dictionary<string, object?> { ["x-single-active-consumer"] = true });
            await using var workers = stage.Workers(3);
            await stage.PublishAsync(perSecond: 3, seconds: 90);
            await ScenarioStage.Pass(30);
        },
        ["broker-restart"] = static async (stage, broker) =>
        {
            await using (var driver = await stage.DeclareAsync(QueueKind.Quorum))
            {
            }

            await using var workers = stage.Workers(6, new WorkerBehaviour { ServiceTime = TimeSpan.FromSeconds(2), RestartDelay = TimeSpan.FromSeconds(5) });
            var publishing = stage.PublishAsync(perSecond: 2, seconds: 200);
            await ScenarioStage.Pass(80);
            await broker.RestartAsync();
            await publishing;
        },
    };

    /// <summary>Too long for every run: acted out when asked for by name, to record them.</summary>
    private static readonly Dictionary<string, Func<ScenarioStage, RabbitMqBroker, Task>> LongActs = new(StringComparer.Ordinal)
    {
        ["jobs-of-ten-minutes"] = static async (stage, _) =>
        {
            await using var driver = await stage.DeclareAsync();
            await using var workers = stage.Workers(100, new WorkerBehaviour { ServiceTime = TimeSpan.FromMinutes(10) });
            await stage.PublishAsync(perSecond: 16 / 600.0, seconds: 1500);
            await stage.PublishAsync(perSecond: 80 / 600.0, seconds: 1200);
        },
    };

    /// <summary>The same of those that take a cluster, which is 4.x.</summary>
    private static readonly Dictionary<string, Func<ScenarioStage, RabbitMqCluster, Task>> ClusterActs = new(StringComparer.Ordinal)
    {
        ["quorum-leader-moves"] = static async (stage, cluster) =>
        {
            await using (var driver = await stage.DeclareAsync(QueueKind.Quorum))
            {
            }

            await using var workers = stage.Workers(6, new WorkerBehaviour { ServiceTime = TimeSpan.FromSeconds(2) });
            var publishing = stage.PublishAsync(perSecond: 2, seconds: 180);
            await ScenarioStage.Pass(80);
            for (var i = 1; i <= 4; i++)
            {
                await cluster.MoveLeaderAsync(stage.Queue, cluster.Nodes[i % cluster.Nodes.Count]);
                await ScenarioStage.Pass(10);
            }

            await publishing;
        },
    };

    private static IEnumerable<string> Chosen => Environment.GetEnvironmentVariable("GPU_SCALER_SCENARIO") is { Length: > 0 } name ? [name] : Acts.Keys;

    public static TheoryData<string> Names => [.. Chosen];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_real_broker_bears_the_claims_out(string name) => (await performance.ContradictionsAsync(name)).Should().BeEmpty();

    /// <summary>All scenarios side by side; the one that restarts its broker has one of its own.</summary>
    public abstract class Performance(RabbitMqInstallation installation) : IAsyncLifetime
    {
        private static readonly RabbitMqBrokerOptions Defaults = new()
        {
            StatisticsInterval = BrokerDefault,
            QuorumTick = BrokerDefault,
            SampleInterval = BrokerDefault,
        };

        private readonly RabbitMqBroker _broker = New(installation);
        private readonly RabbitMqBroker _restarted = New(installation);
        private Dictionary<string, Task<IReadOnlyList<string>>> _plays = [];

        public async Task InitializeAsync()
        {
            await Task.WhenAll(_broker.StartAsync(), _restarted.StartAsync());
            _plays = Chosen.ToDictionary(static name => name, PlayAsync, StringComparer.Ordinal);
        }

        public Task<IReadOnlyList<string>> ContradictionsAsync(string name) => _plays[name];

        public async Task DisposeAsync()
        {
            await _broker.DisposeAsync();
            await _restarted.DisposeAsync();
        }

        private static RabbitMqBroker New(RabbitMqInstallation installation) => new(installation, Defaults);

        private static async Task<IReadOnlyList<string>> PlayAsync(string name, Func<ScenarioStage, RabbitMqCluster, Task> act)
        {
            await using var cluster = await RabbitMqCluster.StartNewAsync(Defaults);
            var connection = ScenarioStage.ConnectionTo(cluster.Nodes[0]) with { MetricsUrls = [.. cluster.Nodes.Select(static node => node.MetricsUri)] };
            return await ScenarioStage.PlayAsync(cluster.Nodes[0], name, stage => act(stage, cluster), connection);
        }

        private Task<IReadOnlyList<string>> PlayAsync(string name)
        {
            if (ClusterActs.TryGetValue(name, out var clusterAct))
            {
                return Task.Run(() => PlayAsync(name, clusterAct));
            }

            var act = Acts.TryGetValue(name, out var usual) ? usual : LongActs[name];
            var broker = name == "broker-restart" ? _restarted : _broker;
            return Task.Run(() => ScenarioStage.PlayAsync(broker, name, stage => act(stage, broker)));
        }
    }
}

/// <summary>On RabbitMQ 3.10.</summary>
[Trait(Trait, "Live")]
public sealed class ScenarioTests3(ScenarioTests3.OnPackaged performance) : ScenarioTests(performance), IClassFixture<ScenarioTests3.OnPackaged>
{
    public sealed class OnPackaged() : Performance(RabbitMqInstallation.Packaged);
}

/// <summary>On RabbitMQ 4.x.</summary>
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
[Trait(Trait, "Live")] // traits of its own hide those of the base
public sealed class ScenarioTests4(ScenarioTests4.OnUnpacked performance) : ScenarioTests(performance), IClassFixture<ScenarioTests4.OnUnpacked>
{
    public sealed class OnUnpacked() : Performance(RabbitMqInstallation.Unpacked);
}
