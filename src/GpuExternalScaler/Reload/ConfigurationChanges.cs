using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Reload;

/// <summary>What differs between two configurations, by key, for a log line.</summary>
internal static class ConfigurationChanges
{
    private const int LongestText = 120;

    /// <summary>Every key that differs, with both values: <c>defaults.coldStart (1m to 90s)</c>. Secrets and queries are only said to have changed.</summary>
    public static IReadOnlyList<string> Between(ScalerOptions before, ScalerOptions after) =>
    [
        .. OfKeys("", FileKeys.Server, before, after),
        .. OfConnections(FileKeys.RabbitMqSection, FileKeys.RabbitMq, before.RabbitMq, after.RabbitMq),
        .. OfConnections(FileKeys.PrometheusSection, FileKeys.Prometheus, before.Prometheus, after.Prometheus),
        .. OfConnections(FileKeys.GpuSection, FileKeys.Gpu, before.Gpu, after.Gpu),
        .. OfConnections(FileKeys.ModelServersSection, FileKeys.ModelServers, before.ModelServers, after.ModelServers),
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

    private static IEnumerable<string> OfConnections<T>(string section, IReadOnlyList<FileKey<T>> keys, IReadOnlyDictionary<string, T> before, IReadOnlyDictionary<string, T> after) =>
        OfEntries(section, before, after, (path, one, other) => OfKeys(path, keys, one, other));

    private static IEnumerable<string> OfEntries<T>(
        string section, IReadOnlyDictionary<string, T> before, IReadOnlyDictionary<string, T> after, Func<string, T, T, IEnumerable<string>> changes) =>
        before.Keys.Union(after.Keys, StringComparer.Ordinal).SelectMany(name =>
        {
            var path = Below(section, name);
            return !before.TryGetValue(name, out var one) ? [$"{path} ({Added(after[name])})"]
                : !after.TryGetValue(name, out var other) ? [$"{path} (removed)"]
                : changes(path, one, other);
        });

    private static string Added<T>(T value) => value is SettingShown { IsHidden: false } setting ? $"added: {OneLine(setting.Text)}" : "added";

    private static IEnumerable<string> OfTexts(string path, SettingShown before, SettingShown after) =>
        before == after ? [] : [$"{path} ({(before.IsHidden ? "changed" : $"{OneLine(before.Text)} to {OneLine(after.Text)}")})"];

    private static Dictionary<string, SettingShown> ByKey(IEnumerable<PolicySetting> settings) =>
        settings.ToDictionary(
            static setting => setting.Key.Name,
            static setting => new SettingShown(setting.Key.Show(setting.Key.Apply(ScalingPolicy.Default, setting.Text)), setting.Key.IsFreeText),
            StringComparer.Ordinal);

    private static Dictionary<string, SettingShown> ByKey(WorkloadEntry entry)
    {
        var texts = ByKey(entry.Settings);
        foreach (var (key, text, _) in entry.Identity)
        {
            texts.Add(key, new SettingShown(text, IsHidden: false));
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

    /// <summary>A setting's value. Free text is hidden: a query may hold what is not for logs.</summary>
    private sealed record SettingShown(string Text, bool IsHidden);
}
