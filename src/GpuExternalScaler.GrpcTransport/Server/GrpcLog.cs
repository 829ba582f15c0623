using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>What the transport logs. The exception stays here; the caller is told a fixed sentence (K7).</summary>
internal static partial class GrpcLog
{
    [LoggerMessage(EventId = 1, Level = LogLevel.Error, Message = "The handler of {Method} threw an exception.")]
    public static partial void HandlerFailed(ILogger logger, string method, Exception exception);

    [LoggerMessage(EventId = 2, Level = LogLevel.Debug, Message = "{Method} ended with {StatusCode}: {Detail}")]
    public static partial void CallEndedWithStatus(ILogger logger, string method, StatusCode statusCode, string detail);

    [LoggerMessage(
        EventId = 3,
        Level = LogLevel.Error,
        Message = "{Method} set the trailer {Name} to a value that cannot be sent; the call ends with INTERNAL.")]
    public static partial void UnsendableTrailer(ILogger logger, string method, string name);

    [LoggerMessage(EventId = 4, Level = LogLevel.Error, Message = "{Method} could not be ended at its deadline.")]
    public static partial void DeadlineFailed(ILogger logger, string method, Exception exception);
}
