using System.Reflection;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Scalars as 64 bits, and back. A damaged file gives another value, and no exception, where any value is one.</summary>
internal static class Leaf
{
    /// <summary>Stands in a state read back for a text that was not recorded.</summary>
    public const string NotRecorded = "(not recorded)";

    /// <summary>The method that makes 64 bits of a type's values.</summary>
    public static MethodInfo From(Type type) => Named(nameof(From), type, [Plain(type)]);

    /// <summary>The method that makes a type's values of 64 bits.</summary>
    public static MethodInfo To(Type type) => Named("To" + Plain(type).Name, type, type == typeof(string) ? [typeof(long), typeof(string)] : [typeof(long)]);

    public static long From(bool value) => value ? 1 : 0;

    public static long From(char value) => value;

    public static long From(sbyte value) => value;

    public static long From(byte value) => value;

    public static long From(short value) => value;

    public static long From(ushort value) => value;

    public static long From(int value) => value;

    public static long From(uint value) => value;

    public static long From(long value) => value;

    public static long From(ulong value) => unchecked((long)value);

    public static long From(float value) => BitConverter.DoubleToInt64Bits(value);

    public static long From(double value) => BitConverter.DoubleToInt64Bits(value);

    public static long From(TimeSpan value) => value.Ticks;

    public static long From(DateTimeOffset value) => value.UtcTicks;

    public static long From(string? value) => value is null ? 0 : 1;

    public static bool ToBoolean(long bits) => bits != 0;

    public static char ToChar(long bits) => unchecked((char)bits);

    public static sbyte ToSByte(long bits) => unchecked((sbyte)bits);

    public static byte ToByte(long bits) => unchecked((byte)bits);

    public static short ToInt16(long bits) => unchecked((short)bits);

    public static ushort ToUInt16(long bits) => unchecked((ushort)bits);

    public static int ToInt32(long bits) => unchecked((int)bits);

    public static uint ToUInt32(long bits) => unchecked((uint)bits);

    public static long ToInt64(long bits) => bits;

    public static ulong ToUInt64(long bits) => unchecked((ulong)bits);

    public static float ToSingle(long bits) => (float)BitConverter.Int64BitsToDouble(bits);

    public static double ToDouble(long bits) => BitConverter.Int64BitsToDouble(bits);

    public static TimeSpan ToTimeSpan(long bits) => new(bits);

    public static DateTimeOffset ToDateTimeOffset(long bits) =>
        bits >= 0 && bits <= DateTimeOffset.MaxValue.UtcTicks ? new(bits, TimeSpan.Zero) : throw new InvalidDataException($"not a recording, or a damaged one: {bits} is no instant");

    public static string? ToString(long bits, string? present) => bits == 0 ? null : present ?? NotRecorded;

    private static Type Plain(Type type) => type.IsEnum ? Enum.GetUnderlyingType(type) : type;

    private static MethodInfo Named(string name, Type type, Type[] takes) =>
        typeof(Leaf).GetMethod(name, BindingFlags.Public | BindingFlags.Static, takes) ?? throw new NotSupportedException($"{type} has no place in a state.");
}
