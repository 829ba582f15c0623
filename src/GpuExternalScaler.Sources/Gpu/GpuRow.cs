using System.Runtime.CompilerServices;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>What the labels of a row that name its pod say about the other rows of the same exporter (T9).</summary>
internal enum PodNaming : byte
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The pod stands in the label <c>pod</c>, which after Prometheus' relabelling is the exporter's own.</summary>
    Plain,

    /// <summary>The pod stands in another label, and would wherever this exporter knows a pod.</summary>
    Qualified,
}

/// <summary>
/// What one exporter says under one set of labels: one device row, or one row of a pod, container or replica. Kept from
/// sweep to sweep for its names; the figures are of <see cref="Sweep"/>.
/// </summary>
internal sealed class GpuRow
{
    private Figures _figures;

    public required GpuVendor Vendor { get; init; }

    public required string Device { get; init; }

    public required string Instance { get; init; }

    public required string Exporter { get; init; }

    /// <summary>Exporter and scrape configuration: within it, pods are named by the same labels.</summary>
    public required (string Job, string Exporter) Scope { get; init; }

    public required string? Namespace { get; init; }

    public required string? Pod { get; init; }

    public required string? Container { get; init; }

    /// <summary>The part of the pod's share that this row is, where parts add up (HAMi: container and virtual device).</summary>
    public required string Part { get; init; }

    public required PodNaming Naming { get; init; }

    /// <summary>Number of the sweep that last saw this row.</summary>
    public long Sweep { get; private set; }

    /// <summary>Newest sample of the row, in milliseconds since 1970, whether or not its value could be used.</summary>
    public long SeenAt { get; private set; }

    public GpuSample this[GpuFigure figure] => _figures[(int)figure];

    /// <summary>Notes that the row exists: a device held by a pod is held, even if its figures cannot be used.</summary>
    public void See(long sweep, long milliseconds)
    {
        if (Sweep != sweep)
        {
            Sweep = sweep;
            SeenAt = milliseconds;
            _figures = default;
            return;
        }

        SeenAt = Math.Max(SeenAt, milliseconds);
    }

    /// <summary>
    /// Takes a figure. Of several, the larger counts (T11); of free memory the smaller, since it falls as used memory rises:
    /// the larger of both, from different moments, would add up to a device that is too big.
    /// </summary>
    public void Take(GpuFigure figure, double value, long milliseconds)
    {
        ref var present = ref _figures[(int)figure];
        var smaller = figure is GpuFigure.Free or GpuFigure.OlderFree;
        var order = !present.IsKnown ? 1 : smaller ? present.Value.CompareTo(value) : value.CompareTo(present.Value);
        if (order > 0 || (order == 0 && milliseconds > present.Milliseconds))
        {
            present = new GpuSample(value, milliseconds);
        }
    }

    [InlineArray((int)GpuFigure.PercentOrRatio + 1)]
    private struct Figures
    {
        private GpuSample _first;
    }
}

/// <summary>A value and its time in milliseconds since 1970; the default is none.</summary>
internal readonly record struct GpuSample
{
    public GpuSample(double value, long milliseconds)
    {
        Value = value;
        Milliseconds = milliseconds;
        IsKnown = true;
    }

    public double Value { get; init; }

    public long Milliseconds { get; }

    public bool IsKnown { get; }
}
