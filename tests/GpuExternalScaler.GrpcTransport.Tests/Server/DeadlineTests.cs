using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>Deadlines on the server, against a clock that the test moves.</summary>
public class DeadlineTests
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private static readonly byte[] Request = Frames.Of(new EchoRequest());

    private readonly ManualTime _time = new();

    [Fact]
    public async Task K2_A_handler_that_hangs_and_listens_to_nothing_is_answered_for()
    {
        var entered = new TaskCompletionSource();
        var hang = new TaskCompletionSource<EchoReply>();
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) =>
            {
                entered.SetResult();
                return hang.Task;
            },
        });

        var reply = server.PostAsync(Unary, Request, ("grpc-timeout", "3S"));
        await entered.Task.Soon();
        _time.Advance(TimeSpan.FromSeconds(2.9));
        reply.IsCompleted.Should().BeFalse();
        _time.Advance(TimeSpan.FromSeconds(0.1));

        (await reply.Soon()).GrpcStatus.Should().Be((int)StatusCode.DeadlineExceeded);
        server.Observer.Finished.Should().BeEmpty("the handler still runs");
        hang.SetResult(new EchoReply { Text = "too late" });
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the handler has returned");
        server.Observer.Finished.Single().StatusCode.Should().Be(StatusCode.DeadlineExceeded);
        server.Log.Errors.Should().BeEmpty();
    }

    [Fact]
    public async Task A_handler_that_listens_is_cancelled()
    {
        var entered = new TaskCompletionSource();
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnUnary = async (_, context) =>
            {
                var cancelled = Task.Delay(Timeout.Infinite, context.CancellationToken);
                entered.SetResult();
                await cancelled;
                return new EchoReply();
            },
        });

        var reply = server.PostAsync(Unary, Request, ("grpc-timeout", "500m"));
        await entered.Task.Soon();
        _time.Advance(TimeSpan.FromMilliseconds(500));

        (await reply.Soon()).GrpcStatus.Should().Be((int)StatusCode.DeadlineExceeded);
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "the handler has ended");
        server.Log.Errors.Should().BeEmpty();
        _time.PendingTimers.Should().Be(0);
    }

    [Fact]
    public async Task A_request_that_never_arrives_whole_ends_too()
    {
        await using var server = await StartAsync(new ScriptedEcho());
        var body = new StreamedRequestContent();

        var reply = server.PostAsync(Unary, body, ("grpc-timeout", "1S"));
        var stream = await body.Opened.Soon();
        await stream.WriteAsync(Request.AsMemory(0, 3));
        await stream.FlushAsync();
        await Eventually.BecomesTrue(() => _time.PendingTimers == 1, "the call has begun");
        _time.Advance(TimeSpan.FromSeconds(1));

        (await reply.Soon()).GrpcStatus.Should().Be((int)StatusCode.DeadlineExceeded);
        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 1, "nothing is left of it");
        body.Complete();
    }

    [Fact]
    public async Task A_stream_gets_the_status_in_its_trailers()
    {
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, context) =>
            {
                await responses.WriteAsync(new EchoReply { Text = "one" });
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
            },
        });

        var reply = server.PostAsync("/test.echo.v1.Echo/ServerStream", Request, ("grpc-timeout", "1M"));
        await Eventually.BecomesTrue(() => _time.PendingTimers == 1, "the call has begun");
        _time.Advance(TimeSpan.FromMinutes(1));

        var ended = await reply.Soon();
        ended.GrpcStatus.Should().Be((int)StatusCode.DeadlineExceeded);
    }

    [Fact]
    public async Task A_writer_stuck_behind_a_slow_reader_is_freed()
    {
        var ended = new TaskCompletionSource<Exception>();
        var written = 0;
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                try
                {
                    while (true)
                    {
                        await responses.WriteAsync(new EchoReply { Text = new string('x', 50_000) });
                        Interlocked.Increment(ref written);
                    }
                }
                catch (Exception exception)
                {
                    ended.SetResult(exception);
                    throw;
                }
            },
        });

        using var request = server.NewRequest(
            HttpMethod.Post, "/test.echo.v1.Echo/ServerStream", new ByteArrayContent(Request), ("grpc-timeout", "1S"));
        using var response = await server.Raw.SendAsync(request, CancellationToken.None);
        await StallsAsync(() => Volatile.Read(ref written));
        _time.Advance(TimeSpan.FromSeconds(1));

        (await ended.Task.Soon()).Should().BeAssignableTo<OperationCanceledException>();
        await (await response.Content.ReadAsStreamAsync()).CopyToAsync(Stream.Null).Soon();
        response.TrailingHeaders.GetValues("grpc-status").Should().Equal("4");
    }

    [Fact]
    public async Task Writing_after_the_deadline_throws()
    {
        var entered = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        var failure = new TaskCompletionSource<Exception?>();
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnServerStream = async (_, responses, _) =>
            {
                entered.SetResult();
                await goOn.Task;
                failure.SetResult(await Record.ExceptionAsync(() => responses.WriteAsync(new EchoReply())));
            },
        });

        var reply = server.PostAsync("/test.echo.v1.Echo/ServerStream", Request, ("grpc-timeout", "1S"));
        await entered.Task.Soon();
        _time.Advance(TimeSpan.FromSeconds(1));
        (await reply.Soon()).GrpcStatus.Should().Be((int)StatusCode.DeadlineExceeded);
        goOn.SetResult();

        (await failure.Task.Soon()).Should().BeAssignableTo<OperationCanceledException>();
    }

    [Fact]
    public async Task A_deadline_of_zero_is_past_before_the_handler_runs()
    {
        var ran = false;
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnUnary = (_, _) =>
            {
                ran = true;
                return Task.FromResult(new EchoReply());
            },
        });

        (await server.PostAsync(Unary, Request, ("grpc-timeout", "0n"))).GrpcStatus
            .Should().Be((int)StatusCode.DeadlineExceeded);
        ran.Should().BeFalse();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("99999999H")]
    public async Task Far_deadlines_need_no_timer(string? timeout)
    {
        DateTime? deadline = null;
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                deadline = context.Deadline;
                return Task.FromResult(new EchoReply());
            },
        });

        (string, string)[] headers = timeout is null ? [] : [("grpc-timeout", timeout)];
        (await server.PostAsync(Unary, Request, headers)).GrpcStatus.Should().Be(0);

        deadline.Should().Be(DateTime.MaxValue);
    }

    [Fact]
    public async Task Handler_is_told_the_deadline_in_UTC_and_the_timer_is_freed()
    {
        DateTime? deadline = null;
        await using var server = await StartAsync(new ScriptedEcho
        {
            OnUnary = (_, context) =>
            {
                deadline = context.Deadline;
                return Task.FromResult(new EchoReply());
            },
        });

        await server.PostAsync(Unary, Request, ("grpc-timeout", "90S"));

        deadline.Should().Be(_time.GetUtcNow().UtcDateTime.AddSeconds(90)).And.BeIn(DateTimeKind.Utc);
        await Eventually.BecomesTrue(() => _time.PendingTimers == 0, "the call is over");
    }

    /// <summary>Waits until a counter is above zero and has stood still for a while.</summary>
    internal static async Task StallsAsync(Func<int> counter)
    {
        var (last, still) = (0, 0);
        while (still < 20)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
            var now = counter();
            still = now == last && now > 0 ? still + 1 : 0;
            last = now;
        }
    }

    private Task<EchoServer> StartAsync(ScriptedEcho echo) =>
        EchoServer.StartAsync(echo, services => services.AddSingleton<TimeProvider>(_time));
}
