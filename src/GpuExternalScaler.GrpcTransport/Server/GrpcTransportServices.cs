using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>Registers the transport.</summary>
public static class GrpcTransportServices
{
    /// <summary>
    /// Registers what <c>MapGrpcService</c> needs. A registered <see cref="TimeProvider"/> and
    /// <see cref="IGrpcCallObserver"/> are used; without them the system's time is, and nobody is told of calls.
    /// </summary>
    public static IServiceCollection AddGrpcTransport(
        this IServiceCollection services,
        Action<GrpcTransportOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddRouting();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<MappedServices>();
        services.TryAddSingleton(provider => new ServingServices(
            provider.GetRequiredService<IOptions<GrpcTransportOptions>>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILoggerFactory>(),
            provider.GetService<IGrpcCallObserver>()));
        var options = services.AddOptions<GrpcTransportOptions>().Validate(
            candidate => candidate.MaxReceiveMessageSize > 0,
            $"{nameof(GrpcTransportOptions.MaxReceiveMessageSize)} must be more than zero.");
        if (configure is not null)
        {
            options.Configure(configure);
        }

        return services;
    }
}
