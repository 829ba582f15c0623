namespace GpuExternalScaler.Sources.Gpu;

/// <summary>Whose exporters a connection reads.</summary>
public enum GpuKind : byte
{
    /// <summary>NVIDIA's dcgm-exporter.</summary>
    Dcgm,

    /// <summary>HAMi's monitor, with shares of NVIDIA devices.</summary>
    Hami,

    /// <summary>Huawei's NPU exporter.</summary>
    Ascend,

    /// <summary>AMD's device metrics exporter.</summary>
    Amd,

    /// <summary>Intel Gaudi's exporter.</summary>
    Gaudi,
}

/// <summary>One named set of accelerator exporters, read directly or through Prometheus.</summary>
public sealed record GpuConnectionOptions
{
    /// <summary>The connection's name in the configuration; appears in every sentence about it.</summary>
    public required string Name { get; init; }

    /// <summary>Whose exporters.</summary>
    public GpuKind Kind { get; init; }

    /// <summary>Name of the Prometheus connection it is read through, whose interval then counts; null when read directly.</summary>
    public string? Prometheus { get; init; }

    /// <summary>Metrics pages of the exporters, whole URLs.</summary>
    public IReadOnlyList<Uri> Exporters { get; init; } = [];

    /// <summary>Instead: a name all of whose addresses are exporters, such as a headless Service.</summary>
    public HostAndPort? Dns { get; init; }

    /// <summary>Time between two sweeps when read directly. Default 10 s; DCGM itself collects every 30 s.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Age past which readings are not believed. Default 90 s: three collections of DCGM.</summary>
    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>PEM file with the only authorities trusted for https; null trusts the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>Time allowed for one exporter's page. Default 5 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Largest page accepted of one exporter, unpacked, in bytes. Default 16 MiB.</summary>
    public long MaxResponseBytes { get; init; } = 16L * 1024 * 1024;
}
