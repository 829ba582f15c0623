using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using GpuExternalScaler.GrpcTransport.Tests.Server;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.GrpcTransport.Tests.Client;

public class ClientTests
{
    [Fact]
    public async Task A_server_that_is_not_there_is_UNAVAILABLE()
    {
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var address = new Uri($"http://{closed.LocalEndpoint}");
        closed.Stop();
        using var channel = GrpcChannel.ForAddress(address);
        var client = new Echo.EchoClient(channel);

        await ExpectAsync(async () => await client.UnaryAsync(new EchoRequest()), StatusCode.Unavailable);
        await ExpectAsync(
            () => client.ServerStream(new EchoRequest()).ResponseStream.MoveNext(), StatusCode.Unavailable);
        await ExpectAsync(
            () => client.Duplex().RequestStream.WriteAsync(new EchoRequest()), StatusCode.Unavailable);
    }

    [Theory]
    [InlineData(400, StatusCode.Internal)]
    [InlineData(401, StatusCode.Unauthenticated)]
    [InlineData(403, StatusCode.PermissionDenied)]
    [InlineData(404, StatusCode.Unimplemented)]
    [InlineData(418, StatusCode.Unknown)]
    [InlineData(429, StatusCode.Unavailable)]
    [InlineData(503, StatusCode.Unavailable)]
    public async Task An_HTTP_status_is_mapped(int httpStatus, StatusCode expected)
    {
        await using var server = await EchoServer.StartAsync(
            map: app => app.Map("/test.echo.v1.Other/Call", () => Results.StatusCode(httpStatus)));

        await ExpectAsync(() => CallOtherAsync(server), expected);
    }

    [Fact]
    public async Task An_answer_that_is_no_gRPC_is_UNKNOWN()
    {
        await using var server = await EchoServer.StartAsync(
            map: app => app.Map("/test.echo.v1.Other/Call", () => "a page"));

        await ExpectAsync(() => CallOtherAsync(server), StatusCode.Unknown);
    }

    [Fact]
    public async Task An_answer_without_a_status_is_INTERNAL()
    {
        await using var server = await EchoServer.StartAsync(map: app => app.Map(
            "/test.echo.v1.Other/Call", (HttpContext context) => AnswerAsync(context, Frames.Of(new EchoReply()))));

        await ExpectAsync(() => CallOtherAsync(server), StatusCode.Internal);
    }

    [Fact]
    public async Task A_broken_answer_is_INTERNAL()
    {
        await using var server = await EchoServer.StartAsync(map: app => app.Map(
            "/test.echo.v1.Other/Call", (HttpContext context) => AnswerAsync(context, [0, 0, 0, 0, 9, 1])));

        await ExpectAsync(() => CallOtherAsync(server), StatusCode.Internal);
    }

    [Fact]
    public async Task An_answer_over_the_limit_is_RESOURCE_EXHAUSTED()
    {
        await using var server = await EchoServer.StartAsync();
        using var channel = GrpcChannel.ForAddress(server.Address, new GrpcChannelOptions { MaxReceiveMessageSize = 100 });

        await ExpectAsync(
            async () => await new Echo.EchoClient(channel).UnaryAsync(new EchoRequest { Text = new string('x', 200) }),
            StatusCode.ResourceExhausted);
    }

    [Fact]
    public async Task A_compressed_answer_is_understood()
    {
        await using var server = await EchoServer.StartAsync(map: app => app.Map(
            "/test.echo.v1.Other/Call",
            (HttpContext context) =>
            {
                context.Response.Headers["grpc-encoding"] = "gzip";
                context.Response.AppendTrailer("grpc-status", "0");
                return AnswerAsync(context, Frames.Of(Frames.Gzip([0x0A, 1, (byte)'z']), flag: 1));
            }));

        (await CallOtherAsync(server)).Text.Should().Be("z");
    }

    [Fact]
    public async Task Deadline_is_sent_and_kept_by_the_client_alone_if_need_be()
    {
        var hang = new TaskCompletionSource();
        string? sent = null;
        await using var server = await EchoServer.StartAsync(map: app => app.Map(
            "/test.echo.v1.Other/Call",
            (HttpContext context) =>
            {
                sent = context.Request.Headers["grpc-timeout"];
                return hang.Task;
            }));

        await ExpectAsync(
            () => CallOtherAsync(server, deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddMilliseconds(300)),
            StatusCode.DeadlineExceeded);

        sent.Should().MatchRegex("^[0-9]{1,8}[num]$");
        hang.SetResult();
    }

    [Fact]
    public async Task A_deadline_that_is_past_fails_without_a_call()
    {
        await using var server = await EchoServer.StartAsync();

        await ExpectAsync(
            async () => await server.Client.UnaryAsync(
                new EchoRequest(), deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(-1)),
            StatusCode.DeadlineExceeded);

        server.Observer.Started.Should().Be(0);
    }

    [Fact]
    public async Task A_token_that_has_fired_fails_without_a_call()
    {
        await using var server = await EchoServer.StartAsync();

        await ExpectAsync(
            async () => await server.Client.UnaryAsync(
                new EchoRequest(), cancellationToken: new CancellationToken(canceled: true)),
            StatusCode.Cancelled);
    }

    [Fact]
    public async Task Cancelling_a_read_cancels_the_call()
    {
        var release = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = (_, _, context) => release.Task.WaitAsync(context.CancellationToken),
        });
        using var call = server.Client.ServerStream(new EchoRequest());
        using var cancellation = new CancellationTokenSource();

        var read = call.ResponseStream.MoveNext(cancellation.Token);
        await Eventually.BecomesTrue(() => server.Observer.Started == 1, "the call has begun");
        await cancellation.CancelAsync();

        await ExpectAsync(() => read, StatusCode.Cancelled);
        call.GetStatus().StatusCode.Should().Be(StatusCode.Cancelled);
    }

    [Fact]
    public async Task A_stream_cut_off_by_a_server_that_aborts_is_an_error_not_an_end()
    {
        var written = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, context) =>
            {
                await responses.WriteAsync(new EchoReply());
                await written.Task;
                context.GetHttpContext().Abort();
            },
        });
        using var call = server.Client.ServerStream(new EchoRequest());
        (await call.ResponseStream.MoveNext()).Should().BeTrue();
        written.SetResult();

        var act = () => call.ResponseStream.MoveNext();

        await act.Should().ThrowAsync<RpcException>();
    }

    [Fact]
    public async Task Status_is_not_there_before_the_end()
    {
        var release = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = (_, _, _) => release.Task,
        });
        using var call = server.Client.ServerStream(new EchoRequest());

        call.Invoking(it => it.GetStatus()).Should().Throw<InvalidOperationException>();
        release.SetResult();
        await call.ResponseStream.MoveNext();
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Theory]
    [InlineData("ftp://host")]
    [InlineData("dns:///host:1")]
    public void Other_addresses_are_refused(string address)
    {
        var act = () => GrpcChannel.ForAddress(address);

        act.Should().Throw<ArgumentException>();
    }

    private static async Task ExpectAsync<T>(Func<Task<T>> call, StatusCode expected) =>
        (await call.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(expected);

    private static async Task ExpectAsync(Func<Task> call, StatusCode expected) =>
        (await call.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(expected);

    private static async Task<EchoReply> CallOtherAsync(EchoServer server, DateTime? deadline = null) =>
        await new Other.OtherClient(server.Channel).CallAsync(new EchoRequest(), deadline: deadline);

    private static async Task AnswerAsync(HttpContext context, byte[] body)
    {
        context.Response.ContentType = "application/grpc";
        await context.Response.Body.WriteAsync(body);
    }
}
