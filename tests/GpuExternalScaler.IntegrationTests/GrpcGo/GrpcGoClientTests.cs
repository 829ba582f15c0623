using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.GrpcGo;

public sealed class GrpcGoClientTests
{
    private static readonly GoWorkload Anyone = GoWorkload.Empty with { Namespace = "genai", Name = "worker" };

    private readonly GrpcGoClient _client = new($"127.0.0.1:{LoopbackPorts.Reserve()}");

    [Fact]
    public async Task A_closed_port_is_a_clean_Unavailable()
    {
        var calls = await _client.CallAsync("IsActive", Anyone, new GoCallOptions { Count = 3 });

        calls.Select(call => call.Call).Should().Equal(0, 1, 2);
        calls.Should().OnlyContain(call => call.Code == "Unavailable" && call.Response == null);
        calls[0].Message.Should().Contain("connection refused");
    }

    [Fact]
    public async Task Pairs_and_health_report_a_closed_port_too()
    {
        (await _client.PairsAsync(Anyone, 2)).Should().HaveCount(2)
            .And.OnlyContain(pair => pair.Metrics.Code == "Unavailable" && pair.Active.Code == "Unavailable");
        (await _client.CheckHealthAsync()).Code.Should().Be("Unavailable");
        (await _client.ReflectAsync()).Code.Should().Be("Unavailable");
    }

    [Fact]
    public async Task A_stream_to_a_closed_port_ends()
    {
        await using var watch = _client.Watch(Anyone);

        (await watch.WaitForAsync("end")).Code.Should().Be("Unavailable");
        await watch.WaitForEndAsync();

        await using var streams = _client.OpenStreams(Anyone, 3);
        (await streams.WaitForAsync("closed")).Ended.Should().Equal(new Dictionary<string, int> { ["Unavailable"] = 3 });
    }

    [Fact]
    public async Task Wrong_usage_is_an_exception()
    {
        var call = () => _client.CallAsync("IsActive", Anyone, new GoCallOptions { Count = 0 });

        (await call.Should().ThrowAsync<InvalidOperationException>()).WithMessage("*exited with 2*counts*");
    }
}
