namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>Pages that no exporter sends.</summary>
internal static class WildPages
{
    /// <summary>The captures of a folder, by name.</summary>
    public static byte[][] Captures(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*.txt").Order(StringComparer.Ordinal).Select(File.ReadAllBytes)];

    /// <summary>One page: seldom noise, else pieces of captures, some of them spoilt.</summary>
    public static byte[] Next(Random random, byte[][] captures)
    {
        if (random.Next(10) == 0)
        {
            var noise = new byte[random.Next(5000)];
            random.NextBytes(noise);
            return noise;
        }

        using var page = new MemoryStream();
        for (var parts = random.Next(1, 20); parts > 0; parts--)
        {
            // Pieces of captures, whole lines or not, with some bytes changed and some lines many times over.
            var capture = captures[random.Next(captures.Length)];
            var from = random.Next(capture.Length);
            var piece = capture.AsSpan(from, Math.Min(random.Next(1, 4000), capture.Length - from)).ToArray();
            for (var edits = random.Next(8); edits > 0; edits--)
            {
                piece[random.Next(piece.Length)] = random.Next(2) == 0 ? (byte)random.Next(256) : "\"{}=,\\\n #0-9.eN"u8[random.Next(15)];
            }

            for (var times = random.Next(12) == 0 ? 20 : 1; times > 0; times--)
            {
                page.Write(piece);
            }
        }

        return page.ToArray();
    }
}
