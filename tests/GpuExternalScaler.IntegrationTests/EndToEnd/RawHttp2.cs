using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using GpuExternalScaler.Rpc.Protocol;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>An HTTP/2 connection made by hand, to do what no library would.</summary>
internal sealed class RawHttp2 : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly SemaphoreSlim _windowGrew = new(0);
    private int _nextStream = 1;
    private long _window = 65_535;

    /// <summary>Whether the server has closed the connection.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Connects; sends nothing.</summary>
    public static async Task<RawHttp2> ConnectAsync(IPEndPoint server)
    {
        var connection = new RawHttp2();
        try
        {
            await connection._socket.ConnectAsync(server);
        }
        catch (SocketException)
        {
            // Accepted and ended before we heard of it.
            connection.IsClosed = true;
        }

        return connection;
    }

    /// <summary>Preface and settings. With a window of 0 the server may send no message at all.</summary>
    public async Task BeginAsync(uint initialWindow)
    {
        await SendAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        var settings = new byte[6];
        BinaryPrimitives.WriteUInt16BigEndian(settings, 4);
        BinaryPrimitives.WriteUInt32BigEndian(settings.AsSpan(2), initialWindow);
        await SendAsync(Frame(4, 0, 0, settings));
        _ = ReadAsync();
    }

    /// <summary>A GetMetrics call, all of it or the beginning of its message only.</summary>
    public async Task CallAsync(ScaledObjectRef workload, int announced = 0, int padding = 0)
    {
        var stream = _nextStream;
        _nextStream += 2;
        var message = new GetMetricsRequest { MetricName = "gpu-demand", ScaledObjectRef = workload }.ToByteArray();
        var body = new byte[5 + message.Length + padding];
        BinaryPrimitives.WriteInt32BigEndian(body.AsSpan(1), announced == 0 ? message.Length : announced);
        message.CopyTo(body, 5);
        var frames = new List<byte>(Frame(1, 4, stream, Headers()));
        for (var sent = 0; sent < body.Length; sent += 16_000)
        {
            var last = sent + 16_000 >= body.Length;
            frames.AddRange(Frame(0, (byte)(last && announced == 0 ? 1 : 0), stream, body[sent..Math.Min(body.Length, sent + 16_000)]));
        }

        // A peer that ignores the connection's window is cut off; one that minds it may hold on for ever.
        while (Interlocked.Read(ref _window) < body.Length && !IsClosed)
        {
            if (!await _windowGrew.WaitAsync(TimeSpan.FromSeconds(2)))
            {
                return;
            }
        }

        Interlocked.Add(ref _window, -body.Length);
        await SendAsync([.. frames]);
    }

    /// <summary>The beginning of a block of headers whose end never comes.</summary>
    public Task HalfHeadersAsync() => SendAsync(Frame(1, 0, _nextStream, Headers()[..20]));

    public async Task SendAsync(byte[] bytes)
    {
        try
        {
            await _socket.SendAsync(bytes);
        }
        catch (SocketException)
        {
            IsClosed = true;
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _windowGrew.Dispose();
    }

    private static byte[] Frame(byte type, byte flags, int stream, byte[] payload)
    {
        var frame = new byte[9 + payload.Length];
        frame[0] = (byte)(payload.Length >> 16);
        frame[1] = (byte)(payload.Length >> 8);
        frame[2] = (byte)payload.Length;
        frame[3] = type;
        frame[4] = flags;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
        payload.CopyTo(frame, 9);
        return frame;
    }

    private static byte[] Headers()
    {
        var block = new List<byte>();
        foreach (var (name, value) in ((string, string)[])
            [(":method", "POST"), (":scheme", "http"), (":path", "/externalscaler.ExternalScaler/GetMetrics"), (":authority", "scaler"), ("content-type", "application/grpc"), ("te", "trailers")])
        {
            // A literal that is not indexed; both lengths fit seven bits.
            block.Add(0);
            block.Add((byte)name.Length);
            block.AddRange(Encoding.ASCII.GetBytes(name));
            block.Add((byte)value.Length);
            block.AddRange(Encoding.ASCII.GetBytes(value));
        }

        return [.. block];
    }

    // What comes is thrown away: a peer that did not read its socket would be stopped by TCP already. Acknowledges pings
    // and settings, so that the server takes it for alive.
    private async Task ReadAsync()
    {
        try
        {
            using var stream = new NetworkStream(_socket, ownsSocket: false);
            var header = new byte[9];
            while (true)
            {
                await stream.ReadExactlyAsync(header);
                var payload = new byte[(header[0] << 16) | (header[1] << 8) | header[2]];
                await stream.ReadExactlyAsync(payload);
                if (header[3] == 8 && (header[5] | header[6] | header[7] | header[8]) == 0)
                {
                    Interlocked.Add(ref _window, BinaryPrimitives.ReadUInt32BigEndian(payload));
                    _windowGrew.Release();
                }

                if (header[3] is 4 or 6 && (header[4] & 1) == 0)
                {
                    await SendAsync(Frame(header[3], 1, 0, header[3] == 6 ? payload : []));
                }
            }
        }
        catch (Exception error) when (error is IOException or SocketException or ObjectDisposedException)
        {
            IsClosed = true;
        }
    }
}
