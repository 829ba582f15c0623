using System.Collections;
using System.Globalization;
using System.Text;
using OpenTelemetry;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// Turns the names, units and tags of <c>System.Diagnostics.Metrics</c> into Prometheus' conventions, after
/// https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/.
/// </summary>
internal static class InstrumentNaming
{
    private const string RuntimeMeter = "System.Runtime";

    /// <summary>
    /// The runtime instruments worth a series on the page; OTLP carries all of them. CPU time and working set are absent
    /// because the page has <c>process_*</c>, the rest (JIT, assemblies) because nobody watches them.
    /// </summary>
    private static readonly HashSet<string> ShownOfRuntime = new(StringComparer.Ordinal)
    {
        "dotnet.exceptions",
        "dotnet.gc.collections",
        "dotnet.gc.heap.total_allocated",
        "dotnet.gc.last_collection.heap.fragmentation.size",
        "dotnet.gc.last_collection.heap.size",
        "dotnet.gc.last_collection.memory.committed_size",
        "dotnet.gc.pause.time",
        "dotnet.monitor.lock_contentions",
        "dotnet.process.cpu.count",
        "dotnet.thread_pool.queue.length",
        "dotnet.thread_pool.thread.count",
        "dotnet.thread_pool.work_item.count",
        "dotnet.timer.count",
    };

    /// <summary>
    /// Runtime instruments that are gauges here under another name, or at all. A gauge's <c>.count</c> would read as part
    /// of a histogram; and the runtime publishes the pool's threads and queue, which rise and fall, as counters.
    /// </summary>
    private static readonly Dictionary<string, string> GaugesOfRuntime = new(StringComparer.Ordinal)
    {
        ["dotnet.process.cpu.count"] = "dotnet.process.cpus",
        ["dotnet.thread_pool.queue.length"] = "dotnet.thread_pool.queue.length",
        ["dotnet.thread_pool.thread.count"] = "dotnet.thread_pool.threads",
        ["dotnet.timer.count"] = "dotnet.timers",
    };

    private static readonly Dictionary<string, string> UnitWords = new(StringComparer.Ordinal)
    {
        ["s"] = "seconds",
        ["ms"] = "milliseconds",
        ["us"] = "microseconds",
        ["ns"] = "nanoseconds",
        ["min"] = "minutes",
        ["h"] = "hours",
        ["d"] = "days",
        ["By"] = "bytes",
        ["KiBy"] = "kibibytes",
        ["MiBy"] = "mebibytes",
        ["GiBy"] = "gibibytes",
        ["%"] = "percent",
        ["Cel"] = "celsius",
        ["Hz"] = "hertz",
        ["W"] = "watts",
        ["J"] = "joules",
    };

    /// <summary>Whether the page shows the instrument: all do, but for some of the runtime's.</summary>
    public static bool IsShown(string meterName, string instrumentName) =>
        !string.Equals(meterName, RuntimeMeter, StringComparison.Ordinal) || ShownOfRuntime.Contains(instrumentName);

    /// <summary>What the instrument is on the page, before its name is made conventional.</summary>
    public static (string Name, MetricFamilyType Type) OnPage(string meterName, string instrumentName, MetricFamilyType type) =>
        string.Equals(meterName, RuntimeMeter, StringComparison.Ordinal) && GaugesOfRuntime.TryGetValue(instrumentName, out var gauge)
            ? (gauge, MetricFamilyType.Gauge)
            : (instrumentName, type);

    /// <summary>
    /// <c>gpu_scaler.rpc.duration</c> in <c>s</c> is the family <c>gpu_scaler_rpc_duration_seconds</c>. The unit is not
    /// added to a name that ends with it; <c>1</c> and annotations (<c>{request}</c>) add nothing.
    /// </summary>
    public static (string Name, string? Unit) Family(string instrumentName, string? unit, MetricFamilyType type)
    {
        var name = Sanitise(instrumentName);
        while (MetricFamily.EndsLikeASample(name, type, out var suffix) && name.Length > suffix.Length)
        {
            name = name[..^suffix.Length];
        }

        var word = UnitWord(unit);
        if (word is null)
        {
            return (name, null);
        }

        if (name.EndsWith('_' + word, StringComparison.Ordinal))
        {
            return (name, word);
        }

        var full = name + '_' + word;
        // A unit such as "count" would make the name that of a sample.
        return MetricFamily.EndsLikeASample(full, type, out _) ? (name, null) : (full, word);
    }

    /// <summary>
    /// Tags as labels: sorted, since the order of tags has no meaning; those without a value left out, since Prometheus
    /// holds an empty label and none to be the same. Tags whose names become the same are joined by <c>;</c>.
    /// </summary>
    public static LabelSet Labels(in ReadOnlyTagCollection tags, string? scope, MetricFamilyType type)
    {
        var labels = new List<MetricLabel>(tags.Count + 1);
        if (scope is not null)
        {
            labels.Add(("otel_scope_name", scope));
        }

        foreach (var (key, value) in tags)
        {
            var text = ValueText(value);
            if (text.Length > 0)
            {
                labels.Add((LabelName(key, type), text));
            }
        }

        // A stable sort: joined values keep the order of their tags.
        var sorted = labels.OrderBy(static label => label.Name, StringComparer.Ordinal).ToList();
        for (var i = sorted.Count - 1; i > 0; i--)
        {
            if (string.Equals(sorted[i - 1].Name, sorted[i].Name, StringComparison.Ordinal))
            {
                sorted[i - 1] = (sorted[i].Name, sorted[i - 1].Value + ";" + sorted[i].Value);
                sorted.RemoveAt(i);
            }
        }

        return LabelSet.Of([.. sorted]);
    }

    /// <summary>
    /// Letters, digits and single underscores, none at the end. Runs become one underscore, so no name begins with the <c>__</c> that
    /// Prometheus keeps for itself.
    /// </summary>
    internal static string Sanitise(string name)
    {
        var plain = new StringBuilder(name.Length + 1);
        if (name.Length == 0 || char.IsAsciiDigit(name[0]))
        {
            plain.Append('_');
        }

        foreach (var character in name)
        {
            if (char.IsAsciiLetterOrDigit(character))
            {
                plain.Append(character);
            }
            else if (plain.Length == 0 || plain[^1] != '_')
            {
                plain.Append('_');
            }
        }

        while (plain.Length > 1 && plain[^1] == '_')
        {
            plain.Length--;
        }

        return plain.ToString();
    }

    private static string LabelName(string tag, MetricFamilyType type)
    {
        var name = Sanitise(tag);
        // Prometheus renames a clashing label in the same way.
        return name is "le" or "quantile" ? "exported_" + name : name;
    }

    private static string? UnitWord(string? unit)
    {
        if (string.IsNullOrEmpty(unit))
        {
            return null;
        }

        var annotation = unit.IndexOf('{', StringComparison.Ordinal);
        if (annotation >= 0)
        {
            var end = unit.IndexOf('}', annotation);
            unit = unit[..annotation] + (end < 0 ? "" : unit[(end + 1)..]);
        }

        var slash = unit.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0)
        {
            return Word(unit);
        }

        var per = Word(unit[(slash + 1)..]);
        // "By/s" is bytes per second, not per seconds.
        per = per is not null and not "celsius" && per.EndsWith('s') ? per[..^1] : per;
        var counted = Word(unit[..slash]);
        return per is null ? counted : counted is null ? "per_" + per : counted + "_per_" + per;
    }

    private static string? Word(string unit)
    {
        if (unit is "" or "1")
        {
            return null;
        }

        var word = UnitWords.GetValueOrDefault(unit) ?? Sanitise(unit).Trim('_');
        return word.Length == 0 ? null : word;
    }

    private static string ValueText(object? value) => value switch
    {
        null => "",
        string text => text,
        bool flag => flag ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable many => '[' + string.Join(',', many.Cast<object?>().Select(ValueText)) + ']',
        _ => value.ToString() ?? "",
    };
}
