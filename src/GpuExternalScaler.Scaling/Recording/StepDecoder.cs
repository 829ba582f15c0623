namespace GpuExternalScaler.Scaling.Recording;

/// <summary>A workload in a segment that is being read.</summary>
internal sealed class DecodedWorkload(RecordedName name, StepRows rows)
{
    public RecordedName Name { get; } = name;

    /// <summary>Its readings and answer as of the step that was just read.</summary>
    public StepRows Rows { get; } = rows;

    /// <summary>What the reader makes of it.</summary>
    public object? Tag { get; set; }

    /// <summary>Columns that it holds.</summary>
    public long Held { get; set; }
}

/// <summary>Reads records back, one after the other.</summary>
internal sealed class StepDecoder(RecordingSchema schema, RecordSource from)
{
    private readonly Instants _instants = new();
    private readonly Dictionary<int, DecodedWorkload> _workloads = [];
    private long _held;
    private int _ids;
    private int _last;

    /// <summary>The schema of the segment.</summary>
    public RecordingSchema Schema { get; } = schema;

    /// <summary>What was just read: <see cref="RecordKind.Step"/> for a step.</summary>
    public byte Kind { get; private set; }

    /// <summary>Whom it is about.</summary>
    public DecodedWorkload Workload { get; private set; } = null!;

    /// <summary>When, in UTC ticks.</summary>
    public long Moment { get; private set; }

    /// <summary>Of a beginning: the state's image.</summary>
    public ReadOnlyMemory<byte> State { get; private set; }

    /// <summary>Of a beginning or a change of policy: the policy's image.</summary>
    public ReadOnlyMemory<byte> Policy { get; private set; }

    /// <summary>Of a step: the check, where there is one.</summary>
    public byte? Check { get; private set; }

    /// <summary>Of a step: whether it had no decision.</summary>
    public bool Threw { get; private set; }

    /// <summary>Where the record is, for messages.</summary>
    public RecordSource Source { get; } = from;

    /// <summary>Reads the next record but moments; false at the end of the bytes.</summary>
    public bool Next()
    {
        while (!Source.IsAtEnd)
        {
            var kind = Source.Byte();
            if (kind == RecordKind.Moment)
            {
                Moment = unchecked(Moment + Source.Signed());
                if (Moment < 0 || Moment > DateTimeOffset.MaxValue.UtcTicks)
                {
                    throw Source.Wrong("a moment that is none");
                }

                (_instants.Anchor, _last) = (Moment, -1);
                continue;
            }

            (Kind, State, Policy, Check, Threw) = (kind, default, default, null, false);
            if (kind >= RecordKind.Step)
            {
                Step(kind);
            }
            else if (kind == RecordKind.Begin)
            {
                Begin();
            }
            else
            {
                Workload = Find(Source.Count(int.MaxValue));
                switch (kind)
                {
                    case RecordKind.Policy:
                        Policy = Source.Bytes(Source.Count(RecordingLimits.Frame));
                        break;
                    case RecordKind.End:
                        _workloads.Remove(Workload.Rows.Id);
                        _held -= Workload.Held;
                        break;
                    case RecordKind.Interrupt:
                        break;
                    default:
                        throw Source.Wrong($"a record of kind {kind}");
                }
            }

            return true;
        }

        return false;
    }

    /// <summary>Bounds what all workloads that go on hold together.</summary>
    public void Hold(long columns)
    {
        Workload.Held += columns;
        _held += columns;
        if (_held > RecordingLimits.Held)
        {
            throw Source.Wrong("more than can be");
        }
    }

    private void Begin()
    {
        Workload = new DecodedWorkload(new RecordedName(Source.Text(), Source.Text(), Source.Text()), new StepRows(_ids++, Schema));
        _workloads[Workload.Rows.Id] = Workload;
        if (_workloads.Count > RecordingLimits.Workloads)
        {
            throw Source.Wrong("more workloads than can be");
        }

        State = Source.Bytes(Source.Count(RecordingLimits.Frame));
        Policy = Source.Bytes(Source.Count(RecordingLimits.Frame));
        Hold(Schema.Figures.Columns.Count);
    }

    private void Step(byte flags)
    {
        Kind = RecordKind.Step;
        Workload = Find((flags & RecordKind.Named) != 0 ? Source.Count(int.MaxValue) : _last + 1);
        var rows = Workload.Rows;
        _last = rows.Id;
        if ((flags & RecordKind.Figures) != 0)
        {
            RowCodec.Read(Source, Schema.Figures.Kinds, rows.Figures, _instants);
        }

        if ((flags & RecordKind.Queues) != 0)
        {
            Read(Schema.Queue, rows.Queues);
        }

        if ((flags & RecordKind.Pods) != 0)
        {
            Read(Schema.Pod, rows.Pods);
        }

        Threw = (flags & RecordKind.Threw) != 0;
        if ((flags & RecordKind.Answer) != 0)
        {
            rows.Value = unchecked(rows.Value + Source.Signed());
            rows.Standing = (long)Source.Unsigned();
        }

        Check = (flags & RecordKind.Check) != 0 ? Source.Byte() : null;
    }

    private void Read(Layout layout, RowList rows)
    {
        var width = layout.Kinds.Length;
        var count = Source.Count(RecordingLimits.Readings);
        if ((long)count * ((width + 7) / 8) > Source.Left || width == 0)
        {
            throw Source.Wrong("more readings than bytes");
        }

        Hold(Math.Max(0, count - rows.Count) * (long)width);
        var cells = rows.Resize(count, width);
        for (var i = 0; i < cells.Length; i += width)
        {
            RowCodec.Read(Source, layout.Kinds, cells.Slice(i, width), _instants);
        }
    }

    private DecodedWorkload Find(int id) => _workloads.TryGetValue(id, out var workload) ? workload : throw Source.Wrong($"a workload {id} that did not appear");
}
