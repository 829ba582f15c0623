using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>How calls end, as seen on the wire and by a client.</summary>
public class StatusTests
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private const string ServerStream = "/test.echo.v1.Echo/ServerStream";
    private static readonly byte[] Request = Frames.Of(new EchoRequest { Text = "hi", Repeat = 1 });

    [Fact]
    public async Task Success_is_headers_message_and_trailers()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(Unary, Request);

        reply.Headers["content-type"].Should().Equal("application/grpc");
        reply.Headers.Contains("grpc-status").Should().BeFalse();
        reply.Body.Should().Equal(Frames.Of(new EchoReply { Text = "hi" }));
        reply.Trailers["grpc-status"].Should().Equal("0");
        reply.Trailers.Contains("grpc-message").Should().BeFalse();
    }

    [Fact]
    public async Task Error_before_any_message_is_one_frame_of_headers()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) => throw new RpcException(new Status(StatusCode.NotFound, "no such metric")),
        });

        var reply = await server.PostAsync(Unary, Request);

        reply.IsTrailersOnly.Should().BeTrue();
        reply.GrpcStatus.Should().Be((int)StatusCode.NotFound);
        reply.GrpcMessage.Should().Be("no such metric");
    }

    [Fact]
    public async Task Error_after_a_message_is_in_the_trailers()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                await responses.WriteAsync(new EchoReply { Text = "one" });
                throw new RpcException(new Status(StatusCode.Unavailable, "broker is away"));
            },
        });

        var reply = await server.PostAsync(ServerStream, Request);

        reply.Body.Should().Equal(Frames.Of(new EchoReply { Text = "one" }));
        reply.Headers.Contains("grpc-status").Should().BeFalse();
        reply.Trailers["grpc-status"].Should().Equal("14");
        reply.Trailers["grpc-message"].Should().Equal("broker is away");
    }

    [Fact]
    public async Task Stream_that_ends_well_without_a_message_is_one_frame_of_headers()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(ServerStream, Frames.Of(new EchoRequest()));

        reply.IsTrailersOnly.Should().BeTrue();
        reply.GrpcStatus.Should().Be(0);
    }

    [Theory]
    [InlineData("Unavailable: 100 % of /vhost gone")]
    [InlineData("über Umlaute, 漢字 and 😀")]
    [InlineData("two\r\nlines: and a forged header")]
    [InlineData(" spaces at both ends ")]
    [InlineData("lone surrogate \uD800")]
    public async Task Message_reaches_the_client_whatever_is_in_it(string message)
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) => throw new RpcException(new Status(StatusCode.Unavailable, message)),
        });

        var act = async () => await server.Client.UnaryAsync(new EchoRequest());

        (await act.Should().ThrowAsync<RpcException>()).Which.Status.Detail.Should().Be(message.Replace('\uD800', '\uFFFD'));
    }

    [Fact]
    public async Task K7_Exception_is_INTERNAL_tells_the_caller_nothing_and_the_log_everything()
    {
        var exception = new UnauthorizedAccessException("amqp://user:secret@broker refused");
        await using var server = await EchoServer.StartAsync(new ScriptedEcho { OnUnary = (_, _) => throw exception });

        var reply = await server.PostAsync(Unary, Request);

        reply.GrpcStatus.Should().Be((int)StatusCode.Internal, "never UNKNOWN");
        reply.GrpcMessage.Should().Be("Exception was thrown by handler.");
        server.Log.Errors.Should().ContainSingle().Which.Exception.Should().BeSameAs(exception);
        reply.Headers.Concat(reply.Trailers).SelectMany(values => values)
            .Should().NotContain(value => value.Contains("secret"));
    }

    [Fact]
    public async Task K7_Exception_of_a_stream_after_a_message_is_INTERNAL()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                await responses.WriteAsync(new EchoReply());
                throw new InvalidOperationException("secret");
            },
        });

        var reply = await server.PostAsync(ServerStream, Request);

        reply.Trailers["grpc-status"].Should().Equal("13");
        reply.Trailers["grpc-message"].Should().Equal("Exception was thrown by handler.");
    }

    [Fact]
    public async Task K7_A_timeout_within_the_handler_is_not_taken_for_the_callers()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) => throw new TaskCanceledException("an HTTP request of the handler timed out"),
        });

        (await server.PostAsync(Unary, Request)).GrpcStatus.Should().Be((int)StatusCode.Internal);
    }

    [Fact]
    public async Task RpcException_is_logged_for_debugging_only()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) => throw new RpcException(new Status(StatusCode.Unavailable, "warming up")),
        });

        await server.PostAsync(Unary, Request);

        server.Log.Records.Should().ContainSingle(record => record.Message.Contains("warming up"))
            .Which.Level.Should().Be(LogLevel.Debug);
    }

    [Fact]
    public async Task No_message_from_a_unary_handler_is_INTERNAL()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) => Task.FromResult<EchoReply>(null!),
        });

        (await server.PostAsync(Unary, Request)).GrpcStatus.Should().Be((int)StatusCode.Internal);
        server.Log.Errors.Should().ContainSingle();
    }

    [Fact]
    public async Task Status_set_by_a_handler_that_returns_is_sent_without_its_message()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                context.Status = new Status(StatusCode.FailedPrecondition, "no connection of that name");
                return Task.FromResult(new EchoReply { Text = "not this" });
            },
        });

        var reply = await server.PostAsync(Unary, Request);

        reply.IsTrailersOnly.Should().BeTrue();
        reply.GrpcStatus.Should().Be((int)StatusCode.FailedPrecondition);
    }

    [Fact]
    public async Task A_message_that_fails_to_serialise_leaves_nothing_of_itself_behind()
    {
        var broken = new Marshaller<string>((_, context) =>
        {
            context.SetPayloadLength(100);
            context.GetBufferWriter().Advance(50);
            throw new InvalidOperationException("halfway");
        }, _ => "");
        await using var server = await EchoServer.StartAsync(map: app => app.MapGrpcService<BrokenService>(), services: services =>
            Microsoft.Extensions.DependencyInjection.ServiceCollectionServiceExtensions.AddSingleton(
                services, new BrokenService(broken)));

        var reply = await server.PostAsync("/test.Broken/Call", Frames.Of([]));

        reply.IsTrailersOnly.Should().BeTrue();
        reply.GrpcStatus.Should().Be((int)StatusCode.Internal);
    }

    [Fact]
    public async Task Observer_is_told_of_every_end()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = (request, _) => request.Text == "bad"
                ? throw new RpcException(new Status(StatusCode.NotFound, ""))
                : Task.FromResult(new EchoReply()),
        });

        await server.Client.UnaryAsync(new EchoRequest { Text = "good" });
        var act = async () => await server.Client.UnaryAsync(new EchoRequest { Text = "bad" });
        await act.Should().ThrowAsync<RpcException>();

        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 2, "both calls are over");
        server.Observer.Started.Should().Be(2);
        server.Observer.Finished.Select(call => (call.Method, call.Kind, call.StatusCode)).Should().Equal(
            (Unary, MethodType.Unary, StatusCode.OK),
            (Unary, MethodType.Unary, StatusCode.NotFound));
        server.Observer.Finished.Should().OnlyContain(call => call.Elapsed >= TimeSpan.Zero);
    }

    [BindServiceMethod(typeof(BrokenService), nameof(Bind))]
    private sealed class BrokenService(Marshaller<string> marshaller)
    {
        public static void Bind(ServiceBinderBase binder, BrokenService service) =>
            binder.AddMethod(
                new Method<string, string>(MethodType.Unary, "test.Broken", "Call", service.Marshaller, service.Marshaller),
                new UnaryServerMethod<string, string>((_, _) => Task.FromResult("")));

        private Marshaller<string> Marshaller { get; } = marshaller;
    }
}
