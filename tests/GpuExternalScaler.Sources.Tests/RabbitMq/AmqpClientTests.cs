using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.Sources.RabbitMq;

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
