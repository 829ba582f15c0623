using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace GpuExternalScaler.Sources;

/// <summary>A DNS name with a port, all of whose addresses are meant.</summary>
/// <param name="Host">The name, or an address.</param>
/// <param name="Port">1 to 65535.</param>
public readonly record struct HostAndPort(string Host, int Port)
{
    /// <summary>Reads <c>host:port</c>; an IPv6 address stands in brackets. False for anything else.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out HostAndPort value)
    {
        value = default;
        var colon = text?.LastIndexOf(':') ?? -1;
        if (colon <= 0
            || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            || port is < 1 or > 65535)
        {
            return false;
        }

        var host = text![..colon];
        if (host is ['[', .., ']'])
        {
            host = host[1..^1];
        }
        else if (host.Contains(':', StringComparison.Ordinal))
        {
            return false;
        }

        if (Uri.CheckHostName(host) == UriHostNameType.Unknown)
        {
            return false;
        }

        value = new HostAndPort(host, port);
        return true;
    }

    /// <summary><c>host:port</c>, with brackets around an IPv6 address.</summary>
    public override string ToString() =>
        Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
