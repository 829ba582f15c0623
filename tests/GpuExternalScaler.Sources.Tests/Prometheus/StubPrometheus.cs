using System.Collections.Concurrent;
using System.Text.Json;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.Tests.RabbitMq;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

/// <summary>A query API on a local port that answers each query as a test wishes.</summary>
internal sealed class StubPrometheus : IAsyncDisposable
{
    public const string Evaluated = "1795345652.113";

    private readonly StubServer _server;

    private StubPrometheus(StubServer server) => _server = server;

    public string Endpoint => _server.Endpoint;

    /// <summary>Queries as they came, with their <c>time</c>.</summary>
    public ConcurrentQueue<(string Query, string Time)> Queries { get; } = new();

    /// <summary>JSON for a query, or null for HTTP 503.</summary>
    public Func<string, string?> Answer { get; set; } = static _ => Vector();

    public static async Task<StubPrometheus> StartAsync()
    {
        var stub = new StubPrometheus(await StubServer.StartAsync());
        stub._server.Handler = async context =>
        {
            var form = await context.Request.ReadFormAsync();
            var query = form["query"].ToString();
            stub.Queries.Enqueue((query, form["time"].ToString()));
            var answer = stub.Answer(query);
            context.Response.StatusCode = answer is null ? 503 : answer.Contains("errorType", StringComparison.Ordinal) ? 400 : 200;
            await context.Response.WriteAsync(answer ?? "");
        };
        return stub;
    }

    /// <summary>A vector; labels are written <c>a=b,c=d</c>.</summary>
    public static string Vector(params (string Labels, string Value)[] series) => Vector(series, "");

    /// <summary>The same with a warning (T19).</summary>
    public static string Partial(params (string Labels, string Value)[] series) => Vector(series, ""","warnings":["a store is missing"]""");

    public PrometheusConnectionOptions Options() => new() { Name = "main", Url = _server.Url };

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private static string Vector((string Labels, string Value)[] series, string rest)
    {
        var result = series.Select(static one => new
        {
            metric = one.Labels.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(static pair => pair.Split('=', 2)).ToDictionary(static pair => pair[0], static pair => pair[1]),
            value = new object[] { 1795345652.113, one.Value },
        });
        return $$"""{"status":"success","data":{"resultType":"vector","result":{{JsonSerializer.Serialize(result)}}}{{rest}}}""";
    }
}
