using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>Tells each broker that is reached over AMQP which queues are wanted and which are worth a look every second (T3).</summary>
internal sealed class LiveWatch
{
    // Of the threshold: near enough that a sweep's delay would be felt.
    private const double Near = 0.8;

    private readonly List<BrokerConnection> _connections;

    public LiveWatch(BrokerConnections connections) =>
        _connections = [.. connections.All.Where(static connection => connection.Options.Connection.Amqp is not null)];

    /// <summary>Notes those queues of a workload just decided that are worth watching.</summary>
    public static void Note(Workload workload, WorkloadSnapshot snapshot, in ScalingDecision decision, BrokerReadings readings)
    {
        if (workload is not { Connection: { Options.Connection.Amqp: not null } connection, Evaluation: { } evaluation })
        {
            return;
        }

        var wakesSoon = decision.IsDecided && IsNear(decision.Ready + decision.Unacked, workload.Policy.ActivationThreshold);
        for (var i = 0; i < snapshot.Queues.Length; i++)
        {
            // One of a pattern was deleted and is part of no decision; each declare of it is an error in the broker's log.
            if (snapshot.MatchedByPattern && snapshot.Queues[i].Presence == QueuePresence.Absent)
            {
                continue;
            }

            if ((wakesSoon || IsWorthWatching(in snapshot.Queues[i], workload.Policy)) && evaluation.Queues.NameAt(i, readings) is { } queue)
            {
                connection.Source.Interest.Watch(in queue);
            }
        }
    }

    /// <summary>Makes the queues noted since the last time the watched ones.</summary>
    public void Publish()
    {
        foreach (var connection in _connections)
        {
            connection.Source.Interest.PublishWatch();
        }
    }

    /// <summary>Collects what all workloads want.</summary>
    public void CollectWanted(IEnumerable<Workload> workloads)
    {
        if (_connections.Count == 0)
        {
            return;
        }

        var wanted = _connections.ToDictionary(static connection => connection.Name, static _ => new HashSet<QueueName>(), StringComparer.Ordinal);
        foreach (var workload in workloads)
        {
            if (workload is { Connection: { } connection, Evaluation: { } evaluation } && wanted.TryGetValue(connection.Name, out var queues))
            {
                var readings = connection.Source.Current;
                for (var i = 0; i < evaluation.Queues.Slots.Length; i++)
                {
                    // Slots of another generation are looked up again at the next evaluation.
                    if (evaluation.Queues.IsBoundTo(readings) && evaluation.Queues.NameAt(i, readings) is { } queue)
                    {
                        queues.Add(queue);
                    }
                }
            }
        }

        foreach (var connection in _connections)
        {
            connection.Source.Interest.Wanted = wanted[connection.Name];
        }
    }

    /// <summary>
    /// Whether a queue is at zero consumers, nearly saturated, or lacks figures: where the next second may matter.
    /// </summary>
    internal static bool IsWorthWatching(in QueueReading queue, ScalingPolicy policy)
    {
        if (queue.Presence != QueuePresence.Present || queue.Missing != QueueGauges.None || queue.Consumers == 0)
        {
            return true;
        }

        double slots = queue.Consumers * (double)policy.Concurrency;
        return Math.Min(queue.Unacked, slots) >= Near * policy.SaturationThreshold * slots;
    }

    /// <summary>Whether a few more messages would wake a workload: of threshold 5, with 4 or 5 messages.</summary>
    internal static bool IsNear(double messages, double threshold) => threshold > 0 && messages >= Near * threshold && messages <= threshold;
}
