using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>The four kinds of calls, between our server and our client through generated code on both sides.</summary>
public class CallKindsTests
{
    [Fact]
    public async Task Unary_answers()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.Client.UnaryAsync(new EchoRequest { Text = "grüß" });

        reply.Text.Should().Be("grüß");
    }

    [Fact]
    public async Task Blocking_unary_answers()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await Task.Run(() => server.Client.Unary(new EchoRequest { Text = "x" }));

        reply.Text.Should().Be("x");
    }

    [Fact]
    public async Task Server_stream_sends_all_and_ends_with_OK()
    {
        await using var server = await EchoServer.StartAsync();

        using var call = server.Client.ServerStream(new EchoRequest { Text = "n", Repeat = 3 });
        var texts = new List<string>();
        await foreach (var reply in call.ResponseStream.ReadAllAsync())
        {
            texts.Add(reply.Text);
        }

        texts.Should().Equal("n 0", "n 1", "n 2");
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task Server_stream_without_a_message_ends_with_OK()
    {
        await using var server = await EchoServer.StartAsync();

        using var call = server.Client.ServerStream(new EchoRequest());

        (await call.ResponseStream.MoveNext()).Should().BeFalse();
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task Client_stream_is_read_to_its_end()
    {
        await using var server = await EchoServer.StartAsync();

        using var call = server.Client.ClientStream();
        await call.RequestStream.WriteAsync(new EchoRequest { Text = "a" });
        await call.RequestStream.WriteAsync(new EchoRequest { Text = "b" });
        await call.RequestStream.CompleteAsync();

        (await call).Text.Should().Be("a,b");
    }

    [Fact]
    public async Task Duplex_answers_while_requests_are_still_to_come()
    {
        await using var server = await EchoServer.StartAsync();

        using var call = server.Client.Duplex();
        foreach (var text in new[] { "a", "b" })
        {
            await call.RequestStream.WriteAsync(new EchoRequest { Text = text });
            (await call.ResponseStream.MoveNext()).Should().BeTrue();
            call.ResponseStream.Current.Text.Should().Be(text);
        }

        await call.RequestStream.CompleteAsync();
        (await call.ResponseStream.MoveNext()).Should().BeFalse();
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task Empty_messages_are_messages()
    {
        await using var server = await EchoServer.StartAsync();

        (await server.Client.UnaryAsync(new EchoRequest())).Should().Be(new EchoReply());
    }

    [Fact]
    public async Task A_message_of_megabytes_passes_both_ways()
    {
        // Larger than any flow control window, so that the server must hand windows out while it waits for the rest.
        await using var server = await EchoServer.StartAsync();
        var text = new string('x', 3 * 1024 * 1024);

        (await server.Client.UnaryAsync(new EchoRequest { Text = text })).Text.Should().Be(text);
    }
}
