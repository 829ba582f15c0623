using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;
using Xunit.Abstractions;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>A thousand edits in a row, good, bad and unfinished, while fifty clients ask.</summary>
[Collection(BrokerTests.Name)]
public sealed class ReloadStormTests(SharedBroker3 shared, ITestOutputHelper output)
{
    private const int Edits = 1000;
    private const int Connections = 9;
    private const int ClientsOfEach = 5;
    private const int GrpcGoClients = 5;
    private const int Variants = 10;
    private const int Ready = 1000;
    private static readonly TimeSpan ReloadInterval = TimeSpan.FromMilliseconds(100);

    private readonly RabbitMqBroker _broker = shared.Broker;
    private readonly ConcurrentDictionary<(string Code, long Value), long> _answers = [];
    private readonly List<double> _delays = [];
    private readonly Random _random = new(20260105);

    [Fact]
    public async Task No_call_fails_no_answer_is_a_mixture_and_the_last_good_file_comes_into_force()
    {
        Pairs().Where(static pair => pair.ServiceTime != pair.DrainTime).Select(static pair => Needed(pair.ServiceTime, pair.DrainTime))
            .Should().NotIntersectWith(Pure, "a mixture must show");
        await using var driver = await QueueDriver.ConnectAsync(_broker);
        var queue = SharedBroker.QueueName("storm");
        await driver.DeclareQueueAsync(queue);
        await driver.PublishAsync(queue, Ready);
        await driver.WaitForGaugesAsync(queue, ready: Ready);
        await using var scaler = await ScalerProcess.StartAsync(Text(0, 0));
        var workload = ScalerSetup.Workload(queue);
        await scaler.UntilAsync(workload, static value => value == Needed(0, 0), "an answer");

        using var stop = new CancellationTokenSource();
        var clients = Enumerable.Range(0, Connections).Select(_ => AskAsync(scaler, queue, stop.Token)).ToList();

        // And some connections of KEDA's own library.
        var pollers = Enumerable.Range(0, GrpcGoClients).Select(_ => scaler.Grpc.Poll(workload, TimeSpan.FromMilliseconds(50))).ToList();
        await using var stream = scaler.Grpc.Watch(workload);
        var resident = new List<long>();
        for (var edit = 1; edit <= Edits; edit++)
        {
            await EditAsync(scaler);
            if (edit % (Edits / 5) == 0)
            {
                resident.Add(scaler.ResidentBytes / (1 << 20));
            }
        }

        await InForceAsync(scaler, scaler.Fill(Text(3, 3)));
        await stop.CancelAsync();
        await Task.WhenAll(clients);
        stream.HasEnded.Should().BeFalse();
        foreach (var poller in pollers)
        {
            foreach (var pair in (await poller.FinishAsync()).Where(static e => e.Event == "pair"))
            {
                Count(pair.Metrics!.Code, pair.Metrics.Code == "OK" ? pair.Metrics.Value : 0);
                Count(pair.Active!.Code, 0);
            }
        }

        Report(resident);
        _answers.Keys.Select(static answer => answer.Code).Distinct(StringComparer.Ordinal).Should().Equal("OK");
        _answers.Keys.Select(static answer => answer.Value).Where(static value => value != 0).Should().BeSubsetOf(Pure);
        _answers.Keys.Select(static answer => answer.Value).Should().Contain(Pure, "every file has been in force");
        (await scaler.UntilAsync(workload, static value => value == Needed(3, 3), "the last good file's answer")).Ok.Should().BeTrue();
        scaler.Log.Should().NotContain(static line => line.Contains("\"Error\"", StringComparison.Ordinal) && line.Contains("Exception", StringComparison.Ordinal));

        // What the first edits took for good is not the edits' fault.
        resident[^1].Should().BeLessThan(resident[0] + 64);
    }

    // Neither of two keys in two sections tells by itself what the answer is.
    private static int ServiceTime(int variant) => 1000 + (438 * variant);

    private static int DrainTime(int variant) => 60 - (4 * variant);

    private static long Needed(int serviceTime, int drainTime) =>
        (long)Math.Ceiling(Math.Round(100.0 * Ready * ServiceTime(serviceTime) / 1000 / DrainTime(drainTime), 6));

    private static IReadOnlyList<long> Pure { get; } = [.. Enumerable.Range(0, Variants).Select(static variant => Needed(variant, variant))];

    private static IEnumerable<(int ServiceTime, int DrainTime)> Pairs() =>
        Enumerable.Range(0, Variants).SelectMany(static one => Enumerable.Range(0, Variants).Select(other => (one, other)));

    private string Text(int serviceTime, int drainTime) => ScalerSetup.Configuration(
        // Every third variant builds the connection anew.
        ScalerSetup.Connection(_broker, interval: serviceTime % 3 == 0 ? "250ms" : "200ms"),
        string.Create(CultureInfo.InvariantCulture, $$"""
            reload: { interval: {{ReloadInterval.TotalMilliseconds}}ms }
            defaults: { serviceTime: {{ServiceTime(serviceTime)}}ms, coldStart: 1s }
            workloads: { genai/*: { drainTime: {{DrainTime(drainTime)}}s } }
            """));

    private async Task EditAsync(ScalerProcess scaler)
    {
        var path = scaler.ConfigurationFile;
        var variant = _random.Next(Variants);
        var good = scaler.Fill(Text(variant, variant));
        switch (_random.Next(20))
        {
            case < 5:
                Replace(path, good);
                await InForceAsync(scaler, good);
                return;
            case < 9:
                Replace(path, good);
                break;
            case < 12:
                await File.WriteAllTextAsync(path, good);
                break;
            case < 14:
                Replace(path, good.Replace("serviceTime", "serviseTime", StringComparison.Ordinal));
                break;
            case < 16:
                // Cut inside the last brackets, and left like this for longer than a reload takes.
                await File.WriteAllTextAsync(path, good[..^_random.Next(3, 20)].TrimEnd('\n', '}', ' '));
                break;
            case 16:
                await File.WriteAllTextAsync(path, "");
                break;
            case 17:
                File.Delete(path);
                break;
            case 18:
                var garbage = new byte[_random.Next(1, 20_000)];
                _random.NextBytes(garbage);
                await File.WriteAllBytesAsync(path, garbage);
                break;
            default:
                // In pieces, as a slow writer does.
                await using (var writer = new StreamWriter(path))
                {
                    foreach (var part in good.Chunk(200))
                    {
                        await writer.WriteAsync(part);
                        await writer.FlushAsync();
                    }
                }

                break;
        }

        await Task.Delay(TimeSpan.FromMilliseconds(_random.Next(120)), TimeProvider.System);
    }

    private static void Replace(string path, string text)
    {
        File.WriteAllText(path + ".next", text);
        File.Move(path + ".next", path, overwrite: true);
    }

    private async Task InForceAsync(ScalerProcess scaler, string text)
    {
        Replace(scaler.ConfigurationFile, text);
        var began = TimeProvider.System.GetTimestamp();
        var hash = ReloadStatus.HashOf(Encoding.UTF8.GetBytes(text));
        while (await scaler.SeriesAsync("gpu_scaler_config_hash") != hash)
        {
            if (TimeProvider.System.GetElapsedTime(began) > TimeSpan.FromSeconds(30))
            {
                throw new TimeoutException("A good file did not come into force. " + string.Join('\n', scaler.Log.TakeLast(20)));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        }

        _delays.Add(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
    }

    private async Task AskAsync(ScalerProcess scaler, string queue, CancellationToken stop)
    {
        using var channel = GrpcChannel.ForAddress($"http://{scaler.GrpcAddress}");
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        var request = new GetMetricsRequest
        {
            MetricName = "gpu-demand",
            ScaledObjectRef = new ScaledObjectRef { Name = "workers", Namespace = "genai", ScalerMetadata = { ["queue"] = queue } },
        };
        await Task.WhenAll(Enumerable.Range(0, ClientsOfEach).Select(_ => LoopAsync()));

        async Task LoopAsync()
        {
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    Count("OK", (await client.GetMetricsAsync(request)).MetricValues[0].MetricValue_);
                    Count((await client.IsActiveAsync(request.ScaledObjectRef)).Result ? "OK" : "inactive", 0);
                }
                catch (RpcException e)
                {
                    Count($"{e.StatusCode}: {e.Status.Detail}", 0);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(30), TimeProvider.System);
            }
        }
    }

    private void Count(string code, long value) => _answers.AddOrUpdate((code, value), 1, static (_, count) => count + 1);

    private void Report(IReadOnlyList<long> resident)
    {
        _delays.Sort();
        output.WriteLine($"{Edits} edits, {_answers.Values.Sum()} calls by {(Connections * ClientsOfEach) + GrpcGoClients} clients");
        output.WriteLine($"good file in force after: P50 {_delays[_delays.Count / 2]:0} ms, P99 {_delays[_delays.Count * 99 / 100]:0} ms, at most {_delays[^1]:0} ms; reload interval {ReloadInterval.TotalMilliseconds} ms");
        output.WriteLine($"resident after each fifth: {string.Join(", ", resident)} MiB");
    }
}
