namespace GpuExternalScaler.Scaling.Readings;

/// <summary>What a source other than a broker knows about one workload.</summary>
public enum FleetPresence : byte
{
    /// <summary>The workload does not ask for this signal.</summary>
    NotUsed,

    /// <summary>The source has not been read yet.</summary>
    Unobserved,

    /// <summary>
    /// The source was read, and has never shown anything of this workload: pods that do not exist yet, or a name that fits
    /// none. Nothing to hold on to, and no zero either (T21).
    /// </summary>
    NeverSeen,

    /// <summary>There are figures, as of <see cref="FleetReading.ObservedAt"/>.</summary>
    Present,

    /// <summary>There were pods, and it is proven that there are none any more (T21).</summary>
    ProvenAbsent,
}

/// <summary>How much a reading of one source about one workload is worth. All instants are on the clock of <c>now</c>.</summary>
public readonly record struct FleetReading
{
    /// <summary>What the figures are worth at all.</summary>
    public FleetPresence Presence { get; init; }

    /// <summary>
    /// When the newest figure was sampled, or when the sweep asked that proved the absence. Figures that are only held on to do
    /// not count.
    /// </summary>
    public DateTimeOffset ObservedAt { get; init; }

    /// <summary>Age past which the figures are no longer believed.</summary>
    public TimeSpan StaleAfter { get; init; }

    /// <summary>
    /// Whether something may be missing from the figures: an answer that may be partial (T19), a pod of which nobody knows
    /// whether it is gone (T21). They may raise an answer and not lower it.
    /// </summary>
    public bool IsPartial { get; init; }

    /// <summary>Whether the figures are young enough to be believed.</summary>
    public bool IsFresh(DateTimeOffset now) => Presence is FleetPresence.Present or FleetPresence.ProvenAbsent && now - ObservedAt <= StaleAfter;
}

/// <summary>What one pod holds of accelerators (T8 to T13), added up over its devices.</summary>
public readonly record struct PodMemory
{
    /// <summary>Bytes in use.</summary>
    public double UsedBytes { get; init; }

    /// <summary>Bytes that could be in use: without what the driver reserves (T10), or the limit of shares (T12). Above zero.</summary>
    public double UsableBytes { get; init; }

    /// <summary>Devices, MIG instances or shares. At least 1.</summary>
    public int Accelerators { get; init; }

    /// <summary>Used by the accelerator of this pod that is fullest, in bytes.</summary>
    public double FullestUsedBytes { get; init; }

    /// <summary>Usable of that accelerator, in bytes.</summary>
    public double FullestUsableBytes { get; init; }

    /// <summary>Share of time its busiest device was busy, 0 to 1; null if not told (T10: MIG).</summary>
    public double? Utilisation { get; init; }

    /// <summary>When the pod was first seen; <see cref="DateTimeOffset.MinValue"/> if it was there when the source was first read.</summary>
    public DateTimeOffset FirstSeenAt { get; init; }

    /// <summary>When the figures were sampled.</summary>
    public DateTimeOffset SampledAt { get; init; }

    /// <summary>Whether the pod is not seen any more and only held on to, because nobody knows that it is gone (T21).</summary>
    public bool IsHeld { get; init; }
}

/// <summary>What the model servers of one workload say, added up over its pods (T14). Missing is not zero.</summary>
public readonly record struct ModelServerReading
{
    /// <summary>How much the figures are worth.</summary>
    public FleetReading Reading { get; init; }

    /// <summary>Pods that the figures are of.</summary>
    public int Pods { get; init; }

    /// <summary>Requests waiting; null if not told.</summary>
    public double? Waiting { get; init; }

    /// <summary>Requests being worked on; null if not told (Triton).</summary>
    public double? Running { get; init; }

    /// <summary>Sum of the fill of the pods' key-value caches, each 0 to 1; null if not told by every pod.</summary>
    public double? CacheFill { get; init; }

    /// <summary>The fullest pod's.</summary>
    public double? HighestCacheFill { get; init; }
}

/// <summary>The result of a query of the workload's own: one number.</summary>
public readonly record struct QueryReading
{
    /// <summary>How much it is worth. Present without a value: the query was answered, with nothing or NaN.</summary>
    public FleetReading Reading { get; init; }

    /// <summary>The number; null for nothing or NaN. Finite, not negative.</summary>
    public double? Value { get; init; }

    /// <summary>The time its figures look back over: the longest range in the query's text; zero without one.</summary>
    public TimeSpan Window { get; init; }
}

/// <summary>What kube-state-metrics says about the workload's Deployment or StatefulSet and its HPA.</summary>
public readonly record struct ReplicaReading
{
    /// <summary>How much it is worth.</summary>
    public FleetReading Reading { get; init; }

    /// <summary>Replicas that exist (<c>status.replicas</c>), which is what the HPA counts; null if not told.</summary>
    public int? Existing { get; init; }

    /// <summary>Replicas that are ready; null if not told.</summary>
    public int? Ready { get; init; }

    /// <summary>The HPA's maximum; null if not told.</summary>
    public int? Maximum { get; init; }
}
