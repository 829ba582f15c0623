using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>What a workload is decided by besides queues; null for what it does not use.</summary>
/// <param name="Gpu">Its accelerators.</param>
/// <param name="ModelServers">Its model servers.</param>
/// <param name="Queries">Where its own queries are asked.</param>
/// <param name="Replicas">Where kube-state-metrics may be.</param>
internal sealed record FleetSources(GpuSource? Gpu, ModelServerSource? ModelServers, PrometheusSource? Queries, PrometheusSource? Replicas);

/// <summary>
/// The sources of one configuration that are no brokers, by name. Immutable; who runs them is <see cref="SourceRunner"/>.
/// </summary>
internal sealed class FleetConnections
{
    private readonly Dictionary<string, (PrometheusOptions Options, PrometheusSource Source)> _prometheus;
    private readonly Dictionary<string, (GpuOptions Options, GpuSource Source)> _gpu;
    private readonly Dictionary<string, (ModelServerOptions Options, ModelServerSource Source)> _modelServers;

    private FleetConnections(ScalerOptions options, SourceFactory sources, FleetConnections? before)
    {
        _prometheus = Open(
            options.Prometheus,
            before?._prometheus,
            static (one, other) => one.IsSameConnectionAs(other),
            prometheus => sources.Open(prometheus.Connection));

        // What is read through another Prometheus than before is another connection.
        _gpu = Open(
            options.Gpu,
            before?._gpu,
            (one, other) => one.IsSameConnectionAs(other) && IsSamePrometheus(one.Connection.Prometheus, before),
            gpu => sources.Open(gpu.Connection, Through(gpu.Connection.Prometheus)));
        _modelServers = Open(
            options.ModelServers,
            before?._modelServers,
            (one, other) => one.IsSameConnectionAs(other) && IsSamePrometheus(one.Connection.Prometheus, before),
            servers => sources.Open(servers.Connection, Through(servers.Connection.Prometheus)));

        var history = Through(options.HistoryPrometheus);
        History = history is null ? null
            : ReferenceEquals(before?.History?.Client, history) ? before!.History
            : sources.OpenHistory(history);
    }

    /// <summary>Where the past is looked up; null for nowhere.</summary>
    public HistorySource? History { get; }

    /// <summary>All of them.</summary>
    public IEnumerable<ISource> All =>
    [
        .. Prometheus.Select(static named => named.Source),
        .. Gpus.Select(static named => named.Source),
        .. ModelServers.Select(static named => named.Source),
        .. History is null ? (ISource[])[] : [History],
    ];

    /// <summary>The Prometheus connections.</summary>
    public IEnumerable<(string Name, PrometheusSource Source)> Prometheus => _prometheus.Select(static pair => (pair.Key, pair.Value.Source));

    /// <summary>The connections to exporters.</summary>
    public IEnumerable<(string Name, GpuSource Source)> Gpus => _gpu.Select(static pair => (pair.Key, pair.Value.Source));

    /// <summary>The connections to model servers.</summary>
    public IEnumerable<(string Name, ModelServerSource Source)> ModelServers => _modelServers.Select(static pair => (pair.Key, pair.Value.Source));

    /// <summary>Whether each was swept, or found broken and reported.</summary>
    public bool EachSweptOrReported =>
        _gpu.Values.All(static gpu => gpu.Source.Current is { HasSwept: true } or { Fault: not null })
        && _modelServers.Values.All(static servers => servers.Source.Current is { HasSwept: true } or { Fault: not null });

    /// <summary>
    /// The connections of a configuration. What is as it was before keeps its source and all it knows; what is another gets
    /// one of its own.
    /// </summary>
    public static FleetConnections Of(ScalerOptions options, SourceFactory sources, FleetConnections? before = null) => new(options, sources, before);

    /// <summary>What a trigger that may be evaluated is decided by besides queues; null for nothing.</summary>
    public FleetSources? For(TriggerMetadata trigger, ScalingPolicy policy, ScalerOptions options)
    {
        var gpu = ConnectionRules.GpuOf(trigger, policy, options)?.Connection;
        var servers = ConnectionRules.ModelServersOf(trigger, options)?.Connection;
        var queries = ConnectionRules.PrometheusOf(trigger, policy, options)?.Connection.Name;
        if (gpu is null && servers is null && queries is null)
        {
            return null;
        }

        return new FleetSources(
            gpu is null ? null : _gpu.GetValueOrDefault(gpu.Name).Source,
            servers is null ? null : _modelServers.GetValueOrDefault(servers.Name).Source,
            SourceOf(queries),
            SourceOf(ConnectionRules.PrometheusOfReplicas(trigger, policy, options)));
    }

    private static Dictionary<string, (TOptions Options, TSource Source)> Open<TOptions, TSource>(
        IReadOnlyDictionary<string, TOptions> configured,
        Dictionary<string, (TOptions Options, TSource Source)>? before,
        Func<TOptions, TOptions, bool> isSame,
        Func<TOptions, TSource> open) =>
        configured.ToDictionary(
            static pair => pair.Key,
            pair => (pair.Value, before is not null && before.TryGetValue(pair.Key, out var known) && isSame(known.Options, pair.Value) ? known.Source : open(pair.Value)),
            StringComparer.Ordinal);

    private bool IsSamePrometheus(string? name, FleetConnections? before) => name is null || ReferenceEquals(SourceOf(name), before?.SourceOf(name));

    private PrometheusClient? Through(string? name) => SourceOf(name)?.Client;

    private PrometheusSource? SourceOf(string? name) => name is null ? null : _prometheus.GetValueOrDefault(name).Source;
}
