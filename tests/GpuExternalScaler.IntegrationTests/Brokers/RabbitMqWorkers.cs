using System.Collections.Concurrent;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>What a worker does with a message.</summary>
public sealed record WorkStyle
{
    private WorkStyle()
    {
    }

    /// <summary>Keeps it, unacknowledged, until told.</summary>
    public static WorkStyle Hold { get; } = new() { Holds = true };

    /// <summary>Has it acknowledged by the broker on delivery.</summary>
    public static WorkStyle AutoAck { get; } = new() { AutoAcks = true };

    public bool Holds { get; private init; }

    public bool AutoAcks { get; private init; }

    public TimeSpan ServiceTime { get; private init; }

    /// <summary>Works on one message after the other and acknowledges each when done.</summary>
    public static WorkStyle Serial(TimeSpan serviceTime) => new() { ServiceTime = serviceTime };
}

/// <summary>Consumers of one queue, as a fleet of GPU workers would be.</summary>
public sealed class RabbitMqWorkers : IAsyncDisposable
{
    private readonly List<Worker> _workers = [];
    private readonly CancellationTokenSource _stopping = new();
    private long _delivered;
    private long _completed;

    private RabbitMqWorkers()
    {
    }

    public int Count => _workers.Count;

    /// <summary>Messages handed to these workers so far, redeliveries included.</summary>
    public long Delivered => Interlocked.Read(ref _delivered);

    /// <summary>Messages these workers have acknowledged so far (auto-acknowledged ones included).</summary>
    public long Completed => Interlocked.Read(ref _completed);

    internal static async Task<RabbitMqWorkers> StartAsync(
        IConnection connection, string queue, int count, WorkStyle style, ushort prefetch)
    {
        var workers = new RabbitMqWorkers();
        try
        {
            for (var i = 0; i < count; i++)
            {
                await workers.AddAsync(connection, queue, style, prefetch);
            }

            return workers;
        }
        catch
        {
            await workers.DisposeAsync();
            throw;
        }
    }

    /// <summary>Acknowledges what the workers hold, oldest first: all of it, or as many messages as asked for.</summary>
    public async Task<int> AckAsync(int atMost = int.MaxValue)
    {
        var acked = 0;
        foreach (var worker in _workers)
        {
            while (acked < atMost && worker.Held.TryDequeue(out var tag))
            {
                await worker.Channel.BasicAckAsync(tag, multiple: false);
                Interlocked.Increment(ref _completed);
                acked++;
            }
        }

        return acked;
    }

    /// <summary>Cancels the consumers; the channels and the unacknowledged messages stay.</summary>
    public async Task CancelAsync()
    {
        foreach (var worker in _workers)
        {
            await worker.Channel.BasicCancelAsync(worker.ConsumerTag);
        }
    }

    /// <summary>Closes the channels, as workers that die do: what was unacknowledged is ready again.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        foreach (var worker in _workers)
        {
            if (worker.Channel.IsOpen)
            {
                await worker.Channel.CloseAsync();
            }

            await worker.Channel.DisposeAsync();
        }

        _workers.Clear();
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        foreach (var worker in _workers)
        {
            // Aborting asks nothing of a broker that may be gone.
            await worker.Channel.AbortAsync();
            await worker.Channel.DisposeAsync();
        }

        _workers.Clear();
        _stopping.Dispose();
    }

    private async Task AddAsync(IConnection connection, string queue, WorkStyle style, ushort prefetch)
    {
        var channel = await connection.CreateChannelAsync();
        var held = new ConcurrentQueue<ulong>();
        await channel.BasicQosAsync(prefetchSize: 0, prefetch, global: false);
        // One message at a time: the client's dispatch concurrency is 1 a channel.
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            Interlocked.Increment(ref _delivered);
            if (style.AutoAcks)
            {
                Interlocked.Increment(ref _completed);
                return;
            }

            if (style.Holds)
            {
                held.Enqueue(delivery.DeliveryTag);
                return;
            }

            try
            {
                await Task.Delay(style.ServiceTime, TimeProvider.System, _stopping.Token);
                await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false);
                Interlocked.Increment(ref _completed);
            }
            catch (Exception error) when (error is OperationCanceledException or RabbitMQ.Client.Exceptions.AlreadyClosedException)
            {
                // The worker was stopped, or its broker died, in the middle of a message: it goes unacknowledged.
            }
        };
        var tag = await channel.BasicConsumeAsync(queue, style.AutoAcks, consumer);
        _workers.Add(new Worker(channel, tag, held));
    }

    private sealed record Worker(IChannel Channel, string ConsumerTag, ConcurrentQueue<ulong> Held);
}
