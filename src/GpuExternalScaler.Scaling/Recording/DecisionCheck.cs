using System.Numerics;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>
/// A number that stands for a decision and all before it: where two runs differ in one bit of one figure, theirs differ from then
/// on. A byte of it is written; that one of many says the same by chance, eight in a row do not.
/// </summary>
internal static class DecisionCheck
{
    private const ulong Odd = 0x9E37_79B9_7F4A_7C15;

    /// <summary>The next number.</summary>
    public static ulong Next(ulong check, ReadOnlySpan<long> decision)
    {
        foreach (var cell in decision)
        {
            // One-to-one in the number before, so that a difference stays one.
            check = (BitOperations.RotateLeft(check, 5) ^ (ulong)cell) * Odd;
        }

        return check;
    }

    /// <summary>The byte of it that is written.</summary>
    public static byte Short(ulong check) => (byte)(check >> 56);

    /// <summary>Tells bytes from damaged ones.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        ulong sum = (ulong)bytes.Length;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            sum = (BitOperations.RotateLeft(sum, 5) ^ System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes)) * Odd;
        }

        foreach (var one in bytes)
        {
            sum = (BitOperations.RotateLeft(sum, 5) ^ one) * Odd;
        }

        return (uint)(sum >> 32);
    }
}
