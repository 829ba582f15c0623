namespace GpuExternalScaler.Scaling.Recording;

/// <summary>What a record is. One with the highest bit set is a step, and says itself what is in it.</summary>
internal static class RecordKind
{
    /// <summary>The moment of what follows.</summary>
    public const byte Moment = 1;

    /// <summary>A workload appears, with its state and policy.</summary>
    public const byte Begin = 2;

    /// <summary>Nobody is answered for a while.</summary>
    public const byte Interrupt = 3;

    /// <summary>Another policy.</summary>
    public const byte Policy = 4;

    /// <summary>Nothing more of a workload in this segment.</summary>
    public const byte End = 5;

    public const byte Step = 0x80;

    /// <summary>It is not the workload after the one before.</summary>
    public const byte Named = 1;

    public const byte Figures = 2;

    public const byte Queues = 4;

    public const byte Pods = 8;

    public const byte Answer = 16;

    public const byte Check = 32;

    public const byte Threw = 64;
}

/// <summary>
/// Writes records of rows. A step is what changed since the workload's step before: readings mostly stand still, and then it is a byte.
/// </summary>
internal sealed class StepEncoder(RecordingSchema schema, RecordBuffer to)
{
    /// <summary>A check is written whenever something changed, and every so many steps.</summary>
    public const int CheckEvery = 16;

    private readonly Instants _instants = new();
    private long _moment;
    private int _ids;
    private int _last;

    /// <summary>A workload appears; gives what its steps are compared with.</summary>
    public StepRows Begin(RecordedName name, ReadOnlySpan<byte> state, ReadOnlySpan<byte> policy, long moment)
    {
        At(moment);
        to.Byte(RecordKind.Begin);
        to.Text(name.Namespace);
        to.Text(name.Name);
        to.Text(name.Trigger);
        to.Number(state.Length);
        to.Bytes(state);
        to.Number(policy.Length);
        to.Bytes(policy);
        return new StepRows(_ids++, schema);
    }

    public void Interrupt(StepRows rows, long moment) => About(RecordKind.Interrupt, rows, moment);

    public void End(StepRows rows, long moment) => About(RecordKind.End, rows, moment);

    public void Policy(StepRows rows, ReadOnlySpan<byte> policy, long moment)
    {
        About(RecordKind.Policy, rows, moment);
        to.Number(policy.Length);
        to.Bytes(policy);
    }

    /// <summary>A step.</summary>
    /// <param name="rows">What is compared with; it becomes this step.</param>
    /// <param name="moment">When.</param>
    /// <param name="figures">The snapshot's figures.</param>
    /// <param name="queues">Its queues.</param>
    /// <param name="pods">Its pods.</param>
    /// <param name="value">What KEDA is told.</param>
    /// <param name="standing">See <see cref="StepRows.Standing"/>.</param>
    /// <param name="check">Of all decisions so far; null when there is none.</param>
    /// <param name="threw">Whether there is no decision.</param>
    public void Step(StepRows rows, long moment, ReadOnlySpan<long> figures, ReadOnlySpan<long> queues, ReadOnlySpan<long> pods, long value, long standing, byte? check, bool threw)
    {
        At(moment);
        var head = to.Reserve(1);
        var flags = RecordKind.Step;
        if (rows.Id != _last + 1)
        {
            flags |= RecordKind.Named;
            to.Number(rows.Id);
        }

        _last = rows.Id;
        if (!figures.SequenceEqual(rows.Figures))
        {
            flags |= RecordKind.Figures;
            RowCodec.Write(to, schema.Figures.Kinds, rows.Figures, figures, _instants);
        }

        if (Write(schema.Queue, rows.Queues, queues))
        {
            flags |= RecordKind.Queues;
        }

        if (Write(schema.Pod, rows.Pods, pods))
        {
            flags |= RecordKind.Pods;
        }

        if (threw)
        {
            flags |= RecordKind.Threw;
        }
        else if (value != rows.Value || standing != rows.Standing)
        {
            flags |= RecordKind.Answer;
            to.Signed(value - rows.Value);
            to.Number(standing);
            (rows.Value, rows.Standing) = (value, standing);
        }

        rows.Unchecked++;
        if (check is { } known && ((flags & ~RecordKind.Named) != RecordKind.Step || rows.Unchecked >= CheckEvery))
        {
            flags |= RecordKind.Check;
            to.Byte(known);
            rows.Unchecked = 0;
        }

        to.Set(head, flags);
    }

    private bool Write(Layout layout, RowList last, ReadOnlySpan<long> rows)
    {
        var width = layout.Kinds.Length;
        if (rows.SequenceEqual(last.Cells(width)))
        {
            return false;
        }

        var count = rows.Length / width;
        to.Number(count);
        var before = last.Resize(count, width);
        for (var i = 0; i < rows.Length; i += width)
        {
            RowCodec.Write(to, layout.Kinds, before.Slice(i, width), rows.Slice(i, width), _instants);
        }

        return true;
    }

    private void About(byte kind, StepRows rows, long moment)
    {
        At(moment);
        to.Byte(kind);
        to.Number(rows.Id);
    }

    private void At(long moment)
    {
        if (moment == _moment)
        {
            return;
        }

        to.Byte(RecordKind.Moment);
        to.Signed(moment - _moment);
        (_moment, _instants.Anchor, _last) = (moment, moment, -1);
    }
}
