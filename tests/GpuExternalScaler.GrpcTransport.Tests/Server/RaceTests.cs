using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>The timer, the caller and the handler each may end a call; whoever is first, it ends once and well.</summary>
public class RaceTests
{
    private const int Calls = 1000;
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(1);

    [Theory]
    [InlineData("Unary")]
    [InlineData("ServerStream")]
    public async Task Deadlines_that_race_with_answers_give_one_or_the_other(string method)
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnUnary = async (_, _) =>
            {
                await Task.Delay(Moment, TimeProvider.System);
                return new EchoReply { Text = "in time" };
            },
            OnServerStream = async (_, responses, _) =>
            {
                for (var i = 0; i < 3; i++)
                {
                    await responses.WriteAsync(new EchoReply { Text = "in time" });
                    await Task.Delay(Moment, TimeProvider.System);
                }
            },
        });

        // Raw, since our client would give up by itself.
        var replies = await Task.WhenAll(Enumerable.Range(0, Calls).Select(i => server.PostAsync(
            $"/test.echo.v1.Echo/{method}", Frames.Of(new EchoRequest()), ("grpc-timeout", $"{1 + (i % 5)}m"))));

        replies.Should().OnlyContain(reply => reply.GrpcStatus == 0 || reply.GrpcStatus == 4);
        server.Log.Errors.Should().BeEmpty();
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == Calls, "every call ends once");
    }

    [Fact]
    public async Task Cancellations_that_race_with_answers_leave_nothing_open()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, context) =>
            {
                while (true)
                {
                    await responses.WriteAsync(new EchoReply { Text = "state" });
                    await Task.Delay(Moment, TimeProvider.System, context.CancellationToken);
                }
            },
        });

        await Task.WhenAll(Enumerable.Range(0, Calls).Select(async i =>
        {
            using var call = server.Client.ServerStream(new EchoRequest());
            for (var read = 0; read < i % 4; read++)
            {
                await call.ResponseStream.MoveNext();
            }
        }));

        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == server.Observer.Started, "no call is left");
        server.Observer.Finished.Should().OnlyContain(call => call.StatusCode == StatusCode.Cancelled);
        server.Log.Errors.Should().BeEmpty();
        (await server.Client.UnaryAsync(new EchoRequest { Text = "x" })).Text.Should().Be("x");
    }
}
