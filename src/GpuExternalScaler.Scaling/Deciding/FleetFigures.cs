using System.Runtime.InteropServices;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Where the number of replicas there are came from.</summary>
public enum ReplicaSource : byte
{
    /// <summary>There is none.</summary>
    Unknown,

    /// <summary>kube-state-metrics, which is what the HPA counts.</summary>
    StateMetrics,

    /// <summary>Pods that hold accelerators.</summary>
    Pods,

    /// <summary>Pods whose model servers are read.</summary>
    ModelServers,

    /// <summary>Consumers ÷ <c>consumersPerReplica</c>: an estimate.</summary>
    Consumers,
}

/// <summary>What VRAM has to say in a decision (signal 4), and if nothing, why not.</summary>
public enum VramStanding : byte
{
    /// <summary>The workload does not ask for it.</summary>
    NotUsed,

    /// <summary>It counts.</summary>
    Counts,

    /// <summary>There is nothing to go by: no pod was ever seen, or none has figures.</summary>
    NotSeen,

    /// <summary>Figures are too old, or contradict what else is known (T21).</summary>
    Stale,

    /// <summary>The workload is proven to have no pods (T21).</summary>
    NoPods,

    /// <summary>High, and unmoved by load: memory taken beforehand (T14), which says nothing about need.</summary>
    Flat,

    /// <summary>The model server's own figure counts instead: the fill of its key-value cache (T14).</summary>
    ReplacedByCache,

    /// <summary>What a replica holds without load is above the threshold already: no number of replicas gets under it.</summary>
    BaseAboveThreshold,
}

/// <summary>Signals that are used and not fresh, as a set.</summary>
[Flags]
public enum StaleSignals : byte
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VRAM.</summary>
    Vram = 1,

    /// <summary>Model servers.</summary>
    ModelServers = 2,

    /// <summary>The <c>latencyQuery</c>.</summary>
    Latency = 4,

    /// <summary>The <c>query</c>.</summary>
    Query = 8,

    /// <summary>The weeks before, by which the last answer was forecast.</summary>
    Season = 16,
}

/// <summary>The part of a decision that does not rest on queues. All zero for a workload of queues alone.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct FleetFigures
{
    /// <summary>Whether there is any signal besides queues.</summary>
    public bool IsUsed { get; init; }

    /// <summary>Replicas there are (n).</summary>
    public double Existing { get; init; }

    /// <summary>Where that number came from.</summary>
    public ReplicaSource ExistingSource { get; init; }

    /// <summary>The HPA's maximum; 0 if not known.</summary>
    public double Maximum { get; init; }

    /// <summary>Replicas asked for by VRAM headroom (signal 4).</summary>
    public double VramReplicas { get; init; }

    /// <summary>What VRAM has to say.</summary>
    public VramStanding Vram { get; init; }

    /// <summary>Share of the VRAM of all its accelerators that is in use, 0 to 1.</summary>
    public double VramUsed { get; init; }

    /// <summary>The same of the fullest accelerator.</summary>
    public double VramFullest { get; init; }

    /// <summary>Share of its VRAM that an accelerator holds without load, 0 to 1; 0 while not known.</summary>
    public double VramBase { get; init; }

    /// <summary>Pods that hold accelerators.</summary>
    public int Pods { get; init; }

    /// <summary>Replicas asked for by the fill of key-value caches (T14).</summary>
    public double CacheReplicas { get; init; }

    /// <summary>Mean fill of the key-value caches, 0 to 1; meaningful with <see cref="HasCache"/>.</summary>
    public double CacheFill { get; init; }

    /// <summary>Whether the model servers tell the fill of their caches.</summary>
    public bool HasCache { get; init; }

    /// <summary>Whether the model servers tell of requests.</summary>
    public bool HasRequests { get; init; }

    /// <summary>Whether the workload's query gave a number.</summary>
    public bool HasQuery { get; init; }

    /// <summary>Replicas asked for by requests waiting and running in model servers.</summary>
    public double RequestReplicas { get; init; }

    /// <summary>Requests waiting in model servers.</summary>
    public double RequestsWaiting { get; init; }

    /// <summary>Requests running in model servers.</summary>
    public double RequestsRunning { get; init; }

    /// <summary>Replicas asked for by latency (signal 5).</summary>
    public double LatencyReplicas { get; init; }

    /// <summary>The latency in seconds; 0 if not known.</summary>
    public double LatencySeconds { get; init; }

    /// <summary>Replicas that the workload's <c>query</c> asks for.</summary>
    public double QueryReplicas { get; init; }

    /// <summary>Signals that are used and not fresh.</summary>
    public StaleSignals Stale { get; init; }
}
