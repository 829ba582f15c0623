using System.Net;
using System.Net.Sockets;

namespace GpuExternalScaler.Sources;

/// <summary>
/// All addresses behind a name, such as a headless Service's. One that does not resolve now has the addresses it last had: a broken
/// resolver need not blind us. For one sweep at a time.
/// </summary>
/// <param name="name">The name and the port; null has no addresses, and is always resolved.</param>
/// <param name="timeout">Time allowed.</param>
/// <param name="timeProvider">The clock.</param>
/// <param name="resolve">Asks for a host's addresses.</param>
internal sealed class NamedAddresses(HostAndPort? name, TimeSpan timeout, TimeProvider timeProvider, Func<string, CancellationToken, Task<IPAddress[]>> resolve)
{
    private IPAddress[] _addresses = [];

    /// <summary><c>host:port</c>; empty without a name.</summary>
    public string Name => name?.ToString() ?? "";

    /// <summary>Resolves the name anew; false if it does not resolve, or to nothing.</summary>
    /// <exception cref="OperationCanceledException">The caller's token was cancelled; not on a timeout.</exception>
    public async Task<bool> ResolveAsync(CancellationToken cancellationToken)
    {
        if (name is not { } target)
        {
            return true;
        }

        using var limit = new CancellationTokenSource(timeout, timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            var addresses = await resolve(target.Host, linked.Token).WaitAsync(linked.Token).ConfigureAwait(false);
            _addresses = addresses.Length > 0 ? addresses : _addresses;
            return addresses.Length > 0;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    /// <summary>A path at each of the addresses.</summary>
    public IEnumerable<Uri> Urls(string pathAndQuery) => name is not { } target ? []
        : _addresses.Distinct().Select(address => new Uri($"http://{new HostAndPort(address.ToString(), target.Port)}{pathAndQuery}"));
}
