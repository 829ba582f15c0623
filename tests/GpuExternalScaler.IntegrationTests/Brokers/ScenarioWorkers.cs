using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace GpuExternalScaler.IntegrationTests.Brokers;

/// <summary>What comes of a message in a worker.</summary>
public enum WorkOutcome
{
    /// <summary>It is acknowledged.</summary>
    Acknowledged,

    /// <summary>It is rejected and goes to the dead-letter exchange.</summary>
    Rejected,

    /// <summary>The worker dies of it, and all that it holds comes back.</summary>
    Crashed,
}

/// <summary>How a fleet works. Read for each message, so that a test can change it while the fleet runs.</summary>
public sealed class WorkerBehaviour
{
    /// <summary>The mean; single messages take from half to one and a half of it.</summary>
    public TimeSpan ServiceTime { get; set; } = TimeSpan.FromSeconds(1);

    public WorkOutcome Outcome { get; set; } = WorkOutcome.Acknowledged;

    /// <summary>How long a worker that crashed, or whose connection broke, stays away.</summary>
    public TimeSpan RestartDelay { get; set; } = TimeSpan.FromSeconds(3);

    public ushort Prefetch { get; init; } = 1;

    public bool AutoAck { get; init; }
}

/// <summary>
/// Serial workers that behave like pods: each has a connection of its own, is started anew when it dies or its broker
/// does, and can be restarted one at a time.
/// </summary>
public sealed class WorkerFleet : IAsyncDisposable
{
    private readonly Func<ConnectionFactory> _factory;
    private readonly string _queue;
    private readonly WorkerBehaviour _behaviour;
    private readonly CancellationTokenSource _stopping = new();
    private readonly List<Worker> _workers = [];

    public WorkerFleet(Func<ConnectionFactory> factory, string queue, int count, WorkerBehaviour? behaviour = null)
    {
        _factory = factory;
        _queue = queue;
        _behaviour = behaviour ?? new WorkerBehaviour();
        Grow(count);
    }

    public void Grow(int count)
    {
        for (var i = 0; i < count; i++)
        {
            var worker = new Worker { Random = new Random(_workers.Count) };
            worker.Running = RunAsync(worker);
            _workers.Add(worker);
        }
    }

    /// <summary>Ends a worker in the middle of what it does and starts it again after a while.</summary>
    public void Restart(int index) => _workers[index].Died.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await Task.WhenAll(_workers.Select(static worker => worker.Running));
        _stopping.Dispose();
    }

    private async Task RunAsync(Worker worker)
    {
        while (!_stopping.IsCancellationRequested)
        {
            worker.Died = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            try
            {
                await WorkAsync(worker, _stopping.Token);
            }
            catch (Exception error) when (error is OperationCanceledException or RabbitMQClientException or IOException)
            {
                // Stopped, crashed, or the broker is gone: the next life begins after the delay.
            }

            await Task.Delay(_behaviour.RestartDelay, TimeProvider.System, _stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task WorkAsync(Worker worker, CancellationToken stopping)
    {
        var factory = _factory();
        factory.AutomaticRecoveryEnabled = false;
        factory.RequestedConnectionTimeout = TimeSpan.FromSeconds(2);
        await using var connection = await factory.CreateConnectionAsync(stopping);
        var died = worker.Died;
        connection.ConnectionShutdownAsync += (_, _) =>
        {
            died.TrySetResult();
            return Task.CompletedTask;
        };
        await using var channel = await connection.CreateChannelAsync(cancellationToken: stopping);
        channel.ChannelShutdownAsync += (_, _) =>
        {
            died.TrySetResult();
            return Task.CompletedTask;
        };
        await channel.BasicQosAsync(0, _behaviour.Prefetch, global: false, stopping);
        using var life = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += async (_, delivery) =>
        {
            try
            {
                await Task.Delay(_behaviour.ServiceTime * (0.5 + worker.Random.NextDouble()), TimeProvider.System, life.Token);
                switch (_behaviour.Outcome)
                {
                    case WorkOutcome.Crashed:
                        died.TrySetResult();
                        break;
                    case WorkOutcome.Rejected:
                        await channel.BasicRejectAsync(delivery.DeliveryTag, requeue: false, life.Token);
                        break;
                    case var _ when !_behaviour.AutoAck:
                        await channel.BasicAckAsync(delivery.DeliveryTag, multiple: false, life.Token);
                        break;
                }
            }
            catch (Exception error) when (error is OperationCanceledException or AlreadyClosedException)
            {
                // The worker ended in the middle of a message, which goes unacknowledged.
            }
        };
        await channel.BasicConsumeAsync(_queue, _behaviour.AutoAck, consumer, stopping);
        try
        {
            await died.Task.WaitAsync(stopping);
        }
        finally
        {
            await life.CancelAsync();
            await connection.AbortAsync(TimeSpan.FromSeconds(1));
        }
    }

    private sealed class Worker
    {
        public required Random Random { get; init; }

        public TaskCompletionSource Died { get; set; } = new();

        public Task Running { get; set; } = Task.CompletedTask;
    }
}

/// <summary>
/// A producer that goes on through anything, one message after the other at random distances: at even ones they would
/// march in step with the broker's statistics.
/// </summary>
public static class SteadyPublisher
{
    public static Task RunAsync(Func<ConnectionFactory> factory, string queue, double perSecond, TimeSpan duration)
    {
        var random = new Random(1);
        return RunAsync(factory, queue, _ => -Math.Log(1 - random.NextDouble()) / perSecond, duration);
    }

    /// <summary>The same with a distance of its own after each message, in seconds, given when it is published.</summary>
    public static async Task RunAsync(Func<ConnectionFactory> factory, string queue, Func<double, double> distance, TimeSpan duration)
    {
        var start = TimeProvider.System.GetTimestamp();
        var due = 0.0;
        while (TimeProvider.System.GetElapsedTime(start) < duration)
        {
            try
            {
                var settings = factory();
                settings.AutomaticRecoveryEnabled = false;
                settings.RequestedConnectionTimeout = TimeSpan.FromSeconds(2);
                await using var connection = await settings.CreateConnectionAsync();
                await using var channel = await connection.CreateChannelAsync();
                while (TimeProvider.System.GetElapsedTime(start) is var elapsed && elapsed < duration)
                {
                    if (due < elapsed.TotalSeconds)
                    {
                        await channel.BasicPublishAsync("", queue, mandatory: false, new BasicProperties { Persistent = true }, Encoding.UTF8.GetBytes("work"));
                        due += distance(due);
                        continue;
                    }

                    await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
                }
            }
            catch (Exception error) when (error is RabbitMQClientException or IOException or OperationCanceledException)
            {
                // What could not be published is not caught up with.
                await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
                due = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
            }
        }
    }
}
