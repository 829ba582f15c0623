using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Callers that mean ill, from 127.0.0.1, beside an honest one at another address: it is answered throughout, and memory
/// is bounded. tests/bench hostile does the same with a million workloads and 100,000 streams.
/// </summary>
[Collection(ConformanceBrokerTests.Name)]
public sealed class HostileClientTests(SharedBroker3 shared) : IAsyncLifetime
{
    private const long MemoryLimit = 500L * 1024 * 1024;

    private readonly string _queue = SharedBroker.QueueName("hostile");
    private ScalerProcess _scaler = null!;
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(shared.Broker);
        await _driver.DeclareQueueAsync(_queue);
        _scaler = await ScalerSetup.StartAsync(shared.Broker, "limits: { workloads: 50 }");
    }

    public async Task DisposeAsync()
    {
        await _scaler.DisposeAsync();
        await _driver.DisposeAsync();
    }

    [Fact]
    public async Task Invented_workloads_shut_nobody_out()
    {
        using var honest = new Caller(_scaler.GrpcAddress, "127.0.0.2");
        await honest.UntilAnsweredAsync(Workload("before"));

        var calls = await _scaler.Grpc.CallAsync(
            "GetMetrics", ScalerSetup.Workload(_queue, "invented-{i}"), new GoCallOptions { Count = 5_000, Concurrency = 64 });

        calls.Should().OnlyContain(call => call.Code == "Unavailable" || call.Code == "OK" || call.Code == "ResourceExhausted");
        calls.Count(call => call.Code == "ResourceExhausted").Should().BeGreaterThan(4_000);
        (await honest.AskAsync(Workload("before"))).Should().Be(StatusCode.OK);
        await honest.UntilAnsweredAsync(Workload("after"));
        _scaler.ResidentBytes.Should().BeLessThan(MemoryLimit);
    }

    [Fact]
    public async Task Ten_megabytes_of_metadata_are_refused()
    {
        using var honest = new Caller(_scaler.GrpcAddress, "127.0.0.2");
        using var hostile = new Caller(_scaler.GrpcAddress, "127.0.0.1");
        await honest.UntilAnsweredAsync(Workload("honest"));
        var large = Workload("large");
        large.ScalerMetadata["padding"] = new string('x', 10 * 1024 * 1024);

        var answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => hostile.AskAsync(large)));

        answers.Should().OnlyContain(code => code == StatusCode.ResourceExhausted);
        (await honest.AskAsync(Workload("honest"))).Should().Be(StatusCode.OK);
        _scaler.ResidentBytes.Should().BeLessThan(MemoryLimit);
    }

    [Fact]
    public async Task Who_does_not_read_and_who_does_not_finish_harm_only_themselves()
    {
        using var honest = new Caller(_scaler.GrpcAddress, "127.0.0.2");
        await honest.UntilAnsweredAsync(Workload("honest"));
        var connections = new List<RawHttp2>();
        try
        {
            for (var i = 0; i < 4; i++)
            {
                var unread = await ConnectAsync(connections);
                await unread.BeginAsync(initialWindow: 0);
                var halves = await ConnectAsync(connections);
                await halves.BeginAsync(initialWindow: 65_535);
                for (var call = 0; call < 2_000; call++)
                {
                    await unread.CallAsync(Workload("honest"));
                    if (call % 20 == 0)
                    {
                        await halves.CallAsync(Workload("half"), announced: 64 * 1024, padding: 60_000);
                    }
                }
            }

            await using var stuck = _scaler.Grpc.OpenStuckStreams(ScalerSetup.Workload(_queue, "honest"), 2_000);
            await stuck.WaitForAsync("opened");

            for (var i = 0; i < 50; i++)
            {
                (await honest.AskAsync(Workload("honest"))).Should().Be(StatusCode.OK);
            }

            _scaler.ResidentBytes.Should().BeLessThan(MemoryLimit);
        }
        finally
        {
            connections.ForEach(static connection => connection.Dispose());
        }
    }

    [Fact]
    public async Task A_caller_with_too_many_connections_loses_the_new_ones_and_nobody_else_does()
    {
        using var honest = new Caller(_scaler.GrpcAddress, "127.0.0.2");
        await honest.UntilAnsweredAsync(Workload("honest"));
        var connections = new List<RawHttp2>();
        try
        {
            for (var i = 0; i < 300; i++)
            {
                var connection = await ConnectAsync(connections);
                await connection.BeginAsync(initialWindow: 65_535);
                if (i % 2 == 0)
                {
                    await connection.HalfHeadersAsync();
                }
            }

            await Eventually.IsTrueAsync(() => connections.Count(static connection => connection.IsClosed) >= 284, "all but sixteen to be closed");

            using var another = new Caller(_scaler.GrpcAddress, "127.0.0.3");
            (await honest.AskAsync(Workload("honest"))).Should().Be(StatusCode.OK);
            await another.UntilAnsweredAsync(Workload("another"));
        }
        finally
        {
            connections.ForEach(static connection => connection.Dispose());
        }

        // Room again, once they are gone.
        using var here = new Caller(_scaler.GrpcAddress, "127.0.0.1");
        await here.UntilAnsweredAsync(Workload("honest"));
    }

    private async Task<RawHttp2> ConnectAsync(List<RawHttp2> connections)
    {
        var connection = await RawHttp2.ConnectAsync(IPEndPoint.Parse(_scaler.GrpcAddress));
        connections.Add(connection);
        return connection;
    }

    private ScaledObjectRef Workload(string name) =>
        new() { Namespace = "genai", Name = name, ScalerMetadata = { ["queue"] = _queue } };

    /// <summary>A client at an address of its own.</summary>
    private sealed class Caller : IDisposable
    {
        private readonly SocketsHttpHandler _handler;
        private readonly GrpcChannel _channel;
        private readonly ExternalScaler.ExternalScalerClient _client;

        public Caller(string server, string from)
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
            _channel = GrpcChannel.ForAddress($"http://{server}", new GrpcChannelOptions { HttpHandler = _handler });
            _client = new ExternalScaler.ExternalScalerClient(_channel);
        }

        public async Task<StatusCode> AskAsync(ScaledObjectRef workload)
        {
            try
            {
                await _client.GetMetricsAsync(
                    new GetMetricsRequest { MetricName = "gpu-demand", ScaledObjectRef = workload },
                    deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(30));
                return StatusCode.OK;
            }
            catch (RpcException error)
            {
                return error.StatusCode;
            }
        }

        public async Task UntilAnsweredAsync(ScaledObjectRef workload) =>
            await Eventually.SeesAsync(() => AskAsync(workload), static code => code == StatusCode.OK, $"an answer for {workload.Name}");

        public void Dispose()
        {
            _channel.Dispose();
            _handler.Dispose();
        }
    }
}
