using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Serves the calls of one method: everything that is the same for the four kinds.</summary>
internal abstract class CallServing(IMethod method, ServingServices services)
{
    public Task ServeAsync(HttpContext httpContext) =>
        HttpAdmission.TryAdmit(httpContext) ? ServeAdmittedAsync(httpContext) : Task.CompletedTask;

    /// <summary>Reads the request or requests, runs the handler, and writes the response if there is just one.</summary>
    protected abstract ValueTask RunHandlerAsync(HttpServerCallContext call);

    private async Task ServeAdmittedAsync(HttpContext httpContext)
    {
        var started = services.TimeProvider.GetTimestamp();
        services.Observer?.CallStarted(method.FullName, method.Type);
        using var call = new HttpServerCallContext(httpContext, method, services);
        try
        {
            call.Begin();
            call.LiftBodyLimits();
            await RunHandlerAsync(call);
            await call.EndAsync(call.Status);
        }
        catch (Exception exception)
        {
            await call.FailAsync(exception);
        }
        finally
        {
            services.Observer?.CallFinished(
                method.FullName,
                method.Type,
                call.FinalStatusCode,
                services.TimeProvider.GetElapsedTime(started));
        }
    }
}
