using System.Runtime.InteropServices;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Figures of many workloads at the same moments, a fixed step apart: 4 bytes each. Filled by one thread, then only read.
/// </summary>
/// <param name="start">The first moment, on the program's clock.</param>
/// <param name="step">Time between two.</param>
/// <param name="count">How many there are.</param>
/// <param name="apart">The label that tells the rows of one ScaledObject apart.</param>
internal sealed class SeriesGrid(DateTimeOffset start, TimeSpan step, int count, string apart = OwnSeries.Trigger)
{
    private readonly Dictionary<(string Namespace, string ScaledObject), List<Row>> _rows = [];

    /// <summary>Moments.</summary>
    public int Count => count;

    /// <summary>What tells the rows of one ScaledObject apart.</summary>
    public string Apart => apart;

    /// <summary>Rows there are.</summary>
    public int Rows { get; private set; }

    /// <summary>The moment of an index.</summary>
    public DateTimeOffset At(int index) => start + (index * step);

    /// <summary>The index of the moment at or after another; outside of 0 to <see cref="Count"/> − 1 for one that is not covered.</summary>
    public int IndexAtOrAfter(DateTimeOffset at) => (int)Math.Clamp(Math.Ceiling((at - start) / step), int.MinValue / 2, int.MaxValue / 2);

    /// <summary>Takes an answer's series in.</summary>
    /// <param name="result">A matrix of <see cref="OwnSeries"/>; or a vector, whose figures are of the first moment.</param>
    /// <param name="ahead">How far the server's clock is ahead of the program's.</param>
    public void Add(PrometheusResult result, TimeSpan ahead)
    {
        var isVector = result.Type == PrometheusResultType.Vector;
        foreach (var series in result.Series)
        {
            if (OwnSeries.OwnerOf(series.Labels, apart) is not { } owner || series.Points.Count == 0)
            {
                continue;
            }

            var row = RowOf(owner);
            var values = row.Values;
            foreach (var point in series.Points)
            {
                var index = isVector ? 0 : (int)Math.Round((point.At - ahead - start) / step);
                if ((float)point.Value is >= 0 and < float.PositiveInfinity and var value && index >= 0 && index < count)
                {
                    // With and without honor_labels at once: the same figure twice.
                    values[index] = float.IsNaN(values[index]) ? value : Math.Max(values[index], value);
                    row.Last = Math.Max(row.Last, index);
                }
            }
        }
    }

    /// <summary>The figures of one row, NaN where there is none; null without.</summary>
    public float[]? FindRow(SeriesOwner owner) =>
        _rows.TryGetValue((owner.Namespace, owner.ScaledObject), out var rows) ? rows.Find(row => row.Trigger == owner.Trigger)?.Values : null;

    /// <summary>
    /// A workload's figures, NaN where there is none; null where nothing is known. Of a trigger without any, those of the other of the
    /// same ScaledObject that was there last: its metadata was edited. Not of one that is among several, or is still asked about,
    /// for that is about other queues.
    /// </summary>
    /// <param name="owner">The workload.</param>
    /// <param name="isAskedAbout">Whether a workload is one that the server evaluates.</param>
    public float[]? Find(SeriesOwner owner, Predicate<SeriesOwner> isAskedAbout)
    {
        if (!_rows.TryGetValue((owner.Namespace, owner.ScaledObject), out var rows))
        {
            return null;
        }

        if (rows.Find(row => row.Trigger == owner.Trigger) is { } own)
        {
            return own.Values;
        }

        var newest = rows.Max(static row => row.Last);
        var last = rows.FindAll(row => row.Last == newest);
        return last is [var other] && newest >= 0 && !isAskedAbout(owner with { Trigger = other.Trigger }) ? other.Values : null;
    }

    private Row RowOf(SeriesOwner owner)
    {
        var rows = CollectionsMarshal.GetValueRefOrAddDefault(_rows, (owner.Namespace, owner.ScaledObject), out _) ??= [];
        if (rows.Find(row => row.Trigger == owner.Trigger) is { } known)
        {
            return known;
        }

        var row = new Row(owner.Trigger, new float[count]);
        Array.Fill(row.Values, float.NaN);
        rows.Add(row);
        Rows++;
        return row;
    }

    private sealed record Row(string Trigger, float[] Values)
    {
        /// <summary>The last moment with a figure; below zero without any.</summary>
        public int Last { get; set; } = -1;
    }
}
