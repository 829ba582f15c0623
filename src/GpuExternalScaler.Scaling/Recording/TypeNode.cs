using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>How objects of one type are written and read, with the layout that says what was written.</summary>
internal abstract class TypeNode
{
    private static readonly ConcurrentDictionary<Type, TypeNode> Known = new();

    protected TypeNode(Layout layout)
    {
        Layout = layout;
    }

    /// <summary>The names of what is written.</summary>
    public Layout Layout { get; }

    /// <summary>What its parts are, in the order of the layout's.</summary>
    public IReadOnlyList<TypeNode> Parts { get; protected set; } = [];

    /// <summary>What its references point to; null unless it is an array or list of references.</summary>
    public TypeNode? Element { get; protected set; }

    /// <summary>The node of a type of objects.</summary>
    /// <exception cref="NotSupportedException">It holds something that cannot be recorded.</exception>
    public static TypeNode Of(Type type)
    {
        if (Known.TryGetValue(type, out var known))
        {
            return known;
        }

        // Of types that hold each other, only whole nodes become known to others.
        var making = new Dictionary<Type, TypeNode>();
        var node = Make(type, making);
        foreach (var (made, its) in making)
        {
            Known.TryAdd(made, its);
        }

        return node;
    }

    /// <summary>Writes an object.</summary>
    public abstract void Write(object value, ImageWriter to);

    /// <summary>Reads one that was written with the layout that is bound to this node.</summary>
    public abstract object Read(LayoutBinding binding, ImageReader from);

    protected abstract void Complete(Dictionary<Type, TypeNode> making);

    protected static TypeNode Make(Type type, Dictionary<Type, TypeNode> making)
    {
        if (Known.TryGetValue(type, out var node) || making.TryGetValue(type, out node))
        {
            return node;
        }

        node = (TypeNode)Activator.CreateInstance(Shape(type), BindingFlags.Instance | BindingFlags.Public | BindingFlags.DoNotWrapExceptions, null, null, null)!;
        making[type] = node;
        node.Complete(making);
        return node;
    }

    private static Type Shape(Type type)
    {
        var item = type.IsSZArray ? type.GetElementType()
            : type.IsGenericType && type.GetGenericTypeDefinition() == typeof(List<>) ? type.GetGenericArguments()[0]
            : null;
        if (item is not null)
        {
            return (type.IsArray, item.IsValueType) switch
            {
                (true, true) => typeof(ArrayNode<>).MakeGenericType(item),
                (true, false) => typeof(ReferencesNode<>).MakeGenericType(item),
                (false, true) => typeof(ListNode<>).MakeGenericType(item),
                _ => throw new NotSupportedException($"A list of {item.Name} cannot be recorded: an array can."),
            };
        }

        // What is derived from it could not be told from it, and what belongs to others has other rules.
        return type.IsClass && type.IsSealed && type.Namespace?.StartsWith("System", StringComparison.Ordinal) != true && !typeof(Delegate).IsAssignableFrom(type)
            ? typeof(ObjectNode<>).MakeGenericType(type)
            : throw new NotSupportedException($"{type} cannot be recorded: sealed classes, structs, arrays and lists of values can.");
    }
}

/// <summary>The rows and parts of values of one type.</summary>
internal sealed class RowType<T>
{
    private readonly PartRead<T>[] _readParts;
    private readonly PartWrite<T>[] _writeParts;
    private readonly IReadOnlyList<Member> _references;

    public RowType()
    {
        var (scalars, references) = TypeMembers.Of(typeof(T));
        _references = references;
        Columns = [.. scalars.Select(TypeMembers.ColumnOf)];
        Kinds = [.. Columns.Select(static column => column.Kind)];
        Read = RowAccess.Read<T>(scalars);
        Write = RowAccess.Write<T>(scalars);
        _readParts = [.. references.Select(RowAccess.ReadPart<T>)];
        _writeParts = [.. references.Select(RowAccess.WritePart<T>)];
    }

    public Column[] Columns { get; }

    public ColumnKind[] Kinds { get; }

    public RowRead<T> Read { get; }

    public RowWrite<T> Write { get; }

    /// <summary>The types of its references, by name.</summary>
    public IEnumerable<(string Name, Type Type)> References => _references.Select(static reference => (reference.Name, reference.Type));

    /// <summary>Writes what a value refers to.</summary>
    public void WriteParts(ref T value, IReadOnlyList<TypeNode> parts, ImageWriter to)
    {
        for (var i = 0; i < _readParts.Length; i++)
        {
            to.WriteMaybe(_readParts[i](ref value), parts[i]);
        }
    }

    /// <summary>Reads it; what the layout does not have stays as it is.</summary>
    public void ReadParts(ref T value, LayoutBinding binding, ImageReader from)
    {
        for (var i = 0; i < binding.Parts.Count; i++)
        {
            var (place, part) = binding.Parts[i];
            var read = from.ReadMaybe(part);
            if (place >= 0)
            {
                _writeParts[place](ref value, read);
            }
        }
    }
}

/// <summary>One object.</summary>
internal sealed class ObjectNode<T>() : TypeNode(new Layout(typeof(T).Name, NodeKind.One))
    where T : class
{
    private readonly RowType<T> _rows = new();

    public override void Write(object value, ImageWriter to)
    {
        var typed = (T)value;
        var row = ImageWriter.Row(_rows.Columns.Length, out var before);
        _rows.Read(ref typed, ref MemoryMarshal.GetReference(row));
        to.WriteRow(_rows.Kinds, before, row);
        _rows.WriteParts(ref typed, Parts, to);
    }

    public override object Read(LayoutBinding binding, ImageReader from)
    {
        // What the file does not have is what a new one has.
        var made = New();
        var row = new long[_rows.Columns.Length];
        _rows.Read(ref made, ref MemoryMarshal.GetArrayDataReference(row));
        var written = new long[binding.Layout.Columns.Count];
        from.ReadRow(binding.Layout, written);
        binding.Translate(written, row);
        _rows.Write(ref made, ref MemoryMarshal.GetArrayDataReference(row));
        _rows.ReadParts(ref made, binding, from);
        return made;
    }

    protected override void Complete(Dictionary<Type, TypeNode> making)
    {
        Layout.Columns = _rows.Columns;
        Parts = [.. _rows.References.Select(reference => Make(reference.Type, making))];
        Layout.Parts = [.. _rows.References.Zip(Parts, static (reference, node) => (reference.Name, node.Layout))];
    }

    private static T New()
    {
        const BindingFlags any = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
        var constructor = typeof(T).GetConstructors(any).FirstOrDefault(static constructor => constructor.GetParameters().All(static parameter => parameter.IsOptional));
        return (T)(constructor?.Invoke(any | BindingFlags.OptionalParamBinding, null, [.. constructor.GetParameters().Select(static _ => Type.Missing)], null) ?? RuntimeHelpers.GetUninitializedObject(typeof(T)));
    }
}

/// <summary>Values in a row, whatever holds them.</summary>
internal abstract class ValuesNode<T>(string name) : TypeNode(new Layout(name, NodeKind.Values))
{
    private readonly RowType<T> _rows = new();

    protected void WriteAll(Span<T> values, ImageWriter to)
    {
        to.Buffer.Number(values.Length);
        var row = ImageWriter.Row(_rows.Columns.Length, out var before);
        foreach (ref var value in values)
        {
            _rows.Read(ref value, ref MemoryMarshal.GetReference(row));
            to.WriteRow(_rows.Kinds, before, row);
        }

        if (Parts.Count > 0)
        {
            foreach (ref var value in values)
            {
                _rows.WriteParts(ref value, Parts, to);
            }
        }
    }

    protected T[] ReadAll(LayoutBinding binding, ImageReader from)
    {
        var values = new T[from.ReadLength(binding.Layout, _rows.Columns.Length)];
        var written = new long[binding.Layout.Columns.Count];
        var row = new long[_rows.Columns.Length];
        foreach (ref var value in values.AsSpan())
        {
            from.ReadRow(binding.Layout, written);
            binding.Translate(written, row);
            _rows.Write(ref value, ref MemoryMarshal.GetArrayDataReference(row));
        }

        if (binding.Parts.Count > 0)
        {
            foreach (ref var value in values.AsSpan())
            {
                _rows.ReadParts(ref value, binding, from);
            }
        }

        return values;
    }

    protected override void Complete(Dictionary<Type, TypeNode> making)
    {
        Layout.Columns = _rows.Columns;
        Parts = [.. _rows.References.Select(reference => Make(reference.Type, making))];
        Layout.Parts = [.. _rows.References.Zip(Parts, static (reference, node) => (reference.Name, node.Layout))];
    }
}

/// <summary>An array of values.</summary>
internal sealed class ArrayNode<T>() : ValuesNode<T>(typeof(T).Name)
{
    public override void Write(object value, ImageWriter to) => WriteAll((T[])value, to);

    public override object Read(LayoutBinding binding, ImageReader from) => ReadAll(binding, from);
}

/// <summary>A list of values.</summary>
internal sealed class ListNode<T>() : ValuesNode<T>(typeof(T).Name)
{
    public override void Write(object value, ImageWriter to) => WriteAll(CollectionsMarshal.AsSpan((List<T>)value), to);

    public override object Read(LayoutBinding binding, ImageReader from) => new List<T>(ReadAll(binding, from));
}

/// <summary>An array of objects, or of arrays.</summary>
internal sealed class ReferencesNode<T>() : TypeNode(new Layout(typeof(T).Name, NodeKind.References))
    where T : class
{
    public override void Write(object value, ImageWriter to)
    {
        var objects = (T?[])value;
        to.Buffer.Number(objects.Length);
        foreach (var one in objects)
        {
            to.WriteMaybe(one, Element!);
        }
    }

    public override object Read(LayoutBinding binding, ImageReader from)
    {
        var objects = new T?[from.ReadLength(binding.Layout, 1)];
        for (var i = 0; i < objects.Length; i++)
        {
            objects[i] = (T?)from.ReadMaybe(binding.Element!);
        }

        return objects;
    }

    protected override void Complete(Dictionary<Type, TypeNode> making)
    {
        Element = Make(typeof(T), making);
        Layout.Element = Element.Layout;
    }
}
