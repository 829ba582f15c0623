using System.Net;
using System.Net.Sockets;
using System.Reflection;
using GpuExternalScaler.Sources.RabbitMq;
using RabbitMQ.Client;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>What is made of RabbitMQ.Client where it does not do what it should.</summary>
public class AmqpClientTests
{
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
