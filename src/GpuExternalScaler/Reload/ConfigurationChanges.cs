using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Reload;

/// <summary>What differs between two configurations, by key, for a log line.</summary>
internal static class ConfigurationChanges
{
    private const int LongestText = 120;

    /// <summary>Every key that differs, with both values: <c>defaults.coldStart (1m to 90s)</c>. Secrets are only said to have changed.</summary>
    public static IReadOnlyList<string> Between(ScalerOptions before, ScalerOptions after) =>
    [
        .. OfKeys("", FileKeys.Server, before, after),
        .. OfEntries(FileKeys.RabbitMqSection, before.RabbitMq, after.RabbitMq, static (path, one, other) => OfKeys(path, FileKeys.RabbitMq, one, other)),
        .. OfPolicies(before, after),
    ];

    /// <summary>The same of policies alone.</summary>
    public static IEnumerable<string> OfPolicies(ScalerOptions before, ScalerOptions after) =>
    [
        .. OfEntries(FileKeys.DefaultsSection, ByKey(before.Policies.Defaults), ByKey(after.Policies.Defaults), OfTexts),
        .. OfEntries(FileKeys.WorkloadsSection, ByPattern(before.Policies), ByPattern(after.Policies), static (path, one, other) =>
            OfEntries(path, ByKey(one), ByKey(other), OfTexts)),
    ];

    private static IEnumerable<string> OfKeys<T>(string above, IEnumerable<FileKey<T>> keys, T before, T after) =>
        keys.Where(key => !key.IsSame(before, after)).Select(key => $"{Below(above, key.Path)} ({(key.IsSecret ? "changed" : $"{Text(key.Show(before))} to {Text(key.Show(after))}")})");

    private static IEnumerable<string> OfEntries<T>(
        string section, IReadOnlyDictionary<string, T> before, IReadOnlyDictionary<string, T> after, Func<string, T, T, IEnumerable<string>> changes) =>
        before.Keys.Union(after.Keys, StringComparer.Ordinal).SelectMany(name =>
        {
            var path = Below(section, name);
            return !before.TryGetValue(name, out var one) ? [$"{path} ({Added(after[name])})"]
                : !after.TryGetValue(name, out var other) ? [$"{path} (removed)"]
                : changes(path, one, other);
        });

    private static string Added<T>(T value) => value is string text ? $"added: {OneLine(text)}" : "added";

    private static IEnumerable<string> OfTexts(string path, string before, string after) => before == after ? [] : [$"{path} ({OneLine(before)} to {OneLine(after)})"];

    private static Dictionary<string, string> ByKey(IEnumerable<PolicySetting> settings) =>
        settings.ToDictionary(static setting => setting.Key.Name, static setting => setting.Key.Show(setting.Key.Apply(ScalingPolicy.Default, setting.Text)), StringComparer.Ordinal);

    private static Dictionary<string, string> ByKey(WorkloadEntry entry)
    {
        var texts = ByKey(entry.Settings);
        foreach (var (key, text, _) in entry.Identity)
        {
            texts.Add(key, text);
        }

        return texts;
    }

    private static Dictionary<string, WorkloadEntry> ByPattern(PolicyRules rules) =>
        rules.Workloads.ToDictionary(static entry => entry.Pattern.ToString(), StringComparer.Ordinal);

    private static string Text(IReadOnlyList<string> shown) => shown.Count == 0 ? "nothing" : OneLine(string.Join(", ", shown));

    // YAML can write any character, and a list of a thousand.
    private static string OneLine(string text) =>
        string.Concat(text.Take(LongestText).Select(static c => char.IsControl(c) ? '?' : c)) + (text.Length > LongestText ? "…" : "");

    private static string Below(string above, string name) => above.Length == 0 ? name : above + "." + name;
}
