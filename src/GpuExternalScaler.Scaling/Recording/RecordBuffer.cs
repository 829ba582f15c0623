using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Bytes being written: pooled, so that they can be handed on. Numbers take as many bytes as they need.</summary>
internal sealed class RecordBuffer
{
    private const int FirstSize = 64 * 1024;
    private byte[] _bytes = [];

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    public void Byte(byte value)
    {
        Room(1);
        _bytes[Length++] = value;
    }

    /// <summary>A number that is not negative.</summary>
    public void Number(long value) => Unsigned((ulong)value);

    /// <summary>A number of either sign: small either way is short.</summary>
    public void Signed(long value) => Unsigned(((ulong)value << 1) ^ (ulong)(value >> 63));

    public void Unsigned(ulong value)
    {
        Room(10);
        var (bytes, at) = (_bytes, Length);
        while (value >= 0x80)
        {
            bytes[at++] = (byte)(value | 0x80);
            value >>= 7;
        }

        bytes[at++] = (byte)value;
        Length = at;
    }

    /// <summary>Bits of which the last ones are zero more often than the first: a double, or what changed in one.</summary>
    public void Bits(long bits) => Unsigned(BinaryPrimitives.ReverseEndianness((ulong)bits));

    public void Bytes(ReadOnlySpan<byte> bytes)
    {
        Room(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(Length));
        Length += bytes.Length;
    }

    /// <summary>A name; one that is too long loses its end.</summary>
    public void Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text).AsSpan();
        bytes = bytes[..Math.Min(bytes.Length, RecordingLimits.Text)];
        Number(bytes.Length);
        Bytes(bytes);
    }

    /// <summary>Room for bytes that are filled in later: zero now. The span is good until the next write.</summary>
    public int Reserve(int count)
    {
        Room(count);
        var at = Length;
        _bytes.AsSpan(at, count).Clear();
        Length += count;
        return at;
    }

    /// <summary>Sets a bit of what was reserved.</summary>
    public void Mark(int at, int bit) => _bytes[at + (bit >> 3)] |= (byte)(1 << (bit & 7));

    /// <summary>Writes a byte anew.</summary>
    public void Set(int at, byte value) => _bytes[at] = value;

    /// <summary>Takes back what was written since there were so many bytes.</summary>
    public void CutTo(int length) => Length = length;

    /// <summary>Forgets what was written.</summary>
    public void Clear() => Length = 0;

    /// <summary>Hands the bytes over, which then belong to the caller and go back to <see cref="ArrayPool{T}.Shared"/>.</summary>
    public (byte[] Bytes, int Length) Take()
    {
        var taken = (_bytes, Length);
        (_bytes, Length) = ([], 0);
        return taken;
    }

    private void Room(int count)
    {
        if (_bytes.Length - Length >= count)
        {
            return;
        }

        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(Math.Max(FirstSize, _bytes.Length * 2), Length + count));
        _bytes.AsSpan(0, Length).CopyTo(larger);
        if (_bytes.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
        }

        _bytes = larger;
    }
}
