namespace GpuExternalScaler.Configuration;

/// <summary>
/// A mapping of the file while it is being read. Every mistake is noted with its place; what no key asks for is unknown,
/// so that a typo cannot silently leave a default in force.
/// </summary>
internal sealed class FileSection
{
    private readonly YamlMap _map;
    private readonly string _path;
    private readonly List<ConfigurationFinding> _findings;
    private readonly List<(string Name, YamlPart Key, YamlPart Value)> _entries = [];

    /// <summary>Takes the keys, noting those that are given twice and those that are no text.</summary>
    public FileSection(YamlMap map, string path, List<ConfigurationFinding> findings)
    {
        _map = map;
        _path = path;
        _findings = findings;
        var seen = new Dictionary<string, YamlPart>(StringComparer.Ordinal);
        foreach (var (key, value) in map.Entries)
        {
            if (key is not YamlText { IsEmpty: false } name)
            {
                _findings.Add(new ConfigurationFinding(path, key.Line, key.Column, "a name must be plain text"));
            }
            else if (!seen.TryAdd(name.Text, key))
            {
                Error(name.Text, key, $"given twice in one section, first on line {seen[name.Text].Line}");
            }
            else
            {
                _entries.Add((name.Text, key, value));
            }
        }
    }

    /// <summary>Every key that is given, with what it holds.</summary>
    public IReadOnlyList<(string Name, YamlPart Key, YamlPart Value)> Entries => _entries;

    /// <summary>Reads the keys of a table, in this section and below it.</summary>
    /// <param name="options">What holds where the file says nothing.</param>
    /// <param name="keys">The table.</param>
    /// <param name="others">Names of sections that are read by somebody else.</param>
    public T Bind<T>(T options, IReadOnlyList<FileKey<T>> keys, params IReadOnlyCollection<string> others) => Bind(options, keys, 0, others);

    /// <summary>A section below this one; null when it is absent or no section.</summary>
    public FileSection? Section(string name)
    {
        foreach (var (given, _, value) in _entries)
        {
            if (given == name)
            {
                return SectionOf(name, value);
            }
        }

        return null;
    }

    /// <summary>A section that stands in a list.</summary>
    /// <param name="name">What it is called in findings: the list's key and a number.</param>
    /// <param name="map">Its keys.</param>
    public FileSection Item(string name, YamlMap map) => new(map, PathOf(name), _findings);

    /// <summary>All sections, by the names the operator chose.</summary>
    public IEnumerable<(string Name, YamlPart Key, FileSection Section)> NamedSections()
    {
        foreach (var (name, key, value) in _entries)
        {
            if (value is YamlMap map)
            {
                yield return (name, key, new FileSection(map, PathOf(name), _findings));
            }
            else
            {
                Error(name, value, "must be a section of keys");
            }
        }
    }

    /// <summary>Whether a path of keys is given, and is not empty.</summary>
    public bool Has(string path) => _map.Find(path.Split('.')) is not null and not YamlText { IsEmpty: true };

    /// <summary>Whether the section that a key is in is given, and is one.</summary>
    public bool HasSectionOf(string path) => _map.Find(path.Split('.').AsSpan()[..^1]) is YamlMap;

    /// <summary>Notes an error at a path, or at the innermost section around it that is given.</summary>
    public void Error(string path, string problem) => Note(path.Split('.'), problem, isWarning: false);

    /// <summary>Notes an error at a key of a section whose name may hold dots.</summary>
    public void ErrorBelow(string section, string key, string problem) => Note([section, key], problem, isWarning: false);

    /// <summary>Notes an error at a part.</summary>
    public void Error(string path, YamlPart at, string problem) => _findings.Add(Finding(path, at, problem, isWarning: false));

    /// <summary>Notes something dubious at a path, or at the innermost section around it that is given.</summary>
    public void Warn(string path, string problem) => Note(path.Split('.'), problem, isWarning: true);

    /// <summary>Notes a key that does not exist.</summary>
    public void Unknown(string name, YamlPart key, IReadOnlyCollection<string> known)
    {
        var near = NearestKey.To(name, known);
        Error(name, key, near is null ? "unknown key; known here: " + string.Join(", ", known.Order(StringComparer.Ordinal)) : $"unknown key; did you mean {near}?");
    }

    private T Bind<T>(T options, IEnumerable<FileKey<T>> keys, int depth, IReadOnlyCollection<string> others)
    {
        var byName = keys.GroupBy(key => key.Segments[depth]).ToDictionary(static group => group.Key, static group => group.ToList(), StringComparer.Ordinal);
        foreach (var (name, key, value) in _entries)
        {
            if (byName.TryGetValue(name, out var below))
            {
                if (below is [var leaf] && leaf.Segments.Count == depth + 1)
                {
                    options = leaf.Read(this, name, value, options);
                }
                else if (SectionOf(name, value) is { } section)
                {
                    options = section.Bind(options, below, depth + 1, []);
                }
            }
            else if (!others.Contains(name, StringComparer.Ordinal))
            {
                Unknown(name, key, [.. byName.Keys, .. others]);
            }
        }

        return options;
    }

    private FileSection? SectionOf(string name, YamlPart value)
    {
        switch (value)
        {
            case YamlMap map:
                return new FileSection(map, PathOf(name), _findings);
            case YamlText { IsEmpty: true }:
                return null;
            default:
                Error(name, value, "must be a section of keys");
                return null;
        }
    }

    private void Note(string[] path, string problem, bool isWarning)
    {
        YamlPart at = _map;
        foreach (var name in path)
        {
            if ((at as YamlMap)?.Find(name) is not { } below)
            {
                break;
            }

            at = below;
        }

        _findings.Add(Finding(string.Join('.', path), at, problem, isWarning));
    }

    private ConfigurationFinding Finding(string path, YamlPart at, string problem, bool isWarning) =>
        new(PathOf(path), at.Line, at.Column, problem) { Variable = at.Variable, IsWarning = isWarning };

    // A key is no value, but somebody may have written one in its place: no control characters, no novels.
    private string PathOf(string key)
    {
        var printable = string.Concat(key.Take(120).Select(static c => char.IsControl(c) ? '?' : c));
        return _path.Length == 0 ? printable : _path + "." + printable;
    }
}
