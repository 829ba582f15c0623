using System.Diagnostics.CodeAnalysis;

namespace GpuExternalScaler.Configuration;

/// <summary>
/// Which workloads an entry of the file is for: <c>namespace/name</c>, in both of which <c>*</c> stands for any
/// characters, also none.
/// </summary>
internal sealed record WorkloadPattern
{

    private WorkloadPattern(string @namespace, string name)
    {
        Namespace = @namespace;
        Name = name;
        IsForOneNamespace = !@namespace.Contains('*', StringComparison.Ordinal);
        Literals = (@namespace + name).Count(static c => c != '*');
        IsFullName = Literals == @namespace.Length + name.Length;
    }

    /// <summary>Whether the part before the slash has no star.</summary>
    public bool IsForOneNamespace { get; }

    /// <summary>The part before the slash.</summary>
    public string Namespace { get; }

    /// <summary>The part after it.</summary>
    public string Name { get; }

    /// <summary>Characters other than <c>*</c>: of two patterns that match, the one with more wins.</summary>
    public int Literals { get; }

    /// <summary>Whether it names one workload. Such an entry wins over every pattern, also one of as many characters.</summary>
    public bool IsFullName { get; }

    /// <summary>Reads a pattern; false for anything else.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out WorkloadPattern? pattern)
    {
        pattern = null;
        if (text.Split('/') is not [var @namespace, var name] || !IsPart(@namespace) || !IsPart(name))
        {
            return false;
        }

        pattern = new WorkloadPattern(@namespace, name);
        return true;
    }

    /// <summary>Whether a workload is meant.</summary>
    public bool Matches(string @namespace, string name) => IsMatch(Namespace, @namespace) && IsMatch(Name, name);

    /// <summary>A workload that this pattern and another both mean; null when there is none.</summary>
    public string? Overlap(WorkloadPattern other)
    {
        // Thousands of entries for a namespace each are compared pair by pair.
        if (IsForOneNamespace && other.IsForOneNamespace && Namespace != other.Namespace)
        {
            return null;
        }

        return Common(Namespace, other.Namespace) is { } @namespace && Common(Name, other.Name) is { } name ? $"{@namespace}/{name}" : null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Namespace}/{Name}";

    /// <summary>Whether a text is what Kubernetes allows in names, and stars.</summary>
    public static bool IsPart(string text) =>
        text.Length is > 0 and <= 253 && text.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.' or '*');

    /// <summary>Whether a text matches a pattern. Greedy, going back to the last star only: linear but for the worst of patterns, which the operator wrote.</summary>
    public static bool IsMatch(string pattern, string text)
    {
        var (p, t, star, resume) = (0, 0, -1, 0);
        while (t < text.Length)
        {
            if (p < pattern.Length && pattern[p] == '*')
            {
                (star, resume) = (p++, t);
            }
            else if (p < pattern.Length && pattern[p] == text[t])
            {
                p++;
                t++;
            }
            else if (star >= 0)
            {
                p = star + 1;
                t = ++resume;
            }
            else
            {
                return false;
            }
        }

        while (p < pattern.Length && pattern[p] == '*')
        {
            p++;
        }

        return p == pattern.Length;
    }

    /// <summary>A shortest text that two patterns both match; null when there is none.</summary>
    private static string? Common(string a, string b)
    {
        // Most pairs differ before their first star, or after their last.
        for (var i = 0; i < a.Length && i < b.Length && a[i] != '*' && b[i] != '*'; i++)
        {
            if (a[i] != b[i])
            {
                return null;
            }
        }

        for (var i = 1; i <= a.Length && i <= b.Length && a[^i] != '*' && b[^i] != '*'; i++)
        {
            if (a[^i] != b[^i])
            {
                return null;
            }
        }

        // From the end: what the rest of both, from i and from j, match in common.
        var rest = new string?[a.Length + 1, b.Length + 1];
        for (var i = a.Length; i >= 0; i--)
        {
            for (var j = b.Length; j >= 0; j--)
            {
                rest[i, j] = Rest(i, j);
            }
        }

        return rest[0, 0] is { Length: 0 } ? "x" : rest[0, 0];

        string? Rest(int i, int j)
        {
            var (atA, atB) = (i < a.Length ? a[i] : '\0', j < b.Length ? b[j] : '\0');
            if (atA == '\0' && atB == '\0')
            {
                return "";
            }

            string? shortest = null;
            if (atA == '*')
            {
                shortest = Shorter(rest[i + 1, j], atB is '\0' or '*' ? null : Then(atB, rest[i, j + 1]));
            }

            if (atB == '*')
            {
                shortest = Shorter(shortest, Shorter(rest[i, j + 1], atA is '\0' or '*' ? null : Then(atA, rest[i + 1, j])));
            }

            return atA == atB && atA != '*' ? Then(atA, rest[i + 1, j + 1]) : shortest;
        }

        static string? Then(char first, string? rest) => rest is null ? null : first + rest;

        static string? Shorter(string? one, string? other) => one is null || (other is not null && other.Length < one.Length) ? other : one;
    }
}
