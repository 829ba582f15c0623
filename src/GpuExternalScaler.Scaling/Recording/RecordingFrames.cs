using System.Buffers;
using System.Buffers.Binary;
using System.IO.Compression;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>
/// How a recording lies in a file: eight bytes that say what it is, then frames. A frame says how long it is, packed and unpacked,
/// and how its content adds up, so that a file that ends in the middle of one is told from a damaged one, and a few bytes cannot ask
/// for much memory. The frames of a segment are one Brotli stream, flushed at the end of each.
/// </summary>
internal static class RecordingFrames
{
    /// <summary>Bytes before a frame's content: a mark, the kind, packed and unpacked length, check.</summary>
    public const int HeadLength = 16;

    /// <summary>The first frame of a segment: its schema.</summary>
    public const byte Segment = 1;

    /// <summary>Records.</summary>
    public const byte Records = 2;

    /// <summary>What a recording begins with; the last byte is the version of the format.</summary>
    public static ReadOnlySpan<byte> Magic => [0x89, (byte)'G', (byte)'S', (byte)'R', (byte)'E', (byte)'C', (byte)'\n', 1];

    private static ReadOnlySpan<byte> Mark => [0xF5, 0xA7, 0x3C];

    /// <summary>Writes a frame's head.</summary>
    public static void WriteHead(Span<byte> head, byte kind, int packed, ReadOnlySpan<byte> content)
    {
        Mark.CopyTo(head);
        head[3] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], packed);
        BinaryPrimitives.WriteInt32LittleEndian(head[8..], content.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(head[12..], DecisionCheck.Of(content));
    }

    /// <summary>Reads one; false for what is none.</summary>
    public static bool TryReadHead(ReadOnlySpan<byte> head, out byte kind, out int packed, out int unpacked, out uint check)
    {
        kind = head[3];
        packed = BinaryPrimitives.ReadInt32LittleEndian(head[4..]);
        unpacked = BinaryPrimitives.ReadInt32LittleEndian(head[8..]);
        check = BinaryPrimitives.ReadUInt32LittleEndian(head[12..]);
        return head.StartsWith(Mark) && kind is Segment or Records && packed is >= 0 and <= RecordingLimits.Frame && unpacked is >= 0 and <= RecordingLimits.Frame;
    }
}

/// <summary>
/// Writes the bytes of a <see cref="RecordingEncoder"/> to a stream, packed. Each call leaves a stream that can be read up to there,
/// whatever happens to the process afterwards.
/// </summary>
public sealed class RecordingWriter : IDisposable
{
    // Of 1 to 11. Higher costs more processor time than it saves bytes; the figures are in docs/recording.md.
    private const int Quality = 4;

    // 2^18 bytes: several seconds of a thousand workloads. What a step is like is seen in the steps just before.
    private const int Window = 18;

    private readonly Stream _stream;
    private BrotliEncoder _packer;
    private byte[] _packed = new byte[16 * 1024];
    private bool _hasSegment;

    /// <summary>Writes to a stream, at its beginning or after what is a whole recording (<see cref="Recordings.WholeLength"/>).</summary>
    public RecordingWriter(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _stream = stream;
    }

    /// <summary>Bytes written by this writer.</summary>
    public long Written { get; private set; }

    /// <summary>Begins a segment: what follows is of the encoder that made this header.</summary>
    /// <param name="header"><see cref="RecordingEncoder.Header"/>.</param>
    /// <param name="continues">Whether the stream holds a recording already, after which the segment comes.</param>
    public void BeginSegment(ReadOnlySpan<byte> header, bool continues = false)
    {
        if (!continues && Written == 0)
        {
            _stream.Write(RecordingFrames.Magic);
            Written += RecordingFrames.Magic.Length;
        }

        _packer.Dispose();
        _packer = new BrotliEncoder(Quality, Window);
        _hasSegment = true;
        Frame(RecordingFrames.Segment, header, long.MaxValue);
    }

    /// <summary>Writes what an encoder handed over.</summary>
    public void Write(ReadOnlySpan<byte> records) => TryWrite(records, long.MaxValue);

    /// <summary>Writes it if there is room for it, packed. If not, nothing more can be written to this segment.</summary>
    /// <param name="records">What an encoder handed over.</param>
    /// <param name="room">Bytes that may be written.</param>
    public bool TryWrite(ReadOnlySpan<byte> records, long room)
    {
        if (!_hasSegment)
        {
            throw new InvalidOperationException("A segment must begin first.");
        }

        return records.IsEmpty || (_hasSegment = Frame(RecordingFrames.Records, records, room));
    }

    /// <summary>Ends writing; the stream stays open.</summary>
    public void Dispose()
    {
        _packer.Dispose();
    }

    private bool Frame(byte kind, ReadOnlySpan<byte> content, long room)
    {
        var length = RecordingFrames.HeadLength;
        var left = content;
        var status = OperationStatus.DestinationTooSmall;
        while (!left.IsEmpty)
        {
            Room(length);
            status = _packer.Compress(left, _packed.AsSpan(length), out var consumed, out var written, isFinalBlock: false);
            left = left[consumed..];
            length += written;
            if (status == OperationStatus.InvalidData)
            {
                throw new InvalidOperationException("What was recorded could not be packed.");
            }
        }

        do
        {
            Room(length);
            status = _packer.Flush(_packed.AsSpan(length), out var written);
            length += written;
        }
        while (status == OperationStatus.DestinationTooSmall);

        if (length > room)
        {
            return false;
        }

        RecordingFrames.WriteHead(_packed, kind, length - RecordingFrames.HeadLength, content);
        _stream.Write(_packed, 0, length);
        Written += length;
        return true;
    }

    private void Room(int length)
    {
        if (_packed.Length - length < 4096)
        {
            Array.Resize(ref _packed, _packed.Length * 2);
        }
    }
}
