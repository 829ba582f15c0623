using System.Globalization;
using System.Net;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace GpuExternalScaler.Configuration;

/// <summary>One thing wrong with a configuration file.</summary>
/// <param name="Path">The key, such as <c>rabbitmq.main.interval</c>.</param>
/// <param name="Line">Line, from 1.</param>
/// <param name="Column">Column, from 1.</param>
/// <param name="Problem">What is wrong and what is allowed. Holds no value: it could be a secret.</param>
internal sealed record ConfigurationError(string Path, long Line, long Column, string Problem)
{
    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"line {Line}, column {Column}: {(Path.Length > 0 ? Path + ": " : "")}{Problem}");
}

/// <summary>
/// A mapping of the file while it is being read: every key is asked for by name, every mistake is noted with its
/// place, and what nobody asked for is unknown, so that a typo cannot silently leave a default in force.
/// </summary>
internal sealed class ConfigurationSection
{
    private readonly YamlMappingNode _node;
    private readonly string _path;
    private readonly List<ConfigurationError> _errors;
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    public ConfigurationSection(YamlMappingNode node, string path, List<ConfigurationError> errors)
    {
        _node = node;
        _path = path;
        _errors = errors;
    }

    /// <summary>The keys that are present, in order, with what they hold as text (null for lists and sections).</summary>
    public IEnumerable<(string Key, string? Text)> Scalars()
    {
        foreach (var (key, value) in _node.Children)
        {
            yield return (KeyText(key), (value as YamlScalarNode)?.Value);
        }
    }

    /// <summary>A section below a key; null when the key is absent.</summary>
    public ConfigurationSection? Section(string key)
    {
        var node = Find(key);
        switch (node)
        {
            case null or YamlScalarNode { Value: null or "" }:
                return null;
            case YamlMappingNode mapping:
                return new ConfigurationSection(mapping, PathOf(key), _errors);
            default:
                Error(key, "must be a section of keys");
                return null;
        }
    }

    /// <summary>All sections, by the names the operator chose.</summary>
    public IEnumerable<(string Name, ConfigurationSection Section)> NamedSections()
    {
        foreach (var (key, value) in _node.Children)
        {
            var name = KeyText(key);
            _known.Add(name);
            if (key is not YamlScalarNode { Value.Length: > 0 })
            {
                _errors.Add(new ConfigurationError(_path, key.Start.Line, key.Start.Column, "a name must be plain text"));
            }
            else if (value is YamlMappingNode mapping)
            {
                yield return (name, new ConfigurationSection(mapping, PathOf(name), _errors));
            }
            else
            {
                Error(name, "must be a section of keys");
            }
        }
    }

    public string? Text(string key)
    {
        switch (Find(key))
        {
            case null or YamlScalarNode { Value: null or "" }:
                return null;
            case YamlScalarNode scalar:
                return scalar.Value!.Trim();
            default:
                Error(key, "must be a single value");
                return null;
        }
    }

    public IReadOnlyList<string> Texts(string key)
    {
        switch (Find(key))
        {
            case null or YamlScalarNode { Value: null or "" }:
                return [];
            case YamlScalarNode scalar:
                return [scalar.Value!.Trim()];
            case YamlSequenceNode sequence when sequence.Children.All(static child => child is YamlScalarNode { Value.Length: > 0 }):
                return sequence.Children.Select(static child => ((YamlScalarNode)child).Value!.Trim()).ToList();
            default:
                Error(key, "must be a list of values");
                return [];
        }
    }

    public TimeSpan Duration(string key, TimeSpan otherwise, TimeSpan from, TimeSpan to)
    {
        if (Text(key) is not { } text)
        {
            return otherwise;
        }

        if (SettingText.TryDuration(text, out var duration) && duration >= from && duration <= to)
        {
            return duration;
        }

        Error(key, $"must be a duration such as 2s or 1m30s, from {from.TotalSeconds} s to {to.TotalSeconds} s");
        return otherwise;
    }

    public int Whole(string key, int otherwise, int from, int to)
    {
        if (Text(key) is not { } text)
        {
            return otherwise;
        }

        if (SettingText.TryWhole(text, out var number) && number >= from && number <= to)
        {
            return (int)number;
        }

        Error(key, $"must be a whole number from {from} to {to}");
        return otherwise;
    }

    public T Choice<T>(string key, T otherwise)
        where T : struct, Enum
    {
        if (Text(key) is not { } text)
        {
            return otherwise;
        }

        if (text.All(char.IsAsciiLetter) && Enum.TryParse<T>(text, ignoreCase: true, out var value))
        {
            return value;
        }

        Error(key, "must be one of " + string.Join(", ", Enum.GetNames<T>().Select(static name => name.ToLowerInvariant())));
        return otherwise;
    }

    public IPEndPoint EndPoint(string key, IPEndPoint otherwise)
    {
        if (Text(key) is not { } text)
        {
            return otherwise;
        }

        if (text.Contains(':', StringComparison.Ordinal) && IPEndPoint.TryParse(text, out var endPoint) && (endPoint.Port != 0 || text.EndsWith(":0", StringComparison.Ordinal)))
        {
            return endPoint;
        }

        Error(key, "must be an address and a port, such as 0.0.0.0:9090");
        return otherwise;
    }

    /// <summary>An http or https URL. Credentials in it are refused: they would end up in messages.</summary>
    public Uri? HttpUrl(string key, string? text)
    {
        if (text is null)
        {
            return null;
        }

        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("http" or "https") || url.Query.Length > 0 || url.Fragment.Length > 0)
        {
            Error(key, "must be an http or https URL without query");
            return null;
        }

        if (url.UserInfo.Length > 0)
        {
            Error(key, "must not hold credentials; use username and passwordFile");
            return null;
        }

        return url;
    }

    /// <summary>An amqp or amqps URL of host and port alone. Credentials in it are refused: they would end up in messages.</summary>
    public Uri? AmqpUrl(string key, string? text)
    {
        if (text is null)
        {
            return null;
        }

        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme is not ("amqp" or "amqps") || url.Host.Length == 0 ||
            url.PathAndQuery is not ("" or "/") || url.Fragment.Length > 0)
        {
            Error(key, "must be an amqp or amqps URL of host and port alone; virtual hosts come from vhosts and triggers");
            return null;
        }

        if (url.UserInfo.Length > 0)
        {
            Error(key, "must not hold credentials; use username and passwordFile");
            return null;
        }

        return url;
    }

    public void Error(string key, string problem)
    {
        var node = Find(key) ?? _node;
        _errors.Add(new ConfigurationError(PathOf(key), node.Start.Line, node.Start.Column, problem));
    }

    /// <summary>Notes the keys nobody asked for.</summary>
    public void RefuseUnknown()
    {
        foreach (var (key, _) in _node.Children)
        {
            var name = KeyText(key);
            if (!_known.Contains(name))
            {
                var near = NearestKey.To(name, _known);
                _errors.Add(new ConfigurationError(
                    PathOf(name),
                    key.Start.Line,
                    key.Start.Column,
                    near is null ? "unknown key; known here: " + string.Join(", ", _known.Order(StringComparer.Ordinal)) : $"unknown key; did you mean {near}?"));
            }
        }
    }

    /// <summary>Reads the whole file; null when it is no YAML mapping, with the error noted.</summary>
    public static ConfigurationSection? Parse(string yaml, List<ConfigurationError> errors)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(yaml));
        }
        catch (YamlException exception)
        {
            // YamlDotNet's messages may quote the text; the place is what helps.
            errors.Add(new ConfigurationError("", exception.Start.Line, exception.Start.Column, exception.Message.Contains("Duplicate", StringComparison.OrdinalIgnoreCase)
                ? "the same key twice in one section"
                : "not valid YAML here (indentation, a missing colon or a stray character)"));
            return null;
        }

        if (stream.Documents.Count == 0)
        {
            return new ConfigurationSection(new YamlMappingNode(), "", errors);
        }

        if (stream.Documents is [{ RootNode: YamlMappingNode root }])
        {
            return new ConfigurationSection(root, "", errors);
        }

        errors.Add(new ConfigurationError("", 1, 1, "must be one YAML document of keys and sections"));
        return null;
    }

    private YamlNode? Find(string key)
    {
        _known.Add(key);
        foreach (var (name, value) in _node.Children)
        {
            if (KeyText(name) == key)
            {
                return value;
            }
        }

        return null;
    }

    private string PathOf(string key) => _path.Length == 0 ? key : _path + "." + key;

    private static string KeyText(YamlNode key) => (key as YamlScalarNode)?.Value ?? "?";
}
