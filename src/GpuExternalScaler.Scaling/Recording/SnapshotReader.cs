using System.Runtime.InteropServices;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>What the snapshots of one workload are made of, one after the other.</summary>
internal sealed class SnapshotReadings
{
    public QueueReading[] Queues = [];
    public PodMemory[] Pods = [];
}

/// <summary>Makes snapshots of the rows of one segment, whatever program wrote it.</summary>
internal sealed class SnapshotReader
{
    private readonly RecordingSchema _schema;
    private readonly ColumnBinding[] _figureColumns;
    private readonly ColumnBinding[] _queueColumns;
    private readonly ColumnBinding[] _podColumns;
    private readonly long[] _figureRow = new long[Rows<SnapshotFigures>.Width];
    private long[] _cells = [];

    public SnapshotReader(RecordingSchema schema)
    {
        _schema = schema;
        _figureColumns = ColumnBinding.Of(schema.Figures.Columns, Rows<SnapshotFigures>.Layout.Columns);
        _queueColumns = ColumnBinding.Of(schema.Queue.Columns, Rows<QueueReading>.Layout.Columns);
        _podColumns = ColumnBinding.Of(schema.Pod.Columns, Rows<PodMemory>.Layout.Columns);
    }

    /// <summary>The snapshot of a step; it holds until the next one of the same workload.</summary>
    public WorkloadSnapshot Read(StepRows rows, SnapshotReadings readings)
    {
        Array.Clear(_figureRow);
        ColumnBinding.Translate(_figureColumns, rows.Figures, _figureRow);
        var figures = default(SnapshotFigures);
        Rows<SnapshotFigures>.Type.Write(ref figures, ref MemoryMarshal.GetArrayDataReference(_figureRow));
        return figures.With(
            Values(rows.Queues, _schema.Queue, _queueColumns, ref readings.Queues),
            Values(rows.Pods, _schema.Pod, _podColumns, ref readings.Pods));
    }

    private ReadOnlySpan<T> Values<T>(RowList rows, Layout layout, ColumnBinding[] columns, ref T[] values)
        where T : struct
    {
        if (values.Length < rows.Count)
        {
            Array.Resize(ref values, rows.Count);
        }

        var (width, present) = (layout.Columns.Count, Rows<T>.Width);
        Array.Resize(ref _cells, Math.Max(_cells.Length, present));
        var written = rows.Cells(width);
        for (var i = 0; i < rows.Count; i++)
        {
            Array.Clear(_cells, 0, present);
            ColumnBinding.Translate(columns, written.Slice(i * width, width), _cells);
            Rows<T>.Type.Write(ref values[i], ref MemoryMarshal.GetArrayDataReference(_cells));
        }

        return values.AsSpan(0, rows.Count);
    }
}
