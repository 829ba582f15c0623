using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>The limits of Kestrel that a gRPC server with long-lived streams cannot leave at their defaults.</summary>
public static class KestrelGrpcLimits
{
    /// <summary>What K1 asks for: two streams for each of 5,000 external-push triggers on one connection.</summary>
    public const int DefaultMaxStreamsPerConnection = 10_000;

    private static readonly TimeSpan PingAfterSilence = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan PingAnswerWithin = TimeSpan.FromSeconds(20);

    /// <summary>
    /// Sets the limits of the whole server.
    /// <list type="bullet">
    /// <item>Streams per connection: Kestrel's 100 would leave the 101st call hanging (K1).</item>
    /// <item>No least rates for requests and responses. Kestrel enforces them by ending the connection: one stream that
    /// is not read costs everybody theirs after some minutes, and so does one request whose body stalls for 5 s, if
    /// only because the machine is busy. Memory is bounded by flow control all the same.</item>
    /// <item>Pings on a silent connection: without them the streams of a peer that vanished without a word stay open
    /// until TCP notices (K24).</item>
    /// <item>No <c>server</c> header: bytes in each answer that nobody reads.</item>
    /// </list>
    /// </summary>
    /// <param name="options">Kestrel's options.</param>
    /// <param name="maxStreamsPerConnection">More than zero.</param>
    public static KestrelServerOptions UseGrpcLimits(
        this KestrelServerOptions options,
        int maxStreamsPerConnection = DefaultMaxStreamsPerConnection)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.AddServerHeader = false;
        options.Limits.Http2.MaxStreamsPerConnection = maxStreamsPerConnection;
        options.Limits.Http2.KeepAlivePingDelay = PingAfterSilence;
        options.Limits.Http2.KeepAlivePingTimeout = PingAnswerWithin;
        options.Limits.MinRequestBodyDataRate = null;
        options.Limits.MinResponseDataRate = null;
        return options;
    }
}
