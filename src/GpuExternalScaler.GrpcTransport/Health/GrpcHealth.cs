using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace GpuExternalScaler.GrpcTransport.Health;

/// <summary>Adds <c>grpc.health.v1.Health</c> to a server.</summary>
public static class GrpcHealth
{
    /// <summary>Registers the service and the <see cref="HealthStatusBoard"/> the program writes to.</summary>
    public static IServiceCollection AddGrpcHealth(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddSingleton<HealthStatusBoard>();
        services.TryAddSingleton<HealthService>();
        return services;
    }

    /// <summary>Maps the service.</summary>
    public static GrpcServiceEndpointConventionBuilder MapGrpcHealth(this IEndpointRouteBuilder endpoints) =>
        endpoints.MapGrpcService<HealthService>();
}
