using System.Reflection;
using System.Runtime.CompilerServices;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>One step from a value to something in it: a field, or for inline arrays an element of that field.</summary>
internal readonly record struct MemberStep(FieldInfo Field, int Element = 0);

/// <summary>A member of a type, however deep in structs, by its fields: what a property shows may be only part of a state.</summary>
/// <param name="Name">The names on the way, joined.</param>
/// <param name="Type">Its type.</param>
/// <param name="Path">The way; empty for the value itself.</param>
internal sealed record Member(string Name, Type Type, IReadOnlyList<MemberStep> Path);

/// <summary>Finds the members of types, so that nobody has to write them down.</summary>
internal static class TypeMembers
{
    /// <summary>Scalars and references of a type, in the order in which they are declared.</summary>
    /// <exception cref="NotSupportedException">It holds something that a state has no business to hold.</exception>
    public static (IReadOnlyList<Member> Scalars, IReadOnlyList<Member> References) Of(Type type)
    {
        List<Member> scalars = [], references = [];
        if (KindOf(type) is not null)
        {
            scalars.Add(new Member("", type, []));
        }
        else
        {
            Collect(type, "", [], scalars, references);
        }

        return (scalars, references);
    }

    /// <summary>What a scalar is as a column; null for what is not a scalar.</summary>
    public static ColumnKind? KindOf(Type type) =>
        type.IsEnum ? ColumnKind.Enumeration
        : type == typeof(bool) ? ColumnKind.Boolean
        : type == typeof(double) || type == typeof(float) ? ColumnKind.Real
        : type == typeof(DateTimeOffset) ? ColumnKind.Instant
        : type == typeof(TimeSpan) ? ColumnKind.Duration
        : type == typeof(string) ? ColumnKind.Text
        : Type.GetTypeCode(type) is >= TypeCode.Char and <= TypeCode.UInt64 ? ColumnKind.Integer
        : null;

    /// <summary>The column of a scalar.</summary>
    public static Column ColumnOf(Member member)
    {
        var names = member.Type.IsEnum ? NamesOf(member.Type) : null;
        return new Column(member.Name, KindOf(member.Type)!.Value, names);
    }

    private static Dictionary<long, string> NamesOf(Type type)
    {
        var names = new Dictionary<long, string>();
        foreach (var field in type.GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            names.TryAdd(Convert.ToInt64(field.GetRawConstantValue(), System.Globalization.CultureInfo.InvariantCulture), field.Name);
        }

        return names;
    }

    private static void Collect(Type type, string prefix, IReadOnlyList<MemberStep> path, List<Member> scalars, List<Member> references)
    {
        if (path.Count > RecordingLimits.Depth)
        {
            throw new NotSupportedException($"{prefix} is too deep in structs to be recorded.");
        }

        foreach (var field in FieldsOf(type))
        {
            var name = prefix.Length == 0 ? NameOf(field) : $"{prefix}.{NameOf(field)}";
            if (type.GetCustomAttribute<InlineArrayAttribute>() is { } inline)
            {
                for (var i = 0; i < inline.Length; i++)
                {
                    Add(field.FieldType, $"{prefix}[{i}]", [.. path, new MemberStep(field, i)], scalars, references);
                }
            }
            else if (type.IsExplicitLayout || field.GetCustomAttribute<FixedBufferAttribute>() is not null || field.FieldType.IsPointer || field.FieldType.IsByRef)
            {
                throw new NotSupportedException($"{type.Name}.{name} cannot be recorded: its memory is laid out by hand.");
            }
            else
            {
                Add(field.FieldType, name, [.. path, new MemberStep(field)], scalars, references);
            }
        }
    }

    private static void Add(Type type, string name, IReadOnlyList<MemberStep> path, List<Member> scalars, List<Member> references)
    {
        if (KindOf(type) is not null)
        {
            scalars.Add(new Member(name, type, path));
        }
        else if (!type.IsValueType)
        {
            references.Add(new Member(name, type, path));
        }
        else if (type.IsPrimitive || type == typeof(decimal) || type == typeof(DateTime) || type == typeof(nint))
        {
            throw new NotSupportedException($"{name} cannot be recorded: {type.Name} has no place in a state.");
        }
        else
        {
            Collect(type, name, path, scalars, references);
        }
    }

    private static IEnumerable<FieldInfo> FieldsOf(Type? type)
    {
        const BindingFlags own = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        return type is null || type == typeof(object) || type == typeof(ValueType)
            ? []
            : FieldsOf(type.BaseType).Concat(type.GetFields(own).OrderBy(static field => field.MetadataToken));
    }

    // <Ready>k__BackingField is Ready; <samples>P, which a primary constructor took, is samples.
    private static string NameOf(FieldInfo field) =>
        field.Name[0] == '<' && field.Name.IndexOf('>', StringComparison.Ordinal) is > 1 and var end ? field.Name[1..end] : field.Name;
}
