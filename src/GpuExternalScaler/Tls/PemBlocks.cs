using System.Security.Cryptography;

namespace GpuExternalScaler.Tls;

/// <summary>The parts of a PEM file, and whether any is damaged: the runtime's own readers pass over what they cannot read.</summary>
internal static class PemBlocks
{
    /// <summary>The label of a certificate.</summary>
    public const string Certificate = "CERTIFICATE";

    /// <summary>Every part that can be read, with its label.</summary>
    public static IReadOnlyList<(string Label, string Text)> Read(string text)
    {
        var blocks = new List<(string, string)>();
        var rest = text.AsSpan();
        while (PemEncoding.TryFind(rest, out var found))
        {
            blocks.Add((rest[found.Label].ToString(), rest[found.Location].ToString()));
            rest = rest[found.Location.End..];
        }

        return blocks;
    }

    /// <summary>Whether a part begins that cannot be read to its end: cut off, or with characters that have no place there.</summary>
    public static bool HasDamaged(string text, IReadOnlyList<(string Label, string Text)> blocks, string label) =>
        CountOf(text, $"-----BEGIN {label}-----") > blocks.Count(block => block.Label == label);

    private static int CountOf(ReadOnlySpan<char> text, string part)
    {
        var count = 0;
        for (int at; (at = text.IndexOf(part, StringComparison.Ordinal)) >= 0; text = text[(at + part.Length)..])
        {
            count++;
        }

        return count;
    }
}
