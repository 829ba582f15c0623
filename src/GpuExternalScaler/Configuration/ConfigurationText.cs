using System.Globalization;

namespace GpuExternalScaler.Configuration;

/// <summary>Writes what is in force as YAML, with where it comes from beside it.</summary>
internal static class ConfigurationText
{
    private const int OriginColumn = 56;

    // In place of a value that counts as secret.
    private const string NotShown = "\"(not shown)\"";

    /// <summary>A whole configuration: text that reads as the same one, but for values of headers, which are secrets.</summary>
    public static void Write(TextWriter text, ConfigurationReading reading) => Write(text, reading, reading.Options!);

    /// <summary>The same of a server that runs, where some keys wait for the next start.</summary>
    public static void Write(TextWriter text, ConfigurationReading reading, ScalerOptions options)
    {
        WriteKeys(text, FileKeys.Server, options, reading.Options!, reading, []);
        WriteConnections(text, FileKeys.RabbitMqSection, FileKeys.RabbitMq, options.RabbitMq, reading);
        WriteConnections(text, FileKeys.PrometheusSection, FileKeys.Prometheus, options.Prometheus, reading);
        WriteConnections(text, FileKeys.GpuSection, FileKeys.Gpu, options.Gpu, reading);
        WriteConnections(text, FileKeys.ModelServersSection, FileKeys.ModelServers, options.ModelServers, reading);

        var policies = options.Policies;
        if (policies.Defaults.Count > 0)
        {
            text.WriteLine(FileKeys.DefaultsSection + ":");
            WriteSettings(text, policies.Defaults, "  ");
        }

        if (policies.Workloads.Count > 0)
        {
            text.WriteLine(FileKeys.WorkloadsSection + ":");
            foreach (var entry in policies.Workloads)
            {
                text.WriteLine($"  {Quoted(entry.Pattern.ToString())}:{(entry.Settings.Count + entry.Identity.Count == 0 ? " {}" : "")}");
                foreach (var (key, value, line) in entry.Identity)
                {
                    WriteLine(text, $"    {key}: {Quoted(value)}", string.Create(CultureInfo.InvariantCulture, $"line {line}"));
                }

                WriteSettings(text, entry.Settings, "    ");
            }
        }
    }

    /// <summary>A workload's policy.</summary>
    public static void Write(TextWriter text, string workload, EffectivePolicy policy)
    {
        text.WriteLine($"workload: {workload}");
        text.WriteLine("policy:");
        foreach (var value in policy.Values)
        {
            WriteLine(text, $"  {value.Key}: {Shown(PolicyKeys.All[value.Key], value.Text)}", value.Origin.ToString());
        }
    }

    private static void WriteConnections<T>(TextWriter text, string section, IReadOnlyList<FileKey<T>> keys, IReadOnlyDictionary<string, T> connections, ConfigurationReading reading)
    {
        if (connections.Count == 0)
        {
            return;
        }

        text.WriteLine(section + ":");
        foreach (var (name, connection) in connections)
        {
            text.WriteLine($"  {Quoted(name)}:");
            WriteKeys(text, keys, connection, connection, reading, [section, name]);
        }
    }

    private static void WriteSettings(TextWriter text, IReadOnlyList<PolicySetting> settings, string indent)
    {
        foreach (var (key, canonical, line) in settings)
        {
            WriteLine(text, $"{indent}{key.Name}: {Shown(key, key.Show(key.Apply(Scaling.Policy.ScalingPolicy.Default, canonical)))}", string.Create(CultureInfo.InvariantCulture, $"line {line}"));
        }
    }

    // The tables hold the keys of a section one after another.
    private static void WriteKeys<T>(TextWriter text, IReadOnlyList<FileKey<T>> keys, T options, T read, ConfigurationReading reading, IReadOnlyList<string> above)
    {
        IReadOnlyList<string> open = [];
        foreach (var key in keys)
        {
            // An endpoint that is not configured has an interval all the same, but no use for it.
            var isAbsent = above.Count > 0 && key.Segments.Count > 1 && reading.Root!.Find([.. above, key.Segments[0]]) is null or YamlText;
            var values = isAbsent ? [] : key.Show(options);
            if (values.Count == 0)
            {
                continue;
            }

            var sections = key.Segments.SkipLast(1).ToList();
            var shared = sections.Zip(open).TakeWhile(static pair => pair.First == pair.Second).Count();
            for (var depth = shared; depth < sections.Count; depth++)
            {
                text.WriteLine($"{Indent(depth)}{sections[depth]}:");
            }

            open = sections;
            var written = key.Shape switch
            {
                KeyShape.List => $"[{string.Join(", ", values.Select(Quoted))}]",
                KeyShape.Map => $"{{ {string.Join(", ", values.Select(static name => $"{Quoted(name)}: {NotShown}"))} }}",
                _ => Quoted(values[0]),
            };
            WriteLine(text, $"{Indent(sections.Count)}{key.Segments[^1]}: {written}", key.IsSame(options, read)
                ? reading.OriginOf([.. above, .. key.Segments])
                : $"since the start; {reading.OriginOf([.. above, .. key.Segments])} waits for the next");
        }

        string Indent(int depth) => new(' ', 2 * (above.Count + depth));
    }

    private static void WriteLine(TextWriter text, string line, string origin) => text.WriteLine($"{line.PadRight(OriginColumn)} # {origin}");

    // "the cold start" is for people; PromQL could be taken for YAML.
    private static string Shown(PolicyKey key, string text) => key.IsFreeText ? Quoted(text) : text;

    // Plain where YAML cannot take it for anything else.
    private static string Quoted(string value) =>
        value.Length > 0 && char.IsAsciiLetterOrDigit(value[0]) && !value.Equals("null", StringComparison.OrdinalIgnoreCase) && value.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' or '/')
            ? value
            : "\"" + string.Concat(value.Select(Escaped)) + "\"";

    private static string Escaped(char c) => c switch
    {
        '"' or '\\' => "\\" + c,
        _ when char.IsControl(c) => string.Create(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
        _ => c.ToString(),
    };
}
