using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>One policy key: the same name and meaning in trigger metadata and in the operator's file.</summary>
/// <param name="Name">The key.</param>
/// <param name="Allowed">What is allowed, for error messages.</param>
/// <param name="Parse">Text to canonical text (equal for equal values), or null when it is not allowed.</param>
/// <param name="Apply">Sets an allowed canonical text on a policy.</param>
internal sealed record PolicyKey(string Name, string Allowed, Func<string, string?> Parse, Func<ScalingPolicy, string, ScalingPolicy> Apply);

/// <summary>The policy keys this version knows, and nothing else.</summary>
internal static class PolicyKeys
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>All keys, by name.</summary>
    public static IReadOnlyDictionary<string, PolicyKey> All { get; } = new[]
    {
        Number("saturationThreshold", "a number from 0.001 to 1", static n => n is >= 0.001 and <= 1, static (p, n) => p with { SaturationThreshold = n }),
        Number("share", "a number from 0.001 to 1", static n => n is >= 0.001 and <= 1, static (p, n) => p with { Share = n }),
        Whole("concurrency", 1, 10_000, static (p, n) => p with { Concurrency = (int)n }),
        Prefetch(),
        Whole("consumersPerReplica", 1, 10_000, static (p, n) => p with { ConsumersPerReplica = (int)n }),
        Duration("serviceTime", TimeSpan.FromMilliseconds(1), Day, static (p, d) => p with { ServiceTime = d }),
        Duration("coldStart", TimeSpan.Zero, Day, static (p, d) => p with { ColdStart = d }),
        Duration("drainTime", TimeSpan.FromSeconds(1), Day, static (p, d) => p with { DrainTime = d }),
        Number("activationThreshold", "a number, 0 or more", static n => n >= 0, static (p, n) => p with { ActivationThreshold = n }),
        Duration("holdFor", TimeSpan.Zero, 30 * Day, static (p, d) => p with { HoldFor = d }),
        Duration("holdAfterRecovery", TimeSpan.Zero, Day, static (p, d) => p with { HoldAfterRecovery = d }),
        Choice("missingQueue", MissingQueuePolicy.Hold, MissingQueuePolicy.Zero, static (p, m) => p with { MissingQueue = m }),
        Choice("mode", WorkloadMode.Deployment, WorkloadMode.Job, static (p, m) => p with { Mode = m }),
    }.ToDictionary(static key => key.Name, StringComparer.Ordinal);

    private static PolicyKey Number(string name, string allowed, Func<double, bool> valid, Func<ScalingPolicy, double, ScalingPolicy> set) => new(
        name,
        allowed,
        text => SettingText.TryNumber(text, out var number) && valid(number) ? SettingText.Canonical(number) : null,
        (policy, text) => SettingText.TryNumber(text, out var number) ? set(policy, number) : policy);

    private static PolicyKey Whole(string name, long from, long to, Func<ScalingPolicy, long, ScalingPolicy> set) => new(
        name,
        $"a whole number from {from} to {to}",
        text => SettingText.TryWhole(text, out var number) && number >= from && number <= to ? SettingText.Canonical(number) : null,
        (policy, text) => SettingText.TryWhole(text, out var number) ? set(policy, number) : policy);

    private static PolicyKey Prefetch()
    {
        const string Auto = "auto";
        return new PolicyKey(
            "prefetch",
            "auto, or a whole number from 0 (no limit) to 65535",
            static text => text == Auto ? Auto : SettingText.TryWhole(text, out var number) && number is >= 0 and <= ushort.MaxValue ? SettingText.Canonical(number) : null,
            static (policy, text) => policy with { Prefetch = SettingText.TryWhole(text, out var number) ? (int)number : null });
    }

    private static PolicyKey Duration(string name, TimeSpan from, TimeSpan to, Func<ScalingPolicy, TimeSpan, ScalingPolicy> set) => new(
        name,
        $"a duration such as 90s or 2m, from {from.TotalSeconds} s to {to.TotalHours} h",
        text => SettingText.TryDuration(text, out var duration) && duration >= from && duration <= to ? SettingText.Canonical(duration) : null,
        (policy, text) => SettingText.TryDuration(text, out var duration) ? set(policy, duration) : policy);

    private static PolicyKey Choice<T>(string name, T first, T second, Func<ScalingPolicy, T, ScalingPolicy> set)
        where T : struct, Enum
    {
        var (one, other) = (Text(first), Text(second));
        return new PolicyKey(
            name,
            $"{one} or {other}",
            text => text == one || text == other ? text : null,
            (policy, text) => set(policy, text == one ? first : second));

        static string Text(T value) => value.ToString().ToLowerInvariant();
    }
}

/// <summary>Checked policy values in canonical text, to lay over a policy.</summary>
internal sealed record PolicyOverrides(IReadOnlyList<KeyValuePair<string, string>> Values)
{
    /// <summary>No values.</summary>
    public static PolicyOverrides None { get; } = new([]);

    /// <summary>The policy with these values laid over it.</summary>
    public ScalingPolicy ApplyTo(ScalingPolicy policy)
    {
        foreach (var (name, text) in Values)
        {
            policy = PolicyKeys.All[name].Apply(policy, text);
        }

        return policy;
    }
}
