using System.Globalization;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation;

/// <summary>
/// Reads what of a ScaledObject matters to how its replicas come and go. The file is a ScaledObject, or a <c>behavior</c> by itself. What is
/// left out is what Kubernetes and KEDA make of it; keys of a ScaledObject that do not matter here may be anything.
/// </summary>
internal static class ScaledObjectFile
{
    private const string Kind = "ScaledObject";
    private const string Minimum = "minReplicaCount";
    private const string Maximum = "maxReplicaCount";
    private const string Idle = "idleReplicaCount";
    private const string Policies = "policies";

    // KEDA's default of minReplicaCount is 0, of which its HPA makes 1.
    private static readonly Replicas DefaultReplicas = new(null, 100, null);

    private static readonly FileKey<Replicas>[] ReplicaKeys =
    [
        Whole<Replicas>(Minimum, 0, int.MaxValue, static (replicas, value) => replicas with { Minimum = value }),
        Whole<Replicas>(Maximum, 1, int.MaxValue, static (replicas, value) => replicas with { Maximum = value }),
        Whole<Replicas>(Idle, 0, int.MaxValue, static (replicas, value) => replicas with { Idle = value }),
    ];

    private static readonly FileKey<ScaledObjectSpec>[] SpecKeys =
    [
        Whole<ScaledObjectSpec>("pollingInterval", 1, int.MaxValue, static (spec, value) => spec with { PollingSeconds = value }),
        Whole<ScaledObjectSpec>("cooldownPeriod", 0, int.MaxValue, static (spec, value) => spec with { CooldownSeconds = value }),
    ];

    // The bounds are those that Kubernetes checks.
    private static readonly FileKey<ScalingRules>[] RuleKeys =
    [
        Whole<ScalingRules>("stabilizationWindowSeconds", 0, 3600, static (rules, value) => rules with { StabilizationWindowSeconds = value }),
        Word<ScalingRules, PolicySelect>("selectPolicy", static (rules, value) => rules with { Select = value }),
        new ValueKey<ScalingRules, double>("tolerance", Tolerance, static rules => rules.Tolerance ?? 0, static (rules, value) => rules with { Tolerance = value }, ""),
    ];

    private static readonly FileKey<Limit>[] LimitKeys =
    [
        Word<Limit, PolicyType>("type", static (limit, value) => limit with { Type = value }),
        Whole<Limit>("value", 1, int.MaxValue, static (limit, value) => limit with { Value = value }),
        Whole<Limit>("periodSeconds", 1, 1800, static (limit, value) => limit with { PeriodSeconds = value }),
    ];

    /// <summary>A number, or one in thousandths as Kubernetes writes quantities: <c>50m</c>.</summary>
    private static SettingType<double> Tolerance => SettingTypes.Number(0) with
    {
        Allowed = "a number such as 0.05 or 50m, 0 or more",
        TryRead = static (string text, out double value) =>
        {
            var isThousandths = text.EndsWith('m');
            var isValid = SettingText.TryNumber(isThousandths ? text[..^1] : text, out value) && value >= 0;
            value = isThousandths ? value / 1000 : value;
            return isValid;
        },
    };

    /// <summary>Reads a file.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Nor may it.</exception>
    /// <exception cref="InvalidDataException">It is neither, or something in it is not allowed: a line for each.</exception>
    public static ScaledObjectSpec Read(string file)
    {
        using var reader = File.OpenText(file);
        return Parse(reader, file);
    }

    /// <summary>Reads a text.</summary>
    /// <param name="reader">The text.</param>
    /// <param name="name">What the text is called in messages.</param>
    /// <exception cref="InvalidDataException">It is neither, or something in it is not allowed: a line for each.</exception>
    public static ScaledObjectSpec Parse(TextReader reader, string name)
    {
        var findings = new List<ConfigurationFinding>();
        var spec = YamlTree.Parse(reader.ReadToEnd(), findings) is { } map ? Read(map, findings) : null;
        return spec is not null && findings.Count == 0
            ? spec
            : throw new InvalidDataException(string.Join('\n', findings.OrderBy(static finding => (finding.Line, finding.Column)).Select(finding => $"{name}: {finding}")));
    }

    private static ScaledObjectSpec? Read(YamlMap map, List<ConfigurationFinding> findings)
    {
        var root = new FileSection(map, "", findings);
        if (map.Find("kind") is { } kind && kind is not YamlText { Text: Kind })
        {
            root.Error("kind", kind, $"must be {Kind}");
        }
        else if (root.Section("spec") is { } spec)
        {
            return ReadSpec(spec);
        }
        else if (map.Find("kind") is null && map.Find("behavior") is { } behavior)
        {
            return new ScaledObjectSpec { Autoscaler = ReadBehavior(root, new AutoscalerSpec(), behavior) };
        }
        else
        {
            root.Error("", map, $"must be a {Kind} with a spec, or a behavior by itself");
        }

        return null;
    }

    private static ScaledObjectSpec ReadSpec(FileSection section)
    {
        var (minimum, maximum, idle) = ReadKnown(section, DefaultReplicas, ReplicaKeys);
        var atLeast = Math.Max(1, minimum ?? 0);
        if (maximum < atLeast)
        {
            section.Error(section.Has(Maximum) ? Maximum : Minimum, $"{Maximum} must be no less than {Minimum}");
        }

        // KEDA takes a minimum of 0 for 1 here, but not one that is left out.
        if (idle >= (minimum is null ? 0 : atLeast))
        {
            section.Error(Idle, $"{Idle} must be less than {Minimum}");
        }

        var autoscaler = new AutoscalerSpec { MinReplicas = atLeast, MaxReplicas = maximum };
        var config = section.Section("advanced")?.Section("horizontalPodAutoscalerConfig");
        var behavior = config?.Entries.FirstOrDefault(static entry => entry.Name == "behavior").Value;
        return ReadKnown(section, new ScaledObjectSpec(), SpecKeys) with
        {
            Autoscaler = config is null ? autoscaler with { HasBehavior = false } : ReadBehavior(config, autoscaler, behavior),
            IdleReplicas = idle ?? (minimum > 0 ? (int?)null : 0),
        };
    }

    private static AutoscalerSpec ReadBehavior(FileSection around, AutoscalerSpec spec, YamlPart? behavior)
    {
        // An empty section is a behaviour of defaults; nothing at all is none.
        if (behavior is null or YamlText { IsEmpty: true })
        {
            return spec with { HasBehavior = false };
        }

        // Noted by the section around it if it is none.
        if (around.Section("behavior") is not { } section)
        {
            return spec;
        }

        NoteUnknown(section, ["scaleUp", "scaleDown"]);
        return spec with
        {
            ScaleUp = ReadRules(section.Section("scaleUp"), ScalingRules.DefaultUp),
            ScaleDown = ReadRules(section.Section("scaleDown"), ScalingRules.DefaultDown),
        };
    }

    private static ScalingRules ReadRules(FileSection? section, ScalingRules defaults)
    {
        if (section is null)
        {
            return defaults;
        }

        var rules = section.Bind(defaults, RuleKeys, Policies);
        var given = section.Entries.FirstOrDefault(static entry => entry.Name == Policies).Value;
        switch (given)
        {
            case null or YamlText { IsEmpty: true }:
                return rules;
            case YamlList { Items.Count: > 0 } list:
                return rules with { Policies = [.. list.Items.Select((item, index) => ReadPolicy(section, item, index))] };
            default:
                section.Error(Policies, given, "must be a list of at least one policy");
                return rules;
        }
    }

    private static ScalingLimit ReadPolicy(FileSection around, YamlPart item, int index)
    {
        var limit = new Limit(null, null, null);
        var name = string.Create(CultureInfo.InvariantCulture, $"{Policies}[{index}]");
        if (item is not YamlMap map)
        {
            around.Error(name, item, "must have a type, a value and periodSeconds");
        }
        else
        {
            var section = around.Item(name, map);
            limit = section.Bind(limit, LimitKeys);
            foreach (var key in LimitKeys)
            {
                if (!section.Has(key.Path))
                {
                    section.Error(key.Path, "is required");
                }
            }
        }

        return new ScalingLimit(limit.Type ?? default, limit.Value ?? 1, limit.PeriodSeconds ?? 1);
    }

    /// <summary>Reads the keys of a table; all others are somebody else's.</summary>
    private static T ReadKnown<T>(FileSection section, T options, IReadOnlyList<FileKey<T>> keys)
    {
        foreach (var (name, _, value) in section.Entries)
        {
            if (keys.FirstOrDefault(key => key.Path == name) is { } key)
            {
                options = key.Read(section, name, value, options);
            }
        }

        return options;
    }

    private static void NoteUnknown(FileSection section, IReadOnlyCollection<string> known)
    {
        foreach (var (name, key, _) in section.Entries)
        {
            if (!known.Contains(name))
            {
                section.Unknown(name, key, known);
            }
        }
    }

    // These are only read: nobody asks what is in force or what a key means.
    private static ValueKey<T, int> Whole<T>(string name, int from, int to, Func<T, int, T> set) =>
        new(name, SettingTypes.Whole(from, to), static _ => default, set, "");

    private static ValueKey<T, TWord> Word<T, TWord>(string name, Func<T, TWord, T> set)
        where TWord : struct, Enum
    {
        // Not SettingTypes.Choice: Kubernetes minds the capital.
        var words = Enum.GetNames<TWord>();
        var type = SettingTypes.Choice<TWord>() with
        {
            Allowed = "one of " + string.Join(", ", words),
            TryRead = (string text, out TWord value) => Enum.TryParse(text, out value) && words.Contains(text),
        };
        return new ValueKey<T, TWord>(name, type, static _ => default, set, "");
    }

    private sealed record Replicas(int? Minimum, int Maximum, int? Idle);

    private sealed record Limit(PolicyType? Type, int? Value, int? PeriodSeconds);
}
