namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>One named set of model servers, read through Prometheus or directly.</summary>
public sealed record ModelServerConnectionOptions
{
    /// <summary>The connection's name in the configuration; appears in every sentence about it.</summary>
    public required string Name { get; init; }

    /// <summary>Which server.</summary>
    public ModelServerKind Kind { get; init; }

    /// <summary>Name of the Prometheus connection it is read through, whose interval then counts; null when read directly.</summary>
    public string? Prometheus { get; init; }

    /// <summary>Metrics pages of the servers, whole URLs. Read directly, all servers belong to each workload that names the connection.</summary>
    public IReadOnlyList<Uri> Urls { get; init; } = [];

    /// <summary>Instead: a name all of whose addresses are servers, such as a headless Service; each is asked for <c>/metrics</c>.</summary>
    public HostAndPort? Dns { get; init; }

    /// <summary>Time between two sweeps when read directly. Default 5 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Age past which readings are not believed. Default 60 s.</summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>PEM file with the only authorities trusted for https; null trusts the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>Time allowed for one server's page. Default 3 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Largest page accepted of one server, unpacked, in bytes. Default 16 MiB.</summary>
    public long MaxResponseBytes { get; init; } = 16L * 1024 * 1024;
}
