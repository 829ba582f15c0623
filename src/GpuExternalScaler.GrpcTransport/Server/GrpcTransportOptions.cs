namespace GpuExternalScaler.GrpcTransport;

/// <summary>How calls are served.</summary>
public sealed class GrpcTransportOptions
{
    /// <summary>gRPC's customary limit.</summary>
    public const int DefaultMaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>
    /// The largest request message in bytes, both as received and decompressed. 4 MiB by default; more than zero.
    /// Too low refuses honest requests with RESOURCE_EXHAUSTED; too high lets one caller hold that much memory a call.
    /// </summary>
    public int MaxReceiveMessageSize { get; set; } = DefaultMaxReceiveMessageSize;
}
