using System.Text.Json.Nodes;

namespace GpuExternalScaler.Configuration;

/// <summary>What a key of the operator's file holds.</summary>
internal enum KeyShape
{
    /// <summary>A single value.</summary>
    Single,

    /// <summary>A list of values.</summary>
    List,

    /// <summary>Values by names that the operator chose. They are secrets: only the names are shown.</summary>
    Map,
}

/// <summary>
/// One key of the operator's file: where it is, what it may hold, what it sets. Binding, <c>show-config</c>, environment
/// variables and the JSON schema all go by the same table of these.
/// </summary>
/// <typeparam name="T">The options it is a part of: immutable.</typeparam>
internal abstract class FileKey<T>(string path, string meaning)
{
    /// <summary>Names from the section's top, with dots between: <c>listen.grpc</c>.</summary>
    public string Path { get; } = path;

    /// <summary>The names.</summary>
    public IReadOnlyList<string> Segments { get; } = path.Split('.');

    /// <summary>What it means, for the schema.</summary>
    public string Meaning { get; } = meaning;

    /// <summary>For a key that its section cannot be without: what it is, with an example. Null for the others.</summary>
    public string? Required { get; init; }

    /// <summary>Whether a change takes effect at the next start only.</summary>
    public bool IsFixedAtStart { get; init; }

    /// <summary>Whether it names a secret, or holds some, so that a change of it is told without its values.</summary>
    public bool IsSecret => Shape == KeyShape.Map || Segments[^1] is "passwordFile" or "keyFile" or "bearerTokenFile";

    /// <summary>What it holds.</summary>
    public abstract KeyShape Shape { get; }

    /// <summary>What it may hold.</summary>
    public abstract JsonObject Schema();

    /// <summary>The options with what the file says; without it, and a finding noted, when that is not allowed.</summary>
    public abstract T Read(FileSection section, string name, YamlPart value, T options);

    /// <summary>What is in force, as texts: none when nothing is, one for a single value, of a map the names alone.</summary>
    public abstract IReadOnlyList<string> Show(T options);

    /// <summary>The options with what others have here.</summary>
    public abstract T Take(T options, T from);

    /// <summary>Whether two options have the same here.</summary>
    public virtual bool IsSame(T one, T other) => Show(one).SequenceEqual(Show(other), StringComparer.Ordinal);
}

/// <summary>A key with a single value.</summary>
internal sealed class ValueKey<T, TValue>(string path, SettingType<TValue> type, Func<T, TValue?> get, Func<T, TValue, T> set, string meaning) : FileKey<T>(path, meaning)
{
    /// <inheritdoc/>
    public override KeyShape Shape => KeyShape.Single;

    /// <inheritdoc/>
    public override JsonObject Schema() => type.InYaml();

    /// <inheritdoc/>
    public override T Read(FileSection section, string name, YamlPart value, T options)
    {
        if (value is not YamlText given)
        {
            section.Error(name, value, "must be a single value");
        }
        else if (!given.IsEmpty)
        {
            var text = given.Text.Trim();
            if (type.TryRead(text, out var read))
            {
                return set(options, read);
            }

            section.Error(name, value, type.Problem(text));
        }

        return options;
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Show(T options) => get(options) is { } value ? [type.Write(value)] : [];

    /// <inheritdoc/>
    public override T Take(T options, T from) => get(from) is { } value ? set(options, value) : options;
}

/// <summary>A key with a list of values; a single one may stand alone. An empty list is the same as no key, or an error.</summary>
internal sealed class ListKey<T, TValue>(string path, SettingType<TValue> type, Func<T, IReadOnlyList<TValue>> get, Func<T, IReadOnlyList<TValue>, T> set, string meaning, bool mayBeEmpty = true) : FileKey<T>(path, meaning)
{
    /// <inheritdoc/>
    public override KeyShape Shape => KeyShape.List;

    /// <inheritdoc/>
    public override JsonObject Schema() =>
        new() { ["anyOf"] = new JsonArray(new JsonObject { ["type"] = "array", ["items"] = type.InYaml() }, type.InYaml()) };

    /// <inheritdoc/>
    public override T Read(FileSection section, string name, YamlPart value, T options)
    {
        IReadOnlyList<YamlPart> items = value switch
        {
            YamlText { IsEmpty: true } => [],
            YamlText text => [text],
            YamlList list => list.Items,
            _ => [value],
        };
        if (value is YamlList && items.Count == 0 && !mayBeEmpty)
        {
            section.Error(name, value, "is an empty list: name at least one value, or leave the key out");
        }

        var values = new List<TValue>();
        foreach (var item in items)
        {
            if (item is not YamlText { IsEmpty: false } given)
            {
                section.Error(name, item, "must be a list of values");
                continue;
            }

            var text = given.Text.Trim();
            if (type.TryRead(text, out var read))
            {
                values.Add(read);
            }
            else
            {
                section.Error(name, item, type.Problem(text));
            }
        }

        return set(options, values);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Show(T options) => [.. get(options).Select(type.Write)];

    /// <inheritdoc/>
    public override T Take(T options, T from) => set(options, get(from));
}

/// <summary>A key with values by names, which count as secret and are shown by nobody.</summary>
internal sealed class SecretMapKey<T>(string path, Func<T, IReadOnlyDictionary<string, string>> get, Func<T, IReadOnlyDictionary<string, string>, T> set, string meaning) : FileKey<T>(path, meaning)
{
    /// <inheritdoc/>
    public override KeyShape Shape => KeyShape.Map;

    /// <inheritdoc/>
    public override JsonObject Schema() => new()
    {
        ["type"] = new JsonArray("object", "null"),
        ["additionalProperties"] = new JsonObject { ["type"] = new JsonArray("string", "number", "boolean", "null") },
    };

    /// <inheritdoc/>
    /// <remarks>A secret may stand in a name's place by mistake: findings are at the key, and hold neither.</remarks>
    public override T Read(FileSection section, string name, YamlPart value, T options)
    {
        if (value is not YamlMap map)
        {
            if (value is not YamlText { IsEmpty: true })
            {
                section.Error(name, value, "must be a section of names with a value each");
            }

            return options;
        }

        var values = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var (key, given) in map.Entries)
        {
            if (key is not YamlText { IsEmpty: false } text)
            {
                section.Error(name, key, "a name must be plain text");
            }
            else if (given is not YamlText single)
            {
                section.Error(name, given, "must be a single value for each name");
            }
            else if (single.IsEmpty && text.Text.AsSpan().ContainsAny(':', ' '))
            {
                section.Error(name, key, "a name has no value, and looks as if it held one");
            }
            else if (!values.TryAdd(text.Text, single.Text.Trim()))
            {
                section.Error(name, key, "a name is given twice; upper and lower case count for nothing");
            }
        }

        return set(options, values.Where(static pair => pair.Value.Length > 0).ToDictionary(StringComparer.OrdinalIgnoreCase));
    }

    /// <inheritdoc/>
    public override IReadOnlyList<string> Show(T options) => [.. get(options).Keys.Order(StringComparer.Ordinal)];

    /// <inheritdoc/>
    public override T Take(T options, T from) => set(options, get(from));

    /// <inheritdoc/>
    public override bool IsSame(T one, T other) =>
        get(one).Count == get(other).Count && get(one).All(pair => get(other).TryGetValue(pair.Key, out var value) && value == pair.Value);
}
