using System.Globalization;
using System.Text;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Tests.Reload;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>The operator edits the configuration of a server that runs, with a real broker behind it.</summary>
[Collection(BrokerTests.Name)]
public sealed class ReloadTests(SharedBroker3 shared) : IAsyncLifetime
{
    private const string Hash = "gpu_scaler_config_hash";
    private const string Successful = "gpu_scaler_config_last_reload_successful";

    private readonly RabbitMqBroker _broker = shared.Broker;
    private readonly string _queue = SharedBroker.QueueName("reload");
    private readonly List<IAsyncDisposable> _disposables = [];
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(_broker);
        await _driver.DeclareQueueAsync(_queue);
    }

    public async Task DisposeAsync()
    {
        foreach (var disposable in _disposables)
        {
            await disposable.DisposeAsync();
        }

        await _driver.DeleteQueueAsync(_queue);
        await _driver.DisposeAsync();
    }

    [Fact]
    public async Task A_threshold_edit_changes_the_next_answer_and_not_the_spec()
    {
        await BusyAsync(busy: 7, of: 10);
        await using var scaler = await StartAsync(Settings("defaults: { saturationThreshold: 0.7 }"));
        var workload = ScalerSetup.Workload(_queue);
        await scaler.UntilAsync(workload, static value => value == 1000, "seven of ten slots are busy, as many as may be");
        var spec = await scaler.Grpc.GetMetricSpecAsync(workload);
        await using var stream = scaler.Grpc.Watch(workload);
        await stream.WaitForMessagesAsync(1);

        scaler.Reconfigure(Settings("defaults: { saturationThreshold: 0.35 }"));

        await scaler.UntilAsync(workload, static value => value == 2000, "twice as many");
        (await scaler.Grpc.GetMetricSpecAsync(workload)).Raw.Should().Be(spec.Raw, "K14, K16");

        // The operator has the last word, also over the trigger.
        var stubborn = workload.With("saturationThreshold", "1");
        await scaler.UntilAsync(stubborn, static value => value == 700, "the trigger's own threshold");
        scaler.Reconfigure(Settings("workloads: { genai/*: { saturationThreshold: 0.35 } }"));
        await scaler.UntilAsync(stubborn, static value => value == 2000, "the operator's");
        (await scaler.Grpc.GetMetricSpecAsync(stubborn)).Raw.Should().Be(spec.Raw, "K14, K16");

        stream.HasEnded.Should().BeFalse();
        scaler.Log.Should().ContainSingle(static line => line.Contains("defaults.saturationThreshold (0.7 to 0.35)", StringComparison.Ordinal));
        scaler.Log.Should().ContainSingle(static line => line.Contains("workloads.genai/* (added)", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_ConfigMap_mount_is_followed_swap_after_swap()
    {
        await using var scaler = await StartAsync(Settings(""));
        var mount = new MountedFolder(scaler.Folder);
        File.Delete(scaler.ConfigurationFile);
        for (var version = 1; version <= 60; version++)
        {
            var text = scaler.Fill(Settings($"defaults: {{ coldStart: {version}s }}"));
            mount.Swap(("scaler.yaml", text));
            await InForceAsync(scaler, text);
        }

        (await scaler.SeriesAsync(Successful)).Should().Be(1);
        scaler.Log.Count(static line => line.Contains("is in force; changed: ", StringComparison.Ordinal)).Should().Be(60);
    }

    [Fact]
    public async Task Whatever_becomes_of_the_file_the_last_good_one_stays_in_force()
    {
        await BusyAsync(busy: 7, of: 10);
        await using var scaler = await StartAsync(Settings("defaults: { saturationThreshold: 0.35 }"));
        var workload = ScalerSetup.Workload(_queue);
        await scaler.UntilAsync(workload, static value => value == 2000, "an answer");
        var path = scaler.ConfigurationFile;
        var good = await File.ReadAllTextAsync(path);
        await using var log = new AnswerLog(scaler, workload);

        await RefusedAsync("no such file", () => File.Delete(path));
        await AcceptedAsync(good);
        await RefusedAsync("is empty", () => File.WriteAllText(path, ""));
        await AcceptedAsync(good);
        await RefusedAsync("is empty", () => File.WriteAllText(path, "# everything is commented out\n"));
        await RefusedAsync("line ", () => File.WriteAllText(path, good[..(good.IndexOf("passwordFile", StringComparison.Ordinal) + 16)]));
        await AcceptedAsync(good);
        await RefusedAsync("unknown key; did you mean saturationThreshold?", () => File.WriteAllText(path, good.Replace("saturationThreshold", "saturationTreshold", StringComparison.Ordinal)));
        await RefusedAsync("line ", () => File.WriteAllBytes(path, Garbage(1 << 20)));
        await RefusedAsync("larger than", () => File.WriteAllText(path, good + new string('#', 5 << 20)));
        await RefusedAsync("a folder", () =>
        {
            File.Delete(path);
            Directory.CreateDirectory(path);
        });
        Directory.Delete(path);

        // A good file of a megabyte, which is as much as a ConfigMap holds; written in place, and renamed over it.
        var large = new StringBuilder(good).AppendLine().AppendLine("workloads:");
        while (large.Length < 1_000_000)
        {
            large.Append(CultureInfo.InvariantCulture, $"  genai/workload-{large.Length}: {{ saturationThreshold: 0.5 }}\n");
        }

        await AcceptedAsync(large.ToString());
        var next = path + ".next";
        await File.WriteAllTextAsync(next, good);
        File.Move(next, path, overwrite: true);
        await InForceAsync(scaler, good);

        await log.WaitForAsync(static answer => answer.IsDecided, "an answer");
        log.ShouldAlwaysBeDecided();
        log.Answers.Should().OnlyContain(static answer => answer.Metrics.Value == 2000);
        scaler.Log.Should().NotContain(static line => line.Contains(RabbitMqBroker.ScalerPassword, StringComparison.Ordinal));

        async Task AcceptedAsync(string text)
        {
            await File.WriteAllTextAsync(path, text);
            await InForceAsync(scaler, text);
            await Eventually.SeesAsync(() => scaler.SeriesAsync(Successful), static now => now == 1, "the file to be good again");
        }

        async Task RefusedAsync(string why, Action edit)
        {
            var (hash, seen) = (await scaler.SeriesAsync(Hash), scaler.Log.Count());
            edit();
            await Eventually.SeesAsync(
                () => Task.FromResult(scaler.Log.Skip(seen).Any(line => line.Contains(why, StringComparison.Ordinal))),
                static found => found,
                $"the log to say \"{why}\"",
                context: () => string.Join('\n', scaler.Log.Skip(seen)));
            (await scaler.SeriesAsync(Successful)).Should().Be(0);
            (await scaler.SeriesAsync(Hash)).Should().Be(hash);
        }
    }

    [Fact]
    public async Task A_connection_that_goes_takes_its_own_workloads_along_and_no_others()
    {
        await BusyAsync(busy: 7, of: 10);
        var both = Settings("", ScalerSetup.Connection(_broker) + ScalerSetup.Connection(_broker, "other"));
        await using var scaler = await StartAsync(both);
        var staying = ScalerSetup.Workload(_queue, "staying").With("rabbitmq", "main");
        var leaving = ScalerSetup.Workload(_queue, "leaving").With("rabbitmq", "other");
        await scaler.UntilAsync(staying, static value => value == 1000, "an answer");
        await scaler.UntilAsync(leaving, static value => value == 1000, "an answer");
        await using var stream = scaler.Grpc.Watch(staying);
        await using var other = scaler.Grpc.Watch(leaving);
        await stream.WaitForMessagesAsync(1);
        await other.WaitForMessagesAsync(1);
        await using var log = new AnswerLog(scaler, staying);

        scaler.Reconfigure(Settings(""));

        var refused = await Eventually.SeesAsync(() => scaler.Grpc.GetMetricsAsync(leaving), static call => !call.Ok, "a refusal");
        refused.Code.Should().Be("FailedPrecondition");
        refused.Message.Should().Contain("not configured; configured: main");
        (await scaler.Grpc.IsActiveAsync(leaving)).Code.Should().Be("FailedPrecondition");
        (await scaler.Grpc.GetMetricSpecAsync(leaving)).Ok.Should().BeTrue("K12");
        await scaler.WaitForLogAsync("leaves 1 workloads without a connection, such as genai/leaving");
        (await scaler.SeriesAsync("gpu_scaler_source_up", "connection=\"other\"")).Should().BeNull();

        var end = (await other.WaitForEndAsync())[^1];
        end.Code.Should().Be("FailedPrecondition");
        other.Messages.Should().OnlyContain(static message => message.Response!.Result == true);

        scaler.Reconfigure(both);
        await scaler.UntilAsync(leaving, static value => value == 1000, "an answer again");

        // With two connections, naming none could mean either.
        var vague = await scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(_queue, "vague"));
        vague.Code.Should().Be("FailedPrecondition");

        stream.HasEnded.Should().BeFalse();
        await log.WaitForAsync(static answer => answer.IsDecided, "an answer");
        log.ShouldAlwaysBeDecided();
        log.ShouldNeverDropBelow(1000);
    }

    [Fact]
    public async Task A_connection_that_is_built_anew_holds_its_answers_meanwhile()
    {
        await BusyAsync(busy: 7, of: 10);
        await using var scaler = await StartAsync(Settings("", ScalerSetup.Connection(_broker) + ScalerSetup.Connection(_broker, "other")));
        var moved = ScalerSetup.Workload(_queue, "moved").With("rabbitmq", "main");
        var byName = ScalerSetup.Workload(_queue, "by-pattern").Without("queue").With("queueRegex", _queue[..^1] + ".").With("rabbitmq", "main");
        var unmoved = ScalerSetup.Workload(_queue, "unmoved").With("rabbitmq", "other");
        foreach (var workload in new[] { moved, byName, unmoved })
        {
            await scaler.UntilAsync(workload, static value => value == 1000, "an answer");
        }

        await using var movedLog = new AnswerLog(scaler, moved);
        await using var patternLog = new AnswerLog(scaler, byName);
        await using var unmovedLog = new AnswerLog(scaler, unmoved);
        await movedLog.WaitForAsync(static answer => answer.IsDecided, "an answer");
        for (var round = 0; round < 5; round++)
        {
            var sweeps = await SweepsAsync("other");
            scaler.Reconfigure(Settings("", ScalerSetup.Connection(_broker, interval: $"{300 + round}ms") + ScalerSetup.Connection(_broker, "other")));
            await scaler.WaitForLogAsync($"rabbitmq.main.interval ({(round == 0 ? 250 : 299 + round)}ms to {300 + round}ms)");
            await Eventually.SeesAsync(() => SweepsAsync("other"), now => now > sweeps + 3, "the other connection to be swept on");
        }

        foreach (var log in new[] { movedLog, patternLog, unmovedLog })
        {
            await log.WaitForAsync(static answer => answer.IsDecided, "an answer");
            log.ShouldNeverDropBelow(1000);
        }

        movedLog.ShouldAlwaysBeDecided();
        unmovedLog.ShouldAlwaysBeDecided();
        scaler.Log.Count(static line => line.Contains("First sweep of other by its metrics", StringComparison.Ordinal)).Should().Be(1);

        async Task<double> SweepsAsync(string connection) =>
            await scaler.SeriesAsync("gpu_scaler_source_sweep_duration_seconds_count", "endpoint=\"metrics\"", $"connection=\"{connection}\"") ?? 0;
    }

    [Fact]
    public async Task A_workload_with_its_queue_in_the_file_is_evaluated_before_its_ScaledObject_asks()
    {
        await BusyAsync(busy: 7, of: 10);
        await using var scaler = await StartAsync(Settings(""));
        (await scaler.SeriesAsync("gpu_scaler_workloads")).Should().Be(0);

        scaler.Reconfigure(Settings($"workloads: {{ genai/workers: {{ queue: {_queue}, saturationThreshold: 0.35 }} }}"));
        await SeesAsync("gpu_scaler_workload_replicas_needed", 20, "scaled_object=\"workers\"");
        (await scaler.SeriesAsync("gpu_scaler_workload_shadow", "scaled_object=\"workers\"")).Should().Be(1);

        // The trigger is another than the entry by its policy, and takes its place.
        var workload = ScalerSetup.Workload(_queue).With("coldStart", "90s");
        await scaler.UntilAsync(workload, static value => value == 2000, "the operator's threshold");
        await SeesAsync("gpu_scaler_workload_shadow", null, "scaled_object=\"workers\"");
        await SeesAsync("gpu_scaler_workloads", 1);
        await scaler.WaitForLogAsync("no longer evaluated for the configuration's sake: its ScaledObject asks");

        // The operator can ask where each value comes from.
        var shown = await ScalerProcess.RunAsync(["show-config", "--url", $"http://{scaler.HttpAddress}", "--workload", "genai/workers"]);
        shown.Code.Should().Be(0, shown.Error);
        shown.Output.Should().MatchRegex("saturationThreshold: 0.35 +# workloads entry 'genai/workers', line").And.MatchRegex("coldStart: 1m30s +# trigger");
        shown.Output.Should().MatchRegex("interval: 100ms +# line").And.NotContain(RabbitMqBroker.ScalerPassword);

        // One that says the very same is the same workload from the beginning.
        scaler.Reconfigure(Settings($"workloads: {{ genai/same: {{ queue: {_queue} }} }}"));
        await SeesAsync("gpu_scaler_workload_shadow", 1, "scaled_object=\"same\"");
        (await scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(_queue, "same"))).Value.MetricValue.Should().Be(1000, "it is answered at once");
        await SeesAsync("gpu_scaler_workload_shadow", null, "scaled_object=\"same\"");
        await SeesAsync("gpu_scaler_workloads", 2);

        Task SeesAsync(string name, double? value, params string[] labels) =>
            Eventually.SeesAsync(() => scaler.SeriesAsync(name, labels), now => now == value, $"{name} to be {value}");
    }

    [Fact]
    public async Task What_is_fixed_at_the_start_is_said_to_be_and_everything_else_takes_effect()
    {
        await using var scaler = await StartAsync(Settings(""));
        await scaler.FirstAnswerAsync(ScalerSetup.Workload(_queue));
        scaler.Log.Should().Contain(static line => line.Contains("\"Debug\"", StringComparison.Ordinal));
        var text = scaler.Fill(Settings("limits: { workloads: 5 }").Replace("level: debug", "level: warning", StringComparison.Ordinal));

        await File.WriteAllTextAsync(scaler.ConfigurationFile, text);
        await InForceAsync(scaler, text);

        await scaler.WaitForLogAsync("limits.workloads has changed, which takes effect at the next start");
        for (var i = 0; i < 6; i++)
        {
            (await scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(_queue, $"workers-{i}"))).Code.Should().NotBe("ResourceExhausted");
        }

        var lines = scaler.Log.Count();
        await scaler.FirstAnswerAsync(ScalerSetup.Workload(_queue, "another"));
        scaler.Log.Skip(lines).Should().NotContain(static line => line.Contains("\"Information\"", StringComparison.Ordinal) || line.Contains("\"Debug\"", StringComparison.Ordinal));
    }

    private static byte[] Garbage(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    private static async Task InForceAsync(ScalerProcess scaler, string text)
    {
        var hash = ReloadStatus.HashOf(Encoding.UTF8.GetBytes(text));
        await Eventually.SeesAsync(() => scaler.SeriesAsync(Hash), now => now == hash, "the new file to be in force");
    }

    private string Settings(string more, string? connections = null) =>
        ScalerSetup.Configuration(connections ?? ScalerSetup.Connection(_broker), "reload: { interval: 100ms }\n" + more);

    private Task<ScalerProcess> StartAsync(string configuration) => ScalerProcess.StartAsync(configuration);

    private async Task BusyAsync(int busy, int of)
    {
        _disposables.Add(await _driver.StartWorkersAsync(_queue, of, WorkStyle.Hold));
        await _driver.PublishAsync(_queue, busy);
        await _driver.WaitForGaugesAsync(_queue, ready: 0, unacked: busy, consumers: of);
    }
}
