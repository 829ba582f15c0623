using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>
/// Stands before a Prometheus and can add the warning that Thanos and Mimir give with a partial answer, which a Prometheus alone
/// cannot be made to give.
/// </summary>
public sealed class WarningProxy : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly HttpClient _client = new();
    private readonly Uri _target;

    private WarningProxy(Uri target, int port)
    {
        _target = target;
        Uri = new Uri($"http://127.0.0.1:{port}");
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(Uri.ToString());
        _app = builder.Build();
        _app.Run(PassAsync);
    }

    public Uri Uri { get; }

    /// <summary>Whether answers bear a warning.</summary>
    public bool Warns { get; set; }

    public static async Task<WarningProxy> StartAsync(Uri target, int port)
    {
        var proxy = new WarningProxy(target, port);
        await proxy._app.StartAsync();
        return proxy;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _client.Dispose();
    }

    private async Task PassAsync(HttpContext context)
    {
        using var request = new HttpRequestMessage(new HttpMethod(context.Request.Method), new Uri(_target, context.Request.Path + context.Request.QueryString));
        if (HttpMethods.IsPost(context.Request.Method))
        {
            request.Content = new StreamContent(context.Request.Body);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", context.Request.ContentType);
        }

        using var response = await _client.SendAsync(request);
        var body = await response.Content.ReadAsStringAsync();
        if (Warns && JsonNode.Parse(body) is JsonObject answer)
        {
            answer["warnings"] = new JsonArray("No StoreAPIs matched for this query");
            body = answer.ToJsonString();
        }

        context.Response.StatusCode = (int)response.StatusCode;
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(body);
    }
}
