using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>The four kinds of methods share how one request is read and one response written.</summary>
internal abstract class MethodServing<TRequest, TResponse>(Method<TRequest, TResponse> method, ServingServices services)
    : CallServing(method, services)
    where TRequest : class
    where TResponse : class
{
    protected ValueTask<TRequest> ReadRequestAsync(HttpServerCallContext call) =>
        MessageReading.ReadSingleAsync(call.RequestBody, method.RequestMarshaller, call.RequestFormat, call.DeadlineToken);

    protected ServerStreamReader<TRequest> Requests(HttpServerCallContext call) => new(call, method.RequestMarshaller);

    protected ServerStreamWriter<TResponse> Responses(HttpServerCallContext call) => new(call, method.ResponseMarshaller);

    protected void WriteResponse(HttpServerCallContext call, TResponse? response)
    {
        // A handler that sets another status than OK has no answer, whatever it returns.
        if (call.Status.StatusCode != StatusCode.OK)
        {
            return;
        }

        call.WriteLastMessage(
            response ?? throw new InvalidOperationException("The handler returned no message."),
            method.ResponseMarshaller);
    }
}

internal sealed class UnaryServing<TRequest, TResponse>(
    Method<TRequest, TResponse> method,
    UnaryServerMethod<TRequest, TResponse> handler,
    ServingServices services)
    : MethodServing<TRequest, TResponse>(method, services)
    where TRequest : class
    where TResponse : class
{
    protected override async ValueTask RunHandlerAsync(HttpServerCallContext call) =>
        WriteResponse(call, await handler(await ReadRequestAsync(call), call));
}

internal sealed class ServerStreamingServing<TRequest, TResponse>(
    Method<TRequest, TResponse> method,
    ServerStreamingServerMethod<TRequest, TResponse> handler,
    ServingServices services)
    : MethodServing<TRequest, TResponse>(method, services)
    where TRequest : class
    where TResponse : class
{
    protected override async ValueTask RunHandlerAsync(HttpServerCallContext call) =>
        await handler(await ReadRequestAsync(call), Responses(call), call);
}

internal sealed class ClientStreamingServing<TRequest, TResponse>(
    Method<TRequest, TResponse> method,
    ClientStreamingServerMethod<TRequest, TResponse> handler,
    ServingServices services)
    : MethodServing<TRequest, TResponse>(method, services)
    where TRequest : class
    where TResponse : class
{
    protected override async ValueTask RunHandlerAsync(HttpServerCallContext call) =>
        WriteResponse(call, await handler(Requests(call), call));
}

internal sealed class DuplexStreamingServing<TRequest, TResponse>(
    Method<TRequest, TResponse> method,
    DuplexStreamingServerMethod<TRequest, TResponse> handler,
    ServingServices services)
    : MethodServing<TRequest, TResponse>(method, services)
    where TRequest : class
    where TResponse : class
{
    protected override async ValueTask RunHandlerAsync(HttpServerCallContext call) =>
        await handler(Requests(call), Responses(call), call);
}
