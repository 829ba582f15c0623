using System.Text.Encodings.Web;
using System.Text.Json;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.GrpcTransport.Health;
using GpuExternalScaler.GrpcTransport.Reflection;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Tls;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GpuExternalScaler;

/// <summary>Puts the server together. Reads as a table of contents.</summary>
internal static class ScalerServer
{
    // Metadata of the size that is sampled, several times over; a ScaledObject can hold a megabyte and has no reason to.
    // What is larger is refused at its length prefix, so that many half-sent requests cannot fill the memory.
    private const int SmallestMessageLimit = 64 * 1024;

    // K6: under KEDA's and Kubernetes' patience, and enough for streams to end cleanly.
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(8);

    /// <summary>A server ready to run. Nothing is contacted and no port is taken before it starts.</summary>
    /// <param name="options">The configuration to begin with.</param>
    /// <param name="logging">Where logs go; the console without it.</param>
    /// <param name="time">The clock; the system's without it.</param>
    /// <param name="origin">The file to follow; without it the configuration stays as it is.</param>
    /// <param name="tls">What the files that <see cref="ScalerOptions.Tls"/> names hold; not null when it is not.</param>
    /// <param name="recording">Where decisions are recorded; nowhere without it.</param>
    public static WebApplication Build(
        ScalerOptions options,
        Action<ILoggingBuilder>? logging = null,
        TimeProvider? time = null,
        ConfigurationOrigin? origin = null,
        TlsMaterial? tls = null,
        RecordingOptions? recording = null)
    {
        if (options.Tls is not null && tls is null)
        {
            throw new ArgumentNullException(nameof(tls), "Without it the port would be served in the clear.");
        }

        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "gpu-external-scaler" });

        // The operator's file is the only configuration: an appsettings.json that happens to lie about is not.
        builder.Configuration.Sources.Clear();
        builder.Logging.ClearProviders();
        var threshold = new LogThreshold(options.LogLevel);
        builder.Services.AddSingleton(threshold);
        (logging ?? (log => ConsoleLog(log, options.LogFormat, threshold)))(builder.Logging);
        builder.Services.Configure<HostOptions>(static host => host.ShutdownTimeout = ShutdownTimeout);
        var callers = new CallerLimits(options);
        builder.WebHost.ConfigureKestrel(kestrel => Listen(kestrel, options, callers));

        if (recording is not null)
        {
            AddRecording(builder.Services, recording);
        }

        AddScaler(builder.Services, options, origin, time ?? TimeProvider.System);
        if (origin is not null)
        {
            AddReload(builder.Services, origin);
        }

        AddTls(builder.Services, options, tls);
        var app = builder.Build();
        MapGrpc(app, callers);
        MapHttp(app);
        Announce(app, options, callers);
        return app;
    }

    private static void ConsoleLog(ILoggingBuilder logging, LogFormat format, LogThreshold threshold)
    {
        var json = format == LogFormat.Json || (format == LogFormat.Auto && Console.IsOutputRedirected);
        logging.AddFilter((_, level) => level >= threshold.Level);
        logging.AddFilter("Microsoft", level => level >= LogLevel.Warning && level >= threshold.Level);

        // It has nothing to say above information, and while it could, every call gets a trace activity of its own.
        logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.None);
        if (json)
        {
            logging.AddJsonConsole(static console =>
            {
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";

                // The default writes an apostrophe as \u0027, for HTML that a log is not.
                console.JsonWriterOptions = new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
            });
        }
        else
        {
            logging.AddSimpleConsole(static console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "HH:mm:ss ";
            });
        }
    }

    private static void Listen(KestrelServerOptions kestrel, ScalerOptions options, CallerLimits callers)
    {
        // K1: KEDA keeps one connection for all ScaledObjects, with two streams for ever per external-push trigger.
        // Kestrel's default of 100 would hang the 101st call.
        kestrel.UseGrpcLimits(callers.CallsPerCaller);
        kestrel.Listen(options.Grpc, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.Use(next => connection =>
            {
                connection.Features.Set(GrpcListener.Mark);
                return callers.ServeAsync(connection, next);
            });

            // Inside of the limits: a caller with too many connections is sent off before it costs a handshake.
            listen.ApplicationServices.GetService<GrpcPortTls>()?.Use(listen);
        });
        kestrel.Listen(options.Http, static listen => listen.Protocols = HttpProtocols.Http1);
    }

    private static void AddScaler(IServiceCollection services, ScalerOptions options, ConfigurationOrigin? origin, TimeProvider time)
    {
        services.AddSingleton(_ => new MonotonicClock(time));
        services.AddSingleton(provider => new CurrentConfiguration(
            ConfigurationSnapshot.Of(options, provider.GetRequiredService<SourceFactory>(), origin?.Reading)));
        services.AddSingleton<ScalerMetrics>();
        services.AddSingleton<SweepJournal>();
        services.AddSingleton(static provider => new SourceFactory(
            provider.GetRequiredService<MonotonicClock>(), provider.GetRequiredService<SweepJournal>().Note, provider.GetRequiredService<SweepJournal>().Note));
        services.AddSingleton<SourceRunner>();
        services.AddHostedService(static provider => provider.GetRequiredService<SourceRunner>());

        services.AddSingleton<WorkloadRegistry>();
        services.AddSingleton<EvaluationLoop>();
        services.AddHostedService(static provider => provider.GetRequiredService<EvaluationLoop>());

        services.AddSingleton<WorkloadSeries>();
        services.AddSingleton<ServerHealth>();
        services.AddSingleton(static provider => new MetricsPage(
            [ScalerMetrics.MeterName],
            writer =>
            {
                provider.GetRequiredService<WorkloadSeries>().WriteTo(writer);
                provider.GetService<ReloadStatus>()?.WriteTo(writer);
                provider.GetService<RecordingStatus>()?.WriteTo(writer);
            },
            provider.GetRequiredService<ILogger<MetricsPage>>()));

        services.AddSingleton<ConfigurationPage>();
        services.AddHostedService<ReloadLoop>();

        services.AddSingleton<MetadataWarnings>();
        services.AddSingleton(new KnownTriggers(options.MaximumWorkloads));
        services.AddSingleton<ExternalScalerService>();
        services.AddGrpcTransport(grpc => grpc.MaxReceiveMessageSize = Math.Max(SmallestMessageLimit, 4 * options.MaximumMetadataBytes));
        services.AddGrpcHealth();
        services.AddGrpcReflection();
        services.AddHostedService<HealthPublisher>();
        services.AddSingleton<IGrpcCallObserver, RpcObserver>();
    }

    // Before the evaluation loop, for services are stopped in the other order: its last steps are recorded too.
    private static void AddRecording(IServiceCollection services, RecordingOptions recording)
    {
        services.AddSingleton(recording);
        services.AddSingleton<RecordingStatus>();
        services.AddSingleton<RecordingFiles>();
        services.AddSingleton<Recorder>();
        services.AddHostedService(static provider => provider.GetRequiredService<RecordingFiles>());
    }

    private static void AddReload(IServiceCollection services, ConfigurationOrigin origin)
    {
        services.AddSingleton(origin);
        services.AddSingleton(provider => new ReloadStatus(ReloadStatus.HashOf(origin.Content.Bytes.Span), provider.GetRequiredService<MonotonicClock>().Now));
        services.AddSingleton<IReloadable, ConfigurationReload>();
    }

    private static void AddTls(IServiceCollection services, ScalerOptions options, TlsMaterial? material)
    {
        if (options.Tls is not { } files)
        {
            return;
        }

        services.AddSingleton(provider => new GrpcPortTls(
            files,
            material!,
            provider.GetRequiredService<MonotonicClock>().TimeProvider,
            provider.GetRequiredService<ScalerMetrics>(),
            provider.GetRequiredService<ILogger<GrpcPortTls>>()));
        services.AddSingleton<IReloadable>(static provider => provider.GetRequiredService<GrpcPortTls>());
    }

    private static void MapGrpc(WebApplication app, CallerLimits callers) => app.MapWhen(
        static context => context.Features.Get<GrpcListener>() is not null,
        grpc => grpc.Use(next => context => callers.ServeAsync(context, next)).UseRouting().UseEndpoints(static endpoints =>
        {
            endpoints.MapGrpcService<ExternalScalerService>();
            endpoints.MapGrpcHealth();
            endpoints.MapGrpcReflection();
        }));

    private static void MapHttp(WebApplication app) => app.MapWhen(
        static context => context.Features.Get<GrpcListener>() is null,
        static http => http.UseRouting().UseEndpoints(static endpoints =>
        {
            endpoints.MapGet("/healthz", static (HttpContext context, ServerHealth health) => Probe(context, health.IsLive));
            endpoints.MapGet("/readyz", static (HttpContext context, ServerHealth health) => Probe(context, health.IsReady));
            endpoints.MapGet(ConfigurationPage.Path, static (HttpContext context, ConfigurationPage page) => page.WriteAsync(context));
            endpoints.MapGet("/metrics", static (HttpContext context, MetricsPage page) => page.WriteAsync(context));
        }));

    private static Task Probe(HttpContext context, bool healthy)
    {
        context.Response.StatusCode = healthy ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        return context.Response.WriteAsync(healthy ? "ok\n" : "not yet\n");
    }

    private static void Announce(WebApplication app, ScalerOptions options, CallerLimits callers)
    {
        // Made now, so that nothing measured from here on is lost.
        app.Services.GetRequiredService<MetricsPage>();
        var logger = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("GpuExternalScaler");
        var metrics = app.Services.GetRequiredService<ScalerMetrics>();
        callers.OnRefused = (address, reason, isNew) =>
        {
            metrics.ConnectionRefused(reason);
            if (isNew)
            {
                logger.ConnectionsRefused(address.ToString(), reason == "all" ? $"there are {CallerLimits.MostConnections} in all" : $"there are {CallerLimits.ConnectionsPerCaller} of this address");
            }
        };
        app.Lifetime.ApplicationStarted.Register(() =>
        {
            var addresses = app.Urls.ToArray();
            logger.Serving(addresses.ElementAtOrDefault(0) ?? "?", addresses.ElementAtOrDefault(1) ?? "?", options.RabbitMq.Count + options.Prometheus.Count + options.Gpu.Count + options.ModelServers.Count, options.MaximumWorkloads);
            app.Services.GetService<GrpcPortTls>()?.Announce();
        });
        app.Lifetime.ApplicationStopping.Register(logger.Stopping);
    }

    /// <summary>Marks connections that came in through the gRPC port, which serves nothing else (K3).</summary>
    private sealed class GrpcListener
    {
        public static GrpcListener Mark { get; } = new();
    }
}
