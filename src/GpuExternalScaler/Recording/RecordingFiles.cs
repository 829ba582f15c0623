using System.Buffers;
using System.Threading.Channels;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Recording;

/// <summary>
/// Writes what the <see cref="Recorder"/> hands over, behind the evaluation loop's back: packing and disks take their time. When half
/// of the limit is reached the file becomes the older one, in place of the one before, and a new one begins.
/// </summary>
internal sealed class RecordingFiles(RecordingOptions options, RecordingStatus status, ILogger<RecordingFiles> logger) : BackgroundService
{
    // Each a quarter of a megabyte at most, but for states of very many queues.
    private const int MostWaiting = 64;

    // The older half still takes the steps of workloads whose state has not been written to the newer one.
    private const double FullAt = 0.9;

    private readonly Channel<Piece> _pieces = Channel.CreateBounded<Piece>(new BoundedChannelOptions(MostWaiting) { SingleReader = true, SingleWriter = true });
    private readonly long _half = options.Limit / 2;
    private OpenSegment? _newest;
    private OpenSegment? _older;
    private FileStream? _claim;
    private string? _failure;
    private int _full;
    private long _handed;
    private long _taken;

    /// <summary>The segment after which another file is due; 0 before there was one.</summary>
    public int FullSegment => Volatile.Read(ref _full);

    /// <summary>Pieces that wait to be written, the one being written among them.</summary>
    internal long Waiting => Volatile.Read(ref _handed) - Volatile.Read(ref _taken);

    /// <summary>Opens a file; tests have disks that are full.</summary>
    internal Func<string, Stream> OpenFile { get; set; } = RecordingOptions.Open;

    /// <summary>Begins a segment; false when the writer is too far behind.</summary>
    public bool TryBegin(int segment, ReadOnlyMemory<byte> header) => Hand(new Piece(segment, PieceKind.Begin, header.ToArray(), header.Length));

    /// <summary>Hands bytes of a segment over, which then belong to the writer; false when it is too far behind.</summary>
    public bool TryWrite(int segment, byte[] bytes, int length) => Hand(new Piece(segment, PieceKind.Records, bytes, length));

    /// <summary>Says that nothing more of a segment follows.</summary>
    public bool TryEnd(int segment) => Hand(new Piece(segment, PieceKind.End, [], 0));

    /// <summary>What went wrong since the last time; null if nothing did.</summary>
    public string? TakeFailure() => Interlocked.Exchange(ref _failure, null);

    /// <inheritdoc/>
    public override Task StopAsync(CancellationToken cancellationToken)
    {
        _pieces.Writer.TryComplete();
        return base.StopAsync(cancellationToken);
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Until it is complete: what was decided last is what a crash is about.
        await foreach (var piece in _pieces.Reader.ReadAllAsync(CancellationToken.None))
        {
            try
            {
                Take(piece);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                Close(ref _newest);
                Close(ref _older);
                status.IsUp = false;
                Interlocked.Exchange(ref _failure, exception.Message);
            }
            finally
            {
                if (piece.Kind == PieceKind.Records)
                {
                    ArrayPool<byte>.Shared.Return(piece.Bytes);
                }

                Interlocked.Increment(ref _taken);
            }
        }

        Close(ref _newest);
        Close(ref _older);
        _claim?.Dispose();
    }

    private bool Hand(Piece piece)
    {
        if (!_pieces.Writer.TryWrite(piece))
        {
            return false;
        }

        _handed++;
        return true;
    }

    private void Take(Piece piece)
    {
        switch (piece.Kind)
        {
            case PieceKind.Begin:
                Begin(piece);
                break;
            case PieceKind.Records when piece.Segment == _newest?.Number:
                if (!File.Exists(options.File))
                {
                    // It would be written to for hours without being there.
                    throw new FileNotFoundException("it was moved or deleted");
                }

                Write(_newest, piece);
                if (_newest.Length >= FullAt * _half)
                {
                    Volatile.Write(ref _full, piece.Segment);
                }

                break;
            case PieceKind.Records when piece.Segment == _older?.Number:
                Write(_older, piece);
                break;
            case PieceKind.End when piece.Segment == _older?.Number:
                Close(ref _older);
                break;
        }
    }

    private void Begin(Piece piece)
    {
        // The server before this one may still be at it.
        _claim ??= RecordingOptions.Claim(options.File);
        if (_newest is { IsOver: false } open && open.Length < FullAt * _half)
        {
            // The recorder began anew: the file goes on.
            _newest = open.Next(piece.Segment, piece.Content);
        }
        else
        {
            Close(ref _older);
            if (_newest is not null)
            {
                Rotate();
                (_older, _newest) = (_newest, null);
            }

            _newest = Open(piece);
        }

        Count(_newest);
        status.IsUp = true;
    }

    // What there is may be of a process that was stopped in the middle of a frame.
    private OpenSegment Open(Piece piece)
    {
        while (true)
        {
            var stream = OpenFile(options.File);
            try
            {
                var whole = stream.Length == 0 ? 0 : Recordings.WholeLength(stream) ?? throw new IOException($"{options.File} is no recording");
                if (stream.Length == 0 || (whole > 0 && whole < FullAt * _half))
                {
                    stream.SetLength(whole);
                    stream.Position = whole;
                    return new OpenSegment(stream, piece.Segment, piece.Content, continues: whole > 0);
                }
            }
            catch
            {
                stream.Dispose();
                throw;
            }

            stream.Dispose();
            Rotate();
        }
    }

    private void Rotate()
    {
        File.Move(options.File, options.Older, overwrite: true);
        logger.RecordingRotated(options.Older);
    }

    private void Write(OpenSegment segment, Piece piece)
    {
        if (segment.IsOver || !segment.Writer.TryWrite(piece.Content.Span, _half - segment.Length))
        {
            segment.IsOver = true;
            Volatile.Write(ref _full, Math.Max(_full, segment.Number));
        }

        Count(segment);
    }

    private void Count(OpenSegment segment)
    {
        status.Wrote(segment.Length - segment.Counted);
        segment.Counted = segment.Length;
    }

    private static void Close(ref OpenSegment? segment)
    {
        try
        {
            segment?.Writer.Dispose();
            segment?.Stream.Dispose();
        }
        catch (IOException)
        {
            // Of a disk that is full this is no news.
        }

        segment = null;
    }

    private enum PieceKind : byte
    {
        Begin,
        Records,
        End,
    }

    private readonly record struct Piece(int Segment, PieceKind Kind, byte[] Bytes, int Length)
    {
        public ReadOnlyMemory<byte> Content => Bytes.AsMemory(0, Length);
    }

    /// <summary>A file that is written to, and the segment that it is in.</summary>
    private sealed class OpenSegment
    {
        public OpenSegment(Stream stream, int number, ReadOnlyMemory<byte> header, bool continues)
        {
            (Stream, Number, Counted) = (stream, number, stream.Position);
            Writer = new RecordingWriter(stream);
            Writer.BeginSegment(header.Span, continues);
        }

        public Stream Stream { get; }

        public int Number { get; }

        public RecordingWriter Writer { get; }

        /// <summary>Bytes of the file.</summary>
        public long Length => Stream.Position;

        /// <summary>Bytes of which the metrics know.</summary>
        public long Counted { get; set; }

        /// <summary>Whether what follows no longer fits.</summary>
        public bool IsOver { get; set; }

        public OpenSegment Next(int number, ReadOnlyMemory<byte> header)
        {
            Writer.Dispose();
            return new OpenSegment(Stream, number, header, continues: true);
        }
    }
}
