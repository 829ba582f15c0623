using GpuExternalScaler.GrpcTransport;
using Microsoft.AspNetCore.Http;

namespace Grpc.Core;

/// <summary>From a call to the HTTP request that carries it.</summary>
public static class ServerCallContextExtensions
{
    /// <summary>The HTTP context of a call. Valid until the handler returns.</summary>
    /// <exception cref="InvalidOperationException">The call came from elsewhere than this transport.</exception>
    public static HttpContext GetHttpContext(this ServerCallContext serverCallContext) =>
        serverCallContext is HttpServerCallContext call
            ? call.HttpContext
            : throw new InvalidOperationException("This call was not received over HTTP.");
}
