using System.Globalization;
using System.Text;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>Why PromQL from outside this program is refused before it is sent.</summary>
internal enum QueryTextProblem : byte
{
    None,

    /// <summary>Nothing but blanks.</summary>
    Empty,

    /// <summary>Longer than <see cref="PrometheusQuery.LongestSupplied"/>.</summary>
    TooLong,

    /// <summary>A control or invisible formatting character other than tab and line end, or half of a surrogate pair.</summary>
    ForbiddenCharacter,
}

/// <summary>PromQL that may be sent: put together by <see cref="PromQl"/>, or supplied and checked.</summary>
internal sealed class PrometheusQuery
{
    /// <summary>Characters of a supplied query. Encoded as a URL, twice over, it still fits the smallest limits of proxies.</summary>
    public const int LongestSupplied = 2048;

    /// <summary>Characters of a query of the program's own.</summary>
    public const int LongestOfFleet = 256 * 1024;

    private PrometheusQuery(string text, bool isSupplied)
    {
        Text = text;
        IsSupplied = isSupplied;
    }

    public string Text { get; }

    /// <summary>
    /// Whether it came from outside this program. Its limits are tighter, and its failures do not count against the server:
    /// one workload's bad query must not cut off the others.
    /// </summary>
    public bool IsSupplied { get; }

    /// <summary>
    /// Checks PromQL that a user wrote (<c>latencyQuery</c>, <c>query</c>). It is sent as it is, alone: never inside another
    /// expression, which it could close. Whether it is PromQL the server says; what it may cost the client bounds, in time, series
    /// and bytes.
    /// </summary>
    /// <param name="text">What the user wrote.</param>
    /// <param name="query">The query, if there is no problem.</param>
    public static QueryTextProblem TrySupply(string text, out PrometheusQuery? query)
    {
        ArgumentNullException.ThrowIfNull(text);
        query = null;
        if (text.Length > LongestSupplied)
        {
            return QueryTextProblem.TooLong;
        }

        if (string.IsNullOrWhiteSpace(text))
        {
            return QueryTextProblem.Empty;
        }

        for (var i = 0; i < text.Length; i++)
        {
            if (!Rune.TryGetRuneAt(text, i, out var rune) || !IsAllowed(rune))
            {
                return QueryTextProblem.ForbiddenCharacter;
            }

            i += rune.Utf16SequenceLength - 1;
        }

        query = new PrometheusQuery(text, isSupplied: true);
        return QueryTextProblem.None;
    }

    /// <summary>The kind only: the text may hold what somebody wrote into a trigger.</summary>
    public override string ToString() => IsSupplied ? "a supplied query" : "a fleet query";

    internal static PrometheusQuery OfFleet(PromQl expression) => expression.Text.Length <= LongestOfFleet
        ? new PrometheusQuery(expression.Text, isSupplied: false)
        : throw new InvalidOperationException("The query is too long: ask for all and choose from the answer.");

    // Tab and line ends are how PromQL of more than a line is written in YAML. Invisible characters could show a reviewer
    // another query than the one that runs.
    private static bool IsAllowed(Rune rune) => rune.Value is '\t' or '\n' or '\r'
        || Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator);
}

/// <summary>The instants of a range query: from the start to at most the end, one each step.</summary>
internal readonly record struct PrometheusRange
{
    /// <summary>The most that Prometheus gives for one series.</summary>
    public const int MostPoints = 11_000;

    private PrometheusRange(DateTimeOffset start, DateTimeOffset end, TimeSpan step)
    {
        Start = start;
        End = end;
        Step = step;
    }

    public DateTimeOffset Start { get; }

    public DateTimeOffset End { get; }

    public TimeSpan Step { get; }

    /// <summary>Points for one series, at most.</summary>
    public int Points => Step <= TimeSpan.Zero ? 0 : (int)((End - Start).Ticks / Step.Ticks) + 1;

    /// <summary>
    /// A range with the step wished for, or with the smallest number of whole seconds that keeps the points within bounds.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">It ends before it starts, or the step is less than a millisecond.</exception>
    public static PrometheusRange Covering(DateTimeOffset start, DateTimeOffset end, TimeSpan step, int mostPoints = MostPoints)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(end, start);
        ArgumentOutOfRangeException.ThrowIfLessThan(step, TimeSpan.FromMilliseconds(1));
        ArgumentOutOfRangeException.ThrowIfLessThan(mostPoints, 1);
        mostPoints = Math.Min(mostPoints, MostPoints);
        if (mostPoints == 1)
        {
            return new PrometheusRange(end, end, step);
        }

        return (end - start).Ticks / step.Ticks < mostPoints
            ? new PrometheusRange(start, end, step)
            : new PrometheusRange(start, end, TimeSpan.FromSeconds(Math.Ceiling((end - start).TotalSeconds / (mostPoints - 1))));
    }
}
