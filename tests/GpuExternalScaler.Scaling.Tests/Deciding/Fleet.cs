using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>One workload with pods under test: a clock that only moves when told, and readings set by hand.</summary>
internal sealed class Fleet
{
    public const double Gib = 1L << 30;

    private QueueReading? _queue;
    private List<PodMemory> _pods = [];
    private FleetReading _memory;
    private ModelServerReading _servers;
    private QueryReading _latency;
    private QueryReading _query;
    private ReplicaReading _replicas;

    public ScalingPolicy Policy { get; set; } = ScalingPolicy.Default with { VramThreshold = 0.85 };

    public WorkloadState State { get; set; } = new();

    public Stepper Stepper { get; init; } = DecisionFold.Step;

    public DateTimeOffset Now { get; private set; } = Workload.Start;

    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(90);

    public double Capacity { get; init; } = 80 * Gib;

    public IReadOnlyList<PodMemory> Seen => _pods;

    /// <summary>A new sample: pods that each use such a share of their VRAM. Those beyond the ones before are new.</summary>
    public Fleet Pods(double[] used, double? utilisation = null, bool partial = false, bool old = false, int accelerators = 1)
    {
        var before = _pods;
        _pods = [.. used.Select((share, index) => new PodMemory
        {
            UsedBytes = share * Capacity * accelerators,
            UsableBytes = Capacity * accelerators,
            Accelerators = accelerators,
            FullestUsedBytes = share * Capacity,
            FullestUsableBytes = Capacity,
            Utilisation = utilisation,
            FirstSeenAt = index < before.Count ? before[index].FirstSeenAt : old || before.Count == 0 ? DateTimeOffset.MinValue : Now,
            SampledAt = Now,
        })];
        _memory = Reading(FleetPresence.Present) with { IsPartial = partial };
        return this;
    }

    public Fleet Pods(int count, double used, double? utilisation = null, bool partial = false, bool old = false) =>
        Pods([.. Enumerable.Repeat(used, count)], utilisation, partial, old);

    public Fleet Pods(params PodMemory[] pods)
    {
        _pods = [.. pods];
        _memory = Reading(FleetPresence.Present);
        return this;
    }

    public Fleet Memory(FleetPresence presence, bool partial = false)
    {
        _memory = Reading(presence) with { IsPartial = partial };
        _pods = presence is FleetPresence.Present ? _pods : [];
        return this;
    }

    public Fleet Queue(long ready, long unacked, long consumers)
    {
        _queue = new QueueReading
        {
            Presence = QueuePresence.Present,
            Ready = ready,
            Unacked = unacked,
            Consumers = consumers,
            ObservedAt = Now,
            LastPresentAt = Now,
            FreshFor = TimeSpan.FromSeconds(4),
            StaleAfter = TimeSpan.FromSeconds(20),
        };
        return this;
    }

    public Fleet Servers(int pods, double? waiting, double? running, double? fill = null, bool partial = false)
    {
        _servers = new ModelServerReading
        {
            Reading = Reading(FleetPresence.Present) with { IsPartial = partial },
            Pods = pods,
            Waiting = waiting,
            Running = running,
            CacheFill = fill * pods,
            HighestCacheFill = fill,
        };
        return this;
    }

    public Fleet Servers(FleetPresence presence)
    {
        _servers = new ModelServerReading { Reading = Reading(presence) };
        return this;
    }

    public Fleet Latency(double? seconds, double window = 300)
    {
        _latency = new QueryReading { Reading = Reading(FleetPresence.Present), Value = seconds, Window = TimeSpan.FromSeconds(window) };
        return this;
    }

    public Fleet Query(double? replicas, FleetPresence presence = FleetPresence.Present)
    {
        _query = new QueryReading { Reading = Reading(presence), Value = replicas };
        return this;
    }

    public Fleet Replicas(int existing, int? maximum = null)
    {
        _replicas = new ReplicaReading { Reading = Reading(FleetPresence.Present), Existing = existing, Maximum = maximum };
        return this;
    }

    public Fleet After(double seconds)
    {
        Now += TimeSpan.FromSeconds(seconds);
        return this;
    }

    public ScalingDecision Step() => Stepper(
        State,
        new WorkloadSnapshot
        {
            Queues = _queue is { } queue ? [queue] : [],
            Pods = _pods.ToArray(),
            Memory = _memory,
            ModelServers = _servers,
            Latency = _latency,
            Query = _query,
            Replicas = _replicas,
        },
        Policy,
        Now);

    /// <summary>Steps once a second for so long, with a new sample every so often; gives the last decision.</summary>
    public ScalingDecision Run(double seconds, Action<Fleet> sample, double every = 15)
    {
        ScalingDecision decision = default;
        for (var t = 0.0; t < seconds; t++)
        {
            if (t % every == 0)
            {
                sample(this);
            }

            decision = Step();
            After(1);
        }

        return decision;
    }

    /// <summary>What the HPA makes of an answer (tolerance 0.1).</summary>
    public static int Hpa(int current, in ScalingDecision decision)
    {
        var ratio = decision.Value / (100.0 * current);
        return Math.Abs(ratio - 1) <= 0.1 ? current : (int)Math.Ceiling(decision.Value / 100.0);
    }

    private FleetReading Reading(FleetPresence presence) => new() { Presence = presence, ObservedAt = Now, StaleAfter = StaleAfter };
}
