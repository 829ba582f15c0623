using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// Answers /metrics/detailed for any number of queues in the format of a captured page of RabbitMQ 4.3, with figures
/// that are others at each request. Where a broker's own cost is not the question, it leaves the processors alone.
/// </summary>
internal sealed class StandInQueues : IAsyncDisposable
{
    private static readonly (string Name, string Type, Func<int, long, long> Value)[] Families =
    [
        ("queue_messages_ready", "gauge", static (queue, time) => (queue + time) % 7),
        ("queue_messages_unacked", "gauge", static (queue, time) => 1 + ((queue + time) % 4)),
        ("queue_messages", "gauge", static (queue, time) => 1 + ((queue + time) % 7) + ((queue + time) % 4)),
        ("queue_process_reductions_total", "counter", static (queue, time) => 50_000 + queue + (time * 13)),
        ("queue_consumers", "gauge", static (queue, _) => 4 + (queue % 3)),
        ("queue_get_ack_total", "counter", static (_, _) => 0),
        ("queue_get_total", "counter", static (_, _) => 0),
        ("queue_messages_delivered_ack_total", "counter", static (queue, time) => queue + (time * 5)),
        ("queue_messages_delivered_total", "counter", static (_, _) => 0),
        ("queue_messages_redelivered_total", "counter", static (_, _) => 0),
        ("queue_messages_acked_total", "counter", static (queue, time) => queue + (time * 5) - 1),
    ];

    private readonly WebApplication _app;
    private readonly int _queues;
    private readonly int? _busy;
    private long _requests;

    private StandInQueues(int queues, int? busy)
    {
        (_queues, _busy) = (queues, busy);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "stand-in-queues" });
        builder.Configuration.Sources.Clear();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(static kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, static listen => listen.Protocols = HttpProtocols.Http1));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    public string Url => _app.Urls.First();

    /// <summary>The configuration of a connection that reads it.</summary>
    public string Connection(string interval = "2s") => $"rabbitmq: {{ main: {{ metrics: {{ urls: [\"{Url}\"] }}, interval: {interval} }} }}\n";

    public static string Name(int queue) => string.Create(CultureInfo.InvariantCulture, $"wfq{queue:0000}");

    /// <summary>Starts it.</summary>
    /// <param name="queues">How many queues.</param>
    /// <param name="busy">How many of a hundred have other figures at each request, at random; null for all, in a pattern.</param>
    public static async Task<StandInQueues> StartAsync(int queues, int? busy = null)
    {
        var started = new StandInQueues(queues, busy);
        await started._app.StartAsync();
        return started;
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Path != "/metrics/detailed")
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        }

        var time = Interlocked.Increment(ref _requests);
        var page = new StringBuilder(_queues * 800);
        foreach (var (name, type, value) in Families)
        {
            Begin(page, name, type);
            for (var queue = 0; queue < _queues; queue++)
            {
                page.Append(CultureInfo.InvariantCulture, $"rabbitmq_detailed_{name}{{vhost=\"/\",queue=\"{Name(queue)}\"}} {value(queue, TimeOf(queue, time))}\n");
            }
        }

        Begin(page, "queue_exchange_messages_published_total", "counter");
        for (var queue = 0; queue < _queues; queue++)
        {
            page.Append(CultureInfo.InvariantCulture, $"rabbitmq_detailed_queue_exchange_messages_published_total{{vhost=\"/\",queue=\"{Name(queue)}\",exchange=\"\"}} {queue + (TimeOf(queue, time) * 5)}\n");
        }

        Begin(page, "queue_info", "gauge");
        for (var queue = 0; queue < _queues; queue++)
        {
            page.Append(CultureInfo.InvariantCulture, $"rabbitmq_detailed_queue_info{{vhost=\"/\",queue=\"{Name(queue)}\",queue_type=\"rabbit_classic_queue\",membership=\"leader\"}} 1\n");
        }

        page.Append("# TYPE rabbitmq_build_info untyped\nrabbitmq_build_info{rabbitmq_version=\"4.3.6\",prometheus_plugin_version=\"4.3.6\"} 1\n");
        page.Append("# TYPE rabbitmq_identity_info untyped\nrabbitmq_identity_info{rabbitmq_node=\"rabbit@stand-in\",rabbitmq_cluster=\"stand-in\",rabbitmq_endpoint=\"detailed\"} 1\n");
        context.Response.ContentType = "text/plain; version=0.0.4";
        return context.Response.WriteAsync(page.ToString(), context.RequestAborted);
    }

    // What follows a pattern is packed to nothing, which real queues are not. Never falls, for counters depend on it.
    private long TimeOf(int queue, long time) =>
        _busy is not { } busy ? time
        : queue % 100 >= busy ? 0
        : (4 * time) + (Scattered(queue, time) & 3);

    private static long Scattered(int queue, long time)
    {
        var mixed = (ulong)((queue * 7_919L) + (time * 104_729L)) * 0x9E37_79B9_7F4A_7C15;
        return (long)(mixed >> 40);
    }

    private static void Begin(StringBuilder page, string name, string type) =>
        page.Append(CultureInfo.InvariantCulture, $"# TYPE rabbitmq_detailed_{name} {type}\n# HELP rabbitmq_detailed_{name} A captured page has a sentence here\n");
}
