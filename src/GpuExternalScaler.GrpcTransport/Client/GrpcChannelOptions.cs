using System.Net.Security;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>How a channel reaches its server.</summary>
public sealed class GrpcChannelOptions
{
    /// <summary>The largest response message in bytes, as received and decompressed. 4 MiB by default.</summary>
    public int MaxReceiveMessageSize { get; set; } = GrpcTransportOptions.DefaultMaxReceiveMessageSize;

    /// <summary>How long to wait for a connection. 10 s by default; then calls fail with UNAVAILABLE.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Which certificates to trust and to present, for an https address. The system's trust by default.</summary>
    public SslClientAuthenticationOptions? SslOptions { get; set; }

    /// <summary>Replaces the channel's own handler, and is not disposed with it; the two settings above go unused.</summary>
    public HttpMessageHandler? HttpHandler { get; set; }

    /// <summary>The clock deadlines are measured by. The system's by default.</summary>
    public TimeProvider TimeProvider { get; set; } = TimeProvider.System;
}
