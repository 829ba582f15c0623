using System.Globalization;
using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.IntegrationTests.EndToEnd;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// Peers that mean ill, one kind after the other on a fresh server, and beside each an honest workload that goes on asking
/// from another address: how often it was answered, how long it waited, and what memory the server took.
/// </summary>
internal static class HostileBenchmark
{
    private static readonly TimeSpan HonestDeadline = TimeSpan.FromSeconds(10);

    public static async Task RunAsync(Arguments arguments)
    {
        var report = new Report("hostile", arguments.Folder);
        var program = arguments.Text("program", "");
        await using var broker = await StandInQueues.StartAsync(queues: 1);
        var count = arguments.Number("count", 1_000_000);
        var streams = arguments.Number("streams", 100_000);
        (string Name, Func<PinnedProgram, List<IAsyncDisposable>, Task<string>> Attack)[] attacks =
        [
            ("workloads", (server, owned) => WorkloadsAsync(server, count)),
            ("metadata", (server, owned) => MetadataAsync(server)),
            ("streams", (server, owned) => StreamsAsync(server, owned, streams)),
            ("unread", (server, owned) => UnreadAsync(server, owned, calls: streams)),
            ("halves", (server, owned) => HalvesAsync(server, owned, calls: arguments.Number("halves", 2_000))),
            ("connections", (server, owned) => ConnectionsAsync(server, owned, arguments.Number("connections", 10_000))),
        ];
        foreach (var (name, attack) in attacks)
        {
            if (arguments.All("only").Any() && !arguments.All("only").Contains(name, StringComparer.Ordinal))
            {
                continue;
            }

            await using var server = await PinnedProgram.StartAsync(
                broker.Connection() + "log: { level: warning }\n", program.Length > 0 ? Path.Combine(program, "gpu-external-scaler.dll") : null);
            await OneAsync(report, name, server, attack);
        }

        report.Note("an honest workload, registered before, asks 20 times a second from 127.0.0.2; a honest newcomer asks after the attack; the attack comes from 127.0.0.1");
        report.Finish();
    }

    private static async Task OneAsync(
        Report report, string name, PinnedProgram server, Func<PinnedProgram, List<IAsyncDisposable>, Task<string>> attack)
    {
        await using var honest = new Honest(server.GrpcAddress, "127.0.0.2");
        await Eventually.SeesAsync(() => honest.AskAsync("honest"), static answer => answer == "OK", "the honest workload's first answer");
        var before = Machine.Memory(server.ProcessId) / 1024.0 / 1024;
        var asking = honest.KeepAskingAsync();
        var (owned, began) = (new List<IAsyncDisposable>(), TimeProvider.System.GetTimestamp());
        var said = await attack(server, owned);
        var took = TimeProvider.System.GetElapsedTime(began);
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
        var held = Machine.Memory(server.ProcessId) / 1024.0 / 1024;
        await using var another = new Honest(server.GrpcAddress, "127.0.0.3");
        var newcomer = await another.AskAsync("newcomer");
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System);
        newcomer += ", then " + await another.AskAsync("newcomer");
        honest.Stop();
        await asking;
        foreach (var one in owned)
        {
            await one.DisposeAsync();
        }

        await Task.Delay(TimeSpan.FromSeconds(15), TimeProvider.System);
        report.Row(
            ("attack", name), ("took s", took.TotalSeconds), ("it was told", said),
            ("honest calls", honest.Latencies.Count + honest.Failures), ("failed", honest.Failures),
            ("P50 ms", Spread.Median(honest.Latencies)), ("P99 ms", Spread.At(honest.Latencies, 0.99)), ("max ms", Spread.At(honest.Latencies, 1)),
            ("newcomer", newcomer),
            ("MB before", before), ("MB held", held), ("MB peak", Machine.Memory(server.ProcessId, "VmHWM") / 1024.0 / 1024), ("MB 15 s after", Machine.Memory(server.ProcessId) / 1024.0 / 1024));
    }

    private static async Task<string> WorkloadsAsync(PinnedProgram server, int count) => Codes(await GoLoad.RunAsync(
        null, TimeSpan.FromMinutes(10), ["flood", "--address", server.GrpcAddress, "--count", $"{count}", "--concurrency", "256", "--connections", "4", "--namespace", "n{i}", "--name", "w{i}", "--meta", "queue=wfq{i}"]));

    private static async Task<string> MetadataAsync(PinnedProgram server) => Codes(await GoLoad.RunAsync(
        null, TimeSpan.FromMinutes(5), ["flood", "--address", server.GrpcAddress, "--count", "500", "--concurrency", "64", "--connections", "4", "--name", "w{i}", "--meta", "queue=wfq{i}", "--padding", $"{10 * 1024 * 1024}"]));

    private static async Task<string> StreamsAsync(PinnedProgram server, List<IAsyncDisposable> owned, int streams)
    {
        var flood = ChildProcess.Start("/bin/sh", ["-c", "sleep 1000 | \"$@\"", "held", GoLoad.Path, "flood", "--address", server.GrpcAddress, "--method", "StreamIsActive", "--count", $"{streams}", "--concurrency", "64", "--connections", "10", "--hold", "--name", "w", "--meta", "queue=wfq0000", "--stream-deadline", "60s"]);
        owned.Add(flood);
        var done = false;
        try
        {
            await Eventually.IsTrueAsync(() => flood.StandardOutput.Any(static line => line.Contains("\"done\"", StringComparison.Ordinal) && line.Contains("\"event\":\"done\"", StringComparison.Ordinal)), "the streams", TimeSpan.FromSeconds(90));
            done = true;
        }
        catch (TimeoutException)
        {
        }

        var open = await server.SumAsync("gpu_scaler_grpc_open_streams");
        return string.Create(CultureInfo.InvariantCulture, $"{(done ? "" : "not all sent; ")}{open:#,0} streams open");
    }

    private static async Task<string> UnreadAsync(PinnedProgram server, List<IAsyncDisposable> owned, int calls)
    {
        const int Connections = 10;
        var workload = Keda.Workload("unread", StandInQueues.Name(0));
        var connections = await ManyAsync(server, owned, Connections);
        await Parallel.ForEachAsync(connections, async (connection, _) =>
        {
            await connection.BeginAsync(initialWindow: 0);
            for (var call = 0; call < calls / Connections && !connection.IsClosed; call++)
            {
                await connection.CallAsync(workload);
            }
        });
        return string.Create(CultureInfo.InvariantCulture, $"{connections.Count(static connection => connection.IsClosed)} of {Connections} connections closed");
    }

    private static async Task<string> HalvesAsync(PinnedProgram server, List<IAsyncDisposable> owned, int calls)
    {
        const int Connections = 10;
        var workload = Keda.Workload("halves", StandInQueues.Name(0));
        var connections = await ManyAsync(server, owned, Connections);
        await Parallel.ForEachAsync(connections, async (connection, _) =>
        {
            await connection.BeginAsync(initialWindow: 65_535);
            for (var call = 0; call < calls / Connections && !connection.IsClosed; call++)
            {
                // Ignores the server's windows no more than 64 KB a stream, which it has to take.
                await connection.CallAsync(workload, announced: 4 * 1024 * 1024, padding: 60_000);
            }
        });
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
        return string.Create(CultureInfo.InvariantCulture, $"{connections.Count(static connection => connection.IsClosed)} of {Connections} connections closed");
    }

    private static async Task<string> ConnectionsAsync(PinnedProgram server, List<IAsyncDisposable> owned, int count)
    {
        var connections = await ManyAsync(server, owned, count);
        for (var i = 0; i < connections.Count; i++)
        {
            // A third says nothing, a third begins and stays, a third never ends its headers.
            if (i % 3 > 0)
            {
                await connections[i].BeginAsync(65_535);
            }

            if (i % 3 > 1)
            {
                await connections[i].HalfHeadersAsync();
            }
        }

        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
        return string.Create(CultureInfo.InvariantCulture, $"{connections.Count:#,0} connected, {connections.Count(static connection => connection.IsClosed):#,0} of those that spoke closed");
    }

    private static async Task<List<RawHttp2>> ManyAsync(PinnedProgram server, List<IAsyncDisposable> owned, int count)
    {
        var all = new List<RawHttp2>();
        owned.Add(new Closing(all));
        for (var i = 0; i < count; i++)
        {
            try
            {
                all.Add(await RawHttp2.ConnectAsync(IPEndPoint.Parse(server.GrpcAddress)));
            }
            catch (SocketException)
            {
                break;
            }
        }

        return all;
    }

    private static string Codes(System.Text.Json.JsonElement done) =>
        string.Join(", ", done.GetProperty("codes").EnumerateObject().Select(static code => string.Create(CultureInfo.InvariantCulture, $"{code.Name} {code.Value.GetDouble():#,0}")));

    private sealed class Closing(List<RawHttp2> connections) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            connections.ForEach(static connection => connection.Dispose());
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>A KEDA with an address of its own.</summary>
    private sealed class Honest : IAsyncDisposable
    {
        private readonly GrpcChannel _channel;
        private readonly SocketsHttpHandler _handler;
        private readonly ExternalScaler.ExternalScalerClient _client;
        private volatile bool _stop;

        public Honest(string address, string from)
        {
            _handler = new SocketsHttpHandler
            {
                UseProxy = false,
                ConnectCallback = async (context, cancellation) =>
                {
                    var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                    socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
                    await socket.ConnectAsync(context.DnsEndPoint, cancellation);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            };
            _channel = GrpcChannel.ForAddress($"http://{address}", new GrpcChannelOptions { HttpHandler = _handler });
            _client = new ExternalScaler.ExternalScalerClient(_channel);
        }

        public List<double> Latencies { get; } = [];

        public int Failures { get; private set; }

        public async Task<string> AskAsync(string name)
        {
            try
            {
                await _client.GetMetricsAsync(
                    new GetMetricsRequest { MetricName = "gpu-demand", ScaledObjectRef = Keda.Workload(name, StandInQueues.Name(0)) },
                    deadline: TimeProvider.System.GetUtcNow().UtcDateTime + HonestDeadline);
                return "OK";
            }
            catch (RpcException error)
            {
                return $"{error.StatusCode}";
            }
        }

        public async Task KeepAskingAsync()
        {
            while (!_stop)
            {
                var began = TimeProvider.System.GetTimestamp();
                if (await AskAsync("honest") == "OK")
                {
                    Latencies.Add(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
                }
                else
                {
                    Failures++;
                }

                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
            }
        }

        public void Stop() => _stop = true;

        public ValueTask DisposeAsync()
        {
            _channel.Dispose();
            _handler.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
