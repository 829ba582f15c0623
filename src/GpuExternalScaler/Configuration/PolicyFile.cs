using GpuExternalScaler.Rpc;

namespace GpuExternalScaler.Configuration;

/// <summary>Reads the sections <c>defaults</c> and <c>workloads</c>.</summary>
internal static class PolicyFile
{
    private const string BelongsToTrigger = "belongs to the trigger: here only an entry with the full name of one workload may hold it, to have that evaluated before its ScaledObject exists";

    /// <summary>The rules of a file; mistakes are noted.</summary>
    public static PolicyRules Read(FileSection root, ScalerOptions options)
    {
        IReadOnlyList<PolicySetting> defaults = [];
        if (root.Section(FileKeys.DefaultsSection) is { } section)
        {
            defaults = ReadSettings(section, identity: null);
            DubiousSettings.Note(section, defaults, options, isForAll: true);
        }

        var entries = new List<WorkloadEntry>();
        var shadows = new List<TriggerMetadata>();
        if (root.Section(FileKeys.WorkloadsSection) is { } workloads)
        {
            foreach (var (name, key, entry) in workloads.NamedSections())
            {
                if (!WorkloadPattern.TryParse(name, out var pattern))
                {
                    _ = ReadSettings(entry, []);
                    workloads.Error(name, key, "must be namespace/name of ScaledObjects: lower-case letters, digits, hyphens and dots, with * for any characters");
                    continue;
                }

                var identity = pattern.IsFullName ? new List<IdentitySetting>() : null;
                var settings = ReadSettings(entry, identity);
                DubiousSettings.Note(entry, settings, options, isForAll: false);
                entries.Add(new WorkloadEntry(pattern, settings, identity ?? []));
                var isWhole = identity is { Count: > 0 } && identity.Count == entry.Entries.Count(static part => TriggerKeys.IsIdentity(part.Name) && part.Value is not YamlText { IsEmpty: true });
                if (isWhole && ReadShadow(entry, pattern, identity!, options) is { } shadow)
                {
                    shadows.Add(shadow);
                }
            }

            if (shadows.Count > options.MaximumWorkloads)
            {
                root.Error(FileKeys.WorkloadsSection, $"{shadows.Count} entries name queues, more workloads than limits.workloads allows ({options.MaximumWorkloads})");
            }

            foreach (var (first, second, setting, tied, example) in PolicyRules.Ties(entries))
            {
                workloads.ErrorBelow(
                    second.Pattern.ToString(),
                    tied.Key.Name,
                    $"ties with entry '{first.Pattern}' (line {setting.Line}): both set it, have as many literal characters, and match workloads such as {example}; leave it out of one, or make one more specific");
            }
        }

        return new PolicyRules(defaults, entries) { Shadows = shadows };
    }

    /// <summary>What a ScaledObject's trigger would say; null, and the mistakes noted, when none could.</summary>
    private static TriggerMetadata? ReadShadow(FileSection section, WorkloadPattern workload, List<IdentitySetting> identity, ScalerOptions options)
    {
        var metadata = identity.Select(static setting => KeyValuePair.Create(setting.Key, setting.Text));
        var shadow = TriggerMetadata.Parse(workload.Namespace, workload.Name, metadata, out var problems);
        foreach (var problem in problems)
        {
            // It begins with the key it is about, if it is about one.
            var key = identity.Find(setting => problem.StartsWith(setting.Key + " ", StringComparison.Ordinal))?.Key;
            section.Error(key ?? TriggerKeys.Queue, key is null ? problem : problem[(key.Length + 1)..]);
        }

        if (shadow is null || WhyNoConnection(shadow, options) is not { } why)
        {
            return shadow;
        }

        section.Error(TriggerKeys.RabbitMq, why);
        return null;
    }

    private static string? WhyNoConnection(TriggerMetadata shadow, ScalerOptions options)
    {
        var names = string.Join(", ", options.RabbitMq.Keys.Order(StringComparer.Ordinal));
        if (options.RabbitMq.Count == 0)
        {
            return "there is no connection to read the queue from";
        }

        if (shadow.Connection is null && options.RabbitMq.Count > 1)
        {
            return $"must name one of the connections: {names}";
        }

        if (!options.RabbitMq.TryGetValue(shadow.Connection ?? names, out var connection))
        {
            return $"no such connection; there are: {names}";
        }

        return connection.Allows(shadow.Namespace) ? null : "the connection is not for this namespace: its namespaces do not include it";
    }

    /// <summary>Reads policy keys and, where they may stand, the trigger's own.</summary>
    private static List<PolicySetting> ReadSettings(FileSection section, List<IdentitySetting>? identity)
    {
        var settings = new List<PolicySetting>();
        foreach (var (name, nameAt, value) in section.Entries)
        {
            if (!PolicyKeys.All.TryGetValue(name, out var key))
            {
                if (TriggerKeys.IsIdentity(name))
                {
                    if (identity is null)
                    {
                        section.Error(name, nameAt, BelongsToTrigger);
                    }
                    else if (value is not YamlText text)
                    {
                        section.Error(name, value, "must be a single value");
                    }
                    else if (!text.IsEmpty)
                    {
                        identity.Add(new IdentitySetting(name, text.Text.Trim(), nameAt.Line));
                    }
                }
                else
                {
                    section.Unknown(name, nameAt, [.. PolicyKeys.All.Keys]);
                }
            }
            else if (value is not YamlText given)
            {
                section.Error(name, value, "must be a single value");
            }
            else if (!given.IsEmpty)
            {
                if (key.Parse(given.Text.Trim()) is { } canonical)
                {
                    settings.Add(new PolicySetting(key, canonical, nameAt.Line));
                }
                else
                {
                    section.Error(name, value, "must be " + key.Allowed);
                }
            }
        }

        return settings;
    }
}
