namespace GpuExternalScaler.Scaling.Recording;

/// <summary>The last readings and the last answer of one workload, as rows: what the next step is written as a difference from.</summary>
internal sealed class StepRows
{
    public StepRows(int id, RecordingSchema schema)
    {
        Id = id;
        Figures = new long[schema.Figures.Columns.Count];
    }

    /// <summary>Its number in the segment.</summary>
    public int Id { get; }

    public long[] Figures { get; }

    public RowList Queues { get; } = new();

    public RowList Pods { get; } = new();

    /// <summary>What KEDA was told.</summary>
    public long Value { get; set; }

    /// <summary>The reason, as the schema numbers it, times two, and one more while active.</summary>
    public long Standing { get; set; }

    /// <summary>Steps since a check was written.</summary>
    public int Unchecked { get; set; }
}

/// <summary>Rows of one width, one after the other.</summary>
internal sealed class RowList
{
    private long[] _cells = [];

    /// <summary>How many rows.</summary>
    public int Count { get; private set; }

    /// <summary>So many rows of such a width; new ones are zero.</summary>
    public Span<long> Resize(int count, int width)
    {
        if (_cells.Length < count * width)
        {
            Array.Resize(ref _cells, count * width);
        }

        if (count > Count)
        {
            _cells.AsSpan(Count * width, (count - Count) * width).Clear();
        }

        Count = count;
        return _cells.AsSpan(0, count * width);
    }

    /// <summary>All rows.</summary>
    public Span<long> Cells(int width) => _cells.AsSpan(0, Count * width);
}
