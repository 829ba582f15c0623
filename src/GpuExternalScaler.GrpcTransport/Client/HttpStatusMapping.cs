using System.Net;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>
/// What failures of HTTP mean as gRPC statuses, after the tables in the gRPC documents
/// "http-grpc-status-mapping" and "PROTOCOL-HTTP2".
/// </summary>
internal static class HttpStatusMapping
{
    private const int Http2NoError = 0x0;
    private const int Http2RefusedStream = 0x7;
    private const int Http2Cancel = 0x8;
    private const int Http2EnhanceYourCalm = 0xb;
    private const int Http2InadequateSecurity = 0xc;

    public static StatusCode FromHttp(HttpStatusCode status) => status switch
    {
        HttpStatusCode.BadRequest => StatusCode.Internal,
        HttpStatusCode.Unauthorized => StatusCode.Unauthenticated,
        HttpStatusCode.Forbidden => StatusCode.PermissionDenied,
        HttpStatusCode.NotFound => StatusCode.Unimplemented,
        HttpStatusCode.TooManyRequests or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable
            or HttpStatusCode.GatewayTimeout => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };

    /// <summary>For an exception of <see cref="HttpMessageInvoker"/> or of a stream that it returned.</summary>
    public static Status FromException(Exception exception)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is HttpProtocolException protocol)
            {
                return new Status(FromHttp2Error(protocol.ErrorCode), "The server reset the call.", exception);
            }
        }

        return new Status(StatusCode.Unavailable, "The server cannot be reached or has closed the connection.", exception);
    }

    private static StatusCode FromHttp2Error(long errorCode) => errorCode switch
    {
        // GOAWAY without an error: the server is going away.
        Http2NoError or Http2RefusedStream => StatusCode.Unavailable,
        Http2Cancel => StatusCode.Cancelled,
        Http2EnhanceYourCalm => StatusCode.ResourceExhausted,
        Http2InadequateSecurity => StatusCode.PermissionDenied,
        _ => StatusCode.Internal,
    };
}
