using GpuExternalScaler.GrpcTransport.Wire;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>What all calls of a channel share.</summary>
internal sealed class ClientConnection(HttpMessageInvoker invoker, Uri address, GrpcChannelOptions options)
{
    public HttpMessageInvoker Invoker { get; } = invoker;

    public Uri Address { get; } = address;

    public TimeProvider TimeProvider { get; } = options.TimeProvider;

    public MessageFormat ResponseFormat(bool isGzip) => new(isGzip, options.MaxReceiveMessageSize);
}
