using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>
/// A connection to one gRPC server: HTTP/2 with prior knowledge for an <c>http</c> address, TLS for <c>https</c>.
/// All calls share one TCP connection, as KEDA's do. Thread-safe.
/// </summary>
public sealed class GrpcChannel : ChannelBase, IDisposable
{
    private readonly HttpMessageInvoker _invoker;
    private readonly HttpCallInvoker _callInvoker;

    private GrpcChannel(Uri address, GrpcChannelOptions options)
        : base(address.Authority)
    {
        _invoker = options.HttpHandler is { } handler
            ? new HttpMessageInvoker(handler, disposeHandler: false)
            : new HttpMessageInvoker(CreateHandler(options), disposeHandler: true);
        _callInvoker = new HttpCallInvoker(new ClientConnection(_invoker, address, options));
    }

    /// <summary>A channel to an address such as <c>http://127.0.0.1:9090</c>. Connects at the first call.</summary>
    /// <exception cref="ArgumentException">The address is neither http nor https.</exception>
    public static GrpcChannel ForAddress(Uri address, GrpcChannelOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        if (!address.IsAbsoluteUri || (address.Scheme != Uri.UriSchemeHttp && address.Scheme != Uri.UriSchemeHttps))
        {
            throw new ArgumentException("The address of a gRPC server begins with http:// or https://.", nameof(address));
        }

        return new GrpcChannel(address, options ?? new GrpcChannelOptions());
    }

    /// <inheritdoc cref="ForAddress(Uri, GrpcChannelOptions?)"/>
    public static GrpcChannel ForAddress(string address, GrpcChannelOptions? options = null) =>
        ForAddress(new Uri(address), options);

    /// <inheritdoc/>
    public override CallInvoker CreateCallInvoker() => _callInvoker;

    /// <summary>Closes the connection; calls under way fail.</summary>
    public void Dispose() => _invoker.Dispose();

    /// <inheritdoc/>
    protected override Task ShutdownAsyncCore()
    {
        Dispose();
        return Task.CompletedTask;
    }

    private static SocketsHttpHandler CreateHandler(GrpcChannelOptions options)
    {
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = false,
            ConnectTimeout = options.ConnectTimeout,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = false,
        };
        if (options.SslOptions is { } sslOptions)
        {
            handler.SslOptions = sslOptions;
        }

        return handler;
    }
}
