namespace GpuExternalScaler.Scaling.Recording;

/// <summary>
/// Instants seen lately. Everything that one sweep read has the same ones: written as a place in this list they are the same bytes
/// for every workload, which is what makes a recording small.
/// </summary>
internal sealed class Instants
{
    private const int Capacity = 32;
    private readonly long[] _seen = new long[Capacity];
    private int _next;

    /// <summary>What a new one is written as a distance from.</summary>
    public long Anchor { get; set; }

    public void Write(RecordBuffer to, long ticks)
    {
        var place = _seen.AsSpan().IndexOf(ticks);
        to.Byte((byte)(place + 1));
        if (place < 0)
        {
            to.Signed(unchecked(ticks - Anchor));
            Add(ticks);
        }
    }

    public long Read(RecordSource from)
    {
        var place = from.Byte();
        if (place > Capacity)
        {
            throw from.Wrong("an instant that was not seen");
        }

        if (place > 0)
        {
            return _seen[place - 1];
        }

        var ticks = unchecked(from.Signed() + Anchor);
        Add(ticks);
        return ticks;
    }

    /// <summary>Forgets all.</summary>
    public void Clear(long anchor)
    {
        Array.Clear(_seen);
        (_next, Anchor) = (0, anchor);
    }

    private void Add(long ticks)
    {
        _seen[_next] = ticks;
        _next = (_next + 1) % Capacity;
    }
}

/// <summary>Rows of columns as what has changed since the row before.</summary>
internal static class RowCodec
{
    /// <summary>Writes which columns changed, and those; the row becomes the last one.</summary>
    public static void Write(RecordBuffer to, ReadOnlySpan<ColumnKind> kinds, Span<long> last, ReadOnlySpan<long> row, Instants instants)
    {
        var mask = to.Reserve((kinds.Length + 7) / 8);
        for (var i = 0; i < kinds.Length; i++)
        {
            var (before, now) = (last[i], row[i]);
            if (before == now)
            {
                continue;
            }

            to.Mark(mask, i);
            last[i] = now;
            switch (kinds[i])
            {
                case ColumnKind.Instant:
                    instants.Write(to, now);
                    break;
                case ColumnKind.Real:
                    to.Bits(before ^ now);
                    break;
                default:
                    to.Signed(unchecked(now - before));
                    break;
            }
        }
    }

    /// <summary>Reads a row over the one before.</summary>
    public static void Read(RecordSource from, ReadOnlySpan<ColumnKind> kinds, Span<long> row, Instants instants)
    {
        var mask = from.Bytes((kinds.Length + 7) / 8).Span;
        for (var i = 0; i < kinds.Length; i++)
        {
            if ((mask[i >> 3] & (1 << (i & 7))) == 0)
            {
                continue;
            }

            row[i] = kinds[i] switch
            {
                ColumnKind.Instant => instants.Read(from),
                ColumnKind.Real => row[i] ^ from.Bits(),
                _ => unchecked(row[i] + from.Signed()),
            };
        }
    }
}
