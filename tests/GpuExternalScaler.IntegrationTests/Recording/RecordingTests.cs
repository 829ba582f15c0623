using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Recording;

public sealed class Recording3Tests() : RecordingTests(RabbitMqInstallation.Packaged);

[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class Recording4Tests() : RecordingTests(RabbitMqInstallation.Unpacked);

/// <summary>The same decision everywhere: what the live server decided about a real broker, a replay decides again.</summary>
public abstract class RecordingTests(RabbitMqInstallation installation) : IAsyncLifetime
{
    // Enough that the smallest limit leads to rotations within seconds.
    private const int Queues = 60;

    private readonly TemporaryFolder _folder = new("recording");
    private RabbitMqBroker _broker = null!;

    private string File => Path.Combine(_folder.Path, "night.gsr");

    public async Task InitializeAsync() => _broker = await RabbitMqBroker.StartNewAsync(installation);

    public async Task DisposeAsync()
    {
        await _broker.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_night_with_rotations_and_a_killed_server_replays_to_identical_decisions()
    {
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        var workloads = Enumerable.Range(0, Queues).Select(static i => ScalerSetup.Workload($"q{i}", $"workers-{i}")).ToList();
        foreach (var workload in workloads)
        {
            await driver.DeclareQueueAsync(workload.Metadata["queue"]);
        }

        await using var workers = await driver.StartWorkersAsync("q0", 4, WorkStyle.Serial(TimeSpan.FromMilliseconds(200)));
        await using var holders = await driver.StartWorkersAsync("q1", 3, WorkStyle.Hold);

        // A calm evening, then a burst, until the older half has been written.
        await using (var scaler = await StartAsync())
        {
            await LoadAsync(scaler, driver, workloads, until: () => System.IO.File.Exists(File + ".1"));
            (await scaler.SeriesAsync("gpu_scaler_recording_up")).Should().Be(1);
            (await scaler.SeriesAsync("gpu_scaler_recording_steps_total")).Should().BePositive();
            (await scaler.SeriesAsync("gpu_scaler_recording_written_bytes_total")).Should().BeGreaterThan(new FileInfo(File + ".1").Length);
            await holders.AckAsync();
            await driver.PurgeQueueAsync("q0");
            await LoadAsync(scaler, driver, workloads, until: () => new FileInfo(File).Length > 16_000);
            await scaler.KillAsync();
        }

        await ReplaysAsync(File);
        await ReplaysAsync(File + ".1");

        // The next one goes on where the killed one was stopped.
        var length = new FileInfo(File).Length;
        await using (var scaler = await StartAsync())
        {
            await LoadAsync(scaler, driver, workloads, until: () => new FileInfo(File).Length > length + 4_000 || new FileInfo(File).Length < length);
            (await scaler.TerminateAsync()).Code.Should().Be(0);
        }

        (new FileInfo(File).Length + new FileInfo(File + ".1").Length).Should().BeLessThanOrEqualTo(64 * 1024);
        await ReplaysAsync(File);
        await ReplaysAsync(File + ".1");

        var folder = Environment.GetEnvironmentVariable("GPU_SCALER_RECORD_SCENARIOS") is { Length: > 0 } kept ? Path.Combine(kept, "night") : Path.Combine(_folder.Path, "night");
        var extracted = await ScalerProcess.RunAsync(["replay", File, "--workload", "genai/workers-0", "--show", "--extract", folder]);
        extracted.Code.Should().Be(0, extracted.Error);
        extracted.Output.Should().Contain("identical").And.Contain("genai/workers-0#");
        await ReplaysAsync(Path.Combine(folder, "recording.gsr"));
    }

    [Fact]
    public async Task What_is_no_recording_is_refused_and_not_overwritten()
    {
        var notes = _folder.Write("notes.txt", "mine");

        var served = await ScalerProcess.RunAsync(["serve", "--config", _folder.Write("scaler.yaml", "listen: { grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\" }\n"), "--record", notes]);
        served.Code.Should().Be(2);
        served.Error.Should().Contain("notes.txt").And.Contain("not overwritten");
        System.IO.File.ReadAllText(notes).Should().Be("mine");

        var replayed = await ScalerProcess.RunAsync(["replay", notes]);
        replayed.Code.Should().Be(2);
        replayed.Error.Should().Contain("not a recording");
        (await ScalerProcess.RunAsync(["serve", "--record", "x", "--record-limit", "3"])).Code.Should().Be(2);
    }

    private Task<ScalerProcess> StartAsync() => ScalerProcess.StartAsync(
        ScalerSetup.Configuration(ScalerSetup.Connection(_broker)), more: ["--record", File, "--record-limit", "64Ki"]);

    private static async Task LoadAsync(ScalerProcess scaler, QueueDriver driver, List<GoWorkload> workloads, Func<bool> until)
    {
        foreach (var workload in workloads)
        {
            await scaler.UntilAsync(workload, static _ => true, "an answer");
        }

        await Eventually.SeesAsync(
            async () =>
            {
                await driver.PublishAsync("q0", 5);
                await driver.PublishAsync("q1", 1);
                await driver.PublishAsync($"q{Random.Shared.Next(Queues)}", 1 + Random.Shared.Next(40));
                await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
                return until();
            },
            static done => done,
            "enough to be recorded",
            TimeSpan.FromSeconds(120));
    }

    private static async Task ReplaysAsync(string file)
    {
        var exit = await ScalerProcess.RunAsync(["replay", file]);
        exit.Code.Should().Be(0, exit.Output + exit.Error);
        exit.Output.Should().Contain("identical");
    }
}
