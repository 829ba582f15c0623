using System.Globalization;
using System.Net;
using GpuExternalScaler.IntegrationTests.Servers;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// Many exporters in one process of its own, each on a port of its own, so that what they cost is not counted as ours. Pages are made
/// beforehand, and are others at every other request.
/// </summary>
internal sealed class PageServer : IAsyncDisposable
{
    /// <summary>What this program is called with to be that process.</summary>
    public const string Command = "serve-pages";

    private const string Ready = "ready";
    private readonly ChildProcess _process;

    private PageServer(ChildProcess process) => _process = process;

    /// <summary>The pages, by exporter.</summary>
    public IReadOnlyList<Uri> Urls { get; private set; } = [];

    public static async Task<PageServer> StartAsync(string kind, FleetShape shape)
    {
        var dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        var server = new PageServer(ChildProcess.Start(
            dotnet, [Path.Combine(AppContext.BaseDirectory, "scaler-bench.dll"), Command, "--kind", kind, .. shape.ToArguments()]));
        try
        {
            await Eventually.IsTrueAsync(
                () => server._process.HasExited || server._process.StandardOutput.Contains(Ready), "the exporters to listen", TimeSpan.FromMinutes(1));
            server.Urls = [.. server._process.StandardOutput.TakeWhile(static line => line != Ready).Select(static line => new Uri(line))];
            return server.Urls.Count == shape.Exporters ? server : throw new InvalidOperationException(server._process.Tail());
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Serves until it is ended.</summary>
    public static async Task ServeAsync(Arguments arguments)
    {
        const int Versions = 2;
        var shape = FleetShape.Of(arguments);
        Func<int, int, byte[]> page = arguments.Text("kind", "gpu") == "gpu" ? shape.GpuPage : FleetShape.ServerPage;
        var pages = Enumerable.Range(0, shape.Exporters).Select(exporter => Enumerable.Range(1, Versions).Select(version => page(exporter, version)).ToArray()).ToArray();
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "pages" });
        builder.Configuration.Sources.Clear();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            for (var exporter = 0; exporter < shape.Exporters; exporter++)
            {
                kestrel.Listen(IPAddress.Loopback, 0, static listen => listen.Protocols = HttpProtocols.Http1);
            }
        });
        await using var app = builder.Build();
        var requests = new int[shape.Exporters];
        Dictionary<int, int> exporters = [];
        app.Run(async context =>
        {
            var exporter = exporters[context.Connection.LocalPort];
            var body = pages[exporter][Interlocked.Increment(ref requests[exporter]) % Versions];
            context.Response.ContentType = "text/plain; version=0.0.4";
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        });
        await app.StartAsync();
        exporters = app.Urls.Select(static (url, exporter) => (new Uri(url).Port, exporter)).ToDictionary();
        foreach (var url in app.Urls)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{url}/metrics"));
        }

        Console.WriteLine(Ready);
        await app.WaitForShutdownAsync();
    }

    public async ValueTask DisposeAsync() => await _process.DisposeAsync();
}
