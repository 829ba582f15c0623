using System.Text.Json.Nodes;

namespace GpuExternalScaler.Configuration;

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

    /// <summary>Whether it names a secret, so that a change of it is told without its values.</summary>
    public bool IsSecret => Segments[^1] is "passwordFile" or "keyFile";

    /// <summary>Whether it holds a list.</summary>
    public abstract bool IsList { get; }

    /// <summary>What it may hold.</summary>
    public abstract JsonObject Schema();

    /// <summary>The options with what the file says; without it, and a finding noted, when that is not allowed.</summary>
    public abstract T Read(FileSection section, string name, YamlPart value, T options);

    /// <summary>What is in force, as texts: none when nothing is, one for a single value.</summary>
    public abstract IReadOnlyList<string> Show(T options);

    /// <summary>The options with what others have here.</summary>
    public abstract T Take(T options, T from);

    /// <summary>Whether two options have the same here.</summary>
    public bool IsSame(T one, T other) => Show(one).SequenceEqual(Show(other), StringComparer.Ordinal);
}

/// <summary>A key with a single value.</summary>
internal sealed class ValueKey<T, TValue>(string path, SettingType<TValue> type, Func<T, TValue?> get, Func<T, TValue, T> set, string meaning) : FileKey<T>(path, meaning)
{
    /// <inheritdoc/>
    public override bool IsList => false;

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
    public override bool IsList => true;

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
