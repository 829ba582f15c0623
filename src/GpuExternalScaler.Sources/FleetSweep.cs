namespace GpuExternalScaler.Sources;

/// <summary>The kinds of source besides brokers.</summary>
public enum FleetSource : byte
{
    /// <summary>Accelerator exporters.</summary>
    Gpu,

    /// <summary>Model servers.</summary>
    ModelServers,

    /// <summary>kube-state-metrics, through Prometheus.</summary>
    Replicas,

    /// <summary>Queries of workloads, through Prometheus.</summary>
    Queries,

    /// <summary>This program's own series of the last minutes, through Prometheus.</summary>
    Past,

    /// <summary>The same of the weeks before.</summary>
    Seasonal,
}

/// <summary>What one sweep of a source other than a broker came to; for metrics and logs.</summary>
public sealed record FleetSweep
{
    /// <summary>Name of the connection.</summary>
    public required string Connection { get; init; }

    /// <summary>What was swept.</summary>
    public required FleetSource Source { get; init; }

    /// <summary>When it began.</summary>
    public required DateTimeOffset StartedAt { get; init; }

    /// <summary>How long requests and reading took together.</summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>Bytes of the answers, unpacked.</summary>
    public long Bytes { get; init; }

    /// <summary>Devices, pods, objects or queries that the sweep delivered.</summary>
    public int Rows { get; init; }

    /// <summary>Endpoints, or queries, asked.</summary>
    public int Asked { get; init; }

    /// <summary>Those that answered properly.</summary>
    public int Answered { get; init; }

    /// <summary>Samples left out, and why (T16, T20).</summary>
    public IReadOnlyList<RefusedSamples> Refused { get; init; } = [];

    /// <summary>Whether anything was read.</summary>
    public bool Succeeded { get; init; }

    /// <summary>Whether an answer may have been partial (T19).</summary>
    public bool IsPartial { get; init; }

    /// <summary>What was wrong; empty when all went well. Some of many endpoints: the first few.</summary>
    public IReadOnlyList<SourceFault> Faults { get; init; } = [];
}
