using GpuExternalScaler.Sources.Exposition;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// Collects samples of one sweep, from pages or from Prometheus results, and normalises them to shares (T8 to T13, T16,
/// T20). The order of samples does not matter, nor how often one is given. Reused from sweep to sweep; not thread-safe.
/// </summary>
/// <param name="staleAfter">Age past which samples with timestamps of their own are refused (T20).</param>
/// <param name="kind">Whose metrics count; null for everybody's.</param>
internal sealed class GpuSampleReader(TimeSpan staleAfter, GpuKind? kind = null)
{
    /// <summary>
    /// Most rows kept. Two thousand GPUs have some ten thousand; what a broken exporter may send would otherwise fill the memory.
    /// </summary>
    internal const int MostRows = 100_000;

    // Larger values would be defects of the exporter, and do not fit a whole number of bytes.
    private const double LargestValue = 1e15;

    // Scrape configurations, or exporters read directly.
    private const int MostScopes = 10_000;

    private readonly PickedLabels _labels = new(GpuLabels.Names);
    private readonly Dictionary<byte[], GpuRow> _rows = new(ByteStringComparer.Instance);
    private readonly RefusalTally _refused = new();
    private readonly List<GpuRow> _seen = [];
    private readonly HashSet<(string Job, string Exporter)> _qualified = [];
    private SampleClock _clock;
    private long _sweep;
    private bool _isOverfull;

    /// <summary>Rows kept for their names, of this sweep and earlier ones.</summary>
    internal int RememberedRows => _rows.Count;

    /// <summary>Begins a sweep, and forgets the figures of the last.</summary>
    /// <param name="now">When the sweep asks: the time of samples that have none of their own.</param>
    public void Begin(DateTimeOffset now)
    {
        // Pods come and go; the rows of those that went are worth nothing.
        if (_rows.Count > 1024 + (2 * _seen.Count) || _rows.Count > MostRows / 2)
        {
            _rows.Clear();
        }

        if (_qualified.Count > MostScopes)
        {
            _qualified.Clear();
        }

        _seen.Clear();
        _refused.Clear();
        _isOverfull = false;
        _clock = new SampleClock(now, staleAfter);
        _sweep++;
    }

    /// <summary>
    /// Takes the samples of an exporter's page; those of other metrics are passed over. Returns how many there were, usable or not:
    /// a page with none is not an exporter's.
    /// </summary>
    /// <param name="page">Prometheus text format.</param>
    /// <param name="exporter">Where it came from, <c>host:port</c>.</param>
    public int TakePage(ReadOnlySpan<byte> page, string exporter)
    {
        var taken = 0;
        var reader = new ExpositionReader(page);
        var name = default(ReadOnlySpan<byte>);
        GpuMetric? metric = null;
        while (reader.Read())
        {
            // Metrics come in blocks.
            if (!reader.Name.SequenceEqual(name))
            {
                name = reader.Name;
                metric = GpuMetric.Find(name) is { } found && (kind is null || found.IsOf(kind.Value)) ? found : null;
            }

            if (metric is not null)
            {
                taken++;
                Take(metric, _labels.Take(reader.Labels), exporter, reader.Value, reader.TimestampMilliseconds);
            }
        }

        if (reader.BadLines > 0)
        {
            _refused.Add(SampleRefusal.BadLine, count: reader.BadLines);
        }

        return taken;
    }

    /// <summary>Takes one sample of a query's result.</summary>
    /// <param name="metric">Which metric, by <see cref="GpuMetric.Find"/>.</param>
    /// <param name="labels">Its labels.</param>
    /// <param name="value">Its value.</param>
    /// <param name="sampledAt">When it was sampled, which is not when it was asked for (T17).</param>
    public void Take(GpuMetric metric, IEnumerable<KeyValuePair<string, string>> labels, double value, DateTimeOffset sampledAt) =>
        Take(metric, _labels.Take(labels), "", value, sampledAt.ToUnixTimeMilliseconds());

    /// <summary>Ends the sweep.</summary>
    public AcceleratorReading Finish()
    {
        var (shares, unallocated) = GpuFold.Fold(_seen, _qualified, _refused);
        return new AcceleratorReading { Shares = shares, Unallocated = unallocated, IsOverfull = _isOverfull, Refused = _refused.ToArray() };
    }

    private void Take(GpuMetric metric, bool readable, string exporter, double value, long? timestamp)
    {
        if (!readable)
        {
            _refused.Add(SampleRefusal.BadLabel);
            return;
        }

        _labels.Default((int)GpuLabel.Exporter, exporter);

        // A stale sample proves nothing, not even that the pod is still there.
        if (_clock.Place(timestamp, out var milliseconds) is { } refusal)
        {
            _refused.Add(refusal, Text(GpuLabel.Uuid));
            return;
        }

        if (RowOfSample(metric.Vendor) is not { } row)
        {
            return;
        }

        if (row.Sweep != _sweep)
        {
            _seen.Add(row);
        }

        row.See(_sweep, milliseconds);
        if (!(value is >= 0 and <= LargestValue) || (metric.Figure == GpuFigure.Ratio && value > 1) || (IsPercent(metric.Figure) && value > 100))
        {
            _refused.Add(SampleRefusal.BadValue, row.Device);
            return;
        }

        row.Take(metric.Figure, value * metric.Scale, milliseconds);
    }

    private static bool IsPercent(GpuFigure figure) => figure is GpuFigure.Percent or GpuFigure.PercentOrRatio;

    private GpuRow? RowOfSample(GpuVendor vendor)
    {
        var rows = _rows.GetAlternateLookup<ReadOnlySpan<byte>>();
        var key = _labels.Key((byte)vendor);
        if (rows.TryGetValue(key, out var row))
        {
            return row;
        }

        if (Device() is not { } device)
        {
            _refused.Add(SampleRefusal.NoDevice);
            return null;
        }

        if (_rows.Count >= MostRows)
        {
            _isOverfull = true;
            _refused.Add(SampleRefusal.TooMany);
            return null;
        }

        var (pod, @namespace, container) = PodOf(vendor, out var naming);
        row = new GpuRow
        {
            Vendor = vendor,
            Device = device,
            Instance = Text(GpuLabel.Instance),
            Exporter = Text(GpuLabel.Exporter),
            Scope = (Text(GpuLabel.Job), Has(GpuLabel.Job) ? "" : Text(GpuLabel.Exporter)),
            Namespace = @namespace,
            Pod = pod,
            Container = container,
            Part = vendor == GpuVendor.Hami ? container + "/" + Text(GpuLabel.VirtualDevice) : "",
            Naming = naming,
        };
        rows[key] = row;
        return row;
    }

    private string? Device()
    {
        if (Has(GpuLabel.Uuid))
        {
            return Text(GpuLabel.Uuid);
        }

        // Device 0 of which host? Without an answer, two hosts' would be one.
        var index = Has(GpuLabel.Index) ? GpuLabel.Index : GpuLabel.DeviceFile;
        var host = Has(GpuLabel.Host) ? GpuLabel.Host : GpuLabel.Exporter;
        return Has(index) && Has(host) ? Text(host) + "/" + Text(index) : null;
    }

    // T9. Labels that Prometheus renamed come first: beside them, the plain ones are the exporter's own.
    private (string? Pod, string? Namespace, string? Container) PodOf(GpuVendor vendor, out PodNaming naming)
    {
        if (Has(GpuLabel.ExportedPod))
        {
            naming = PodNaming.Qualified;
            return Pod(GpuLabel.ExportedPod, GpuLabel.ExportedContainer, GpuLabel.ExportedNamespace, GpuLabel.Namespace);
        }

        if (Has(GpuLabel.OwnPod))
        {
            // HAMi may show the same pods under its newer names too, and those are plain. Ascend's own pod label has
            // nothing to collide with, but its namespace has.
            naming = vendor == GpuVendor.Hami ? PodNaming.None : PodNaming.Qualified;
            return Pod(GpuLabel.OwnPod, GpuLabel.OwnContainer, GpuLabel.OwnNamespace, GpuLabel.ExportedNamespace, GpuLabel.Namespace);
        }

        // Ascend never writes "pod": where there is one, Prometheus put it there.
        if (!Has(GpuLabel.Pod) || vendor == GpuVendor.Ascend)
        {
            naming = PodNaming.None;
            return default;
        }

        naming = PodNaming.Plain;
        return Pod(GpuLabel.Pod, GpuLabel.Container, GpuLabel.Namespace);
    }

    private (string? Pod, string? Namespace, string? Container) Pod(
        GpuLabel pod, GpuLabel container, params ReadOnlySpan<GpuLabel> namespaces)
    {
        foreach (var label in namespaces)
        {
            if (Has(label))
            {
                return (Text(pod), Text(label), ContainerText(container));
            }
        }

        return (Text(pod), "", ContainerText(container));
    }

    private string? ContainerText(GpuLabel container) => Has(container) ? Text(container) : null;

    private bool Has(GpuLabel label) => _labels.Has((int)label);

    private string Text(GpuLabel label) => _labels.Text((int)label);
}
