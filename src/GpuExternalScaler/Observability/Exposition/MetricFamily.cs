using System.Buffers;
using System.Text;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>The kinds of metric family the page can hold.</summary>
internal enum MetricFamilyType
{
    /// <summary>Only rises while the process lives; samples are named <c>…_total</c>.</summary>
    Counter,

    /// <summary>Rises and falls.</summary>
    Gauge,

    /// <summary>Counts per bucket, written cumulatively with <c>_bucket</c>, <c>_sum</c> and <c>_count</c>.</summary>
    Histogram,
}

/// <summary>
/// Name, type, help and unit of one metric family: everything that is the same for all its samples.
/// Declare it once (static readonly) and hand it to <see cref="PrometheusTextWriter.Begin"/> at each scrape.
/// </summary>
internal sealed class MetricFamily
{
    private static readonly SearchValues<char> NameCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    private static readonly string[] SampleSuffixes = ["_total", "_bucket", "_sum", "_count", "_created"];

    private readonly byte[] _textHeader;
    private readonly byte[] _openMetricsHeader;

    private MetricFamily(string name, MetricFamilyType type, string help, string? unit)
    {
        ThrowUnlessUsable(name, type);
        if (string.IsNullOrWhiteSpace(help))
        {
            throw new ArgumentException($"The family '{name}' needs a help text.", nameof(help));
        }

        if (unit is not null && !name.EndsWith('_' + unit, StringComparison.Ordinal))
        {
            throw new ArgumentException($"The name '{name}' does not end with its unit '{unit}'.", nameof(unit));
        }

        Name = name;
        Type = type;
        Help = help;
        Unit = unit;
        SampleName = Encoding.ASCII.GetBytes(type is MetricFamilyType.Counter ? name + "_total" : name);
        _textHeader = Header(ExpositionFormat.PrometheusText);
        _openMetricsHeader = Header(ExpositionFormat.OpenMetrics);
    }

    /// <summary>The family's name; for a counter without <c>_total</c>.</summary>
    public string Name { get; }

    /// <summary>The family's type.</summary>
    public MetricFamilyType Type { get; }

    /// <summary>One sentence for people.</summary>
    public string Help { get; }

    /// <summary>The last word of the name when that is a unit (<c>seconds</c>, <c>bytes</c>), otherwise null.</summary>
    public string? Unit { get; }

    /// <summary>What a sample's line begins with; a histogram's lines add their suffix.</summary>
    internal byte[] SampleName { get; }

    /// <summary>A counter. The name may be given with or without <c>_total</c>.</summary>
    public static MetricFamily Counter(string name, string help, string? unit = null) =>
        new(name.EndsWith("_total", StringComparison.Ordinal) ? name[..^"_total".Length] : name, MetricFamilyType.Counter, help, unit);

    /// <summary>A gauge.</summary>
    public static MetricFamily Gauge(string name, string help, string? unit = null) =>
        new(name, MetricFamilyType.Gauge, help, unit);

    /// <summary>A histogram.</summary>
    public static MetricFamily Histogram(string name, string help, string? unit = null) =>
        new(name, MetricFamilyType.Histogram, help, unit);

    /// <summary>The <c># HELP</c>, <c># TYPE</c> and, in OpenMetrics, <c># UNIT</c> lines.</summary>
    internal ReadOnlySpan<byte> HeaderFor(ExpositionFormat format) =>
        format is ExpositionFormat.OpenMetrics ? _openMetricsHeader : _textHeader;

    /// <summary>Whether <paramref name="name"/> is a metric or label name that Prometheus has always accepted.</summary>
    internal static bool IsPlainName(ReadOnlySpan<char> name) =>
        !name.IsEmpty && !char.IsAsciiDigit(name[0]) && !name.ContainsAnyExcept(NameCharacters);

    /// <summary>
    /// Whether <paramref name="name"/> ends like a sample of another family. A gauge <c>x_count</c> would be read as a
    /// part of a histogram <c>x</c>. A counter's samples end with <c>_total</c> anyway, so <c>x_count</c> may be one.
    /// </summary>
    internal static bool EndsLikeASample(string name, MetricFamilyType type, out string suffix)
    {
        foreach (var candidate in SampleSuffixes)
        {
            var harmless = type is MetricFamilyType.Counter && candidate is "_count";
            if (!harmless && name.EndsWith(candidate, StringComparison.Ordinal))
            {
                suffix = candidate;
                return true;
            }
        }

        suffix = "";
        return false;
    }

    private static void ThrowUnlessUsable(string name, MetricFamilyType type)
    {
        if (!IsPlainName(name))
        {
            throw new ArgumentException($"'{name}' is not a metric name: letters, digits and '_', not beginning with a digit.", nameof(name));
        }

        if (EndsLikeASample(name, type, out var suffix))
        {
            throw new ArgumentException($"The name '{name}' ends with '{suffix}', which marks a sample of another kind of family.", nameof(name));
        }
    }

    private byte[] Header(ExpositionFormat format)
    {
        var open = format is ExpositionFormat.OpenMetrics;
        // The text format declares a counter by the name of its samples, OpenMetrics by the name of the family.
        var declared = open || Type is not MetricFamilyType.Counter ? Name : Name + "_total";
        var help = Help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace('\0', '\uFFFD');
        if (open)
        {
            help = help.Replace("\"", "\\\"", StringComparison.Ordinal);
        }

        var type = Type switch
        {
            MetricFamilyType.Counter => "counter",
            MetricFamilyType.Gauge => "gauge",
            _ => "histogram",
        };
        var unit = open && Unit is not null ? $"# UNIT {declared} {Unit}\n" : "";
        return Encoding.UTF8.GetBytes($"# HELP {declared} {help}\n# TYPE {declared} {type}\n{unit}");
    }
}
