using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>
/// Erlang's register of nodes, private to one broker or one cluster. The machine's own serves nodes of any version.
/// </summary>
public sealed class Epmd : IAsyncDisposable
{
    private ChildProcess? _process;

    public int Port { get; } = LoopbackPorts.Reserve();

    public void Start() => _process ??= ChildProcess.Start(
        Prerequisite.File("/usr/bin/epmd", "Erlang's epmd"), ["-address", "127.0.0.1", "-port", $"{Port}"]);

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }
    }
}
