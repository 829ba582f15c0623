using System.Text;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>Who exports a metric; decides which labels name the pod.</summary>
internal enum GpuVendor : byte
{
    Dcgm,
    Hami,

    /// <summary>HAMi's figures of a whole device.</summary>
    HamiHost,
    Ascend,
    Amd,
    Gaudi,
}

/// <summary>What a metric says. Memory is in bytes once scaled.</summary>
internal enum GpuFigure : byte
{
    Used,
    Free,
    Reserved,

    /// <summary>Size of the device, reserved memory included; for HAMi the share's limit.</summary>
    Total,

    // dcgm-exporter's names up to 4.8, kept apart from the newer ones: a page may hold both (T8).
    OlderUsed,
    OlderFree,
    OlderReserved,
    OlderTotal,

    /// <summary>Utilisation, 0 to 100.</summary>
    Percent,

    /// <summary>Utilisation, 0 to 1.</summary>
    Ratio,

    /// <summary>Utilisation, 0 to 100 or 0 to 1 depending on the version.</summary>
    PercentOrRatio,
}

/// <summary>One metric that is read, from the single table of them: pages and Prometheus results both come through here.</summary>
/// <param name="Name">Metric name.</param>
/// <param name="Vendor">Who exports it.</param>
/// <param name="Figure">What it says.</param>
/// <param name="Scale">What its value is multiplied with.</param>
internal sealed record GpuMetric(string Name, GpuVendor Vendor, GpuFigure Figure, double Scale = 1)
{
    private const double Mebibyte = 1 << 20;

    /// <summary>Every metric that is read.</summary>
    public static IReadOnlyList<GpuMetric> All { get; } =
    [
        // T8: up to 4.8, MiB.
        new("DCGM_FI_DEV_FB_USED", GpuVendor.Dcgm, GpuFigure.OlderUsed, Mebibyte),
        new("DCGM_FI_DEV_FB_FREE", GpuVendor.Dcgm, GpuFigure.OlderFree, Mebibyte),
        new("DCGM_FI_DEV_FB_RESERVED", GpuVendor.Dcgm, GpuFigure.OlderReserved, Mebibyte),
        new("DCGM_FI_DEV_FB_TOTAL", GpuVendor.Dcgm, GpuFigure.OlderTotal, Mebibyte),

        // T8: from 4.9, bytes.
        new("DCGM_FI_DEV_FB_USED_BYTES", GpuVendor.Dcgm, GpuFigure.Used),
        new("DCGM_FI_DEV_FB_FREE_BYTES", GpuVendor.Dcgm, GpuFigure.Free),
        new("DCGM_FI_DEV_FB_RESERVED_BYTES", GpuVendor.Dcgm, GpuFigure.Reserved),
        new("DCGM_FI_DEV_FB_CAPACITY_BYTES", GpuVendor.Dcgm, GpuFigure.Total),
        new("DCGM_FI_DEV_GPU_UTIL", GpuVendor.Dcgm, GpuFigure.PercentOrRatio),
        new("DCGM_FI_DEV_GPU_UTIL_RATIO", GpuVendor.Dcgm, GpuFigure.Ratio),

        // T12: up to 2.8, then from 2.9. What 2.9 calls a ratio runs to 100 for whole devices, so for shares it is in doubt.
        new("vGPU_device_memory_usage_in_bytes", GpuVendor.Hami, GpuFigure.Used),
        new("vGPU_device_memory_limit_in_bytes", GpuVendor.Hami, GpuFigure.Total),
        new("Device_utilization_desc_of_container", GpuVendor.Hami, GpuFigure.Percent),
        new("HostGPUMemoryUsage", GpuVendor.HamiHost, GpuFigure.Used),
        new("hami_vgpu_memory_used_bytes", GpuVendor.Hami, GpuFigure.Used),
        new("hami_vgpu_memory_limit_bytes", GpuVendor.Hami, GpuFigure.Total),
        new("hami_container_device_utilization_ratio", GpuVendor.Hami, GpuFigure.PercentOrRatio),
        new("hami_host_gpu_memory_used_bytes", GpuVendor.HamiHost, GpuFigure.Used),

        // T13. A 64 GB Ascend says 65536 and AMD's tools divide by 1024 twice: both MB are MiB.
        new("npu_chip_info_hbm_used_memory", GpuVendor.Ascend, GpuFigure.Used, Mebibyte),
        new("npu_chip_info_hbm_total_memory", GpuVendor.Ascend, GpuFigure.Total, Mebibyte),
        new("npu_chip_info_utilization", GpuVendor.Ascend, GpuFigure.Percent),
        new("gpu_used_vram", GpuVendor.Amd, GpuFigure.Used, Mebibyte),
        new("gpu_total_vram", GpuVendor.Amd, GpuFigure.Total, Mebibyte),
        new("gpu_gfx_activity", GpuVendor.Amd, GpuFigure.Percent),
        new("habanalabs_memory_used_bytes", GpuVendor.Gaudi, GpuFigure.Used),
        new("habanalabs_memory_total_bytes", GpuVendor.Gaudi, GpuFigure.Total),
        new("habanalabs_utilization", GpuVendor.Gaudi, GpuFigure.Percent),
    ];

    private static readonly Dictionary<GpuKind, HashSet<GpuVendor>> Vendors = new()
    {
        [GpuKind.Dcgm] = [GpuVendor.Dcgm],

        // Where pods have whole devices beside HAMi's, only dcgm-exporter sees them; the fold keeps the two apart (T12).
        [GpuKind.Hami] = [GpuVendor.Hami, GpuVendor.HamiHost, GpuVendor.Dcgm],
        [GpuKind.Ascend] = [GpuVendor.Ascend],
        [GpuKind.Amd] = [GpuVendor.Amd],
        [GpuKind.Gaudi] = [GpuVendor.Gaudi],
    };

    private static readonly (byte[] Name, GpuMetric Metric)[] ByName =
        [.. All.Select(static metric => (Encoding.UTF8.GetBytes(metric.Name), metric))];

    /// <summary>The metrics of one kind of connection.</summary>
    public static IReadOnlyList<GpuMetric> Of(GpuKind kind) => [.. All.Where(metric => metric.IsOf(kind))];

    /// <summary>Whether a connection of this kind reads it.</summary>
    public bool IsOf(GpuKind kind) => Vendors[kind].Contains(Vendor);

    /// <summary>The metric of a name, or null if it is not read.</summary>
    public static GpuMetric? Find(ReadOnlySpan<byte> name)
    {
        foreach (var (known, metric) in ByName)
        {
            if (name.SequenceEqual(known))
            {
                return metric;
            }
        }

        return null;
    }
}
