using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;

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
        var early = new List<(WorkloadPattern Workload, List<IdentitySetting> Identity, FileSection Section)>();
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
                DubiousSettings.NoteHalves(entry, settings, defaults);
                entries.Add(new WorkloadEntry(pattern, settings, identity ?? []));
                var isWhole = identity is { Count: > 0 } && identity.Count == entry.Entries.Count(static part => TriggerKeys.IsIdentity(part.Name) && part.Value is not YamlText { IsEmpty: true });
                if (isWhole)
                {
                    early.Add((pattern, identity!, entry));
                }
            }

            // What a workload needs depends on its whole policy.
            var rules = new PolicyRules(defaults, entries);
            shadows.AddRange(early.Select(one => ReadShadow(one.Section, one.Workload, one.Identity, rules, options)).OfType<TriggerMetadata>());
            if (shadows.Count > options.MaximumWorkloads)
            {
                root.Error(FileKeys.WorkloadsSection, $"{shadows.Count} entries name what a workload is about, more workloads than limits.workloads allows ({options.MaximumWorkloads})");
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
    private static TriggerMetadata? ReadShadow(FileSection section, WorkloadPattern workload, List<IdentitySetting> identity, PolicyRules rules, ScalerOptions options)
    {
        var metadata = identity.Select(static setting => KeyValuePair.Create(setting.Key, setting.Text));
        var policy = rules.Resolve(workload.Namespace, workload.Name, PolicyOverrides.None).Policy;
        var hasDemand = (policy.Query ?? policy.VramThreshold as object) is not null;
        var shadow = TriggerMetadata.Parse(workload.Namespace, workload.Name, metadata, out var problems, hasDemand);
        foreach (var problem in problems)
        {
            // It begins with the key it is about, if it is about one.
            var key = identity.Find(setting => problem.StartsWith(setting.Key + " ", StringComparison.Ordinal))?.Key;
            section.Error(key ?? TriggerKeys.Queue, key is null ? problem : problem[(key.Length + 1)..]);
        }

        if (shadow is null)
        {
            return null;
        }

        var isRefused = false;
        if (shadow is { Queues: null } && policy.Mode == WorkloadMode.Job)
        {
            Refuse(PolicyKeys.Mode, "job needs queue or queueRegex: a job is for a message");
        }

        if (shadow is { Queues: null, ModelServer: null } && !hasDemand)
        {
            Refuse(TriggerKeys.Gpu, "needs vramThreshold");
        }

        foreach (var problem in ConnectionRules.Problems(shadow, policy, options))
        {
            Refuse(problem.Key, problem.Sentence);
        }

        return isRefused ? null : shadow;

        void Refuse(string key, string why)
        {
            section.Error(key, why);
            isRefused = true;
        }
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
                    section.Error(name, value, key.Problem(given.Text.Trim()));
                }
            }
        }

        return settings;
    }
}
