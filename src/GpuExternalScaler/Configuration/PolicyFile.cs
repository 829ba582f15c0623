namespace GpuExternalScaler.Configuration;

/// <summary>Reads the sections <c>defaults</c> and <c>workloads</c>.</summary>
internal static class PolicyFile
{
    private const string BelongsToTrigger = "belongs to the trigger: the operator's file cannot change what a running ScaledObject is about";

    /// <summary>The rules of a file; mistakes are noted.</summary>
    public static PolicyRules Read(FileSection root, ScalerOptions options)
    {
        IReadOnlyList<PolicySetting> defaults = [];
        if (root.Section(FileKeys.DefaultsSection) is { } section)
        {
            defaults = ReadSettings(section);
            DubiousSettings.Note(section, defaults, options, isForAll: true);
        }

        var entries = new List<WorkloadEntry>();
        if (root.Section(FileKeys.WorkloadsSection) is { } workloads)
        {
            foreach (var (name, key, entry) in workloads.NamedSections())
            {
                var settings = ReadSettings(entry);
                if (!WorkloadPattern.TryParse(name, out var pattern))
                {
                    workloads.Error(name, key, "must be namespace/name of ScaledObjects: lower-case letters, digits, hyphens and dots, with * for any characters");
                    continue;
                }

                DubiousSettings.Note(entry, settings, options, isForAll: false);
                entries.Add(new WorkloadEntry(pattern, settings));
            }

            foreach (var (first, second, setting, tied, example) in PolicyRules.Ties(entries))
            {
                workloads.ErrorBelow(
                    second.Pattern.ToString(),
                    tied.Key.Name,
                    $"ties with entry '{first.Pattern}' (line {setting.Line}): both set it, have as many literal characters, and match workloads such as {example}; leave it out of one, or make one more specific");
            }
        }

        return new PolicyRules(defaults, entries);
    }

    private static List<PolicySetting> ReadSettings(FileSection section)
    {
        var settings = new List<PolicySetting>();
        foreach (var (name, nameAt, value) in section.Entries)
        {
            if (!PolicyKeys.All.TryGetValue(name, out var key))
            {
                if (TriggerKeys.IsIdentity(name))
                {
                    section.Error(name, nameAt, BelongsToTrigger);
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
