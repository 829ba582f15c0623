using System.Net;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>A real Kestrel on a loopback port that speaks HTTP/2 only (K3), with a client of ours and a raw one.</summary>
internal sealed class EchoServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly SocketsHttpHandler _rawHandler = new();

    private EchoServer(WebApplication app, RecordingLogger log, RecordingObserver observer)
    {
        _app = app;
        Log = log;
        Observer = observer;
        Address = new Uri(app.Services.GetRequiredService<IServer>()
            .Features.Get<IServerAddressesFeature>()!.Addresses.First());
        Channel = GrpcChannel.ForAddress(Address);
        Client = new Echo.EchoClient(Channel);
        Raw = new HttpMessageInvoker(_rawHandler);
    }

    public Uri Address { get; }

    public GrpcChannel Channel { get; }

    public Echo.EchoClient Client { get; }

    public HttpMessageInvoker Raw { get; }

    /// <summary>What <see cref="Raw"/> sends through; a channel over it shares its connection.</summary>
    public HttpMessageHandler RawHandler => _rawHandler;

    public RecordingLogger Log { get; }

    public RecordingObserver Observer { get; }

    public IServiceProvider Services => _app.Services;

    public IHostApplicationLifetime Lifetime => _app.Lifetime;

    public static async Task<EchoServer> StartAsync(
        ScriptedEcho? echo = null,
        Action<IServiceCollection>? services = null,
        Action<WebApplication>? map = null,
        Action<GrpcTransportOptions>? options = null,
        Action<KestrelServerOptions>? kestrel = null,
        HttpProtocols protocols = HttpProtocols.Http2,
        Action<ListenOptions>? listen = null)
    {
        var log = new RecordingLogger();
        var observer = new RecordingObserver();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Trace).AddProvider(log)
            .AddFilter((_, category, level) =>
                level >= LogLevel.Warning || category!.StartsWith("GpuExternalScaler", StringComparison.Ordinal));
        builder.WebHost.ConfigureKestrel(server =>
        {
            server.UseGrpcLimits();
            kestrel?.Invoke(server);
            server.Listen(IPAddress.Loopback, 0, listener =>
            {
                listener.Protocols = protocols;
                listen?.Invoke(listener);
            });
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(20));
        services?.Invoke(builder.Services);
        builder.Services.AddSingleton<IGrpcCallObserver>(observer);
        builder.Services.AddSingleton(echo ?? new ScriptedEcho());
        builder.Services.AddGrpcTransport(options);
        var app = builder.Build();
        app.MapGrpcService<ScriptedEcho>();
        map?.Invoke(app);
        await app.StartAsync();
        return new EchoServer(app, log, observer);
    }

    /// <summary>POSTs raw bytes as a gRPC call.</summary>
    public Task<RawReply> PostAsync(string method, byte[] body, params (string Name, string Value)[] headers) =>
        PostAsync(method, new ByteArrayContent(body), headers);

    /// <summary>POSTs a raw body as a gRPC call; the content type is gRPC's unless a header says otherwise.</summary>
    public async Task<RawReply> PostAsync(string method, HttpContent? body, params (string Name, string Value)[] headers)
    {
        using var request = NewRequest(HttpMethod.Post, method, body, headers);
        return await SendAsync(request);
    }

    public HttpRequestMessage NewRequest(
        HttpMethod verb, string method, HttpContent? body, params (string Name, string Value)[] headers)
    {
        var request = new HttpRequestMessage(verb, new Uri(Address, method))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = body,
        };
        request.Headers.TryAddWithoutValidation("te", "trailers");
        var contentType = headers.FirstOrDefault(header => header.Name == "content-type").Value ?? "application/grpc";
        body?.Headers.TryAddWithoutValidation("content-type", contentType);
        foreach (var (name, value) in headers.Where(header => header.Name != "content-type"))
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return request;
    }

    public async Task<RawReply> SendAsync(HttpRequestMessage request)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var response = await Raw.SendAsync(request, timeout.Token);
        var body = await response.Content.ReadAsByteArrayAsync(timeout.Token);
        return new RawReply(
            response.StatusCode,
            Flatten(response.Headers.NonValidated).Concat(Flatten(response.Content.Headers.NonValidated)).ToLookup(),
            Flatten(response.TrailingHeaders.NonValidated).ToLookup(),
            body);

        static IEnumerable<KeyValuePair<string, string>> Flatten(System.Net.Http.Headers.HttpHeadersNonValidated headers) =>
            headers.SelectMany(header => header.Value.Select(value => KeyValuePair.Create(header.Key, value)));
    }

    public async ValueTask DisposeAsync()
    {
        Channel.Dispose();
        Raw.Dispose();
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    public Task StopAsync() => _app.StopAsync();
}
