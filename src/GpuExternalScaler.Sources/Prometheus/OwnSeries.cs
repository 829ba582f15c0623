namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>The series of this program that it reads again: who writes them and who reads them go by the same names.</summary>
public static class OwnSeries
{
    /// <summary>Arrivals of a workload's queues in 1/s.</summary>
    public const string Arrivals = "gpu_scaler_workload_arrivals_per_second";

    /// <summary>Its measured service time in seconds.</summary>
    public const string MeasuredServiceTime = "gpu_scaler_workload_service_time_measured_seconds";

    /// <summary>Its measured cold start in seconds.</summary>
    public const string MeasuredColdStart = "gpu_scaler_workload_cold_start_measured_seconds";

    /// <summary>The label with the namespace.</summary>
    public const string Namespace = "namespace";

    /// <summary>The label with the ScaledObject's name.</summary>
    public const string ScaledObject = "scaled_object";

    /// <summary>The label with the trigger's identity.</summary>
    public const string Trigger = "trigger";

    /// <summary>The label that a measured service time has besides: whose messages and slots it was measured with, in short.</summary>
    public const string Slots = "slots";

    /// <summary>What Prometheus makes of <see cref="Namespace"/> where it keeps its target's own.</summary>
    internal const string ExportedNamespace = "exported_namespace";

    /// <summary>What to group by: a sample of each workload, however many servers say it.</summary>
    /// <param name="apart">What tells those of one ScaledObject apart: <see cref="Trigger"/> or <see cref="Slots"/>.</param>
    internal static string[] LabelsBy(string apart) => [Namespace, ExportedNamespace, ScaledObject, apart];

    /// <summary>Whose a series is; null for one that is nobody's.</summary>
    internal static SeriesOwner? OwnerOf(PrometheusLabels labels, string apart)
    {
        var @namespace = labels[ExportedNamespace] is { Length: > 0 } exported ? exported : labels[Namespace];
        var (name, trigger) = (labels[ScaledObject], labels[apart]);
        return @namespace.Length == 0 || name.Length == 0 || trigger.Length == 0 ? null : new SeriesOwner(@namespace, name, trigger);
    }
}

/// <summary>The workload that a series is about.</summary>
/// <param name="Namespace">Namespace of its ScaledObject.</param>
/// <param name="ScaledObject">The ScaledObject's name.</param>
/// <param name="Trigger">The trigger's identity, which changes when its metadata is edited.</param>
public readonly record struct SeriesOwner(string Namespace, string ScaledObject, string Trigger);
