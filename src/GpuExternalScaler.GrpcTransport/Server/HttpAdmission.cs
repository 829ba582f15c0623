using GpuExternalScaler.GrpcTransport.Wire;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Refuses, as HTTP, what is no gRPC call at all.</summary>
internal static class HttpAdmission
{
    /// <summary>Whether the request is a gRPC call; otherwise the response's HTTP status has been set.</summary>
    public static bool TryAdmit(HttpContext httpContext)
    {
        var request = httpContext.Request;
        var response = httpContext.Response;
        if (!HttpMethods.IsPost(request.Method))
        {
            response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            response.Headers.Allow = HttpMethods.Post;
            return false;
        }

        if (!HttpProtocol.IsHttp2(request.Protocol))
        {
            response.StatusCode = StatusCodes.Status426UpgradeRequired;
            response.Headers.Upgrade = "h2c";
            response.Headers.Connection = "Upgrade";
            return false;
        }

        if (!ProtocolHeaders.IsGrpcContentType(request.ContentType))
        {
            response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
            return false;
        }

        response.ContentType = ProtocolHeaders.ContentType;
        return true;
    }
}
