using System.Buffers;
using System.Globalization;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>Finds how far a query looks back: the longest range (<c>[5m]</c>, <c>[1h30m:1m]</c>) in its text.</summary>
/// <remarks>
/// No parser: what is no PromQL the server refuses. Brackets in strings and comments do not count, and a range that is not a
/// plain duration is passed over.
/// </remarks>
internal static class RangeWindow
{
    // Longer than any server keeps samples; also keeps sums from overflowing.
    private static readonly TimeSpan Longest = TimeSpan.FromDays(36_500);

    private static readonly SearchValues<char> Openings = SearchValues.Create("\"'`#[");
    private static readonly SearchValues<char> Endings = SearchValues.Create("]:\"'`#[");

    private static readonly (string Unit, double Milliseconds)[] Units =
    [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000), ("y", 31_536_000_000),
    ];

    /// <summary>The longest range; zero if there is none.</summary>
    public static TimeSpan Of(string query)
    {
        var longest = TimeSpan.Zero;
        var rest = query.AsSpan();
        while (rest.IndexOfAny(Openings) is var start and >= 0)
        {
            var mark = rest[start];
            rest = rest[(start + 1)..];
            if (mark == '[')
            {
                var end = rest.IndexOfAny(Endings);
                if (end >= 0 && rest[end] is ']' or ':' && DurationOf(rest[..end].Trim()) is { } range && range > longest)
                {
                    longest = range;
                }
            }
            else
            {
                rest = rest[LengthOf(mark, rest)..];
            }
        }

        return longest;
    }

    /// <summary>Characters of a string or comment behind the one that opens it, its end included.</summary>
    private static int LengthOf(char mark, ReadOnlySpan<char> text)
    {
        var end = mark == '#' ? '\n' : mark;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == end)
            {
                return i + 1;
            }

            // Neither raw strings nor comments have escapes.
            i += text[i] == '\\' && mark is '"' or '\'' ? 1 : 0;
        }

        return text.Length;
    }

    /// <summary>A duration such as <c>1h30m</c>, or a number of seconds, as Prometheus 3 takes it; null for anything else.</summary>
    private static TimeSpan? DurationOf(ReadOnlySpan<char> text)
    {
        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds))
        {
            return Bounded(seconds * 1000);
        }

        double sum = 0;
        if (text.IsEmpty)
        {
            return null;
        }

        while (!text.IsEmpty)
        {
            var digits = text.IndexOfAnyExceptInRange('0', '9');
            if (digits <= 0 || !double.TryParse(text[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                return null;
            }

            text = text[digits..];
            var letters = text.IndexOfAnyInRange('0', '9') is var next and >= 0 ? text[..next] : text;
            var milliseconds = 0.0;
            foreach (var (unit, size) in Units)
            {
                milliseconds = letters.SequenceEqual(unit) ? size : milliseconds;
            }

            if (milliseconds == 0)
            {
                return null;
            }

            sum += number * milliseconds;
            text = text[letters.Length..];
        }

        return Bounded(sum);
    }

    private static TimeSpan Bounded(double milliseconds) =>
        milliseconds < Longest.TotalMilliseconds ? TimeSpan.FromMilliseconds(milliseconds) : Longest;
}
