using System.Text.Json.Nodes;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>One policy key: the same name and meaning in trigger metadata and in the operator's file.</summary>
internal abstract class PolicyKey(string name, string allowed, string meaning)
{
    /// <summary>The key.</summary>
    public string Name { get; } = name;

    /// <summary>What is allowed, for error messages.</summary>
    public string Allowed { get; } = allowed;

    /// <summary>What it means, for schemas.</summary>
    public string Meaning { get; } = meaning;

    /// <summary>Whether it holds free text, which no message and no log line shows.</summary>
    public virtual bool IsFreeText => false;

    /// <summary>Text to canonical text (equal for equal values), or null when it is not allowed.</summary>
    public abstract string? Parse(string text);

    /// <summary>What is wrong with a text that is not allowed; without the text.</summary>
    public abstract string Problem(string text);

    /// <summary>Sets an allowed canonical text on a policy.</summary>
    public abstract ScalingPolicy Apply(ScalingPolicy policy, string text);

    /// <summary>What a policy holds, as people write it.</summary>
    public abstract string Show(ScalingPolicy policy);

    /// <summary>Schema of it in the operator's file.</summary>
    public abstract JsonObject InYaml();

    /// <summary>Schema of it in trigger metadata.</summary>
    public abstract JsonObject InText();
}

/// <summary>The policy keys this version knows, and nothing else.</summary>
internal static class PolicyKeys
{
    /// <summary>What turns VRAM on.</summary>
    public const string VramThreshold = "vramThreshold";

    /// <summary>PromQL that gives a latency.</summary>
    public const string LatencyQuery = "latencyQuery";

    /// <summary>What that latency should not exceed.</summary>
    public const string LatencyObjective = "latencyObjective";

    /// <summary>PromQL that gives replicas.</summary>
    public const string Query = "query";

    /// <summary>From asking for a replica to its first message.</summary>
    public const string ColdStart = "coldStart";

    /// <summary>Which forecasts may raise the answer.</summary>
    public const string Forecast = "forecast";

    /// <summary>How sure a forecast is to be.</summary>
    public const string ForecastQuantile = "forecastQuantile";

    /// <summary>How long messages may wait.</summary>
    public const string WaitObjective = "waitObjective";

    /// <summary>Spare replicas.</summary>
    public const string WarmReplicas = "warmReplicas";

    /// <summary>Replicas by the clock.</summary>
    public const string Schedule = "schedule";

    /// <summary>Which kind of KEDA object.</summary>
    public const string Mode = "mode";

    /// <summary>The mode of ScaledJobs.</summary>
    public const string Job = "job";

    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>All keys, by name. The order is part of a trigger's identity: append.</summary>
    public static IReadOnlyDictionary<string, PolicyKey> All { get; } = new PolicyKey[]
    {
        Key("saturationThreshold", SettingTypes.Number(0.001, 1), static p => p.SaturationThreshold, static (p, n) => p with { SaturationThreshold = n }, "share of slots that may be busy before more replicas are asked for"),
        Key("share", SettingTypes.Number(0.001, 1), static p => p.Share, static (p, n) => p with { Share = n }, "part of the queue's demand this workload carries"),
        Key("concurrency", SettingTypes.Whole(1, 10_000), static p => p.Concurrency, static (p, n) => p with { Concurrency = n }, "messages one consumer works on at once"),
        Key("prefetch", SettingTypes.WholeOr("auto", 0, ushort.MaxValue, "no limit"), static p => p.Prefetch, static (p, n) => p with { Prefetch = n }, "messages a consumer holds unacknowledged; only interprets what the broker reports", "auto"),
        Key("consumersPerReplica", SettingTypes.Whole(1, 10_000), static p => p.ConsumersPerReplica, static (p, n) => p with { ConsumersPerReplica = n }, "consumers one replica opens"),
        Duration("serviceTime", TimeSpan.FromMilliseconds(1), Day, static p => p.ServiceTime, static (p, d) => p with { ServiceTime = d }, "work in one message, until it is measured", "measured"),
        new TypedKey<ColdStartSetting>(ColdStart, "from asking for a replica to its first message; auto: measured, beginning with 60s or the time after it, and kept within half and three times of that", SettingTypes.ColdStart, static c => c.Canonical, static (p, c) => p with { ColdStart = c.Begin, MeasuresColdStart = c.IsMeasured }, static p => new ColdStartSetting(p.ColdStart, p.MeasuresColdStart).ToString()),
        Duration("drainTime", TimeSpan.FromSeconds(1), Day, static p => p.DrainTime, static (p, d) => p with { DrainTime = d }, "time in which a backlog should be gone", "the cold start"),
        Key("activationThreshold", SettingTypes.Number(0), static p => p.ActivationThreshold, static (p, n) => p with { ActivationThreshold = n }, "messages (ready and unacknowledged) above which a workload at zero wakes"),
        Duration("holdFor", TimeSpan.Zero, 30 * Day, static p => p.HoldFor, static (p, d) => p with { HoldFor = d }, "how long stale counters, or a queue gone from a pattern, keep the answer from shrinking"),
        Duration("holdAfterRecovery", TimeSpan.Zero, Day, static p => p.HoldAfterRecovery, static (p, d) => p with { HoldAfterRecovery = d }, "how long readings must be fresh after an outage before the answer may fall below the one before"),
        Key("missingQueue", SettingTypes.Choice<MissingQueuePolicy>(exact: true), static p => p.MissingQueue, static (p, m) => p with { MissingQueue = m }, "hold: a queue that does not exist is a fault; zero: it is no demand (auto-delete queues)"),
        Key(Mode, SettingTypes.Choice<WorkloadMode>(exact: true), static p => p.Mode, static (p, m) => p with { Mode = m }, "deployment, or job for ScaledJobs"),
        Key(VramThreshold, SettingTypes.Optional(SettingTypes.Number(0.01, 1)), static p => p.VramThreshold, static (p, n) => p with { VramThreshold = n }, "share of its memory that an accelerator may use before more replicas are asked for; VRAM is not looked at without it", "not looked at"),
        Key("vramAggregate", SettingTypes.Choice<VramAggregate>(exact: true), static p => p.VramAggregate, static (p, a) => p with { VramAggregate = a }, "total: VRAM is added up; max: the fullest accelerator counts for all, for workloads where one runs hot"),
        Key("modelMemory", SettingTypes.Optional(SettingTypes.Bytes), static p => p.ModelMemory, static (p, b) => p with { ModelMemory = b }, "VRAM a replica holds without load", "observed when idle"),
        Key("gpusPerReplica", SettingTypes.WholeOr("auto", 1, 1024), static p => p.GpusPerReplica, static (p, n) => p with { GpusPerReplica = n }, "accelerators of one replica; auto: as many as its pod is seen to have", "auto"),
        Key("kvCacheThreshold", SettingTypes.Number(0.01, 1), static p => p.KvCacheThreshold, static (p, n) => p with { KvCacheThreshold = n }, "share of its key-value cache that a model server may fill before more replicas are asked for"),
        QueryKey(LatencyQuery, static p => p.LatencyQuery, static (p, q) => p with { LatencyQuery = q }, "PromQL that gives a latency in seconds, for latencyObjective"),
        Duration(LatencyObjective, TimeSpan.FromMilliseconds(1), TimeSpan.FromHours(1), static p => p.LatencyObjective, static (p, d) => p with { LatencyObjective = d }, "latency that latencyQuery should not exceed", "none"),
        QueryKey(Query, static p => p.Query, static (p, q) => p with { Query = q }, "PromQL that gives a number of replicas"),
        Key("hpaTolerance", SettingTypes.Number(0, 1), static p => p.HpaTolerance, static (p, n) => p with { HpaTolerance = n }, "the HPA's tolerance, within which it ignores what it is told"),
        Key("maxReplicas", SettingTypes.Optional(SettingTypes.Whole(1, 1_000_000)), static p => p.MaxReplicas, static (p, n) => p with { MaxReplicas = n }, "most replicas the ScaledObject allows, where it is not seen by itself", "not known"),
        Key(WaitObjective, SettingTypes.Optional(SettingTypes.WaitObjective), static p => p.WaitObjective, static (p, o) => p with { WaitObjective = o }, "share of the messages that wait no longer than a time; takes the place of saturationThreshold once a service time is known", "none"),
        Key(Forecast, SettingTypes.Choice<ForecastMode>(exact: true), static p => p.Forecast, static (p, f) => p with { Forecast = f }, "which forecasts of arrivals may raise the answer; seasonal: the same time in the weeks before, which needs history"),
        Key(ForecastQuantile, SettingTypes.Number(0.5, 0.999), static p => p.ForecastQuantile, static (p, n) => p with { ForecastQuantile = n }, "share of the time in which arrivals should stay at or under the forecast"),
        Key(WarmReplicas, SettingTypes.Whole(0, 10_000), static p => p.WarmReplicas, static (p, n) => p with { WarmReplicas = n }, "spare replicas on top of need, at all times"),
        new TypedKey<string>(Schedule, "least replicas by the clock, ready when a window begins", SettingTypes.Schedule, SettingTypes.Schedule.Write, static (p, s) => p with { Schedule = s }, static p => p.Schedule ?? "none"),
        Key("timeZone", SettingTypes.TimeZone, static p => p.TimeZone, static (p, z) => p with { TimeZone = z }, "zone of schedule, and of what is the same time a week before"),
    }.ToDictionary(static key => key.Name, StringComparer.Ordinal);

    private static TypedKey<T> Key<T>(string name, SettingType<T> type, Func<ScalingPolicy, T> get, Func<ScalingPolicy, T, ScalingPolicy> set, string meaning, string otherwise = "") =>
        new(name, meaning, type, type.Write, set, policy => get(policy) is { } value ? type.Write(value) : otherwise);

    // A trigger's identity holds the text in milliseconds; people get 1m30s.
    private static TypedKey<TimeSpan> Duration(string name, TimeSpan from, TimeSpan to, Func<ScalingPolicy, TimeSpan?> get, Func<ScalingPolicy, TimeSpan, ScalingPolicy> set, string meaning, string otherwise = "") =>
        new(name, meaning, SettingTypes.Duration(from, to), SettingText.Canonical, set, policy => get(policy) is { } value ? SettingText.Readable(value) : otherwise);

    private static TypedKey<string> QueryKey(string name, Func<ScalingPolicy, string?> get, Func<ScalingPolicy, string, ScalingPolicy> set, string meaning) =>
        new(name, meaning, SettingTypes.Query, SettingTypes.Query.Write, set, policy => get(policy) ?? "", isFreeText: true);

    private sealed class TypedKey<T>(string name, string meaning, SettingType<T> type, Func<T, string> canonical, Func<ScalingPolicy, T, ScalingPolicy> set, Func<ScalingPolicy, string> show, bool isFreeText = false)
        : PolicyKey(name, type.Allowed, meaning)
    {
        public override bool IsFreeText => isFreeText;

        public override string? Parse(string text) => type.TryRead(text, out var value) ? canonical(value) : null;

        public override string Problem(string text) => type.Problem(text);

        public override ScalingPolicy Apply(ScalingPolicy policy, string text) => type.TryRead(text, out var value) ? set(policy, value) : policy;

        public override string Show(ScalingPolicy policy) => show(policy);

        public override JsonObject InYaml() => type.InYaml();

        public override JsonObject InText() => type.InText();
    }
}

/// <summary>Checked policy values in canonical text, as a trigger gives them.</summary>
internal sealed record PolicyOverrides(IReadOnlyList<KeyValuePair<string, string>> Values)
{
    /// <summary>No values.</summary>
    public static PolicyOverrides None { get; } = new([]);
}
