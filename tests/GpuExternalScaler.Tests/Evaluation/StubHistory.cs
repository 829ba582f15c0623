using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Evaluation;

/// <summary>A Prometheus that holds this program's own series as a test wishes.</summary>
internal sealed class StubHistory : IAsyncDisposable
{
    private const string Labels = """{"namespace":"genai","scaled_object":"workers","trigger":"t1"}""";
    private readonly WebApplication _app;

    private StubHistory(WebApplication app) => _app = app;

    public Uri Url { get; private set; } = null!;

    /// <summary>Queries as they came, of ranges too.</summary>
    public ConcurrentQueue<string> Queries { get; } = new();

    /// <summary>The server's clock.</summary>
    public Func<DateTimeOffset> Now { get; init; } = static () => TimeProvider.System.GetUtcNow();

    /// <summary>What holds up each answer.</summary>
    public Func<CancellationToken, Task> Delay { get; set; } = static _ => Task.CompletedTask;

    /// <summary>In place of every answer.</summary>
    public string? Garbage { get; set; }

    /// <summary>Arrivals at a second of a range; null for none.</summary>
    public Func<decimal, decimal?> Arrivals { get; set; } = static _ => null;

    /// <summary>The measured service time.</summary>
    public string? ServiceTime { get; set; }

    /// <summary>Labels of the series, as JSON.</summary>
    public string SeriesLabels { get; set; } = Labels;

    public static async Task<StubHistory> StartAsync(Func<DateTimeOffset>? now = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var stub = new StubHistory(app) { Now = now ?? (static () => TimeProvider.System.GetUtcNow()) };
        app.MapPost("/api/v1/{query}", (Delegate)stub.AnswerAsync);
        await app.StartAsync();
        stub.Url = new Uri(app.Urls.First());
        return stub;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
    }

    private async Task<IResult> AnswerAsync(HttpContext context)
    {
        var form = await context.Request.ReadFormAsync();
        var query = form["query"].ToString();
        Queries.Enqueue(query);
        await Delay(context.RequestAborted);
        if (Garbage is not null)
        {
            return Results.Text(Garbage);
        }

        var now = (Now().ToUnixTimeMilliseconds() / 1000m).ToString(CultureInfo.InvariantCulture);
        if (query == "time()")
        {
            return Success("scalar", $"[{now},\"{now}\"]");
        }

        if (!form.ContainsKey("start"))
        {
            return Success("vector", query.Contains("service_time", StringComparison.Ordinal) && ServiceTime is { } time ? $$"""[{"metric":{{SeriesLabels}},"value":[{{now}},"{{time}}"]}]""" : "[]");
        }

        var (start, end, step) = (Number("start"), Number("end"), Number("step"));
        var points = new List<string>();
        for (var at = start; at <= end; at += step)
        {
            if (Arrivals(at) is { } value)
            {
                points.Add(string.Create(CultureInfo.InvariantCulture, $"[{at},\"{value}\"]"));
            }
        }

        return Success("matrix", points.Count == 0 ? "[]" : $$"""[{"metric":{{SeriesLabels}},"values":[{{string.Join(',', points)}}]}]""");

        decimal Number(string name) => decimal.Parse(form[name].ToString(), CultureInfo.InvariantCulture);

        static IResult Success(string type, string result) => Results.Text($$"""{"status":"success","data":{"resultType":"{{type}}","result":{{result}}} }""");
    }
}
