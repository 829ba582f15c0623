using System.Globalization;
using System.Net;
using GpuExternalScaler.IntegrationTests.Servers;
using RabbitMQ.Client;

namespace GpuExternalScaler.IntegrationTests.Brokers;

public enum QueueKind
{
    Classic,
    Quorum,
    Stream,
}

/// <summary>What the broker itself says about a queue on its Prometheus page.</summary>
public readonly record struct QueueGauges(long Ready, long Unacked, long Consumers);

/// <summary>The producer's side of a test, on one connection to one vhost.</summary>
public sealed class QueueDriver : IAsyncDisposable
{
    private const string ReadyGauge = "rabbitmq_detailed_queue_messages_ready";
    private const string UnackedGauge = "rabbitmq_detailed_queue_messages_unacked";
    private const string ConsumersGauge = "rabbitmq_detailed_queue_consumers";

    private readonly RabbitMqBroker _broker;
    private readonly IConnection _connection;
    private readonly string _vhost;

    private QueueDriver(RabbitMqBroker broker, IConnection connection, string vhost)
    {
        _broker = broker;
        _connection = connection;
        _vhost = vhost;
    }

    /// <summary>Connects; with <paramref name="automaticRecovery"/> workers come back by themselves when the broker does.</summary>
    public static async Task<QueueDriver> ConnectAsync(
        RabbitMqBroker broker, string vhost = "/", bool automaticRecovery = false)
    {
        var factory = broker.CreateConnectionFactory(vhost);
        factory.AutomaticRecoveryEnabled = automaticRecovery;
        factory.TopologyRecoveryEnabled = automaticRecovery;
        factory.NetworkRecoveryInterval = TimeSpan.FromMilliseconds(250);
        return new QueueDriver(broker, await factory.CreateConnectionAsync(), vhost);
    }

    /// <summary>Declares a durable queue of any name.</summary>
    public async Task DeclareQueueAsync(
        string name, QueueKind kind = QueueKind.Classic, IReadOnlyDictionary<string, object?>? arguments = null)
    {
        var all = new Dictionary<string, object?>(arguments ?? new Dictionary<string, object?>(), StringComparer.Ordinal)
        {
            ["x-queue-type"] = kind.ToString().ToLowerInvariant(),
        };
        await using var channel = await _connection.CreateChannelAsync();
        await channel.QueueDeclareAsync(name, durable: true, exclusive: false, autoDelete: false, all);
    }

    public async Task DeleteQueueAsync(string name)
    {
        await using var channel = await _connection.CreateChannelAsync();
        await channel.QueueDeleteAsync(name);
    }

    public async Task PurgeQueueAsync(string name)
    {
        await using var channel = await _connection.CreateChannelAsync();
        await channel.QueuePurgeAsync(name);
    }

    /// <summary>
    /// Publishes messages and returns when the broker has confirmed every one. A classic queue forgets those that are
    /// not <paramref name="persistent"/> when its node goes away.
    /// </summary>
    public async Task PublishAsync(string queue, int count, bool persistent = true)
    {
        await using var channel = await _connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true));
        var properties = new BasicProperties { Persistent = persistent };
        foreach (var batch in Enumerable.Range(0, count).Chunk(1000))
        {
            await Task.WhenAll(batch.Select(async _ =>
                await channel.BasicPublishAsync("", queue, mandatory: true, properties, "work"u8.ToArray())));
        }
    }

    /// <summary>Starts consumers, each on its own channel; a <paramref name="prefetch"/> of 0 is no limit.</summary>
    public Task<RabbitMqWorkers> StartWorkersAsync(string queue, int count, WorkStyle style, ushort prefetch = 1) =>
        RabbitMqWorkers.StartAsync(_connection, queue, count, style, prefetch);

    /// <summary>The broker's gauges of a queue; null while it has not published all three.</summary>
    public async Task<QueueGauges?> ReadGaugesAsync(string queue)
    {
        var vhost = WebUtility.UrlEncode(_vhost);
        var page = await _broker.Metrics.GetStringAsync(new Uri(
            $"metrics/detailed?vhost={vhost}&family=queue_coarse_metrics&family=queue_consumer_count", UriKind.Relative));
        return Read(page, ReadyGauge, queue) is { } ready
            && Read(page, UnackedGauge, queue) is { } unacked
            && Read(page, ConsumersGauge, queue) is { } consumers
            ? new QueueGauges(ready, unacked, consumers)
            : null;
    }

    /// <summary>
    /// Waits until the broker's own page shows these figures, so that a test starts from what the scaler can see rather
    /// than from what was asked for.
    /// </summary>
    public Task WaitForGaugesAsync(
        string queue, long? ready = null, long? unacked = null, long? consumers = null, TimeSpan? limit = null) =>
        Eventually.SeesAsync(
            () => ReadGaugesAsync(queue),
            seen => seen is { } gauges
                && (ready ?? gauges.Ready) == gauges.Ready
                && (unacked ?? gauges.Unacked) == gauges.Unacked
                && (consumers ?? gauges.Consumers) == gauges.Consumers,
            $"{queue} to show ready {Wanted(ready)}, unacked {Wanted(unacked)}, consumers {Wanted(consumers)}",
            limit);

    public async ValueTask DisposeAsync()
    {
        // A broker that was killed or is paused cannot take part in a handshake.
        await _connection.AbortAsync(TimeSpan.FromSeconds(2));
        await _connection.DisposeAsync();
    }

    private static string Wanted(long? value) => value is { } v ? $"{v}" : "any";

    /// <summary>Finds one series by its whole text.</summary>
    /// <remarks>
    /// RabbitMQ 3.10 writes quotes and backslashes of a name into a label as they are instead of escaping them. A parser
    /// could not tell where such a name ends, but here the name is known.
    /// </remarks>
    private long? Read(string page, string gauge, string queue)
    {
        string[] forms =
        [
            $"{gauge}{{vhost=\"{_vhost}\",queue=\"{queue}\"}} ",
            $"{gauge}{{vhost=\"{Escape(_vhost)}\",queue=\"{Escape(queue)}\"}} ",
        ];
        foreach (var line in page.Split('\n'))
        {
            if (Array.Find(forms, form => line.StartsWith(form, StringComparison.Ordinal)) is { } form)
            {
                return (long)double.Parse(line.AsSpan(form.Length), CultureInfo.InvariantCulture);
            }
        }

        return null;
    }

    private static string Escape(string label) =>
        label.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
}
