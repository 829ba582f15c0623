using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>A page that Prometheus scrapes and a test writes; it can go away and come back.</summary>
public sealed class ScriptedExporter : IAsyncDisposable
{
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly ConcurrentDictionary<Task, bool> _answers = new();
    private TcpListener? _listener;
    private Task _accepting = Task.CompletedTask;

    public ScriptedExporter(string page)
    {
        Page = page;
        Start();
    }

    public string Address => $"127.0.0.1:{_port}";

    /// <summary>Lines of the exposition format, each ended.</summary>
    public string Page { get; set; }

    public void Start()
    {
        _listener = new TcpListener(IPAddress.Loopback, _port);
        _listener.Start();
        _accepting = AcceptAsync(_listener);
    }

    /// <summary>From now on nothing listens.</summary>
    public async Task StopAsync()
    {
        _listener?.Dispose();
        await _accepting;
        await Task.WhenAll(_answers.Keys);
    }

    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task AcceptAsync(TcpListener listener)
    {
        while (true)
        {
            try
            {
                var client = await listener.AcceptTcpClientAsync();
                var answer = AnswerAsync(client);
                _answers[answer] = true;
                _ = answer.ContinueWith(done => _answers.TryRemove(done, out _), TaskScheduler.Default);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
        }
    }

    private async Task AnswerAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                var stream = client.GetStream();
                var request = new byte[8192];
                var length = 0;
                while (request.AsSpan(0, length).IndexOf("\r\n\r\n"u8) < 0)
                {
                    var read = await stream.ReadAsync(request.AsMemory(length));
                    if (read == 0)
                    {
                        return;
                    }

                    length += read;
                }

                var body = Encoding.UTF8.GetBytes(Page);
                await stream.WriteAsync(Encoding.ASCII.GetBytes(
                    $"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n"));
                await stream.WriteAsync(body);
            }
            catch (IOException)
            {
                // Prometheus went first.
            }
        }
    }
}
