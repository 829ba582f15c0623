using System.Text.RegularExpressions;

namespace GpuExternalScaler.Sources;

/// <summary>
/// A pattern of pod names, and its verdicts on those that it was held against. An automaton takes 0.4 MB from the start and
/// milliseconds to make, so it is made when there are new names and not kept for long; those of a thousand workloads would fill the
/// memory. For one thread.
/// </summary>
internal sealed class PodPattern
{
    private const RegexOptions Options = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant;

    // Of all workloads together: the ones made last.
    private const int MostMade = 32;
    private static readonly PodPattern?[] Made = new PodPattern?[MostMade];
    private static int _next;

    private readonly string _text;
    private readonly Dictionary<string, bool> _verdicts = new(StringComparer.Ordinal);
    private readonly PatternPatience _patience = new();
    private volatile Regex? _automaton;

    /// <param name="text">What <see cref="Of"/> takes.</param>
    public PodPattern(string text)
    {
        _text = text;
        Prefix = PrefixOf(text);
    }

    /// <summary>What all names begin with that it matches, so far as that is plain to see.</summary>
    public string Prefix { get; }

    /// <summary>Whether it took so long that it is no longer tried.</summary>
    public bool IsRefused { get; private set; }

    /// <summary>A pattern for whole names; null if it is none, or needs backtracking.</summary>
    public static PodPattern? Of(string text)
    {
        try
        {
            // Alone first, for its form only: "a)|(b" must not slip out of the anchors by closing the group around it.
            _ = new Regex(text, RegexOptions.CultureInvariant, Regex.InfiniteMatchTimeout);
            var pattern = new PodPattern(text);
            _ = pattern.Automaton();
            return pattern;
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            return null;
        }
    }

    /// <summary>Whether it matches a name.</summary>
    public bool Matches(string name) =>
        _verdicts.TryGetValue(name, out var matches) ? matches
        : !IsRefused && name.StartsWith(Prefix, StringComparison.Ordinal) && Automaton().IsMatch(name);

    /// <summary>Holds it against a name, unless that was done before; false if there is no time left for it.</summary>
    public bool TryJudge(string name, MatchingBudget? budget, out bool matches)
    {
        if (_verdicts.TryGetValue(name, out matches))
        {
            return true;
        }

        if (IsRefused || budget is { IsSpent: true })
        {
            return false;
        }

        var began = budget?.Begin() ?? 0;
        var automaton = _automaton ?? Automaton();
        budget?.End(began);
        began = budget?.Begin() ?? 0;
        _verdicts[name] = matches = automaton.IsMatch(name);
        _patience.Add(budget?.End(began) ?? TimeSpan.Zero);
        if (_patience.IsOver)
        {
            // The automaton may have grown to a gigabyte; it goes with the verdicts, which are not all there are.
            IsRefused = true;
            _automaton = null;
            _verdicts.Clear();
        }

        return !IsRefused;
    }

    /// <summary>All names that there are were judged: forgets those that there are no more, once they are many.</summary>
    public void Settle(int names)
    {
        _patience.Restore();
        if (_verdicts.Count > 64 + (4 * names))
        {
            _verdicts.Clear();
        }
    }

    // A literal beginning holds for all names unless there is a choice, or unless a number of times is said of its last character:
    // possibly behind a comment.
    private static string PrefixOf(string text)
    {
        var length = 0;
        while (length < text.Length && (char.IsAsciiLetterLower(text[length]) || char.IsAsciiDigit(text[length]) || text[length] == '-'))
        {
            length++;
        }

        var isCounted = length > 0 && length < text.Length && text[length] is '?' or '*' or '+' or '{';
        return text.Contains('|', StringComparison.Ordinal) || text.Contains("(?", StringComparison.Ordinal) ? "" : text[..(isCounted ? length - 1 : length)];
    }

    private Regex Automaton()
    {
        if (_automaton is { } made)
        {
            return made;
        }

        // No time limit: on a machine that stalls it would run out, and pods that do not match are pods that are gone.
        made = new Regex($@"\A(?:{_text})\z", Options, Regex.InfiniteMatchTimeout);
        lock (Made)
        {
            if (Made[_next] is { } oldest)
            {
                oldest._automaton = null;
            }

            Made[_next] = this;
            _next = (_next + 1) % MostMade;
            _automaton = made;
        }

        return made;
    }
}
