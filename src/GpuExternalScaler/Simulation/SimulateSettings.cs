namespace GpuExternalScaler.Simulation;

/// <summary>What <c>simulate</c> is asked for. Of the sources of arrivals one is given.</summary>
internal sealed record SimulateSettings
{
    /// <summary>A trace in a file.</summary>
    public FileInfo? Trace { get; init; }

    /// <summary>A generated trace.</summary>
    public string? Shape { get; init; }

    /// <summary>A recording, with <see cref="Workload"/>.</summary>
    public FileInfo? Recording { get; init; }

    /// <summary>The workload of a recording.</summary>
    public string? Workload { get; init; }

    /// <summary>The name of a Prometheus connection in <see cref="Config"/>, with <see cref="Query"/>, <see cref="FromInstant"/> and <see cref="ToInstant"/>.</summary>
    public string? Prometheus { get; init; }

    /// <summary>PromQL of arrivals in 1/s.</summary>
    public string? Query { get; init; }

    /// <summary>The configuration file.</summary>
    public FileInfo? Config { get; init; }

    /// <summary>Where the range of the query begins.</summary>
    public DateTimeOffset FromInstant { get; init; }

    /// <summary>Where it ends.</summary>
    public DateTimeOffset ToInstant { get; init; }

    /// <summary>Seconds of the trace to leave out at its beginning.</summary>
    public int From { get; init; }

    /// <summary>Seconds to take; null: to the end.</summary>
    public int? Length { get; init; }

    /// <summary>Seconds of work in a message.</summary>
    public double ServiceTime { get; init; } = 2;

    /// <summary>Seconds from creating a pod to its first message.</summary>
    public double ColdStart { get; init; } = 60;

    /// <summary>Spread of those.</summary>
    public double ColdStartSpread { get; init; } = 0.2;

    /// <summary>Busy replicas on average; null: the trace as it is, and <see cref="BusyOfShapes"/> for a shape.</summary>
    public double? ScaleMean { get; init; }

    /// <summary>A ScaledObject's file; null: KEDA's and Kubernetes' defaults.</summary>
    public FileInfo? Hpa { get; init; }

    /// <summary>Whether workers finish.</summary>
    public bool Drain { get; init; } = true;

    /// <summary>Policies as given; none: <see cref="PolicyChoice.Usual"/>.</summary>
    public IReadOnlyList<string> Policies { get; init; } = [];

    /// <summary>Seconds above which a message is late.</summary>
    public double LateAfter { get; init; } = 10;

    /// <summary>Seed of all chance.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Where the figures go.</summary>
    public FileInfo? Json { get; init; }

    /// <summary>Where the seconds go.</summary>
    public FileInfo? Csv { get; init; }

    /// <summary>Where the page goes.</summary>
    public FileInfo? Report { get; init; }

    /// <summary>Busy replicas of a shape where nothing is said: it has no size of its own.</summary>
    public const double BusyOfShapes = 20;
}
