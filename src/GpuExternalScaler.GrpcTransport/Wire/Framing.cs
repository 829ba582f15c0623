using System.Buffers;
using System.Buffers.Binary;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>How messages of one direction of a call are encoded, and how large they may be.</summary>
/// <param name="IsGzip">Whether <c>grpc-encoding</c> is gzip; otherwise it is identity.</param>
/// <param name="MaxMessageBytes">The limit on a message, both as received and decompressed.</param>
internal readonly record struct MessageFormat(bool IsGzip, int MaxMessageBytes);

/// <summary>A message with its length prefix taken off.</summary>
internal readonly record struct Frame(bool IsCompressed, ReadOnlySequence<byte> Payload);

/// <summary>The length prefix of messages: one byte that is 1 for compressed, and the length in four, big-endian.</summary>
internal static class Framing
{
    public const int PrefixBytes = 5;

    public static void WritePrefix(Span<byte> destination, int payloadBytes)
    {
        destination[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(destination[1..], (uint)payloadBytes);
    }

    /// <summary>
    /// Takes the first message off a buffer; false while it is not there whole. A prefix that promises too much, or
    /// what cannot be decoded, is refused before any of it is waited for.
    /// </summary>
    public static bool TryRead(ref ReadOnlySequence<byte> buffer, MessageFormat format, out Frame frame)
    {
        frame = default;
        if (buffer.Length < PrefixBytes)
        {
            return false;
        }

        Span<byte> prefix = stackalloc byte[PrefixBytes];
        buffer.Slice(0, PrefixBytes).CopyTo(prefix);
        var flag = prefix[0];
        var length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (flag > 1)
        {
            throw WireStatus.Internal("A message has an unknown compression flag.");
        }

        if (flag == 1 && !format.IsGzip)
        {
            throw WireStatus.CompressedWithoutEncoding();
        }

        // Compared as unsigned: 0xFFFFFFFF must not become -1 and pass.
        if (length > (uint)format.MaxMessageBytes)
        {
            throw WireStatus.TooLarge(format.MaxMessageBytes);
        }

        if (buffer.Length - PrefixBytes < length)
        {
            return false;
        }

        frame = new Frame(flag == 1, buffer.Slice(PrefixBytes, length));
        buffer = buffer.Slice(frame.Payload.End);
        return true;
    }
}
