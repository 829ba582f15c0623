using System.Reflection.Emit;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Copies the scalars of a value into a row.</summary>
internal delegate void RowRead<T>(ref T value, ref long row);

/// <summary>Sets the scalars of a value from a row.</summary>
internal delegate void RowWrite<T>(ref T value, ref long row);

/// <summary>A reference in a value.</summary>
internal delegate object? PartRead<T>(ref T value);

/// <summary>Sets a reference in a value.</summary>
internal delegate void PartWrite<T>(ref T value, object? part);

/// <summary>
/// Code made from the members of a type, once: going through them by reflection at every step would cost more than the decision.
/// Private and read-only fields too, for that is where a state is.
/// </summary>
internal static class RowAccess
{
    public static RowRead<T> Read<T>(IReadOnlyList<Member> scalars)
    {
        var method = Method<T>("ReadRow", typeof(void), typeof(long).MakeByRefType());
        var code = method.GetILGenerator();
        for (var i = 0; i < scalars.Count; i++)
        {
            Cell(code, i);
            Reach<T>(code, scalars[i].Path);
            Load<T>(code, scalars[i]);
            code.Emit(OpCodes.Call, Leaf.From(scalars[i].Type));
            code.Emit(OpCodes.Stind_I8);
        }

        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<RowRead<T>>();
    }

    public static RowWrite<T> Write<T>(IReadOnlyList<Member> scalars)
    {
        var method = Method<T>("WriteRow", typeof(void), typeof(long).MakeByRefType());
        var code = method.GetILGenerator();
        for (var i = 0; i < scalars.Count; i++)
        {
            Reach<T>(code, scalars[i].Path);
            Cell(code, i);
            code.Emit(OpCodes.Ldind_I8);
            if (scalars[i].Type == typeof(string))
            {
                // What it is was not recorded, so one that is there stays.
                Reach<T>(code, scalars[i].Path);
                Load<T>(code, scalars[i]);
            }

            code.Emit(OpCodes.Call, Leaf.To(scalars[i].Type));
            Store<T>(code, scalars[i]);
        }

        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<RowWrite<T>>();
    }

    public static PartRead<T> ReadPart<T>(Member part)
    {
        var method = Method<T>("ReadPart", typeof(object));
        var code = method.GetILGenerator();
        Reach<T>(code, part.Path);
        Load<T>(code, part);
        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<PartRead<T>>();
    }

    public static PartWrite<T> WritePart<T>(Member part)
    {
        var method = Method<T>("WritePart", typeof(void), typeof(object));
        var code = method.GetILGenerator();
        Reach<T>(code, part.Path);
        code.Emit(OpCodes.Ldarg_1);
        code.Emit(OpCodes.Castclass, part.Type);
        Store<T>(code, part);
        code.Emit(OpCodes.Ret);
        return method.CreateDelegate<PartWrite<T>>();
    }

    private static DynamicMethod Method<T>(string name, Type returns, params Type[] more) =>
        new(name, returns, [typeof(T).MakeByRefType(), .. more], typeof(RowAccess).Module, skipVisibility: true);

    // The address of what holds the last field of the path: the value itself, an object, or a struct inside.
    private static void Reach<T>(ILGenerator code, IReadOnlyList<MemberStep> path)
    {
        code.Emit(OpCodes.Ldarg_0);
        if (!typeof(T).IsValueType && path.Count > 0)
        {
            code.Emit(OpCodes.Ldind_Ref);
        }

        for (var i = 0; i < path.Count - 1; i++)
        {
            code.Emit(OpCodes.Ldflda, path[i].Field);
            Advance(code, path[i]);
        }
    }

    private static void Load<T>(ILGenerator code, Member member)
    {
        if (member.Path.Count == 0)
        {
            code.Emit(OpCodes.Ldobj, typeof(T));
        }
        else if (member.Path[^1] is { Element: 0 } last)
        {
            code.Emit(OpCodes.Ldfld, last.Field);
        }
        else
        {
            code.Emit(OpCodes.Ldflda, member.Path[^1].Field);
            Advance(code, member.Path[^1]);
            code.Emit(OpCodes.Ldobj, member.Type);
        }
    }

    private static void Store<T>(ILGenerator code, Member member)
    {
        if (member.Path.Count == 0)
        {
            code.Emit(OpCodes.Stobj, typeof(T));
        }
        else if (member.Path[^1] is { Element: 0 } last)
        {
            code.Emit(OpCodes.Stfld, last.Field);
        }
        else
        {
            // The value is on top of the address, which is not yet that of the element.
            var value = code.DeclareLocal(member.Type);
            code.Emit(OpCodes.Stloc, value);
            code.Emit(OpCodes.Ldflda, member.Path[^1].Field);
            Advance(code, member.Path[^1]);
            code.Emit(OpCodes.Ldloc, value);
            code.Emit(OpCodes.Stobj, member.Type);
        }
    }

    private static void Advance(ILGenerator code, MemberStep step)
    {
        if (step.Element > 0)
        {
            code.Emit(OpCodes.Sizeof, step.Field.FieldType);
            code.Emit(OpCodes.Ldc_I4, step.Element);
            code.Emit(OpCodes.Mul);
            code.Emit(OpCodes.Add);
        }
    }

    private static void Cell(ILGenerator code, int index)
    {
        code.Emit(OpCodes.Ldarg_1);
        if (index > 0)
        {
            code.Emit(OpCodes.Ldc_I4, index * sizeof(long));
            code.Emit(OpCodes.Add);
        }
    }
}
