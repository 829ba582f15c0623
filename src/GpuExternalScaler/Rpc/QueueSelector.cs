using System.Text.RegularExpressions;

namespace GpuExternalScaler.Rpc;

/// <summary>Which queues of a virtual host a trigger means: names, or a pattern.</summary>
/// <param name="Names">Exact names; empty with a pattern.</param>
/// <param name="Pattern">The pattern's text, or null.</param>
internal sealed record QueueSelector(IReadOnlyList<string> Names, string? Pattern)
{
    /// <summary>Longest pattern, in characters.</summary>
    public const int LongestPattern = 256;

    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);
    private static readonly PatternVerdicts Verdicts = new(static pattern => Compile(pattern) is not null, LongestPattern);

    /// <summary>Text that is equal for selectors that mean the same queues.</summary>
    public string Canonical => Pattern is null ? "names:" + string.Join(',', Names) : "pattern:" + Pattern;

    /// <summary>Whether a pattern can be used. Remembered, since each RPC asks.</summary>
    public static bool IsPattern(string pattern) => Verdicts.Of(pattern);

    /// <summary>
    /// The anchored expression for a pattern, or null when it is not one. Non-backtracking: time is linear in the name;
    /// constructs that need backtracking are refused with the rest.
    /// </summary>
    public static Regex? Compile(string pattern)
    {
        if (pattern.Length > LongestPattern)
        {
            return null;
        }

        try
        {
            // Alone first: "a)|(b" must not slip out of the anchors by closing the group around it.
            _ = new Regex(pattern, Options, Limit);
            return new Regex($@"\A(?:{pattern})\z", Options, Limit);
        }
        catch (ArgumentException)
        {
            return null;
        }
        catch (NotSupportedException)
        {
            return null;
        }
    }
}
