namespace GpuExternalScaler.Sources.Gpu;

/// <summary>Labels that matter, whatever an exporter calls them (T9, T12, T13).</summary>
internal enum GpuLabel
{
    /// <summary>Identity of the device that outlives everything else.</summary>
    Uuid,

    /// <summary>Number of the device on its host.</summary>
    Index,

    /// <summary>Device file; identifies like <see cref="Index"/>, for exporters that have nothing better.</summary>
    DeviceFile,
    Host,

    /// <summary>Prometheus' own: which exporter; pages have none and get where they came from.</summary>
    Exporter,

    /// <summary>Prometheus' own: which scrape configuration.</summary>
    Job,

    /// <summary>MIG instance, or partition of an AMD device.</summary>
    Instance,

    /// <summary>Replica of a shared GPU (time slicing, MPS).</summary>
    Replica,

    /// <summary>Virtual device of a HAMi container.</summary>
    VirtualDevice,
    Namespace,
    Pod,
    Container,

    // What Prometheus renames where its own labels collide with the exporter's.
    ExportedNamespace,
    ExportedPod,
    ExportedContainer,

    // Names that collide with nothing: Ascend, HAMi up to 2.8 and dcgm-exporter's old-namespace mode.
    OwnNamespace,
    OwnPod,
    OwnContainer,
}

/// <summary>Names of <see cref="GpuLabel"/>.</summary>
internal static class GpuLabels
{
    /// <summary>Every label name that is read, commonest first.</summary>
    public static readonly IReadOnlyList<(string Name, int Slot)> Names =
    [
        ("gpu", (int)GpuLabel.Index),
        ("UUID", (int)GpuLabel.Uuid),
        ("device", (int)GpuLabel.DeviceFile),
        ("Hostname", (int)GpuLabel.Host),
        ("hostname", (int)GpuLabel.Host),
        ("container", (int)GpuLabel.Container),
        ("namespace", (int)GpuLabel.Namespace),
        ("pod", (int)GpuLabel.Pod),
        ("GPU_I_ID", (int)GpuLabel.Instance),
        ("vgpu", (int)GpuLabel.Replica),
        ("instance", (int)GpuLabel.Exporter),
        ("job", (int)GpuLabel.Job),
        ("exported_namespace", (int)GpuLabel.ExportedNamespace),
        ("exported_pod", (int)GpuLabel.ExportedPod),
        ("exported_container", (int)GpuLabel.ExportedContainer),
        ("pod_namespace", (int)GpuLabel.OwnNamespace),
        ("pod_name", (int)GpuLabel.OwnPod),
        ("container_name", (int)GpuLabel.OwnContainer),
        ("podnamespace", (int)GpuLabel.OwnNamespace),
        ("podname", (int)GpuLabel.OwnPod),
        ("ctrname", (int)GpuLabel.OwnContainer),
        ("deviceuuid", (int)GpuLabel.Uuid),
        ("device_uuid", (int)GpuLabel.Uuid),
        ("vdie_id", (int)GpuLabel.Uuid),
        ("uuid", (int)GpuLabel.Uuid),
        ("vdeviceid", (int)GpuLabel.VirtualDevice),
        ("vdevice_index", (int)GpuLabel.VirtualDevice),
        ("id", (int)GpuLabel.Index),
        ("gpu_id", (int)GpuLabel.Index),
        ("deviceidx", (int)GpuLabel.Index),
        ("device_index", (int)GpuLabel.Index),
        ("gpu_partition_id", (int)GpuLabel.Instance),
        ("node", (int)GpuLabel.Host),
    ];
}
