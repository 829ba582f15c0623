namespace GpuExternalScaler.Scaling.History;

/// <summary>What somebody else remembers of a workload's queues: Prometheus, after a restart.</summary>
public sealed class PastArrivals
{
    /// <summary>Arrivals in 1/s, oldest first; moments without a value are left out.</summary>
    public required IReadOnlyList<(DateTimeOffset At, double ArrivalsPerSecond)> Arrivals { get; init; }

    /// <summary>Newest measured service time in seconds, null if not known.</summary>
    public double? ServiceTimeSeconds { get; init; }

    /// <summary>Newest measured cold start in seconds, null if not known.</summary>
    public double? ColdStartSeconds { get; init; }
}
