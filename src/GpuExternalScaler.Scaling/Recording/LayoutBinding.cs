namespace GpuExternalScaler.Scaling.Recording;

/// <summary>A layout as a file has it, held against the types there are now: by name, whatever came, went or moved in between.</summary>
internal sealed class LayoutBinding
{
    private readonly ColumnBinding[] _columns;
    private readonly Lazy<IReadOnlyList<(int Place, LayoutBinding Binding)>> _parts;
    private readonly Lazy<LayoutBinding?> _element;

    /// <summary>Binds a layout; without a node, to nothing.</summary>
    public LayoutBinding(Layout layout, TypeNode? node)
    {
        Layout = layout;
        Node = node?.Layout.Kind == layout.Kind ? node : null;
        _columns = ColumnBinding.Of(layout.Columns, Node?.Layout.Columns ?? []);

        // Types may hold themselves.
        _parts = new(() => [.. Layout.Parts.Select(BindPart)]);
        _element = new(() => Layout.Element is null ? null : new LayoutBinding(Layout.Element, Node?.Element));
    }

    public Layout Layout { get; }

    /// <summary>What reads it now; null when it can only be skipped.</summary>
    public TypeNode? Node { get; }

    /// <summary>The layout's parts, each with its place in the type, or -1.</summary>
    public IReadOnlyList<(int Place, LayoutBinding Binding)> Parts => _parts.Value;

    public LayoutBinding? Element => _element.Value;

    /// <summary>Lays what was written over a row of the type.</summary>
    public void Translate(ReadOnlySpan<long> written, Span<long> row) => ColumnBinding.Translate(_columns, written, row);

    private (int Place, LayoutBinding Binding) BindPart((string Name, Layout Layout) part)
    {
        var names = Node?.Layout.Parts ?? [];
        for (var place = 0; place < names.Count; place++)
        {
            if (names[place].Name == part.Name && names[place].Layout.Kind == part.Layout.Kind)
            {
                return (place, new LayoutBinding(part.Layout, Node!.Parts[place]));
            }
        }

        return (-1, new LayoutBinding(part.Layout, null));
    }
}

/// <summary>A column as a file has it, and its place in a row of the type as it is now.</summary>
internal readonly struct ColumnBinding
{
    private readonly int _written;
    private readonly int _place;
    private readonly Dictionary<long, long>? _values;

    private ColumnBinding(int written, int place, Dictionary<long, long>? values)
    {
        (_written, _place, _values) = (written, place, values);
    }

    /// <summary>Binds the columns that both have.</summary>
    public static ColumnBinding[] Of(IReadOnlyList<Column> written, IReadOnlyList<Column> present)
    {
        var places = present.Select(static (column, place) => (column, place)).ToDictionary(static pair => (pair.column.Name, pair.column.Kind), static pair => pair);
        List<ColumnBinding> bound = [];
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < written.Count; i++)
        {
            if (names.Add(written[i].Name) && places.TryGetValue((written[i].Name, written[i].Kind), out var found))
            {
                bound.Add(new ColumnBinding(i, found.place, Renumbered(written[i].Names, found.column.Names)));
            }
        }

        return [.. bound];
    }

    public static void Translate(ColumnBinding[] columns, ReadOnlySpan<long> written, Span<long> row)
    {
        foreach (ref readonly var column in columns.AsSpan())
        {
            var value = written[column._written];
            row[column._place] = column._values is { } values && values.TryGetValue(value, out var renumbered) ? renumbered : value;
        }
    }

    // Members of an enumeration go by name: one may have been put in the middle. One that is gone is the first there is.
    private static Dictionary<long, long>? Renumbered(IReadOnlyDictionary<long, string>? written, IReadOnlyDictionary<long, string>? present)
    {
        if (written is null || present is null)
        {
            return null;
        }

        var byName = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var (value, name) in present)
        {
            byName[name] = value;
        }

        var values = written.ToDictionary(static pair => pair.Key, pair => byName.GetValueOrDefault(pair.Value));
        return values.All(static pair => pair.Key == pair.Value) ? null : values;
    }
}
