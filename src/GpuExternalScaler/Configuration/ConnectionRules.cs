using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>Why a trigger may not use a connection that it needs.</summary>
/// <param name="Key">The trigger's key that names, or would name, the connection.</param>
/// <param name="IsForbidden">Whether the connection is there, and not for this trigger.</param>
/// <param name="Sentence">What is wrong. Holds no value of the trigger, and no connection that is not for its namespace.</param>
internal sealed record ConnectionProblem(string Key, bool IsForbidden, string Sentence);

/// <summary>Which connections a trigger needs with the policy in force, and whether it may use them.</summary>
internal static class ConnectionRules
{
    /// <summary>Why a trigger cannot be evaluated for want of a connection; null when it can.</summary>
    public static string? WhyNoConnection(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options) =>
        Problems(trigger, policy, options).FirstOrDefault()?.Sentence;

    /// <summary>What is wrong with each connection that it needs: at most one thing of each kind.</summary>
    public static IEnumerable<ConnectionProblem> Problems(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options)
    {
        if (trigger.Queues is not null && Check("RabbitMQ", TriggerKeys.RabbitMq, trigger.Connection, options.RabbitMq, trigger) is { } broker)
        {
            yield return broker;
        }

        if (policy.VramThreshold is not null && Check("GPU", TriggerKeys.Gpu, trigger.Gpu, options.Gpu, trigger) is { } gpu)
        {
            yield return gpu;
        }

        if (trigger.ModelServer is not null && Check("model server", TriggerKeys.ModelServer, trigger.ModelServer, options.ModelServers, trigger) is { } servers)
        {
            yield return servers;
        }

        if ((policy.LatencyQuery ?? policy.Query) is not null && CheckQueries(trigger, policy, options) is { } prometheus)
        {
            yield return prometheus;
        }
    }

    /// <summary>The connection that a trigger's VRAM is read from; null when there is none for it, or VRAM is not looked at.</summary>
    public static GpuOptions? GpuOf(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options) =>
        policy.VramThreshold is null ? null : Allowed(Find(trigger.Gpu, options.Gpu), trigger);

    /// <summary>The model servers of a trigger; null when there are none for it, or it names none.</summary>
    public static ModelServerOptions? ModelServersOf(TriggerMetadata trigger, ScalerOptions options) =>
        trigger.ModelServer is null ? null : Allowed(Find(trigger.ModelServer, options.ModelServers), trigger);

    /// <summary>The connection that a trigger's queries are sent to; null when there is none for it, or it has no queries.</summary>
    public static PrometheusOptions? PrometheusOf(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options) =>
        (policy.LatencyQuery ?? policy.Query) is not null && CheckQueries(trigger, policy, options) is null
            ? Find(NameOfPrometheus(trigger, policy, options), options.Prometheus)
            : null;

    /// <summary>
    /// The connection where a trigger's replicas are looked up: the one that it names, if it may, or that its other connections are
    /// read through. Nobody needs it, so that one it may not use is passed over.
    /// </summary>
    public static string? PrometheusOfReplicas(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options) =>
        (trigger.Prometheus is null ? null : Allowed(Find(trigger.Prometheus, options.Prometheus), trigger)?.Connection.Name)
        ?? GpuOf(trigger, policy, options)?.Connection.Prometheus
        ?? ModelServersOf(trigger, options)?.Connection.Prometheus
        ?? PrometheusOf(trigger, policy, options)?.Connection.Name;

    private static ConnectionProblem? CheckQueries(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options)
    {
        var name = NameOfPrometheus(trigger, policy, options);
        if (Check("Prometheus", TriggerKeys.Prometheus, name, options.Prometheus, trigger) is { } problem)
        {
            return problem;
        }

        // Also where the operator's file has another query: what is not allowed should not look as if it were.
        return trigger.Policy.Values.Any(static pair => pair.Key is PolicyKeys.LatencyQuery or PolicyKeys.Query) && !Find(name, options.Prometheus)!.Connection.AllowTriggerQueries
            ? new ConnectionProblem(TriggerKeys.Prometheus, IsForbidden: true, $"the Prometheus connection takes no {PolicyKeys.LatencyQuery} and no {PolicyKeys.Query} from trigger metadata: its allowTriggerQueries is not true")
            : null;
    }

    /// <summary>The named one, or the one that its other connections read through; null for the only one configured.</summary>
    private static string? NameOfPrometheus(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options) =>
        trigger.Prometheus
        ?? GpuOf(trigger, policy, options)?.Connection.Prometheus
        ?? ModelServersOf(trigger, options)?.Connection.Prometheus;

    private static ConnectionProblem? Check<T>(string kind, string key, string? name, IReadOnlyDictionary<string, T> configured, TriggerMetadata trigger)
        where T : ConnectionOptions
    {
        if (Find(name, configured) is { } connection)
        {
            return connection.Allows(trigger.Namespace)
                ? null
                : new ConnectionProblem(key, IsForbidden: true, $"the {kind} connection is not for this namespace: its namespaces do not include it");
        }

        // What others have is not its business.
        var names = string.Join(", ", configured.Where(pair => pair.Value.Allows(trigger.Namespace)).Select(static pair => pair.Key).Order(StringComparer.Ordinal));
        names = names.Length == 0 ? "none for this namespace" : names;
        return new ConnectionProblem(key, IsForbidden: false, configured.Count == 0 ? $"no {kind} connection is configured"
            : name is null ? $"several {kind} connections are configured ({names}): name one with the key {key}"
            : $"the {kind} connection named by the key {key} is not configured; configured: {names}");
    }

    private static T? Find<T>(string? name, IReadOnlyDictionary<string, T> configured)
        where T : ConnectionOptions =>
        name is not null ? configured.GetValueOrDefault(name) : configured.Count == 1 ? configured.Values.First() : null;

    private static T? Allowed<T>(T? connection, TriggerMetadata trigger)
        where T : ConnectionOptions =>
        connection?.Allows(trigger.Namespace) ?? false ? connection : null;
}
