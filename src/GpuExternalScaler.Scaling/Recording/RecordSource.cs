using System.Buffers.Binary;
using System.Text;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Bytes being read. What is beyond the end, or longer than it may be, is an error and never a guess.</summary>
internal sealed class RecordSource
{
    private ReadOnlyMemory<byte> _bytes;
    private int _at;

    public RecordSource()
    {
    }

    public RecordSource(ReadOnlyMemory<byte> bytes)
    {
        _bytes = bytes;
    }

    /// <summary>Where the bytes are in the file, for messages.</summary>
    public long Origin { get; set; }

    /// <summary>Whether all was read.</summary>
    public bool IsAtEnd => _at == _bytes.Length;

    /// <summary>Bytes left.</summary>
    public int Left => _bytes.Length - _at;

    /// <summary>Reads other bytes from now on.</summary>
    public void Reset(ReadOnlyMemory<byte> bytes) => (_bytes, _at) = (bytes, 0);

    public byte Byte() => _at < _bytes.Length ? _bytes.Span[_at++] : throw Wrong("an end in the middle of a record");

    /// <summary>The next byte, which is read again.</summary>
    public byte Peek() => _bytes.Span[_at];

    public ulong Unsigned()
    {
        var span = _bytes.Span[_at..];
        ulong value = 0;
        for (var i = 0; i < Math.Min(span.Length, 10); i++)
        {
            value |= (ulong)(span[i] & 0x7F) << (7 * i);
            if (span[i] < 0x80)
            {
                _at += i + 1;
                return value;
            }
        }

        throw Wrong("a number without an end");
    }

    public long Signed()
    {
        var value = Unsigned();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public long Bits() => (long)BinaryPrimitives.ReverseEndianness(Unsigned());

    /// <summary>A number of things.</summary>
    public int Count(int most)
    {
        var count = Unsigned();
        return count <= (ulong)Math.Max(0, most) ? (int)count : throw Wrong($"{count} of something of which there can be {most}");
    }

    public ReadOnlyMemory<byte> Bytes(int count)
    {
        if (count > Left)
        {
            throw Wrong("an end in the middle of a record");
        }

        _at += count;
        return _bytes.Slice(_at - count, count);
    }

    public string Text() => Encoding.UTF8.GetString(Bytes(Count(RecordingLimits.Text)).Span);

    /// <summary>What to throw for bytes that mean nothing.</summary>
    public InvalidDataException Wrong(string what) => new($"not a recording, or a damaged one: {what}, {_at} bytes into what was written at byte {Origin}");
}
