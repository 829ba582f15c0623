using System.Buffers;
using System.IO.Compression;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Reads the frames of a recording, and gives decoders of their segments.</summary>
internal sealed class RecordingReader : IDisposable
{
    private readonly Stream _stream;
    private readonly byte[] _head = new byte[RecordingFrames.HeadLength];
    private readonly RecordSource _source = new();
    private BrotliDecoder _unpacker;
    private byte[] _packed = [];
    private byte[] _content = [];
    private StepDecoder? _decoder;
    private long _at;
    private byte _kind;

    /// <summary>Reads a stream.</summary>
    /// <exception cref="InvalidDataException">It is no recording, or one of another version.</exception>
    public RecordingReader(Stream stream)
    {
        _stream = stream;
        Span<byte> magic = stackalloc byte[RecordingFrames.Magic.Length];
        var read = stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false);
        if (read < magic.Length || !magic[..^1].SequenceEqual(RecordingFrames.Magic[..^1]))
        {
            throw new InvalidDataException("not a recording");
        }

        if (magic[^1] != RecordingFrames.Magic[^1])
        {
            throw new InvalidDataException($"a recording of format {magic[^1]}, and this program reads format {RecordingFrames.Magic[^1]}");
        }

        _at = read;
    }

    /// <summary>Segments begun so far.</summary>
    public int Segments { get; private set; }

    /// <summary>Bytes at the end that are part of a frame: whoever wrote them was stopped in the middle. 0 for none.</summary>
    public long CutOff { get; private set; }

    /// <summary>The next record; null at the end.</summary>
    /// <exception cref="InvalidDataException">The recording is damaged.</exception>
    public StepDecoder? Next()
    {
        while (_decoder?.Next() != true)
        {
            if (!NextFrame())
            {
                return null;
            }

            if (_kind == RecordingFrames.Segment)
            {
                Segments++;
                _decoder = new StepDecoder(RecordingSchema.Read(_source), _source);
            }
            else if (_decoder is null)
            {
                throw new InvalidDataException("not a recording, or a damaged one: it does not begin with a segment");
            }
        }

        return _decoder;
    }

    /// <inheritdoc/>
    public void Dispose() => _unpacker.Dispose();

    private bool NextFrame()
    {
        var read = _stream.ReadAtLeast(_head, _head.Length, throwOnEndOfStream: false);
        if (read < _head.Length)
        {
            CutOff = read;
            return false;
        }

        if (!RecordingFrames.TryReadHead(_head, out _kind, out var packed, out var unpacked, out var check))
        {
            throw new InvalidDataException($"not a recording, or a damaged one: no frame at byte {_at}");
        }

        if (!Fill(packed, out var got))
        {
            CutOff = _head.Length + got;
            return false;
        }

        if (_kind == RecordingFrames.Segment)
        {
            _unpacker.Dispose();
            _unpacker = default;
        }

        Unpack(packed, unpacked);
        if (DecisionCheck.Of(_content.AsSpan(0, unpacked)) != check)
        {
            throw new InvalidDataException($"a damaged recording: the frame at byte {_at} does not add up");
        }

        _source.Origin = _at;
        _source.Reset(_content.AsMemory(0, unpacked));
        _at += _head.Length + packed;
        return true;
    }

    // Grows with what is there: a head alone must not cost its length in memory.
    private bool Fill(int packed, out int got)
    {
        got = 0;
        while (got < packed)
        {
            if (_packed.Length == got)
            {
                Array.Resize(ref _packed, Math.Min(Math.Max(64 * 1024, 2 * got), RecordingLimits.Frame));
            }

            var read = _stream.Read(_packed, got, Math.Min(packed, _packed.Length) - got);
            if (read == 0)
            {
                return false;
            }

            got += read;
        }

        return true;
    }

    private void Unpack(int packed, int unpacked)
    {
        var (from, to) = (0, 0);
        while (true)
        {
            // One more byte than there may be, so that more than said shows.
            if (_content.Length == to)
            {
                Array.Resize(ref _content, Math.Min(Math.Max(64 * 1024, 2 * to), RecordingLimits.Frame + 1));
            }

            var status = _unpacker.Decompress(_packed.AsSpan(from, packed - from), _content.AsSpan(to, Math.Min(_content.Length, unpacked + 1) - to), out var consumed, out var written);
            (from, to) = (from + consumed, to + written);
            if (to > unpacked || status is OperationStatus.InvalidData or OperationStatus.Done)
            {
                throw new InvalidDataException($"a damaged recording: the frame at byte {_at} cannot be unpacked");
            }

            if (consumed == 0 && written == 0)
            {
                // It had room, so that is all: what it has not put out yet does not show in the status.
                break;
            }
        }

        if (to != unpacked || from != packed)
        {
            throw new InvalidDataException($"a damaged recording: the frame at byte {_at} is {to} bytes long in place of {unpacked}");
        }
    }
}
