namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// What one pod holds of one device (a GPU, a MIG instance, an NPU): the row that every exporter is normalised to (T8 to
/// T13). Device, instance, namespace and pod together occur once in a reading (T11).
/// </summary>
public sealed record AcceleratorShare
{
    /// <summary>The pod's namespace; null for a device that no pod holds, empty if the exporter does not tell.</summary>
    public string? Namespace { get; init; }

    /// <summary>The pod; null for a device that no pod holds.</summary>
    public string? Pod { get; init; }

    /// <summary>The container; null if not told, or if several of the pod's share the device.</summary>
    public string? Container { get; init; }

    /// <summary>
    /// The device's UUID, which outlives exporter and node name; where an exporter has none, <c>host/index</c>.
    /// </summary>
    public required string Device { get; init; }

    /// <summary>The MIG instance (<c>GPU_I_ID</c>) or AMD partition; empty for a whole device.</summary>
    public string Instance { get; init; } = "";

    /// <summary>The exporter that told: <c>host:port</c>, or the label <c>instance</c>; empty if not known.</summary>
    public string Exporter { get; init; } = "";

    /// <summary>
    /// Bytes in use, or null if not known. Under time slicing and MPS this is the whole device's figure, repeated for every
    /// pod on it, unless the exporter attributes processes (T11).
    /// </summary>
    public long? UsedBytes { get; init; }

    /// <summary>
    /// Bytes that could be in use: used and free without what the driver reserves (T10), or the limit of a HAMi share
    /// (T12). Null if not known.
    /// </summary>
    public long? UsableBytes { get; init; }

    /// <summary>
    /// Whether the figures are of the pod's own part of the device and not of the device (T12); those of several pods then add up.
    /// </summary>
    public bool IsPart { get; init; }

    /// <summary>Share of time the device was busy, 0 to 1, or null if not known. MIG instances have none (T10).</summary>
    public double? Utilisation { get; init; }

    /// <summary>When the figures were sampled: the oldest of them.</summary>
    public DateTimeOffset SampledAt { get; init; }
}

/// <summary>What the exporters of one source said in one sweep, sorted by device, instance, namespace and pod.</summary>
public sealed record AcceleratorReading
{
    /// <summary>Pods and what they hold.</summary>
    public IReadOnlyList<AcceleratorShare> Shares { get; init; } = [];

    /// <summary>
    /// Devices and instances on which no exporter sees a pod. Free, or their exporter has lost its pod labels: which of the
    /// two is for the caller to tell (T21).
    /// </summary>
    public IReadOnlyList<AcceleratorShare> Unallocated { get; init; } = [];

    /// <summary>Whether there was more than a reader takes, so that rows may be missing.</summary>
    public bool IsOverfull { get; init; }

    /// <summary>What was left out, and why.</summary>
    public IReadOnlyList<RefusedSamples> Refused { get; init; } = [];
}
