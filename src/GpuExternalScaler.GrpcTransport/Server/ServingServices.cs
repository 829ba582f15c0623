using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>What every handler needs from the program.</summary>
internal sealed class ServingServices(
    IOptions<GrpcTransportOptions> options,
    TimeProvider timeProvider,
    ILoggerFactory loggerFactory,
    IGrpcCallObserver? observer = null)
{
    public int MaxReceiveMessageBytes { get; } = options.Value.MaxReceiveMessageSize;

    public TimeProvider TimeProvider { get; } = timeProvider;

    public ILogger Logger { get; } = loggerFactory.CreateLogger("GpuExternalScaler.GrpcTransport");

    public IGrpcCallObserver? Observer { get; } = observer;
}
