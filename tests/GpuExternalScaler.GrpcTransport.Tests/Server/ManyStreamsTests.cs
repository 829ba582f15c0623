using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>K1: KEDA holds two streams a workload on one connection for ever, and calls beside them.</summary>
public class ManyStreamsTests
{
    private const int Streams = 500;

    [Fact]
    public async Task K1_Five_hundred_open_streams_and_unary_calls_share_one_connection()
    {
        var connections = 0;
        var change = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(
            new ScriptedEcho
            {
                OnServerStream = async (request, responses, context) =>
                {
                    await responses.WriteAsync(new EchoReply { Text = request.Text });
                    await change.Task.WaitAsync(context.CancellationToken);
                    await responses.WriteAsync(new EchoReply { Text = "changed" });
                },
            },
            kestrel: options => options.ConfigureEndpointDefaults(listener => listener.Use(next => connection =>
            {
                Interlocked.Increment(ref connections);
                return next(connection);
            })));

        var calls = Enumerable.Range(0, Streams)
            .Select(i => server.Client.ServerStream(new EchoRequest { Text = $"{i}" }))
            .ToArray();
        for (var i = 0; i < Streams; i++)
        {
            (await calls[i].ResponseStream.MoveNext().Soon()).Should().BeTrue();
            calls[i].ResponseStream.Current.Text.Should().Be($"{i}");
        }

        var replies = await Task.WhenAll(Enumerable.Range(0, 200).Select(async i =>
            (await server.Client.UnaryAsync(new EchoRequest { Text = $"{i}" })).Text)).Soon();
        replies.Should().Equal(Enumerable.Range(0, 200).Select(i => $"{i}"));

        change.SetResult();
        foreach (var call in calls)
        {
            (await call.ResponseStream.MoveNext().Soon()).Should().BeTrue();
            call.ResponseStream.Current.Text.Should().Be("changed");
            (await call.ResponseStream.MoveNext().Soon()).Should().BeFalse();
            call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
            call.Dispose();
        }

        connections.Should().Be(1);
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == Streams + 200, "all calls are over");
        server.Observer.Finished.Should().OnlyContain(call => call.StatusCode == StatusCode.OK);
    }

    [Fact]
    public async Task K1_A_request_that_stalls_costs_nobody_else_their_streams()
    {
        // Kestrel's least rate, had it its way, would end the connection about 2 s after the body has stalled.
        await using var server = await EchoServer.StartAsync(kestrel: options =>
            options.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(1.1)));
        using var channel = GrpcChannel.ForAddress(
            server.Address, new GrpcChannelOptions { HttpHandler = server.RawHandler });
        using var open = new Echo.EchoClient(channel).Duplex();
        await open.RequestStream.WriteAsync(new EchoRequest { Text = "before" });
        (await open.ResponseStream.MoveNext().Soon()).Should().BeTrue();

        var stalled = new StreamedRequestContent();
        var reply = server.PostAsync("/test.echo.v1.Echo/Unary", stalled);
        var body = await stalled.Opened.Soon();
        var frame = Frames.Of(new EchoRequest { Text = "late" });
        await body.WriteAsync(frame.AsMemory(0, 3));
        await body.FlushAsync();
        await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);

        await open.RequestStream.WriteAsync(new EchoRequest { Text = "after" });
        (await open.ResponseStream.MoveNext().Soon()).Should().BeTrue();
        await body.WriteAsync(frame.AsMemory(3));
        stalled.Complete();
        (await reply.Soon()).GrpcStatus.Should().Be(0);
    }

    [Fact]
    public void K1_Limits_allow_ten_thousand_streams_and_nobody_slow_ends_a_connection()
    {
        var options = new KestrelServerOptions().UseGrpcLimits();

        options.Limits.Http2.MaxStreamsPerConnection.Should().Be(10_000);
        options.Limits.MinResponseDataRate.Should().BeNull();
        options.Limits.MinRequestBodyDataRate.Should().BeNull();
        options.Limits.Http2.KeepAlivePingDelay.Should().BeLessThan(TimeSpan.FromMinutes(1));
        options.AddServerHeader.Should().BeFalse();
    }
}
