using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Evaluation;

/// <summary>A trigger's pods, servers and queries in the readings of their sources. Of the evaluation loop alone.</summary>
internal sealed class FleetBinding
{
    private readonly TriggerMetadata _trigger;
    private readonly PodSelector _pods;
    private PodMemoryTracker? _memory;
    private ModelServerTracker? _servers;
    private ModelServerSource? _serversOf;

    /// <summary>Binds a trigger; nothing is known yet.</summary>
    public FleetBinding(TriggerMetadata trigger)
    {
        _trigger = trigger;

        // It was checked when the trigger was read (K9).
        _pods = trigger.PodPattern is { } pattern
            ? PodSelector.ForCheckedPattern(trigger.Namespace, pattern)
            : PodSelector.ForTarget(trigger.Namespace, trigger.Target ?? trigger.Name);
    }

    /// <summary>The pods with their memory; until the next <see cref="Follow"/>.</summary>
    public ReadOnlySpan<PodMemory> Pods => _memory is null ? default : _memory.Pods;

    /// <summary>What they are worth.</summary>
    public FleetReading Memory => _memory?.Reading ?? default;

    /// <summary>What its model servers say.</summary>
    public ModelServerReading Servers => _servers?.Current ?? default;

    /// <summary>What its <c>latencyQuery</c> says.</summary>
    public QueryReading Latency { get; private set; }

    /// <summary>What its <c>query</c> says.</summary>
    public QueryReading Query { get; private set; }

    /// <summary>The replicas there are.</summary>
    public ReplicaReading Replicas { get; private set; }

    /// <summary>What is wrong with one of its sources; null while nothing is.</summary>
    public SourceFault? Fault { get; private set; }

    /// <summary>Whether its <c>podRegex</c> took so long that it is no longer tried.</summary>
    public bool IsRefused => _pods.IsRefused;

    /// <summary>Takes the newest readings in.</summary>
    public void Follow(FleetSources? sources, ScalingPolicy policy, DateTimeOffset now, MatchingBudget budget)
    {
        // Of pods that a pattern means, nobody knows whose replicas they are.
        Replicas = sources?.Replicas?.Replicas(_trigger.Namespace, _trigger.Target ?? _trigger.Name, _trigger.Name) ?? default;
        Replicas = _trigger.PodPattern is null ? Replicas : Replicas with { Existing = null, Ready = null };
        var existing = Replicas.Reading.IsFresh(now) ? Replicas.Existing : null;

        if (sources?.Gpu is { } gpu)
        {
            _memory ??= new PodMemoryTracker(_pods);
            _memory.Follow(gpu.Current, existing, now, gpu.Options.StaleAfter, policy.HoldFor, budget);
        }
        else
        {
            _memory = null;
        }

        if (sources?.ModelServers is { } servers)
        {
            // Read directly, whoever is behind the connection belongs to the workload.
            _servers = _servers is null || (_serversOf!.Options.Prometheus is null) != (servers.Options.Prometheus is null)
                ? new ModelServerTracker(servers.Options.Prometheus is null ? null : _pods)
                : _servers;
            _serversOf = servers;
            _servers.Follow(servers.Current, existing, now, servers.Options.StaleAfter, policy.HoldFor, budget);
        }
        else
        {
            _servers = null;
        }

        Latency = sources?.Queries is { } latency && policy is { LatencyQuery: { } text, LatencyObjective: not null } ? latency.Query(text) : default;
        Query = sources?.Queries is { } prometheus && policy.Query is { } query ? prometheus.Query(query) : default;
        Fault = sources?.ModelServers?.Current.Fault
            ?? sources?.Gpu?.Current.Fault
            ?? (policy.Query is { } asked ? sources?.Queries?.QueryFault(asked) : null)
            ?? (policy.LatencyQuery is { } also ? sources?.Queries?.QueryFault(also) : null);
    }
}
