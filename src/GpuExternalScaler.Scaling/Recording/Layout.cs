namespace GpuExternalScaler.Scaling.Recording;

/// <summary>What a column holds, always as 64 bits.</summary>
internal enum ColumnKind : byte
{
    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>1 or 0.</summary>
    Boolean,

    /// <summary>A member of an enumeration, whose names are in the layout.</summary>
    Enumeration,

    /// <summary>The bits of a double.</summary>
    Real,

    /// <summary>UTC ticks.</summary>
    Instant,

    /// <summary>Ticks.</summary>
    Duration,

    /// <summary>Whether there is a text: 1 or 0. Texts are never recorded, for they may hold what is nobody's business.</summary>
    Text,
}

/// <summary>How a thing in a state is put together.</summary>
internal enum NodeKind : byte
{
    /// <summary>One object: its columns, and its parts.</summary>
    One,

    /// <summary>An array or list of values: columns and parts of each.</summary>
    Values,

    /// <summary>An array or list of objects, arrays or lists.</summary>
    References,
}

/// <summary>One scalar, however deep in structs: <c>Fleet.VramUsed</c>.</summary>
/// <param name="Name">Names of the members that lead to it.</param>
/// <param name="Kind">What it holds.</param>
/// <param name="Names">The names of an enumeration, by value; null for what is none.</param>
internal sealed record Column(string Name, ColumnKind Kind, IReadOnlyDictionary<long, string>? Names = null);

/// <summary>
/// The names behind the numbers of a recording: what makes a file readable for a program whose types have changed since. Derived
/// from types (<see cref="TypeNode"/>), or read from a file.
/// </summary>
internal sealed class Layout(string name, NodeKind kind)
{
    /// <summary>The type's name, for messages alone.</summary>
    public string Name { get; } = name;

    public NodeKind Kind { get; } = kind;

    /// <summary>The scalars.</summary>
    public IReadOnlyList<Column> Columns { get; set; } = [];

    /// <summary>What is not scalar: objects, arrays, lists.</summary>
    public IReadOnlyList<(string Name, Layout Layout)> Parts { get; set; } = [];

    /// <summary>What the references of <see cref="NodeKind.References"/> point to.</summary>
    public Layout? Element { get; set; }

    /// <summary>The kinds of the columns.</summary>
    public ColumnKind[] Kinds => _kinds ??= [.. Columns.Select(static column => column.Kind)];

    private ColumnKind[]? _kinds;

    /// <summary>Writes layouts and all that they lead to.</summary>
    public static void Write(RecordBuffer to, IReadOnlyList<Layout> roots)
    {
        List<Layout> all = [.. roots];
        for (var i = 0; i < all.Count; i++)
        {
            all.AddRange(all[i].Parts.Select(static part => part.Layout).Append(all[i].Element).OfType<Layout>().Distinct().Except(all).ToList());
        }

        to.Number(roots.Count);
        to.Number(all.Count);
        foreach (var layout in all)
        {
            to.Text(layout.Name);
            to.Byte((byte)layout.Kind);
            to.Number(layout.Element is null ? 0 : all.IndexOf(layout.Element) + 1);
            to.Number(layout.Columns.Count);
            foreach (var column in layout.Columns)
            {
                to.Text(column.Name);
                to.Byte((byte)column.Kind);
                to.Number(column.Names?.Count ?? 0);
                foreach (var (value, named) in column.Names ?? new Dictionary<long, string>())
                {
                    to.Signed(value);
                    to.Text(named);
                }
            }

            to.Number(layout.Parts.Count);
            foreach (var part in layout.Parts)
            {
                to.Text(part.Name);
                to.Number(all.IndexOf(part.Layout));
            }
        }
    }

    /// <summary>Reads them back.</summary>
    /// <exception cref="InvalidDataException">They are none.</exception>
    public static Layout[] Read(RecordSource from)
    {
        var roots = from.Count(RecordingLimits.Layouts);
        var count = from.Count(RecordingLimits.Layouts);
        var (all, elements, parts) = (new Layout[count], new int[count], new (string Name, int Layout)[count][]);
        for (var i = 0; i < count; i++)
        {
            all[i] = new Layout(from.Text(), from.Byte() is var kind && kind <= (byte)NodeKind.References ? (NodeKind)kind : throw from.Wrong("a kind of thing that there is not"));
            elements[i] = from.Count(count);
            var columns = new Column[from.Count(RecordingLimits.Columns)];
            for (var c = 0; c < columns.Length; c++)
            {
                columns[c] = ReadColumn(from);
            }

            if (columns.DistinctBy(static column => (column.Name, column.Kind)).Count() < columns.Length)
            {
                throw from.Wrong("two columns of one name");
            }

            all[i].Columns = columns;
            parts[i] = new (string, int)[from.Count(RecordingLimits.Columns)];
            for (var p = 0; p < parts[i].Length; p++)
            {
                parts[i][p] = (from.Text(), from.Count(count - 1));
            }
        }

        for (var i = 0; i < count; i++)
        {
            all[i].Parts = [.. parts[i].Select(part => (part.Name, all[part.Layout]))];
            all[i].Element = elements[i] == 0 ? null : all[elements[i] - 1];
            if ((all[i].Kind == NodeKind.References) != (all[i].Element is not null))
            {
                throw from.Wrong("references to nothing");
            }
        }

        return roots <= count ? all[..roots] : throw from.Wrong("fewer layouts than roots");
    }

    private static Column ReadColumn(RecordSource from)
    {
        var name = from.Text();
        var kind = from.Byte();
        var names = new Dictionary<long, string>();
        for (var left = from.Count(RecordingLimits.Columns); left > 0; left--)
        {
            var value = from.Signed();
            names[value] = from.Text();
        }

        return kind <= (byte)ColumnKind.Text ? new Column(name, (ColumnKind)kind, names.Count == 0 ? null : names) : throw from.Wrong("a kind of column that there is not");
    }
}

/// <summary>What a recording can hold at most; more is no recording, or one that means ill.</summary>
internal static class RecordingLimits
{
    /// <summary>Layouts in a schema.</summary>
    public const int Layouts = 1_000;

    /// <summary>Columns, parts or names of one.</summary>
    public const int Columns = 4_000;

    /// <summary>UTF-8 bytes of a name.</summary>
    public const int Text = 1_000;

    /// <summary>Elements of one array of a state.</summary>
    public const int Elements = 1 << 20;

    /// <summary>Queues or pods of one workload.</summary>
    public const int Readings = 1 << 20;

    /// <summary>Things within things of a state.</summary>
    public const int Depth = 16;

    /// <summary>Unpacked bytes that are written at once.</summary>
    public const int Frame = 64 << 20;

    /// <summary>Workloads that go on at one moment.</summary>
    public const int Workloads = 200_000;

    /// <summary>Columns of all their states and readings.</summary>
    public const long Held = 1L << 26;
}
