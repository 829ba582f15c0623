using System.Collections.Concurrent;
using System.Globalization;
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

    /// <summary>Range queries as they came: seconds of the start, the end and the step.</summary>
    public ConcurrentQueue<(string Query, decimal Start, decimal End, decimal Step)> Ranges { get; } = new();

    /// <summary>JSON for a range query; without it, what <see cref="Answer"/> says.</summary>
    public Func<string, decimal, decimal, string?>? AnswerRange { get; set; }

    /// <summary>JSON for a query, or null for HTTP 503.</summary>
    public Func<string, string?> Answer { get; set; } = static _ => Vector();

    public static async Task<StubPrometheus> StartAsync()
    {
        var stub = new StubPrometheus(await StubServer.StartAsync());
        stub._server.Handler = async context =>
        {
            var form = await context.Request.ReadFormAsync();
            var query = form["query"].ToString();
            var isRange = form.ContainsKey("start");
            var (start, end) = isRange ? (Number("start"), Number("end")) : default;
            if (isRange)
            {
                stub.Ranges.Enqueue((query, start, end, Number("step")));
            }
            else
            {
                stub.Queries.Enqueue((query, form["time"].ToString()));
            }

            var answer = isRange && stub.AnswerRange is { } range ? range(query, start, end) : stub.Answer(query);
            context.Response.StatusCode = answer is null ? 503 : answer.Contains("errorType", StringComparison.Ordinal) ? 400 : 200;
            await context.Response.WriteAsync(answer ?? "");

            decimal Number(string name) => decimal.Parse(form[name].ToString(), CultureInfo.InvariantCulture);
        };
        return stub;
    }

    /// <summary>A vector; labels are written <c>a=b,c=d</c>.</summary>
    public static string Vector(params (string Labels, string Value)[] series) => Vector(series, "");

    /// <summary>The same with a warning (T19).</summary>
    public static string Partial(params (string Labels, string Value)[] series) => Vector(series, ""","warnings":["a store is missing"]""");

    /// <summary>A matrix; labels as of a vector, points as seconds and texts.</summary>
    public static string Matrix(params (string Labels, (decimal At, string Value)[] Points)[] series)
    {
        var result = series.Select(static one => new { metric = LabelsOf(one.Labels), values = one.Points.Select(static point => new object[] { point.At, point.Value }) });
        return $$"""{"status":"success","data":{"resultType":"matrix","result":{{JsonSerializer.Serialize(result)}} } }""";
    }

    /// <summary>A scalar.</summary>
    public static string Scalar(decimal at) =>
        $$"""{"status":"success","data":{"resultType":"scalar","result":[{{at.ToString(CultureInfo.InvariantCulture)}},"{{at.ToString(CultureInfo.InvariantCulture)}}"] } }""";

    public PrometheusConnectionOptions Options() => new() { Name = "main", Url = _server.Url };

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    private static string Vector((string Labels, string Value)[] series, string rest)
    {
        var result = series.Select(static one => new
        {
            metric = LabelsOf(one.Labels),
            value = new object[] { 1795345652.113, one.Value },
        });
        return $$"""{"status":"success","data":{"resultType":"vector","result":{{JsonSerializer.Serialize(result)}}}{{rest}}}""";
    }

    private static Dictionary<string, string> LabelsOf(string labels) =>
        labels.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(static pair => pair.Split('=', 2)).ToDictionary(static pair => pair[0], static pair => pair[1]);
}
