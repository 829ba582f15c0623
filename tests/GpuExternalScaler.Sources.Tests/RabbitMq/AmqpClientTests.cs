using System.Net;
using System.Net.Sockets;
using System.Reflection;
using GpuExternalScaler.Sources.RabbitMq;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>What is made of RabbitMQ.Client where it does not do what it should.</summary>
public class AmqpClientTests
{
    [Theory]
    [InlineData(530, "NOT_ALLOWED - vhost x not found", SourceReason.NotFound)]
    [InlineData(530, "NOT_ALLOWED - access to vhost 'connection limit (1) is reached' refused for user 'u'", SourceReason.NotFound)]
    [InlineData(530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (5) is reached", SourceReason.LimitReached)]
    [InlineData(530, "NOT_ALLOWED - Connection refused for user 'u': user connection limit (5) is reached", SourceReason.LimitReached)]
    [InlineData(541, "INTERNAL_ERROR - access to vhost '/' refused for user 'u': vhost '/' is down", SourceReason.ConnectionFailed)]
    public void What_the_broker_says_when_it_takes_no_connection(ushort code, string text, SourceReason reason) =>
        AmqpConnector.Classify(new ShutdownEventArgs(ShutdownInitiator.Peer, code, text)).Should().Be(reason);

    [Fact]
    public async Task A_server_that_accepts_and_says_nothing_is_left_with_no_open_socket()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var connector = new AmqpConnector("test", new RabbitMqAmqpOptions { Url = new Uri($"amqp://127.0.0.1:{port}") }, TimeProvider.System);

        var connecting = connector.ConnectAsync("/", CancellationToken.None);
        using var accepted = await listener.AcceptTcpClientAsync();
        var (reason, connection) = await connecting;

        reason.Should().Be(SourceReason.Timeout);
        connection.Should().BeNull();
        (await IsClosedAsync(accepted)).Should().BeTrue();
    }

    [Fact]
    public async Task Exceptions_that_the_client_does_not_document_are_failures_like_others()
    {
        var channel = new AmqpChannel(DispatchProxy.Create<IChannel, ThrowingProxy>());
        (await channel.DeclareAsync("q", CancellationToken.None)).Result.Should().Be(DeclareResult.Lost);

        using var sockets = new OwnedSockets();
        var connection = new AmqpConnection(DispatchProxy.Create<IConnection, ThrowingProxy>(), sockets, TimeProvider.System);
        (await connection.OpenChannelAsync(CancellationToken.None)).Should().BeNull();
        (await connection.ListenAsync(static _ => { }, CancellationToken.None)).Should().Be(SourceReason.ConnectionFailed);
    }

    [Fact]
    public async Task A_connection_that_cannot_be_listened_to_is_closed()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sockets = new OwnedSockets();
        using var client = sockets.Make(AddressFamily.InterNetwork);
        await client.ConnectAsync(IPAddress.Loopback, ((IPEndPoint)listener.LocalEndpoint).Port);
        using var accepted = await listener.AcceptTcpClientAsync();

        var connection = new AmqpConnection(DispatchProxy.Create<IConnection, ThrowingProxy>(), sockets, TimeProvider.System);
        (await connection.ListenAsync(static _ => { }, CancellationToken.None)).Should().Be(SourceReason.ConnectionFailed);

        (await IsClosedAsync(accepted)).Should().BeTrue();
    }

    [Fact]
    public async Task The_answer_for_another_queue_is_no_answer()
    {
        var channel = DispatchProxy.Create<IChannel, ChannelProxy>();
        ((ChannelProxy)(object)channel).DeclaredName = "other";
        (await new AmqpChannel(channel).DeclareAsync("q", CancellationToken.None)).Result.Should().Be(DeclareResult.Lost);
        (await new AmqpChannel(channel).DeclareAsync("other", CancellationToken.None)).Should().Be(new DeclareAnswer(DeclareResult.Found, 3, 1));
    }

    [Theory]
    [InlineData("consumer")]
    [InlineData("channel")]
    [InlineData("exchange")]
    public async Task Listening_ends_with_its_consumer_its_channel_and_its_exchange(string what)
    {
        var channel = DispatchProxy.Create<IChannel, ChannelProxy>();
        var proxy = (ChannelProxy)(object)channel;
        var inner = DispatchProxy.Create<IConnection, ConnectionProxy>();
        ((ConnectionProxy)(object)inner).Channel = channel;
        using var sockets = new OwnedSockets();
        var connection = new AmqpConnection(inner, sockets, TimeProvider.System);
        (await connection.ListenAsync(static _ => { }, CancellationToken.None)).Should().Be(SourceReason.None);
        (await connection.ConfirmListeningAsync(CancellationToken.None)).Should().Be(SourceReason.None);
        connection.IsOpen.Should().BeTrue();

        switch (what)
        {
            case "consumer":
                await proxy.Consumer!.HandleBasicCancelAsync("tag", CancellationToken.None);
                break;
            case "channel":
                await proxy.Shutdown!(channel, new ShutdownEventArgs(ShutdownInitiator.Peer, 406, "PRECONDITION_FAILED"));
                break;
            default:
                proxy.BindRefusal = new OperationInterruptedException(new ShutdownEventArgs(ShutdownInitiator.Peer, 404, "NOT_FOUND - no exchange"));
                (await connection.ConfirmListeningAsync(CancellationToken.None)).Should().Be(SourceReason.NotFound);
                break;
        }

        connection.IsOpen.Should().BeFalse();
    }

    private static async Task<bool> IsClosedAsync(TcpClient client)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        var buffer = new byte[256];
        try
        {
            // What the client said before it left comes first.
            while (await client.GetStream().ReadAsync(buffer, limit.Token) > 0)
            {
            }

            return true;
        }
        catch (IOException)
        {
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}

/// <summary>Throws whatever is asked of it.</summary>
public class ThrowingProxy : DispatchProxy
{
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) =>
        throw new InvalidOperationException("Received unexpected command of type ChannelClose!");
}

/// <summary>A channel on which all is well until told otherwise.</summary>
public class ChannelProxy : DispatchProxy
{
    public string DeclaredName { get; set; } = "q";

    public Exception? BindRefusal { get; set; }

    public IAsyncBasicConsumer? Consumer { get; private set; }

    public AsyncEventHandler<ShutdownEventArgs>? Shutdown { get; private set; }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        switch (targetMethod!.Name)
        {
            case "get_IsOpen":
                return true;
            case "QueueDeclareAsync" or "QueueDeclarePassiveAsync":
                return Task.FromResult(new QueueDeclareOk(DeclaredName, 3, 1));
            case "QueueBindAsync":
                return BindRefusal is { } refusal ? Task.FromException(refusal) : Task.CompletedTask;
            case "BasicConsumeAsync":
                Consumer = args!.OfType<IAsyncBasicConsumer>().Single();
                return Task.FromResult("tag");
            case "add_ChannelShutdownAsync":
                Shutdown = (AsyncEventHandler<ShutdownEventArgs>)args![0]!;
                return null;
            default:
                return targetMethod.ReturnType == typeof(Task) ? Task.CompletedTask : throw new NotSupportedException(targetMethod.Name);
        }
    }
}

/// <summary>A connection with one such channel.</summary>
public class ConnectionProxy : DispatchProxy
{
    public IChannel? Channel { get; set; }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => targetMethod!.Name switch
    {
        "get_IsOpen" => true,
        "CreateChannelAsync" => Task.FromResult(Channel!),
        "DisposeAsync" => ValueTask.CompletedTask,
        _ => targetMethod.ReturnType == typeof(Task) ? Task.CompletedTask : throw new NotSupportedException(targetMethod.Name),
    };
}
