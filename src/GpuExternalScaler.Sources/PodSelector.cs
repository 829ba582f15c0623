using System.Buffers;

namespace GpuExternalScaler.Sources;

/// <summary>
/// Which pods belong to a workload, by their names alone (T15): those of a Deployment, StatefulSet or Job called
/// <see cref="Target"/>, or those that a pattern matches. With a pattern, for one thread.
/// </summary>
/// <remarks>
/// <para>
/// A target's pods are <c>TARGET-HASH-xxxxx</c> (Deployment), <c>TARGET-n</c> (StatefulSet), <c>TARGET-xxxxx</c> (Job) and
/// <c>TARGET-n-xxxxx</c> (indexed Job). HASH is a 32-bit number in decimal, its digits written as ten letters and digits, so
/// that <c>web-api-x7k2p</c> and <c>web-api-7d4b9c6f5-x7k2p</c> are not taken for pods of <c>web</c>: "api" is no hash.
/// A random ending of a Job's pod has no vowels and neither 0, 1 nor 3, so <c>web-proxy</c> is no pod of <c>web</c> either.
/// </para>
/// <para>
/// What names cannot tell: a Job, DaemonSet or bare ReplicaSet called <c>web-5</c> or <c>web-bcd</c> has pods like those of a
/// Deployment <c>web</c>; a Job called <c>web-0</c> has pods like those of an indexed Job <c>web</c>; the StatefulSet <c>web</c>
/// and the Deployment <c>web</c> of one namespace are one to a target; names alike in their first 58 characters are alike.
/// Where it matters, <c>podRegex</c> says it, and of several targets that match, the longest should have the pod
/// (<see cref="Specificity"/>).
/// </para>
/// </remarks>
public sealed class PodSelector
{
    /// <summary>Longest pattern, in characters.</summary>
    public const int LongestPattern = 256;

    private const int LongestHash = 10;
    private const int EndingLength = 5;

    // A generated name is cut to 58 characters before its ending is added.
    private const int LongestGeneratedBase = 58;

    // The digits of the hash, 0 to 9, are written as 456789bcdf.
    private static readonly SearchValues<char> HashCharacters = SearchValues.Create("456789bcdf");
    private static readonly SearchValues<char> EndingCharacters = SearchValues.Create("bcdfghjklmnpqrstvwxz2456789");

    private readonly PodPattern? _pattern;

    private PodSelector(string @namespace, string? target, PodPattern? pattern)
    {
        Namespace = @namespace;
        Target = target;
        _pattern = pattern;
    }

    /// <summary>Namespace of the pods. There is no selecting across namespaces.</summary>
    public string Namespace { get; }

    /// <summary>Name of the Deployment, StatefulSet or Job; null with a pattern.</summary>
    public string? Target { get; }

    /// <summary>Whether the pattern took so long that it is no longer tried: it would slow everybody's answers down.</summary>
    public bool IsRefused => _pattern is { IsRefused: true };

    /// <summary>Where several selectors match a pod, the one with the largest has it. A pattern was written for what it matches.</summary>
    public int Specificity => Target?.Length ?? int.MaxValue;

    /// <summary>
    /// What the names of all these pods begin with, so that sorted names need not all be looked at: the target and a dash, as far
    /// as names are not cut; of a pattern its literal beginning, possibly empty.
    /// </summary>
    public string Prefix => Target is null ? _pattern!.Prefix
        : Target.Length < LongestGeneratedBase ? Target + "-"
        : Target[..LongestGeneratedBase];

    /// <summary>Selects the pods of a Deployment, StatefulSet or Job.</summary>
    public static PodSelector ForTarget(string @namespace, string target)
    {
        ArgumentException.ThrowIfNullOrEmpty(@namespace);
        ArgumentException.ThrowIfNullOrEmpty(target);
        return new PodSelector(@namespace, target, null);
    }

    /// <summary>
    /// Selects pods whose whole name matches a pattern; null if it is none, is longer than <see cref="LongestPattern"/>, or
    /// needs backtracking. Matching takes time linear in the name.
    /// </summary>
    public static PodSelector? ForPattern(string @namespace, string pattern)
    {
        ArgumentException.ThrowIfNullOrEmpty(@namespace);
        ArgumentNullException.ThrowIfNull(pattern);
        return pattern.Length is 0 or > LongestPattern || PodPattern.Of(pattern) is not { } usable ? null : new PodSelector(@namespace, null, usable);
    }

    /// <summary>The same for a pattern that <see cref="ForPattern"/> is known to take; nothing is made of it before it is needed.</summary>
    public static PodSelector ForCheckedPattern(string @namespace, string pattern) => new(@namespace, null, new PodPattern(pattern));

    /// <summary>Whether a pod is meant. A pod whose namespace is not known is not.</summary>
    public bool Matches(string? @namespace, string? pod)
    {
        if (@namespace != Namespace || string.IsNullOrEmpty(pod))
        {
            return false;
        }

        return _pattern is null ? IsOfTarget(Target!, pod) : _pattern.Matches(pod);
    }

    /// <summary>
    /// Whether a pod of the namespace is meant. What a pattern says of a name is remembered, so that asking again takes no time.
    /// False if there is no time left for that in this tick, or if the pattern has taken too much of it.
    /// </summary>
    internal bool TryJudge(string pod, MatchingBudget? budget, out bool matches)
    {
        if (_pattern is not null && pod.Length > 0)
        {
            return _pattern.TryJudge(pod, budget, out matches);
        }

        matches = Matches(Namespace, pod);
        return true;
    }

    /// <summary>All pods of a sweep were judged, so many names.</summary>
    internal void Settle(int names) => _pattern?.Settle(names);

    private static bool IsOfTarget(string target, ReadOnlySpan<char> pod)
    {
        // Whole bases end in a dash; one that was cut has the ending right behind it.
        if (pod.Length == LongestGeneratedBase + EndingLength
            && IsOfCutBase(target, pod[..LongestGeneratedBase])
            && IsEnding(pod[LongestGeneratedBase..]))
        {
            return true;
        }

        if (pod.Length < target.Length + 2 || !pod.StartsWith(target) || pod[target.Length] != '-')
        {
            return false;
        }

        var rest = pod[(target.Length + 1)..];
        var dash = rest.IndexOf('-');
        if (dash < 0)
        {
            return IsOrdinal(rest) || (IsEnding(rest) && !rest.ContainsAnyExcept(EndingCharacters));
        }

        var middle = rest[..dash];
        return (IsHash(middle) || IsOrdinal(middle)) && IsEnding(rest[(dash + 1)..]);
    }

    // TARGET-HASH- and TARGET-, cut within the hash, behind it or within the target.
    private static bool IsOfCutBase(string target, ReadOnlySpan<char> cut)
    {
        if (target.Length >= cut.Length)
        {
            return target.AsSpan(0, cut.Length).SequenceEqual(cut);
        }

        return cut.StartsWith(target) && cut[target.Length] == '-' && IsHash(cut[(target.Length + 1)..]);
    }

    private static bool IsHash(ReadOnlySpan<char> text) =>
        text.Length is > 0 and <= LongestHash && !text.ContainsAnyExcept(HashCharacters);

    private static bool IsOrdinal(ReadOnlySpan<char> text) =>
        text.Length is > 0 and <= LongestHash && !text.ContainsAnyExceptInRange('0', '9');

    // After a hash, any letter and digit will do: there is nothing else it could be.
    private static bool IsEnding(ReadOnlySpan<char> text)
    {
        if (text.Length != EndingLength)
        {
            return false;
        }

        foreach (var character in text)
        {
            if (!char.IsAsciiLetterLower(character) && !char.IsAsciiDigit(character))
            {
                return false;
            }
        }

        return true;
    }
}
