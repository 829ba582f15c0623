using System.Buffers.Binary;
using System.IO.Compression;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Scaling.Tests.Recording;

/// <summary>The content of a recording's frames, for tests that change it.</summary>
internal static class Frames
{
    public static List<byte[]> Unpack(byte[] recording)
    {
        var frames = new List<byte[]>();
        var unpacker = default(BrotliDecoder);
        for (var at = 8; at < recording.Length;)
        {
            var head = recording.AsSpan(at, 16);
            var (packed, unpacked) = (BinaryPrimitives.ReadInt32LittleEndian(head[4..]), BinaryPrimitives.ReadInt32LittleEndian(head[8..]));
            var content = new byte[unpacked + 16];
            unpacker.Decompress(recording.AsSpan(at + 16, packed), content, out _, out var written);
            frames.Add(written == unpacked ? content[..unpacked] : throw new InvalidDataException($"{written} bytes in place of {unpacked}"));
            at += 16 + packed;
        }

        unpacker.Dispose();
        return frames;
    }

    /// <summary>Makes a recording of one segment.</summary>
    public static byte[] Pack(IEnumerable<byte[]> frames)
    {
        var stream = new MemoryStream();
        using var writer = new RecordingWriter(stream);
        writer.BeginSegment(frames.First());
        foreach (var frame in frames.Skip(1))
        {
            writer.Write(frame);
        }

        return stream.ToArray();
    }
}
