using System.Buffers;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>
/// A state as bytes, and back. What is written follows from the types, private fields included, with the names of their members: a
/// field added tomorrow is recorded without a word here, and an image from before it was added, or from after it was removed, can
/// still be read. Texts are not written, only whether there is one.
/// </summary>
public static class StateImage
{
    /// <summary>The image of an object with the names of its members.</summary>
    public static byte[] Write<T>(T state)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(state);
        var node = TypeNode.Of(typeof(T));
        var buffer = new RecordBuffer();
        Layout.Write(buffer, [node.Layout]);
        new ImageWriter(buffer).Write(state, node, anchor: 0);
        var image = buffer.Written.ToArray();
        ArrayPool<byte>.Shared.Return(buffer.Take().Bytes);
        return image;
    }

    /// <summary>
    /// The object of an image. Members that its type no longer has are skipped, those that the image does not have are as in a new one.
    /// </summary>
    /// <exception cref="InvalidDataException">It is no image of such an object.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> image)
        where T : class
    {
        var source = new RecordSource(image);
        var layouts = Layout.Read(source);
        if (layouts.Length == 0)
        {
            throw source.Wrong("no layout");
        }

        return (T)new ImageReader(source).Read(new LayoutBinding(layouts[0], TypeNode.Of(typeof(T))), anchor: 0);
    }
}

/// <summary>Writes objects and what they refer to.</summary>
internal sealed class ImageWriter(RecordBuffer buffer)
{
    private readonly Instants _instants = new();
    private int _depth;

    public RecordBuffer Buffer { get; } = buffer;

    /// <summary>Writes an object that stands by itself; instants as distances from one near it.</summary>
    public void Write(object value, TypeNode node, long anchor)
    {
        _instants.Clear(anchor);
        _depth = 0;
        node.Write(value, this);
    }

    /// <summary>Writes an object, or that there is none.</summary>
    public void WriteMaybe(object? value, TypeNode node)
    {
        Buffer.Byte(value is null ? (byte)0 : (byte)1);
        if (value is not null)
        {
            if (++_depth > RecordingLimits.Depth)
            {
                throw new NotSupportedException($"{node.Layout.Name} is too deep in other things to be recorded.");
            }

            node.Write(value, this);
            _depth--;
        }
    }

    /// <summary>A row of so many columns, and one of zeros that it is compared with at first.</summary>
    public static Span<long> Row(int columns, out Span<long> before)
    {
        // Of this object alone: its parts have rows of their own, and columns are few.
        var both = new long[2 * columns + 1];
        before = both.AsSpan(columns, columns);
        return both.AsSpan(0, columns);
    }

    public void WriteRow(ColumnKind[] kinds, Span<long> before, ReadOnlySpan<long> row) => RowCodec.Write(Buffer, kinds, before, row, _instants);
}

/// <summary>Reads objects and what they refer to.</summary>
internal sealed class ImageReader(RecordSource source)
{
    private readonly Instants _instants = new();
    private int _depth;

    /// <summary>Columns that were read, to be bounded over many images.</summary>
    public long Held { get; private set; }

    /// <summary>Reads an object that stands by itself.</summary>
    public object Read(LayoutBinding binding, long anchor)
    {
        _instants.Clear(anchor);
        (_depth, Held) = (0, 0);
        return binding.Node?.Read(binding, this) ?? throw source.Wrong($"{binding.Layout.Name}, which is nothing here");
    }

    /// <summary>Reads an object, or that there is none; null also for one that has no place any more.</summary>
    public object? ReadMaybe(LayoutBinding binding)
    {
        if (source.Byte() == 0)
        {
            return null;
        }

        if (++_depth > RecordingLimits.Depth)
        {
            throw source.Wrong("things within things without an end");
        }

        var read = binding.Node is { } node ? node.Read(binding, this) : Skip(binding.Layout);
        _depth--;
        return read;
    }

    /// <summary>How many elements follow. They are in the bytes that are left, so that a few bytes cannot ask for much memory.</summary>
    public int ReadLength(Layout layout, int columns)
    {
        var atLeast = layout.Kind == NodeKind.References ? 1 : (layout.Columns.Count + 7) / 8;
        var length = source.Count(RecordingLimits.Elements);
        if (atLeast == 0 && length > 0 && layout.Parts.Count == 0)
        {
            throw source.Wrong("elements of nothing");
        }

        Hold((long)length * Math.Max(1, columns));
        return (long)length * Math.Max(1, atLeast) <= source.Left ? length : throw source.Wrong("more elements than bytes");
    }

    public void ReadRow(Layout layout, Span<long> row)
    {
        Hold(row.Length);
        RowCodec.Read(source, layout.Kinds, row, _instants);
    }

    private object? Skip(Layout layout)
    {
        var count = layout.Kind == NodeKind.One ? 1 : ReadLength(layout, 1);
        var row = new long[layout.Columns.Count];
        for (var i = 0; i < count && layout.Kind != NodeKind.References; i++)
        {
            ReadRow(layout, row);
        }

        for (var i = 0; i < count; i++)
        {
            if (layout.Element is { } element)
            {
                ReadMaybe(new LayoutBinding(element, null));
            }

            foreach (var part in layout.Parts)
            {
                ReadMaybe(new LayoutBinding(part.Layout, null));
            }
        }

        return null;
    }

    private void Hold(long columns)
    {
        Held += columns;
        if (Held > RecordingLimits.Held)
        {
            throw source.Wrong("a state larger than can be");
        }
    }
}
