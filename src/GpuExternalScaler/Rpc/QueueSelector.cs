using System.Collections.Concurrent;
using System.Text.RegularExpressions;

namespace GpuExternalScaler.Rpc;

/// <summary>Which queues of a virtual host a trigger means: names, or a pattern.</summary>
/// <param name="Names">Exact names; empty with a pattern.</param>
/// <param name="Pattern">The pattern's text, or null.</param>
internal sealed record QueueSelector(IReadOnlyList<string> Names, string? Pattern)
{
    /// <summary>Longest pattern, in characters.</summary>
    public const int LongestPattern = 256;

    // Building an automaton costs thousands of times what matching a name does, and KEDA sends the same few patterns
    // for ever; past the bound somebody is inventing them.
    private const int CachedPatterns = 4096;
    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);
    private static readonly ConcurrentDictionary<string, Regex?> Compiled = new(StringComparer.Ordinal);

    /// <summary>Text that is equal for selectors that mean the same queues.</summary>
    public string Canonical => Pattern is null ? "names:" + string.Join(',', Names) : "pattern:" + Pattern;

    /// <summary>
    /// The anchored expression for a pattern, or null when it is not one. Non-backtracking: a hostile pattern costs time
    /// linear in the name, whatever it looks like; constructs that need backtracking are refused with the rest.
    /// </summary>
    public static Regex? Compile(string pattern)
    {
        if (pattern.Length > LongestPattern)
        {
            return null;
        }

        if (Compiled.TryGetValue(pattern, out var known))
        {
            return known;
        }

        Regex? regex = null;
        try
        {
            // Alone first: "a)|(b" must not slip out of the anchors by closing the group around it.
            _ = new Regex(pattern, Options, Limit);
            regex = new Regex($@"\A(?:{pattern})\z", Options, Limit);
        }
        catch (ArgumentException)
        {
        }
        catch (NotSupportedException)
        {
        }

        if (Compiled.Count >= CachedPatterns)
        {
            Compiled.Clear();
        }

        Compiled.TryAdd(pattern, regex);
        return regex;
    }
}
