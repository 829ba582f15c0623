using System.Buffers;
using System.IO.Compression;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>A decompressed message in a rented array, returned on disposal.</summary>
internal sealed class GzipPayload : IDisposable
{
    private const int FirstBufferBytes = 4096;

    private byte[]? _array;
    private int _length;

    private GzipPayload(byte[] array)
    {
        _array = array;
    }

    public ReadOnlyMemory<byte> Memory => _array.AsMemory(0, _length);

    /// <summary>
    /// Decompresses at most <paramref name="maxBytes"/>. The buffer grows with what has really come out: 4 MiB of
    /// compressed zeros would be 4 GiB, and are given up at the limit instead.
    /// </summary>
    /// <exception cref="Grpc.Core.RpcException">The payload is too large or no gzip.</exception>
    public static GzipPayload Decompress(ReadOnlySequence<byte> compressed, int maxBytes)
    {
        var result = new GzipPayload(ArrayPool<byte>.Shared.Rent(FirstBufferBytes));
        try
        {
            result.Fill(compressed, maxBytes);
            return result;
        }
        catch (InvalidDataException exception)
        {
            result.Dispose();
            throw WireStatus.Undecompressable(exception);
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_array is { } array)
        {
            _array = null;
            ArrayPool<byte>.Shared.Return(array);
        }
    }

    private void Fill(ReadOnlySequence<byte> compressed, int maxBytes)
    {
        using var source = new SequenceStream(compressed);
        using var gzip = new GZipStream(source, CompressionMode.Decompress);
        while (true)
        {
            if (_length == _array!.Length)
            {
                Grow();
            }

            var read = gzip.Read(_array.AsSpan(_length));
            if (read == 0)
            {
                break;
            }

            _length += read;
            if (_length > maxBytes)
            {
                throw WireStatus.TooLarge(maxBytes);
            }
        }

        // An empty message compresses to a header and a trailer; no bytes at all are no gzip stream.
        if (compressed.IsEmpty)
        {
            throw WireStatus.Undecompressable();
        }
    }

    private void Grow()
    {
        var larger = ArrayPool<byte>.Shared.Rent(_array!.Length * 2);
        _array.AsSpan(0, _length).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_array);
        _array = larger;
    }

    /// <summary>Lets <see cref="GZipStream"/> read a sequence without copying it together first.</summary>
    private sealed class SequenceStream(ReadOnlySequence<byte> rest) : Stream
    {
        private ReadOnlySequence<byte> _rest = rest;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override int Read(Span<byte> buffer)
        {
            var chunk = _rest.Slice(0, Math.Min(buffer.Length, _rest.Length));
            chunk.CopyTo(buffer);
            _rest = _rest.Slice(chunk.End);
            return (int)chunk.Length;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
