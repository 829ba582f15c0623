using System.Globalization;
using System.Text;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// A PromQL expression put together from data. Names, values and regular expressions are arguments and never text that somebody
/// joined: a namespace called <c>"} or vector(0)</c> is a namespace that no series has.
/// </summary>
internal sealed class PromQl
{
    private readonly bool _isSelector;

    private PromQl(string text, bool isSelector = false)
    {
        Text = text;
        _isSelector = isSelector;
    }

    public string Text { get; }

    /// <summary>The series of one metric.</summary>
    /// <exception cref="ArgumentException">The name is empty.</exception>
    public static PromQl Metric(string name, params ReadOnlySpan<LabelMatcher> matchers)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);

        // A name that is not plain is legal since Prometheus 3, and this way of writing it always was.
        var text = new StringBuilder(IsPlainName(name, colons: true) && !IsKeyword(name) ? name : "");
        string[] terms = [.. text.Length == 0 ? [$"__name__={Quote(name)}"] : (string[])[], .. TermsOf(matchers)];
        if (terms.Length > 0)
        {
            text.Append('{').AppendJoin(',', terms).Append('}');
        }

        return new PromQl(text.ToString(), isSelector: true);
    }

    /// <summary>The series of several metrics, to be added up by name: of them together no age can be asked.</summary>
    public static PromQl AnyOf(params IEnumerable<string> names) => new($"{{{LabelMatcher.In("__name__", names).ToTerm()}}}");

    /// <summary>A number.</summary>
    public static PromQl Number(double value) => new(
        double.IsNaN(value) ? "NaN"
        : double.IsInfinity(value) ? (value > 0 ? "(+Inf)" : "(-Inf)")
        : value < 0 ? $"({value.ToString("R", CultureInfo.InvariantCulture)})"
        : value.ToString("R", CultureInfo.InvariantCulture));

    /// <summary>The server's clock, in seconds: the one that samples are stamped with.</summary>
    public static PromQl ServerTime { get; } = new("time()");

    public PromQl Plus(PromQl other) => new($"({Text} + {other.Text})");

    public PromQl Times(PromQl other) => new($"({Text} * {other.Text})");

    public PromQl DividedBy(PromQl other) => new($"({Text} / {other.Text})");

    /// <summary>These series, and those of the other whose labels are not among them.</summary>
    public PromQl Or(PromQl other) => new($"({Text} or {other.Text})");

    public PromQl SumBy(params ReadOnlySpan<string> labels) => Aggregate("sum", labels);

    public PromQl MaxBy(params ReadOnlySpan<string> labels) => Aggregate("max", labels);

    public PromQl MinBy(params ReadOnlySpan<string> labels) => Aggregate("min", labels);

    public PromQl CountBy(params ReadOnlySpan<string> labels) => Aggregate("count", labels);

    /// <summary>Per second, over a window that must hold at least two scrapes; of a metric only.</summary>
    public PromQl Rate(TimeSpan window) => OverTime("rate(", window);

    /// <summary>The newest sample of a window, also of a series that is gone; of a metric only.</summary>
    public PromQl LastOverTime(TimeSpan window) => OverTime("last_over_time(", window);

    /// <summary>What a share of the samples of a window stays at or under; of a metric only.</summary>
    public PromQl QuantileOverTime(double quantile, TimeSpan window) => OverTime($"quantile_over_time({Number(quantile).Text}, ", window);

    /// <summary>
    /// Age of each series' sample in seconds (T17); of a metric only. Of anything else, even of a metric in arithmetic,
    /// <c>timestamp</c> is the time of the evaluation, and every age would be 0.
    /// </summary>
    public PromQl Age()
    {
        RequireSelector();
        return new PromQl($"(time() - timestamp({Text}))");
    }

    /// <summary>The same series with one label set.</summary>
    /// <exception cref="ArgumentException">No name of a label.</exception>
    public PromQl WithLabel(string name, string value)
    {
        RequireLabelName(name);

        // A dollar sign would refer to a group of the expression, which is empty here.
        return new PromQl($"label_replace({Text}, {Quote(name)}, {Quote(value.Replace("$", "$$", StringComparison.Ordinal))}, \"\", \"\")");
    }

    /// <summary>The query that asks for this, as one of the program's own.</summary>
    /// <exception cref="InvalidOperationException">It has become longer than a server can be expected to take.</exception>
    public PrometheusQuery ToQuery() => PrometheusQuery.OfFleet(this);

    public override string ToString() => Text;

    /// <summary>
    /// A string literal, in ASCII: what it stands for then depends on no encoding and cannot be hidden by characters that are not seen.
    /// </summary>
    /// <exception cref="ArgumentException">Half of a surrogate pair, which no label has.</exception>
    internal static string Quote(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        var text = new StringBuilder(value.Length + 2).Append('"');
        for (var i = 0; i < value.Length; i++)
        {
            if (!Rune.TryGetRuneAt(value, i, out var rune))
            {
                throw new ArgumentException("The text holds half of a surrogate pair.", nameof(value));
            }

            i += rune.Utf16SequenceLength - 1;
            _ = rune.Value switch
            {
                '"' or '\\' => text.Append('\\').Append((char)rune.Value),
                >= ' ' and <= '~' => text.Append((char)rune.Value),
                <= 0xFFFF => text.Append($"\\u{rune.Value:x4}"),
                _ => text.Append($"\\U{rune.Value:x8}"),
            };
        }

        return text.Append('"').ToString();
    }

    /// <summary>A regular expression that matches the text and nothing else, in the syntax of RE2.</summary>
    internal static string EscapeRegex(string literal)
    {
        var text = new StringBuilder(literal.Length);
        foreach (var c in literal)
        {
            _ = (c is '\\' or '.' or '+' or '*' or '?' or '(' or ')' or '|' or '[' or ']' or '{' or '}' or '^' or '$' ? text.Append('\\') : text)
                .Append(c);
        }

        return text.ToString();
    }

    internal static void RequireLabelName(string name)
    {
        if (!IsPlainName(name, colons: false))
        {
            throw new ArgumentException("The name is not that of a label: letters, digits and underscores.", nameof(name));
        }
    }

    private static string[] TermsOf(ReadOnlySpan<LabelMatcher> matchers)
    {
        var terms = new string[matchers.Length];
        for (var i = 0; i < terms.Length; i++)
        {
            terms[i] = (matchers[i] ?? throw new ArgumentNullException(nameof(matchers))).ToTerm();
        }

        return terms;
    }

    private static bool IsPlainName(string name, bool colons)
    {
        for (var i = 0; i < name.Length; i++)
        {
            if (!(char.IsAsciiLetter(name[i]) || name[i] == '_' || (colons && name[i] == ':') || (i > 0 && char.IsAsciiDigit(name[i]))))
            {
                return false;
            }
        }

        return name.Length > 0;
    }

    // Words of the language that the parser would take for something else than a metric.
    private static bool IsKeyword(string name) => name.ToUpperInvariant() is "NAN" or "INF" or "AND" or "OR" or "UNLESS" or "ATAN2" or "BY"
        or "WITHOUT" or "ON" or "IGNORING" or "GROUP_LEFT" or "GROUP_RIGHT" or "BOOL" or "OFFSET" or "SUM" or "AVG" or "COUNT" or "MIN" or "MAX"
        or "GROUP" or "STDDEV" or "STDVAR" or "TOPK" or "BOTTOMK" or "COUNT_VALUES" or "QUANTILE" or "LIMITK" or "LIMIT_RATIO";

    private PromQl Aggregate(string operation, ReadOnlySpan<string> labels)
    {
        foreach (var label in labels)
        {
            RequireLabelName(label);
        }

        return new PromQl($"{operation} by ({string.Join(',', labels)}) ({Text})");
    }

    private PromQl OverTime(string function, TimeSpan window)
    {
        RequireSelector();
        ArgumentOutOfRangeException.ThrowIfLessThan(window, TimeSpan.FromMilliseconds(1));
        return new PromQl($"{function}{Text}[{(long)window.TotalMilliseconds}ms])");
    }

    private void RequireSelector()
    {
        if (!_isSelector)
        {
            throw new InvalidOperationException("This can be asked of a metric only.");
        }
    }
}

/// <summary>A condition on one label. A label that is absent is the same as an empty one.</summary>
internal sealed class LabelMatcher
{
    private readonly string _name;
    private readonly string _operation;
    private readonly string _operand;

    private LabelMatcher(string name, string operation, string operand)
    {
        PromQl.RequireLabelName(name);
        _name = name;
        _operation = operation;
        _operand = operand;
    }

    public static LabelMatcher Is(string name, string value) => new(name, "=", value);

    public static LabelMatcher IsNot(string name, string value) => new(name, "!=", value);

    /// <summary>One of these values; of none at all, nothing.</summary>
    public static LabelMatcher In(string name, params IEnumerable<string> values)
    {
        var alternatives = values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(PromQl.EscapeRegex).ToArray();

        // An empty alternation would match the empty label, which is to say series without it. No text has a character
        // that is in no class.
        return new LabelMatcher(name, "=~", alternatives.Length == 0 ? @"[^\x{0}-\x{10FFFF}]" : string.Join('|', alternatives));
    }

    public static LabelMatcher StartsWith(string name, string prefix) => new(name, "=~", $"{PromQl.EscapeRegex(prefix)}(?s:.*)");

    /// <summary>
    /// A regular expression in RE2's syntax, matched against the whole value. It may be a user's: at worst it is refused, because inside
    /// the literal it cannot end it.
    /// </summary>
    public static LabelMatcher Matches(string name, string regex) => new(name, "=~", regex);

    internal string ToTerm() => $"{_name}{_operation}{PromQl.Quote(_operand)}";
}
