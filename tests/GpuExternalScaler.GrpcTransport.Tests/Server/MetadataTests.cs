using System.Net;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

public class MetadataTests
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private static readonly byte[] Bytes = [0, 1, 0xFE, 0xFF];

    [Fact]
    public async Task Request_headers_reach_the_handler_text_and_bytes()
    {
        Metadata? seen = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                seen = context.RequestHeaders;
                return Task.FromResult(new EchoReply());
            },
        });

        await server.Client.UnaryAsync(
            new EchoRequest(), new Metadata { { "X-Text", "a b" }, { "x-data-bin", Bytes } });

        seen!.GetValue("x-text").Should().Be("a b");
        seen.GetValueBytes("x-data-bin").Should().Equal(Bytes);
        seen.Should().NotContain(entry => entry.Key.StartsWith("grpc-") || entry.Key.StartsWith(':') || entry.Key == "te");
    }

    [Theory]
    [InlineData("AAH+/w")]
    [InlineData("AAH+/w==")]
    public async Task Bytes_come_with_padding_or_without(string base64)
    {
        byte[]? seen = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                seen = context.RequestHeaders.GetValueBytes("x-data-bin");
                return Task.FromResult(new EchoReply());
            },
        });

        await server.PostAsync(Unary, Frames.Of(new EchoRequest()), ("x-data-bin", base64));

        seen.Should().Equal(Bytes);
    }

    [Fact]
    public async Task Bytes_under_one_name_may_be_joined_by_commas()
    {
        List<byte[]> seen = [];
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                seen.AddRange(context.RequestHeaders.GetAll("x-data-bin").Select(entry => entry.ValueBytes));
                return Task.FromResult(new EchoReply());
            },
        });

        await server.Client.UnaryAsync(
            new EchoRequest(), new Metadata { { "x-data-bin", Bytes }, { "x-data-bin", new byte[] { 7 } } });

        seen.Should().HaveCount(2);
        seen[0].Should().Equal(Bytes);
        seen[1].Should().Equal(7);
    }

    [Fact]
    public async Task Headers_that_metadata_cannot_hold_are_left_out_and_fail_nothing()
    {
        Metadata? seen = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                seen = context.RequestHeaders;
                return Task.FromResult(new EchoReply());
            },
        });

        var reply = await server.PostAsync(
            Unary, Frames.Of(new EchoRequest()), ("x-bad-bin", "!!!"), ("x!odd~name", "v"), ("x-good", "v"));

        reply.GrpcStatus.Should().Be(0);
        seen!.Select(entry => entry.Key).Should().Equal("x-good");
    }

    [Fact]
    public async Task Response_headers_and_trailers_reach_the_client()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = async (_, context) =>
            {
                await context.WriteResponseHeadersAsync(new Metadata { { "x-decision", "42" }, { "x-head-bin", Bytes } });
                context.ResponseTrailers.Add("x-trail", "t");
                context.ResponseTrailers.Add("x-trail-bin", Bytes);
                return new EchoReply();
            },
        });

        using var call = server.Client.UnaryAsync(new EchoRequest());
        await call;

        var headers = await call.ResponseHeadersAsync;
        headers.GetValue("x-decision").Should().Be("42");
        headers.GetValueBytes("x-head-bin").Should().Equal(Bytes);
        call.GetTrailers().GetValue("x-trail").Should().Be("t");
        call.GetTrailers().GetValueBytes("x-trail-bin").Should().Equal(Bytes);
    }

    [Fact]
    public async Task Headers_set_on_the_HTTP_response_leave_with_the_answer()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                context.GetHttpContext().Response.Headers["x-decision"] = "42";
                return Task.FromResult(new EchoReply());
            },
        });

        using var call = server.Client.UnaryAsync(new EchoRequest());

        (await call.ResponseHeadersAsync).GetValue("x-decision").Should().Be("42");
    }

    [Fact]
    public async Task Response_headers_come_before_the_first_message()
    {
        var release = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, _, context) =>
            {
                await context.WriteResponseHeadersAsync([]);
                await release.Task;
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest());
        await call.ResponseHeadersAsync.Soon();
        release.SetResult();

        (await call.ResponseStream.MoveNext()).Should().BeFalse();
    }

    [Fact]
    public async Task Response_headers_can_be_sent_once_only()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = async (_, context) =>
            {
                await context.WriteResponseHeadersAsync([]);
                var again = () => context.WriteResponseHeadersAsync([]);
                await again.Should().ThrowAsync<InvalidOperationException>();
                return new EchoReply { Text = "checked" };
            },
        });

        (await server.Client.UnaryAsync(new EchoRequest())).Text.Should().Be("checked");
    }

    [Fact]
    public async Task Trailers_of_an_exception_reach_the_client_with_those_of_the_call()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                context.ResponseTrailers.Add("x-of-call", "a");
                throw new RpcException(
                    new Status(StatusCode.Aborted, "lost"),
                    new Metadata { { "x-of-exception", "b" }, { "grpc-status-details-bin", Bytes } });
            },
        });

        var act = async () => await server.Client.UnaryAsync(new EchoRequest());

        var trailers = (await act.Should().ThrowAsync<RpcException>()).Which.Trailers;
        trailers.GetValue("x-of-call").Should().Be("a");
        trailers.GetValue("x-of-exception").Should().Be("b");
        trailers.GetValueBytes("grpc-status-details-bin").Should().Equal(Bytes);
    }

    [Fact]
    public async Task Metadata_cannot_forge_the_status()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                context.ResponseTrailers.Add("grpc-status", "0");
                throw new RpcException(new Status(StatusCode.Aborted, ""), new Metadata { { "grpc-message", "forged" } });
            },
        });

        var reply = await server.PostAsync(Unary, Frames.Of(new EchoRequest()));

        reply.GrpcStatus.Should().Be((int)StatusCode.Aborted);
        reply.GrpcMessage.Should().BeEmpty();
    }

    [Theory]
    [InlineData("line\r\nbreak")]
    [InlineData("ümlaut")]
    public async Task Trailer_that_cannot_be_sent_ends_the_call_with_INTERNAL(string value)
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                context.ResponseTrailers.Add("x-bad", value);
                return Task.FromResult(new EchoReply());
            },
        });

        var reply = await server.PostAsync(Unary, Frames.Of(new EchoRequest()));

        reply.HttpStatus.Should().Be(HttpStatusCode.OK);
        reply.GrpcStatus.Should().Be((int)StatusCode.Internal);
        reply.Trailers.Contains("x-bad").Should().BeFalse();
        server.Log.Errors.Should().ContainSingle();
    }

    [Fact]
    public async Task Call_knows_who_asks_for_what()
    {
        string? method = null, host = null, peer = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                (method, host, peer) = (context.Method, context.Host, context.Peer);
                return Task.FromResult(new EchoReply());
            },
        });

        await server.Client.UnaryAsync(new EchoRequest());

        method.Should().Be(Unary);
        host.Should().Be(server.Address.Authority);
        peer.Should().StartWith("ipv4:127.0.0.1:");
    }
}
