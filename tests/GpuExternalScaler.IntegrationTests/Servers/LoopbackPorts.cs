using System.Net;
using System.Net.Sockets;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>Free ports on 127.0.0.1.</summary>
public static class LoopbackPorts
{
    // Below 32768, where Linux begins to hand out ports to outgoing connections: a port from there could be taken by
    // any client while the server that owns it restarts.
    private const int Lowest = 20_000;
    private const int Highest = 32_000;

    private static readonly HashSet<int> Reserved = [];
    private static readonly Lock Gate = new();

    public static int Reserve()
    {
        lock (Gate)
        {
            while (true)
            {
                var port = Random.Shared.Next(Lowest, Highest);
                if (IsFree(port) && Reserved.Add(port))
                {
                    return port;
                }
            }
        }
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
