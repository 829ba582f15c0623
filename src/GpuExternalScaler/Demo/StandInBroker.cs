using System.Globalization;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GpuExternalScaler.Demo;

/// <summary>
/// Answers what a RabbitMQ 4.x node answers about its one queue, on loopback: the Prometheus plugin's
/// <c>/metrics/detailed</c> and the management API's queue list. The server's own source reads it like any broker.
/// </summary>
internal sealed class StandInBroker : IAsyncDisposable
{
    private const string Vhost = "/";
    private readonly WebApplication _app;
    private readonly string _queue;
    private readonly Func<DemoMoment> _look;

    /// <summary>Prepares a broker; no port is taken before <see cref="StartAsync"/>.</summary>
    /// <param name="queue">The queue's name: letters, digits and hyphens, since it is written without escapes.</param>
    /// <param name="look">Looks at the queue now.</param>
    public StandInBroker(string queue, Func<DemoMoment> look)
    {
        (_queue, _look) = (queue, look);
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ApplicationName = "stand-in-broker" });
        builder.Configuration.Sources.Clear();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(static kestrel =>
            kestrel.Listen(IPAddress.Loopback, 0, static listen => listen.Protocols = HttpProtocols.Http1));
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    /// <summary>Where it listens, once started.</summary>
    public Uri Url => new(_app.Urls.First());

    /// <summary>Starts listening on a free port of 127.0.0.1.</summary>
    public Task StartAsync(CancellationToken cancellation) => _app.StartAsync(cancellation);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    /// <summary>The Prometheus plugin's page, with the families asked for, as 4.x writes them.</summary>
    internal static string DetailedMetrics(string queue, DemoMoment moment, IReadOnlyCollection<string?> families)
    {
        var page = new StringBuilder();
        var labels = $"vhost=\"{Vhost}\",queue=\"{queue}\"";
        if (families.Contains("queue_coarse_metrics", StringComparer.Ordinal))
        {
            Write("queue_messages_ready", "gauge", moment.Ready);
            Write("queue_messages_unacked", "gauge", moment.Unacked);
            Write("queue_messages", "gauge", moment.Ready + moment.Unacked);
        }

        if (families.Contains("queue_consumer_count", StringComparer.Ordinal))
        {
            Write("queue_consumers", "gauge", moment.Consumers);
        }

        if (families.Contains("queue_delivery_metrics", StringComparer.Ordinal))
        {
            Write("queue_get_ack_total", "counter", 0);
            Write("queue_get_total", "counter", 0);
            Write("queue_messages_delivered_ack_total", "counter", moment.Delivered);
            Write("queue_messages_delivered_total", "counter", 0);
            Write("queue_messages_redelivered_total", "counter", 0);
            Write("queue_messages_acked_total", "counter", moment.Acknowledged);
        }

        if (families.Contains("queue_exchange_metrics", StringComparer.Ordinal))
        {
            Write("queue_exchange_messages_published_total", "counter", moment.Published, labels + ",exchange=\"\"");
        }

        Write("queue_info", "gauge", 1, labels + ",queue_type=\"rabbit_classic_queue\",membership=\"leader\"");
        page.Append("# TYPE rabbitmq_build_info untyped\n");
        page.Append("rabbitmq_build_info{rabbitmq_version=\"4.3.6\",prometheus_plugin_version=\"4.3.6\"} 1\n");
        page.Append("# TYPE rabbitmq_identity_info untyped\n");
        page.Append("rabbitmq_identity_info{rabbitmq_node=\"rabbit@stand-in\",rabbitmq_cluster=\"stand-in\",rabbitmq_endpoint=\"detailed\"} 1\n");
        return page.ToString();

        void Write(string name, string type, long value, string? labelsOf = null) => page.Append(
            CultureInfo.InvariantCulture,
            $"# TYPE rabbitmq_detailed_{name} {type}\nrabbitmq_detailed_{name}{{{labelsOf ?? labels}}} {value}\n");
    }

    /// <summary>The management API's list of its one queue.</summary>
    internal static string QueueList(string queue, DemoMoment moment) => string.Create(
        CultureInfo.InvariantCulture,
        $$$"""
        [{"vhost":"{{{Vhost}}}","name":"{{{queue}}}","type":"classic","messages_ready":{{{moment.Ready}}},"messages_unacknowledged":{{{moment.Unacked}}},"consumers":{{{moment.Consumers}}},"message_stats":{"ack":{{{moment.Acknowledged}}},"deliver_get":{{{moment.Delivered}}},"deliver_no_ack":0,"get_no_ack":0,"redeliver":0,"publish":{{{moment.Published}}}}}]
        """);

    private Task AnswerAsync(HttpContext context)
    {
        var request = context.Request;
        var (type, body) = request.Path.Value switch
        {
            "/metrics/detailed" => ("text/plain; version=0.0.4", DetailedMetrics(_queue, _look(), request.Query["family"])),
            "/api/queues" => ("application/json", QueueList(_queue, _look())),

            // As a broker answers a user with the tag management: no consumers but its own.
            "/api/consumers" => ("application/json", "[]"),
            _ => ("", ""),
        };
        if (body.Length == 0)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        }

        context.Response.ContentType = type;
        return context.Response.WriteAsync(body, context.RequestAborted);
    }
}
