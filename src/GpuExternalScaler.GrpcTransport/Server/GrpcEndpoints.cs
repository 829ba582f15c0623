using System.Reflection;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.Extensions.DependencyInjection;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Maps gRPC services to endpoints.</summary>
public static class GrpcEndpoints
{
    /// <summary>
    /// Maps every method of a service. One instance serves all calls: the one registered in the services, or a new one.
    /// The first call also maps a route that answers gRPC calls to unknown methods with UNIMPLEMENTED.
    /// </summary>
    /// <typeparam name="TService">Derives from the base class that protoc generated.</typeparam>
    /// <exception cref="InvalidOperationException">
    /// <c>AddGrpcTransport</c> has not been called, or the type has no generated base.
    /// </exception>
    public static GrpcServiceEndpointConventionBuilder MapGrpcService<TService>(this IEndpointRouteBuilder endpoints)
        where TService : class
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        var provider = endpoints.ServiceProvider;
        var serving = provider.GetService<ServingServices>() ??
            throw new InvalidOperationException("Call AddGrpcTransport on the services before mapping a gRPC service.");
        var mapped = provider.GetRequiredService<MappedServices>();
        if (mapped.TryClaimUnknownMethod())
        {
            MapUnknownMethods(endpoints, serving);
        }

        var (bindType, bindMethod) = FindBindMethod(typeof(TService));
        var service = provider.GetService<TService>() ?? ActivatorUtilities.CreateInstance<TService>(provider);
        var binder = new EndpointServiceBinder(endpoints, serving);
        bindMethod.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [binder, service], null);
        if (bindType.GetProperty("Descriptor", BindingFlags.Public | BindingFlags.Static)?.GetValue(null)
            is Google.Protobuf.Reflection.ServiceDescriptor descriptor)
        {
            mapped.Add(descriptor);
        }

        return new GrpcServiceEndpointConventionBuilder(binder.Mapped);
    }

    private static void MapUnknownMethods(IEndpointRouteBuilder endpoints, ServingServices serving)
    {
        var pattern = RoutePatternFactory.Parse(
            "{**method}",
            defaults: null,
            parameterPolicies: new RouteValueDictionary
            {
                ["method"] = new UnknownMethodServing.GrpcContentTypeConstraint(),
            });
        endpoints
            .Map(pattern, new RequestDelegate(new UnknownMethodServing(serving).ServeAsync))
            .WithDisplayName("gRPC unknown method")
            .WithOrder(int.MaxValue);
    }

    private static (Type BindType, MethodInfo BindMethod) FindBindMethod(Type serviceType)
    {
        for (var type = serviceType; type is not null; type = type.BaseType)
        {
            if (type.GetCustomAttribute<BindServiceMethodAttribute>(inherit: false) is not { } attribute)
            {
                continue;
            }

            var method = attribute.BindType.GetMethod(
                attribute.BindMethodName,
                BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static,
                [typeof(ServiceBinderBase), type]);
            if (method is not null)
            {
                return (attribute.BindType, method);
            }
        }

        throw new InvalidOperationException(
            $"{serviceType} does not derive from a base class that protoc generated for a gRPC service.");
    }
}
