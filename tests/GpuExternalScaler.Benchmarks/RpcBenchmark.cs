using System.Globalization;
using System.Text.Json;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// Calls per second, latency and CPU of the real server with a published decision, beside a grpc-go server that answers
/// a constant. Both run from the beginning to the end; the load alternates between them. The server has one processor,
/// the load another.
/// </summary>
internal static class RpcBenchmark
{
    private const string ServerProcessor = "0";
    private const string LoadProcessor = "1";
    private const string Queue = "wfq0000";

    public static async Task RunAsync(Arguments arguments)
    {
        var report = new Report("rpc", arguments.Folder);
        var (rounds, seconds, concurrency, streams) = (arguments.Number("rounds", 5), arguments.Number("seconds", 5), arguments.Number("concurrency", 64), arguments.Number("streams", 1000));
        var warmup = arguments.Number("warmup", 30);
        var method = arguments.Text("method", "GetMetrics");

        // The stand-in broker belongs to the load's side of the machine.
        Machine.Pin(0b10);
        await using var broker = await StandInQueues.StartAsync(queues: 1);
        var subjects = new List<Subject>();
        try
        {
            subjects.Add(await GoAsync());
            subjects.Add(await OursAsync("this build", broker, program: null));
            foreach (var variant in arguments.All("variant"))
            {
                var environment = variant.Split(',').Select(static pair => pair.Split('=', 2)).ToDictionary(static pair => pair[0], static string? (pair) => pair[1], StringComparer.Ordinal);
                subjects.Add(await OursAsync(variant, broker, program: null, environment));
            }

            foreach (var other in arguments.All("against"))
            {
                subjects.Add(await OursAsync(other, broker, Path.Combine(other, "gpu-external-scaler.dll")));
            }

            var results = subjects.ToDictionary(static subject => subject, static _ => new List<JsonElement>());
            for (var round = 0; round <= rounds; round++)
            {
                foreach (var subject in subjects)
                {
                    await Machine.CalmAsync(TimeSpan.FromSeconds(arguments.Number("patience", 20)));
                    var result = await GoLoad.RunAsync(
                        LoadProcessor, TimeSpan.FromSeconds(seconds + 60),
                        [
                            "load", "--address", subject.Address, "--pid", $"{subject.ProcessId}", "--method", method,
                            "--streams", $"{streams}", "--concurrency", $"{concurrency}", "--seconds", $"{seconds}",
                            "--warmup", round == 0 ? $"{warmup}" : "1", .. GoLoad.Workload("workers", Queue),
                        ]);

                    // The first round only warms up: the runtime compiles hot methods twice.
                    if (round > 0)
                    {
                        results[subject].Add(result);
                        Add(report, $"{round}", subject, result);
                    }
                }
            }

            report.Note($"{method}, {concurrency} calls in flight on one connection beside {streams} open streams; {rounds} rounds of {seconds} s after a warm-up round; server and load on a processor each; medians below");
            foreach (var (subject, rows) in results)
            {
                report.Row([
                    ("round", "median"),
                    ("server", subject.Name),
                    .. Columns.Select(column => (column.Name, (object?)Spread.Median(rows.Select(column.Value)))),
                ]);
            }
        }
        finally
        {
            foreach (var subject in subjects)
            {
                await subject.Owner.DisposeAsync();
            }
        }

        report.Finish();
    }

    private static readonly (string Name, Func<JsonElement, double> Value)[] Columns =
    [
        ("calls/s", static r => r.Number("perSecond")),
        ("P50 µs", static r => r.Number("p50Us")),
        ("P99 µs", static r => r.Number("p99Us")),
        ("server CPU s/100k", static r => r.Number("serverCpuSeconds") / r.Number("calls") * 100_000),
        ("server busy %", static r => 100 * r.Number("serverCpuSeconds") / r.Number("seconds")),
        ("load busy %", static r => 100 * r.Number("driverCpuSeconds") / r.Number("seconds")),
        ("not OK", static r => r.Number("calls") - (r.GetProperty("codes").TryGetProperty("OK", out var ok) ? ok.GetDouble() : 0)),
    ];

    private static void Add(Report report, string round, Subject subject, JsonElement result) =>
        report.Row([("round", round), ("server", subject.Name), .. Columns.Select(column => (column.Name, (object?)column.Value(result)))]);

    private static async Task<Subject> GoAsync()
    {
        var address = $"127.0.0.1:{LoopbackPorts.Reserve()}";
        var process = GoLoad.Start(ServerProcessor, "serve", "--address", address);
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
        return new Subject("grpc-go, a constant", address, process.Id, process);
    }

    private static async Task<Subject> OursAsync(
        string name, StandInQueues broker, string? program, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var server = await PinnedProgram.StartAsync(broker.Connection() + "log: { level: warning }\n", program, ServerProcessor, environment);
        await DecidedAsync(server.GrpcAddress);
        return new Subject(name, server.GrpcAddress, server.ProcessId, server);
    }

    /// <summary>Waits until the workload that is asked about is registered and decided: what is measured is an answer.</summary>
    private static async Task DecidedAsync(string address)
    {
        using var channel = GrpcChannel.ForAddress($"http://{address}");
        var client = new ExternalScaler.ExternalScalerClient(channel);
        var request = new GetMetricsRequest
        {
            MetricName = "gpu-demand",
            ScaledObjectRef = new ScaledObjectRef
            {
                Namespace = "genai",
                Name = "workers",
                ScalerMetadata = { ["queue"] = Queue, ["saturationThreshold"] = "0.8", ["coldStart"] = "90s" },
            },
        };
        await Eventually.SeesAsync(
            async () =>
            {
                try
                {
                    return (await client.GetMetricsAsync(request)).MetricValues[0].MetricValueFloat.ToString(CultureInfo.InvariantCulture);
                }
                catch (RpcException error)
                {
                    return error.Status.Detail;
                }
            },
            static seen => double.TryParse(seen, CultureInfo.InvariantCulture, out var value) && value > 0,
            "a decision");
    }

    private sealed record Subject(string Name, string Address, int ProcessId, IAsyncDisposable Owner);
}
