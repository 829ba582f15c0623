using System.Buffers;
using System.Text;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>One label of a sample. The value may hold any text; the writer escapes it.</summary>
internal readonly record struct MetricLabel(string Name, string Value)
{
    /// <summary>Lets a call site write <c>("queue", name)</c>.</summary>
    public static implicit operator MetricLabel((string Name, string Value) pair) => new(pair.Name, pair.Value);
}

/// <summary>
/// Labels already escaped and encoded. A workload's labels never change, so they are made once, when the workload is
/// registered, and copied into each of its series at each scrape. <c>default</c> is the empty set.
/// </summary>
internal readonly struct LabelSet
{
    private readonly byte[]? _text;

    private LabelSet(byte[] text) => _text = text;

    /// <summary><c>a="1",b="2"</c>, without the braces.</summary>
    public ReadOnlySpan<byte> Text => _text;

    /// <summary>Escapes and encodes <paramref name="labels"/>.</summary>
    /// <exception cref="ArgumentException">A name is not usable, or is given twice.</exception>
    public static LabelSet Of(params ReadOnlySpan<MetricLabel> labels)
    {
        for (var i = 1; i < labels.Length; i++)
        {
            foreach (var earlier in labels[..i])
            {
                if (string.Equals(earlier.Name, labels[i].Name, StringComparison.Ordinal))
                {
                    throw new ArgumentException($"The label '{earlier.Name}' is given twice.", nameof(labels));
                }
            }
        }

        var scratch = ArrayPool<byte>.Shared.Rent(LabelText.MaxBytes(labels));
        try
        {
            var length = LabelText.Write(labels, scratch);
            return length == 0 ? default : new LabelSet(scratch.AsSpan(0, length).ToArray());
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(scratch);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Encoding.UTF8.GetString(Text);
}

/// <summary>Escapes labels. The two formats agree on how.</summary>
internal static class LabelText
{
    // NUL is legal in UTF-8 and in the text of the format, but Prometheus' scrape parser takes it for the end of the page.
    private static readonly SearchValues<char> NeedsEscape = SearchValues.Create("\\\"\n\0");

    /// <summary>
    /// A bound, not the length: a UTF-16 unit takes at most three bytes, an escape two.
    /// </summary>
    public static int MaxBytes(ReadOnlySpan<MetricLabel> labels)
    {
        var bytes = 0;
        foreach (var label in labels)
        {
            bytes += label.Name.Length + (3 * label.Value.Length) + ",=\"\"".Length;
        }

        return bytes;
    }

    /// <summary>Writes <c>a="1",b="2"</c> and returns its length.</summary>
    public static int Write(ReadOnlySpan<MetricLabel> labels, Span<byte> destination)
    {
        var length = 0;
        foreach (var label in labels)
        {
            ThrowUnlessUsable(label.Name);
            if (length > 0)
            {
                destination[length++] = (byte)',';
            }

            length += Encoding.ASCII.GetBytes(label.Name, destination[length..]);
            destination[length++] = (byte)'=';
            destination[length++] = (byte)'"';
            length += WriteEscaped(label.Value, destination[length..]);
            destination[length++] = (byte)'"';
        }

        return length;
    }

    private static int WriteEscaped(ReadOnlySpan<char> value, Span<byte> destination)
    {
        var length = 0;
        while (true)
        {
            var plain = value.IndexOfAny(NeedsEscape);
            if (plain < 0)
            {
                return length + Encoding.UTF8.GetBytes(value, destination[length..]);
            }

            length += Encoding.UTF8.GetBytes(value[..plain], destination[length..]);
            var escaped = value[plain] switch
            {
                '\\' => "\\\\"u8,
                '"' => "\\\""u8,
                '\n' => "\\n"u8,
                _ => "\uFFFD"u8,
            };
            escaped.CopyTo(destination[length..]);
            length += escaped.Length;
            value = value[(plain + 1)..];
        }
    }

    private static void ThrowUnlessUsable(string name)
    {
        if (!MetricFamily.IsPlainName(name) || name.StartsWith("__", StringComparison.Ordinal))
        {
            throw new ArgumentException($"'{name}' is not a label name: letters, digits and '_', beginning with neither a digit nor '__'.", nameof(name));
        }

        if (name is "le" or "quantile")
        {
            throw new ArgumentException($"The label '{name}' belongs to histograms and summaries.", nameof(name));
        }
    }
}
