using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>What one answer said about one queue.</summary>
internal struct QueueRow
{
    public long Ready;
    public long Unacked;
    public long Consumers;

    /// <summary>Raw counters; meaningful where <see cref="RowFields.Counters"/> is set.</summary>
    public CounterSample Counters;
    public RowFields Fields;
    public QueueKind Kind;

    /// <summary>Single active consumer; meaningful where <see cref="RowFields.Arguments"/> is set.</summary>
    public bool IsSingleActive;

    public readonly bool Has(RowFields fields) => (Fields & fields) == fields;
}

[Flags]
internal enum RowFields : ushort
{
    None = 0,
    Ready = 1,
    Unacked = 2,
    Consumers = 4,

    /// <summary>Ready and unacknowledged: the coarse family.</summary>
    Coarse = Ready | Unacked,

    /// <summary>Everything a queue needs to be present; orphan consumer series outlive a deleted queue by 2 minutes.</summary>
    Gauges = Coarse | Consumers,
    Counters = 8,

    /// <summary>The queue exists, whatever else is known.</summary>
    Exists = 16,
    Leader = 32,

    /// <summary>What the queue was declared with is known.</summary>
    Arguments = 64,
}

/// <summary>One answer about many queues; reused from sweep to sweep.</summary>
internal sealed class QueueRows
{
    private QueueRow[] _rows = [];
    private int _used;

    /// <summary>Rows by slot. Slots beyond were not mentioned.</summary>
    public ReadOnlySpan<QueueRow> Span => _rows.AsSpan(0, _used);

    public void Clear()
    {
        Array.Clear(_rows, 0, _used);
        _used = 0;
    }

    public ref QueueRow this[int slot]
    {
        get
        {
            if (slot >= _rows.Length)
            {
                Array.Resize(ref _rows, Math.Max(64, Math.Max(slot + 1, _rows.Length * 2)));
            }

            _used = Math.Max(_used, slot + 1);
            return ref _rows[slot];
        }
    }

    /// <summary>The row of a slot, empty if the answer did not mention it.</summary>
    public QueueRow Get(int slot) => slot < _used ? _rows[slot] : default;
}
