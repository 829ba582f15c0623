using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

public class StreamWriterTests
{
    private const int MessageBytes = 50_000;

    [Fact]
    public async Task A_slow_reader_holds_the_writer_back_so_memory_stays_bounded()
    {
        var written = 0;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (request, responses, _) =>
            {
                for (var i = 0; i < request.Repeat; i++)
                {
                    await responses.WriteAsync(new EchoReply { Text = new string('x', MessageBytes) });
                    Interlocked.Increment(ref written);
                }
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest { Repeat = 400 });
        await call.ResponseHeadersAsync.Soon();
        await DeadlineTests.StallsAsync(() => Volatile.Read(ref written));

        // The flow control window of the client and one buffer of the server, far below the 20 MB of the whole.
        (Volatile.Read(ref written) * MessageBytes).Should().BeLessThan(4_000_000);

        var read = 0;
        await foreach (var reply in call.ResponseStream.ReadAllAsync())
        {
            reply.Text.Length.Should().Be(MessageBytes);
            read++;
        }

        read.Should().Be(400);
    }

    [Fact]
    public async Task A_slow_reader_does_not_hold_back_the_other_streams_of_its_connection()
    {
        var written = 0;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                while (true)
                {
                    await responses.WriteAsync(new EchoReply { Text = new string('x', MessageBytes) });
                    Interlocked.Increment(ref written);
                }
            },
        });

        using var stuck = server.Client.ServerStream(new EchoRequest());
        await DeadlineTests.StallsAsync(() => Volatile.Read(ref written));

        (await server.Client.UnaryAsync(new EchoRequest { Text = "x" }).ResponseAsync.Soon()).Text.Should().Be("x");
    }

    [Fact]
    public async Task Only_one_write_may_be_pending()
    {
        var failure = new TaskCompletionSource<Exception?>();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                // A write that is still pending after a while will stay so: nobody reads.
                Task pending;
                do
                {
                    pending = responses.WriteAsync(new EchoReply { Text = new string('x', MessageBytes) });
                    await Task.WhenAny(pending, Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System));
                }
                while (pending.IsCompleted);

                failure.SetResult(await Record.ExceptionAsync(() => responses.WriteAsync(new EchoReply())));
                await pending;
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest());

        (await failure.Task.Soon()).Should().BeOfType<InvalidOperationException>();
        await foreach (var _ in call.ResponseStream.ReadAllAsync())
        {
        }

        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task A_pending_write_can_be_given_up()
    {
        // K6: a handler that is told to stop must not wait for a reader that has stopped reading.
        var (begun, written) = (0, 0);
        using var stop = new CancellationTokenSource();
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                try
                {
                    while (true)
                    {
                        begun++;
                        await responses.WriteAsync(new EchoReply { Text = new string('x', MessageBytes) }, stop.Token);
                        Interlocked.Increment(ref written);
                    }
                }
                catch (OperationCanceledException) when (stop.IsCancellationRequested)
                {
                }
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest());
        await DeadlineTests.StallsAsync(() => Volatile.Read(ref written));
        await stop.CancelAsync();

        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the handler has returned");
        var read = 0;
        await foreach (var _ in call.ResponseStream.ReadAllAsync())
        {
            read++;
        }

        written.Should().Be(begun - 1, "the last write was given up");
        read.Should().Be(begun, "its message was on its way already");
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task A_write_after_the_end_throws_and_touches_nothing()
    {
        IServerStreamWriter<EchoReply>? kept = null;
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = (_, responses, _) =>
            {
                kept = responses;
                return Task.CompletedTask;
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest());
        (await call.ResponseStream.MoveNext()).Should().BeFalse();
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the call is over");

        var act = () => kept!.WriteAsync(new EchoReply());
        await act.Should().ThrowAsync<InvalidOperationException>();
    }

    [Fact]
    public async Task A_buffered_write_leaves_with_the_next()
    {
        await using var server = await EchoServer.StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                responses.WriteOptions = new WriteOptions(WriteFlags.BufferHint);
                await responses.WriteAsync(new EchoReply { Text = "a" });
                responses.WriteOptions = null;
                await responses.WriteAsync(new EchoReply { Text = "b" });
            },
        });

        using var call = server.Client.ServerStream(new EchoRequest());

        (await call.ResponseStream.ReadAllAsync().Select(reply => reply.Text).ToListAsync()).Should().Equal("a", "b");
    }
}
