using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Everything one step may look at besides its state: the newest readings of the workload's sources.</summary>
public readonly ref struct WorkloadSnapshot
{
    /// <summary>
    /// One reading for each queue. Never empty: a selector without a match is one reading that is
    /// <see cref="QueuePresence.Absent"/> or <see cref="QueuePresence.Unobserved"/>.
    /// </summary>
    public required ReadOnlySpan<QueueReading> Queues { get; init; }

    /// <summary>
    /// Whether the queues were found by a pattern. Then one that vanished cannot be told from one deleted on purpose,
    /// and it stops the answer from shrinking instead of taking it away.
    /// </summary>
    public bool MatchedByPattern { get; init; }

    /// <summary>Changes when the queues are others than before, so that nothing may be compared across the change.</summary>
    public int QueueSetVersion { get; init; }
}
