namespace GpuExternalScaler.Configuration;

/// <summary>
/// Single values from environment variables, stronger than the file: <c>GPU_EXTERNAL_SCALER__LISTEN__GRPC</c>. They are
/// laid over the file's tree, so that they are read, checked and shown as the file's own are.
/// </summary>
internal static class EnvironmentOverrides
{
    /// <summary>What a variable's name begins with. Two underscores: Kubernetes makes variables with one from a Service's name.</summary>
    public const string Prefix = "GPU_EXTERNAL_SCALER" + Separator;

    private const string Separator = "__";

    /// <summary>Lays variables over a file; names that mean nothing are noted, since they would silently leave a value in force.</summary>
    public static YamlMap Apply(YamlMap root, IEnumerable<KeyValuePair<string, string>> environment, List<ConfigurationFinding> findings)
    {
        var given = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (variable, value) in environment.Where(static pair => pair.Key.StartsWith(Prefix, StringComparison.Ordinal)).OrderBy(static pair => pair.Key, StringComparer.Ordinal))
        {
            if (PathOf(variable, root, out var problem) is not { } path)
            {
                Note(variable, problem!);
            }
            else if (!given.TryAdd(string.Join('\n', path), variable))
            {
                Note(variable, $"sets the same key as {given[string.Join('\n', path)]}");
            }
            else if (value.Trim().Length > 0)
            {
                root = With(root, path, variable, value);
            }
        }

        return root;

        void Note(string variable, string problem) => findings.Add(new ConfigurationFinding("", 0, 0, problem) { Variable = Printable(variable) });
    }

    /// <summary>The path a variable means; null with what is wrong.</summary>
    private static string[]? PathOf(string variable, YamlMap root, out string? problem)
    {
        problem = null;
        var names = variable[Prefix.Length..].Split(Separator);
        if (IsSame(names[0], FileKeys.DefaultsSection) || IsSame(names[0], FileKeys.WorkloadsSection))
        {
            problem = "policy keys are set in the file: under defaults and workloads";
            return null;
        }

        if (FileKeys.ConnectionSections.FirstOrDefault(known => IsSame(names[0], known)) is not { } section)
        {
            return Find(names, FileKeys.Server, [], out problem);
        }

        var connections = root.Find(section) is YamlMap map ? map.Entries.Select(static entry => (entry.Key as YamlText)?.Text).OfType<string>().Distinct(StringComparer.Ordinal).ToList() : [];
        var named = names.Length > 2 ? connections.Where(connection => IsSame(names[1], connection)).ToList() : [];
        if (named is [var name])
        {
            return section switch
            {
                FileKeys.RabbitMqSection => Find(names[2..], FileKeys.RabbitMq, [section, name], out problem),
                FileKeys.PrometheusSection => Find(names[2..], FileKeys.Prometheus, [section, name], out problem),
                FileKeys.GpuSection => Find(names[2..], FileKeys.Gpu, [section, name], out problem),
                _ => Find(names[2..], FileKeys.ModelServers, [section, name], out problem),
            };
        }

        problem = named.Count > 1
            ? $"may mean each of the connections {string.Join(", ", named)}: their names differ by case or by - and _ alone"
            : $"must go on with the name of a connection of the file and a key of it, such as {Prefix}{section.ToUpperInvariant()}__MAIN__INTERVAL; connections of the file: {(connections.Count == 0 ? "none" : string.Join(", ", connections))}";
        return null;
    }

    private static string[]? Find<T>(string[] names, IReadOnlyList<FileKey<T>> keys, string[] above, out string? problem)
    {
        problem = null;
        foreach (var key in keys)
        {
            if (key.Segments.Count == names.Length && key.Segments.Zip(names).All(static pair => IsSame(pair.Second, pair.First)))
            {
                problem = key.Shape switch
                {
                    KeyShape.List => "is a list, which is set in the file",
                    KeyShape.Map => "is a section of names, which is set in the file",
                    _ => null,
                };
                return problem is null ? [.. above, .. key.Segments] : null;
            }
        }

        // By what follows the part that is right: beside a long beginning every typo is small.
        var known = keys.Where(static key => key.Shape == KeyShape.Single).Select(static key => string.Join(Separator, key.Segments)).ToList();
        var near = NearestKey.To(string.Join(Separator, names), known);
        problem = near is null
            ? "means no key; known here: " + string.Join(", ", known.Order(StringComparer.Ordinal).Select(VariableAt))
            : $"means no key; did you mean {VariableAt(near)}?";
        return null;

        string VariableAt(string key) => (Prefix + string.Join(Separator, [.. above, key])).ToUpperInvariant().Replace('-', '_');
    }

    // A shell's variables have no hyphens; names of connections may.
    private static bool IsSame(string name, string key) =>
        string.Equals(name.Replace('-', '_'), key.Replace('-', '_'), StringComparison.OrdinalIgnoreCase);

    private static YamlMap With(YamlMap map, ReadOnlySpan<string> path, string variable, string value)
    {
        var name = path[0];
        var rest = path[1..];
        var present = map.Find(name);
        YamlPart part;
        if (rest.Length == 0)
        {
            part = new YamlText(value, 0, 0) { Variable = variable };
        }
        else if (present is null or YamlText { IsEmpty: true })
        {
            part = With(new YamlMap([], 0, 0) { Variable = variable }, rest, variable, value);
        }
        else if (present is YamlMap section)
        {
            part = With(section, rest, variable, value);
        }
        else
        {
            // Not a section where one must be: that is told when the file is read.
            return map;
        }

        // A copy: an alias may show the same section in another place.
        var entries = new List<(YamlPart Key, YamlPart Value)>(map.Entries);
        var index = entries.FindIndex(entry => entry.Key is YamlText key && key.Text == name);
        if (index < 0)
        {
            entries.Add((new YamlText(name, 0, 0) { Variable = variable }, part));
        }
        else
        {
            entries[index] = (entries[index].Key, part);
        }

        return map with { Entries = entries };
    }

    private static string Printable(string variable) =>
        string.Concat(variable.Take(120).Select(static c => char.IsControl(c) ? '?' : c));
}
