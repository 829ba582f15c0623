using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.Scaling.Tests.Scenarios;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;
using RabbitMQ.Client;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>A queue on a real broker, read by the real source while a test acts on it.</summary>
internal sealed class ScenarioStage(RabbitMqBroker broker, string name)
{
    public string Queue { get; } = $"{name}-{Guid.NewGuid():N}";

    public Func<ConnectionFactory> Factory => () => broker.CreateConnectionFactory();

    /// <summary>The connection with the defaults, by a user who may see consumers (T5).</summary>
    public static RabbitMqConnectionOptions ConnectionTo(RabbitMqBroker broker) => new()
    {
        Name = "main",
        MetricsUrls = [broker.MetricsUri],
        Management = new RabbitMqManagementOptions
        {
            Url = broker.ManagementUri,
            Username = RabbitMqBroker.AdminUser,
            PasswordFile = broker.AdminPasswordFile,
        },
    };

    /// <summary>
    /// Plays <paramref name="act"/> and records what the source says of the queue, once a second, until it ends; into the
    /// folder that <c>GPU_SCALER_RECORD_SCENARIOS</c> names, if it does.
    /// </summary>
    public static async Task<ScenarioRecording> RecordAsync(
        RabbitMqBroker broker, string name, Func<ScenarioStage, Task> act, RabbitMqConnectionOptions? connection = null)
    {
        var clock = new MonotonicClock(TimeProvider.System);
        using var source = new RabbitMqSource(connection ?? ConnectionTo(broker), clock);
        using var stopping = new CancellationTokenSource();
        var sweeping = source.RunAsync(stopping.Token);
        try
        {
            var stage = new ScenarioStage(broker, name);
            var recording = new ScenarioRecording(["q"]);
            var start = clock.Now;
            var acting = act(stage);
            using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(250), TimeProvider.System);
            while (await timer.WaitForNextTickAsync(CancellationToken.None) && !acting.IsCompleted)
            {
                while ((clock.Now - start).TotalSeconds >= recording.Count)
                {
                    recording.Add([source.Current.Read("/", stage.Queue)], start);
                }
            }

            await acting;
            if (Environment.GetEnvironmentVariable("GPU_SCALER_RECORD_SCENARIOS") is { Length: > 0 } recordTo)
            {
                new ScenarioFolder(Directory.CreateDirectory(Path.Combine(recordTo, name)).FullName).WriteRecording(await VersionAsync(broker), recording);
            }

            return recording;
        }
        finally
        {
            await stopping.CancelAsync();
            await sweeping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Plays a scenario and holds the decisions against the claims of its folder.</summary>
    /// <returns>What contradicts the claims; empty when all is as it should be.</returns>
    public static async Task<IReadOnlyList<string>> PlayAsync(
        RabbitMqBroker broker, string name, Func<ScenarioStage, Task> act, RabbitMqConnectionOptions? connection = null)
    {
        var recording = await RecordAsync(broker, name, act, connection);
        var folder = new ScenarioFolder(Path.Combine(AppContext.BaseDirectory, "Scenarios", name));
        var steps = recording.Replay(folder.ReadPolicy());
        return [.. folder.ReadClaims().Select(claim => claim.Contradiction(steps)).OfType<string>()];
    }

    public WorkerFleet Workers(int count, WorkerBehaviour? behaviour = null) => new(Factory, Queue, count, behaviour);

    public Task PublishAsync(double perSecond, double seconds) =>
        SteadyPublisher.RunAsync(Factory, Queue, perSecond, TimeSpan.FromSeconds(seconds));

    public async Task<QueueDriver> DeclareAsync(QueueKind kind = QueueKind.Classic, IReadOnlyDictionary<string, object?>? arguments = null)
    {
        var driver = await QueueDriver.ConnectAsync(broker);
        await driver.DeclareQueueAsync(Queue, kind, arguments);
        return driver;
    }

    public static Task Pass(double seconds) => Task.Delay(TimeSpan.FromSeconds(seconds), TimeProvider.System);

    private static async Task<string> VersionAsync(RabbitMqBroker broker)
    {
        using var overview = JsonDocument.Parse(await broker.Management.GetStringAsync(new Uri("api/overview", UriKind.Relative)));
        return overview.RootElement.GetProperty("rabbitmq_version").GetString()!;
    }
}
