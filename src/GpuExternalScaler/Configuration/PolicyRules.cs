using System.Runtime.InteropServices;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>A policy key that the operator's file sets.</summary>
/// <param name="Key">The key.</param>
/// <param name="Text">Its value, in canonical text.</param>
/// <param name="Line">Line of the file, from 1.</param>
internal sealed record PolicySetting(PolicyKey Key, string Text, long Line);

/// <summary>What the operator's file says about some workloads.</summary>
/// <param name="Pattern">Which.</param>
/// <param name="Settings">Policy keys.</param>
/// <param name="Identity">What the one workload is about, where the entry names its queue; else nothing.</param>
internal sealed record WorkloadEntry(WorkloadPattern Pattern, IReadOnlyList<PolicySetting> Settings, IReadOnlyList<IdentitySetting> Identity);

/// <summary>A key of the trigger's own that the operator's file sets.</summary>
internal sealed record IdentitySetting(string Key, string Text, long Line);

/// <summary>Where a value comes from.</summary>
internal enum PolicySource
{
    /// <summary>Nobody said anything.</summary>
    BuiltIn,

    /// <summary>The file's <c>defaults</c>.</summary>
    Defaults,

    /// <summary>The trigger's metadata.</summary>
    Trigger,

    /// <summary>An entry of the file's <c>workloads</c>.</summary>
    Workloads,
}

/// <summary>Where a value comes from, and for the file: where in it.</summary>
internal sealed record PolicyOrigin(PolicySource Source, long Line = 0, WorkloadPattern? Entry = null)
{
    /// <summary>Nobody said anything.</summary>
    public static PolicyOrigin BuiltIn { get; } = new(PolicySource.BuiltIn);

    /// <summary>The trigger's metadata.</summary>
    public static PolicyOrigin Trigger { get; } = new(PolicySource.Trigger);

    /// <inheritdoc/>
    public override string ToString() => Source switch
    {
        PolicySource.BuiltIn => "built-in",
        PolicySource.Defaults => $"defaults, line {Line}",
        PolicySource.Trigger => "trigger",
        _ => $"workloads entry '{Entry}', line {Line}",
    };
}

/// <summary>A policy key's value in force.</summary>
internal readonly record struct EffectiveValue(string Key, string Text, PolicyOrigin Origin);

/// <summary>A workload's policy in force, and where each value comes from.</summary>
internal sealed class EffectivePolicy(ScalingPolicy policy, IReadOnlyDictionary<PolicyKey, PolicyOrigin> origins)
{
    /// <summary>The policy.</summary>
    public ScalingPolicy Policy { get; } = policy;

    /// <summary>Every policy key with its value and where that comes from.</summary>
    public IEnumerable<EffectiveValue> Values =>
        PolicyKeys.All.Values.Select(key => new EffectiveValue(key.Name, key.Show(Policy), origins.GetValueOrDefault(key) ?? PolicyOrigin.BuiltIn));
}

/// <summary>
/// What the operator's file says about policies. Precedence, weakest first: built-in default, <c>defaults</c>, trigger,
/// <c>workloads</c>; of entries that match, the one with more literal characters wins, key by key. Immutable.
/// </summary>
internal sealed class PolicyRules
{
    private readonly Dictionary<string, WorkloadEntry> _named;
    private readonly Dictionary<string, List<WorkloadEntry>> _ofNamespace = [];
    private readonly List<WorkloadEntry> _ofMany = [];

    public PolicyRules(IReadOnlyList<PolicySetting> defaults, IReadOnlyList<WorkloadEntry> workloads)
    {
        Defaults = defaults;
        Workloads = workloads;
        _named = workloads.Where(static entry => entry.Pattern.IsFullName).ToDictionary(static entry => entry.Pattern.ToString(), StringComparer.Ordinal);
        foreach (var entry in workloads.Where(static entry => !entry.Pattern.IsFullName).OrderBy(static entry => entry.Pattern.Literals))
        {
            if (entry.Pattern.IsForOneNamespace)
            {
                (CollectionsMarshal.GetValueRefOrAddDefault(_ofNamespace, entry.Pattern.Namespace, out _) ??= []).Add(entry);
            }
            else
            {
                _ofMany.Add(entry);
            }
        }
    }

    /// <summary>No rules: triggers and built-in defaults alone.</summary>
    public static PolicyRules None { get; } = new([], []);

    /// <summary>What holds for every workload.</summary>
    public IReadOnlyList<PolicySetting> Defaults { get; }

    /// <summary>What holds for some, in the order of the file.</summary>
    public IReadOnlyList<WorkloadEntry> Workloads { get; }

    /// <summary>Workloads to evaluate before their ScaledObjects exist, as what their triggers would say.</summary>
    public IReadOnlyList<TriggerMetadata> Shadows { get; init; } = [];

    /// <summary>The policy of one workload: the one place where precedence is decided.</summary>
    public EffectivePolicy Resolve(string @namespace, string name, PolicyOverrides trigger)
    {
        var policy = ScalingPolicy.Default;
        var origins = new Dictionary<PolicyKey, PolicyOrigin>();
        foreach (var setting in Defaults)
        {
            Lay(setting.Key, setting.Text, new PolicyOrigin(PolicySource.Defaults, setting.Line));
        }

        foreach (var (key, text) in trigger.Values)
        {
            Lay(PolicyKeys.All[key], text, PolicyOrigin.Trigger);
        }

        var matching = _ofMany.Concat(_ofNamespace.GetValueOrDefault(@namespace) ?? []).Where(entry => entry.Pattern.Matches(@namespace, name));
        foreach (var entry in matching.OrderBy(static entry => entry.Pattern.Literals))
        {
            LayEntry(entry);
        }

        if (_named.TryGetValue($"{@namespace}/{name}", out var named))
        {
            LayEntry(named);
        }

        return new EffectivePolicy(policy, origins);

        void LayEntry(WorkloadEntry entry)
        {
            foreach (var setting in entry.Settings)
            {
                Lay(setting.Key, setting.Text, new PolicyOrigin(PolicySource.Workloads, setting.Line, entry.Pattern));
            }
        }

        void Lay(PolicyKey key, string text, PolicyOrigin origin)
        {
            policy = key.Apply(policy, text);
            origins[key] = origin;
        }
    }

    /// <summary>
    /// Pairs of patterns between which nothing decides: as many literal characters, a workload that both match, a key that
    /// both set. All there are, so that none is found out only when a workload comes along.
    /// </summary>
    /// <returns>The two settings, the earlier entry's first, and a workload that both entries match.</returns>
    public static IEnumerable<(WorkloadEntry First, WorkloadEntry Second, PolicySetting Setting, PolicySetting Tied, string Example)> Ties(IEnumerable<WorkloadEntry> entries)
    {
        foreach (var alike in entries.Where(static entry => !entry.Pattern.IsFullName).GroupBy(static entry => entry.Pattern.Literals))
        {
            var group = alike.ToList();
            for (var i = 0; i < group.Count; i++)
            {
                for (var j = i + 1; j < group.Count; j++)
                {
                    if (group[i].Pattern.Overlap(group[j].Pattern) is not { } example)
                    {
                        continue;
                    }

                    foreach (var tied in group[j].Settings)
                    {
                        if (group[i].Settings.FirstOrDefault(setting => setting.Key == tied.Key) is { } setting)
                        {
                            yield return (group[i], group[j], setting, tied, example);
                        }
                    }
                }
            }
        }
    }
}
