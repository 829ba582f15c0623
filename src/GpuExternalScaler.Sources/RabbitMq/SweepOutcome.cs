namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>The kinds of endpoint a broker is read through.</summary>
public enum RabbitMqEndpoint : byte
{
    /// <summary>None.</summary>
    None,

    /// <summary>The Prometheus plugin's <c>/metrics/detailed</c> on every node (T1).</summary>
    Metrics,

    /// <summary>The management API's queue list with statistics (T2).</summary>
    Management,

    /// <summary>The management API's queue list with totals alone: ready and unacknowledged, no consumers (T2).</summary>
    ManagementTotals,

    /// <summary>The management API's consumer list (T5).</summary>
    ManagementConsumers,

    /// <summary>Passive declares over AMQP: ready and consumers, live (T2, T3).</summary>
    Amqp,

    /// <summary>Consumer events over AMQP (T5).</summary>
    AmqpEvents,
}

/// <summary>What one sweep of one endpoint kind came to; for metrics and logs.</summary>
public sealed record SweepOutcome
{
    /// <summary>Name of the connection.</summary>
    public required string Connection { get; init; }

    /// <summary>Which endpoint was swept.</summary>
    public required RabbitMqEndpoint Endpoint { get; init; }

    /// <summary>When the sweep began.</summary>
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>How long requests and reading took together.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Bytes of the answers, unpacked.</summary>
    public long Bytes { get; init; }

    /// <summary>Queues whose figures the sweep delivered.</summary>
    public int Queues { get; init; }

    /// <summary>Nodes (management: requests) asked.</summary>
    public int Asked { get; init; }

    /// <summary>Nodes (management: requests) that answered properly.</summary>
    public int Answered { get; init; }

    /// <summary>Samples or list entries lost because they could not be understood (T16).</summary>
    public int BadSamples { get; init; }

    /// <summary>Whether at least one queue was read.</summary>
    public bool Succeeded { get; init; }

    /// <summary>Whether every node answered, so that what was not shown does not exist.</summary>
    public bool IsComplete { get; init; }

    /// <summary>One fault for each node or request that failed; empty when all went well.</summary>
    public IReadOnlyList<SourceFault> Faults { get; init; } = [];

    /// <summary>What serves the connection's figures since this sweep.</summary>
    public SourceChoice Choice { get; init; }

    /// <summary>The first fault's code, <see cref="SourceReason.None"/> without one.</summary>
    public SourceReason Reason => Faults.Count == 0 ? SourceReason.None : Faults[0].Reason;
}
