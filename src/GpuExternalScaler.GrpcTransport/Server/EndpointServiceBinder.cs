using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Maps each method that generated code tells of to an endpoint.</summary>
internal sealed class EndpointServiceBinder(IEndpointRouteBuilder endpoints, ServingServices services) : ServiceBinderBase
{
    private readonly List<IEndpointConventionBuilder> _mapped = [];

    public IReadOnlyList<IEndpointConventionBuilder> Mapped => _mapped;

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method,
        UnaryServerMethod<TRequest, TResponse>? handler) =>
        Map(method, new UnaryServing<TRequest, TResponse>(method, Required(handler), services));

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method,
        ServerStreamingServerMethod<TRequest, TResponse>? handler) =>
        Map(method, new ServerStreamingServing<TRequest, TResponse>(method, Required(handler), services));

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method,
        ClientStreamingServerMethod<TRequest, TResponse>? handler) =>
        Map(method, new ClientStreamingServing<TRequest, TResponse>(method, Required(handler), services));

    public override void AddMethod<TRequest, TResponse>(
        Method<TRequest, TResponse> method,
        DuplexStreamingServerMethod<TRequest, TResponse>? handler) =>
        Map(method, new DuplexStreamingServing<TRequest, TResponse>(method, Required(handler), services));

    private static THandler Required<THandler>(THandler? handler)
        where THandler : Delegate =>
        handler ?? throw new InvalidOperationException("A method without a handler cannot be served.");

    // No HTTP method is asked for by the route: a request other than POST is to be told so by this transport.
    private void Map(IMethod method, CallServing serving) =>
        _mapped.Add(endpoints
            .Map(RoutePatternFactory.Parse(method.FullName), new RequestDelegate(serving.ServeAsync))
            .WithDisplayName($"gRPC {method.FullName}"));
}
