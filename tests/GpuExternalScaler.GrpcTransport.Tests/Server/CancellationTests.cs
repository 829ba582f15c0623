using System.Runtime.CompilerServices;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>K24: a caller that goes away frees all that its call held.</summary>
public class CancellationTests
{
    [Fact]
    public async Task K24_Cancelling_a_stream_ends_its_handler()
    {
        var entered = new TaskCompletionSource();
        var ended = new TaskCompletionSource<Exception>();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, context) =>
            {
                try
                {
                    await responses.WriteAsync(new EchoReply { Text = "state" });
                    entered.SetResult();
                    await Task.Delay(Timeout.Infinite, context.CancellationToken);
                }
                catch (Exception exception)
                {
                    ended.SetResult(exception);
                    throw;
                }
            },
        });

        var call = server.Client.ServerStream(new EchoRequest());
        await call.ResponseStream.MoveNext();
        await entered.Task.Soon();
        call.Dispose();

        (await ended.Task.Soon()).Should().BeAssignableTo<OperationCanceledException>();
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the call is over");
        server.Observer.Finished.Single().StatusCode.Should().Be(StatusCode.Cancelled);
        server.Log.Errors.Should().BeEmpty();
        (await server.Client.UnaryAsync(new EchoRequest { Text = "x" })).Text.Should().Be("x");
    }

    [Fact]
    public async Task K24_Nothing_of_a_cancelled_stream_stays_in_memory()
    {
        WeakReference? held = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = (_, responses, context) => HoldAsync(responses, context.CancellationToken, out held),
        });

        await OpenAndCancelAsync(server);
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the call is over");

        await Eventually.BecomesTrue(
            () =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                return !held!.IsAlive;
            },
            "the handler's state is garbage");
    }

    [Fact]
    public async Task A_write_after_the_caller_has_gone_throws()
    {
        var entered = new TaskCompletionSource();
        var failure = new TaskCompletionSource<Exception?>();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, context) =>
            {
                await responses.WriteAsync(new EchoReply());
                entered.SetResult();
                await Record.ExceptionAsync(() => Task.Delay(Timeout.Infinite, context.CancellationToken));
                failure.SetResult(await Record.ExceptionAsync(() => responses.WriteAsync(new EchoReply())));
            },
        });

        var call = server.Client.ServerStream(new EchoRequest());
        await call.ResponseStream.MoveNext();
        await entered.Task.Soon();
        call.Dispose();

        (await failure.Task.Soon()).Should().BeAssignableTo<OperationCanceledException>();
    }

    [Fact]
    public async Task A_read_of_requests_ends_when_the_caller_goes()
    {
        await using var server = await EchoServer.StartAsync();

        var call = server.Client.Duplex();
        await call.RequestStream.WriteAsync(new EchoRequest { Text = "a" });
        await call.ResponseStream.MoveNext();
        call.Dispose();

        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the call is over");
        server.Observer.Finished.Single().StatusCode.Should().Be(StatusCode.Cancelled);
        server.Log.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task The_token_fires_for_a_call_with_a_deadline_too()
    {
        var entered = new TaskCompletionSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = async (_, context) =>
            {
                var cancelled = Task.Delay(Timeout.Infinite, context.CancellationToken);
                entered.SetResult();
                await cancelled;
                return new EchoReply();
            },
        });
        using var cancellation = new CancellationTokenSource();

        var call = server.Client.UnaryAsync(
            new EchoRequest(), deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(1), cancellationToken: cancellation.Token);
        await entered.Task.Soon();
        await cancellation.CancelAsync();

        var act = async () => await call;
        (await act.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Cancelled);
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the call is over");
        server.Observer.Finished.Single().StatusCode.Should().Be(StatusCode.Cancelled);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task OpenAndCancelAsync(EchoServer server)
    {
        using var call = server.Client.ServerStream(new EchoRequest());
        await call.ResponseStream.MoveNext();
    }

    private static Task HoldAsync(
        IServerStreamWriter<EchoReply> responses, CancellationToken cancellationToken, out WeakReference held)
    {
        var state = new byte[1000];
        held = new WeakReference(state);
        return RunAsync();

        async Task RunAsync()
        {
            await responses.WriteAsync(new EchoReply());
            await Task.Delay(Timeout.Infinite, cancellationToken);
            GC.KeepAlive(state);
        }
    }
}
