using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Answers gRPC calls to methods nobody has mapped.</summary>
internal sealed class UnknownMethodServing(ServingServices services)
{
    private const int MaxQuotedPath = 200;

    public Task ServeAsync(HttpContext httpContext)
    {
        if (!HttpAdmission.TryAdmit(httpContext))
        {
            return Task.CompletedTask;
        }

        var started = services.TimeProvider.GetTimestamp();
        services.Observer?.CallStarted(IGrpcCallObserver.UnknownMethod, MethodType.Unary);
        var path = httpContext.Request.Path.Value ?? "";
        var quoted = path.Length <= MaxQuotedPath ? path : path[..MaxQuotedPath] + "...";
        StatusWriter.Write(
            httpContext.Response,
            anythingWritten: false,
            new Status(StatusCode.Unimplemented, $"The method {quoted} is not known."),
            trailers: null,
            moreTrailers: null);
        services.Observer?.CallFinished(
            IGrpcCallObserver.UnknownMethod,
            MethodType.Unary,
            StatusCode.Unimplemented,
            services.TimeProvider.GetElapsedTime(started));
        return Task.CompletedTask;
    }

    /// <summary>
    /// Makes the route match gRPC requests alone, so that on a port shared with pages everything else goes on to get
    /// the answer it would have got.
    /// </summary>
    internal sealed class GrpcContentTypeConstraint : IRouteConstraint
    {
        public bool Match(
            HttpContext? httpContext,
            IRouter? route,
            string routeKey,
            RouteValueDictionary values,
            RouteDirection routeDirection) =>
            httpContext is not null && ProtocolHeaders.IsGrpcContentType(httpContext.Request.ContentType);
    }
}
