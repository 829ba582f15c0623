using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>A real HTTP server on a free local port that answers as a test wishes.</summary>
internal sealed class StubServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private StubServer(WebApplication app) => _app = app;

    public Uri Url { get; private set; } = null!;

    /// <summary><c>host:port</c>.</summary>
    public string Endpoint => $"{Url.Host}:{Url.Port}";

    public ConcurrentQueue<string> Paths { get; } = new();

    public ConcurrentQueue<string> Authorizations { get; } = new();

    public RequestDelegate Handler { get; set; } = _ => Task.CompletedTask;

    public static async Task<StubServer> StartAsync(RequestDelegate? handler = null, X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                if (certificate is not null)
                {
                    listen.UseHttps(certificate);
                }
            });
            kestrel.Limits.MinResponseDataRate = null;
        });
        if (certificate is not null)
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
        }

        var server = new StubServer(builder.Build());
        server.Handler = handler ?? server.Handler;
        server._app.Run(context =>
        {
            server.Paths.Enqueue(context.Request.Path.Value + context.Request.QueryString.Value);
            server.Authorizations.Enqueue(context.Request.Headers.Authorization.ToString());
            return server.Handler(context);
        });
        await server._app.StartAsync();
        server.Url = new Uri(server._app.Urls.Single());
        return server;
    }

    /// <summary>A certificate for 127.0.0.1 that signs itself.</summary>
    public static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=stub", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), password: null);
    }

    public static RequestDelegate Text(string text, string type = "text/plain; version=0.0.4") => context =>
    {
        context.Response.ContentType = type;
        return context.Response.WriteAsync(text);
    };

    public static RequestDelegate Status(int status, string body = "") => context =>
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsync(body);
    };

    public static RequestDelegate Hang { get; } = context =>
        Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted)
            .ContinueWith(_ => { }, TaskScheduler.Default);

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource(TimeSpan.Zero);
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }
}
