using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace GpuExternalScaler.GrpcTransport.Reflection;

/// <summary>Adds <c>grpc.reflection.v1</c> and <c>v1alpha</c> to a server, for grpcurl and its like.</summary>
public static class GrpcReflection
{
    /// <summary>Registers both services. They describe every service that <c>MapGrpcService</c> maps.</summary>
    public static IServiceCollection AddGrpcReflection(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton(provider => new ReflectionAnswers(provider.GetRequiredService<MappedServices>()));
        services.TryAddSingleton<ReflectionV1Service>();
        services.TryAddSingleton<ReflectionV1AlphaService>();
        return services;
    }

    /// <summary>Maps both services.</summary>
    public static GrpcServiceEndpointConventionBuilder MapGrpcReflection(this IEndpointRouteBuilder endpoints) =>
        new([endpoints.MapGrpcService<ReflectionV1Service>(), endpoints.MapGrpcService<ReflectionV1AlphaService>()]);
}
