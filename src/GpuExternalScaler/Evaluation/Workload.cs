using System.Net;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Evaluation;

/// <summary>A workload's identity (K8): two triggers on one ScaledObject are two workloads.</summary>
internal readonly record struct WorkloadKey(string Namespace, string Name, string TriggerId)
{
    /// <summary>The identity a trigger has.</summary>
    public static WorkloadKey Of(TriggerMetadata trigger) => new(trigger.Namespace, trigger.Name, trigger.TriggerId);

    /// <inheritdoc/>
    public override string ToString() => $"{Namespace}/{Name}#{TriggerId}";
}

/// <summary>A decision as RPCs, pages and metrics see it: immutable, swapped in whole.</summary>
internal sealed class PublishedDecision(long number, in ScalingDecision decision, DateTimeOffset validUntil, SourceFault? fault)
{
    private readonly ScalingDecision _decision = decision;

    /// <summary>Counts the workload's decisions; answers with the same number agree.</summary>
    public long Number { get; } = number;

    /// <summary>The decision, by reference: it is 25 words long.</summary>
    public ref readonly ScalingDecision Decision => ref _decision;

    /// <summary>When it may no longer be given out, whatever the reason that no newer one came.</summary>
    public DateTimeOffset ValidUntil { get; } = validUntil;

    /// <summary>What was wrong with the source when it was made, or null.</summary>
    public SourceFault? Fault { get; } = fault;

    /// <summary>Whether the workload is active and no consumer exists: KEDA may not have heard (K22).</summary>
    public bool WakesFromZero => Decision is { IsDecided: true, IsActive: true, Consumers: 0, Fleet.Existing: <= 0 };
}

/// <summary>
/// One workload: what asked for it, what it remembers, what was last decided. RPC threads read
/// <see cref="Published"/>; everything else belongs to the evaluation loop.
/// </summary>
internal sealed class Workload
{
    private ConfigurationSnapshot _snapshot;
    private ScalingPolicy _policy;
    private Connections _connections;
    private WorkloadSlots? _slots;
    private PublishedDecision? _published;
    private long _lastAskedTicks;
    private int _openStreams;
    private TaskCompletionSource _activityChanged = NewSignal();

    /// <summary>A workload that nobody has asked about yet.</summary>
    public Workload(TriggerMetadata trigger, ConfigurationSnapshot snapshot)
    {
        Key = WorkloadKey.Of(trigger);
        Labels = LabelSet.Of(("namespace", Key.Namespace), ("scaled_object", Key.Name), ("trigger", Key.TriggerId));
        Trigger = trigger;
        _snapshot = snapshot;
        _policy = PolicyOf(trigger, snapshot);
        _connections = ConnectionsOf(trigger, _policy, snapshot);
        _slots = SlotsOf();
    }

    public WorkloadKey Key { get; }

    /// <summary>The labels of its series.</summary>
    public LabelSet Labels { get; }

    public TriggerMetadata Trigger { get; }

    /// <summary>The broker its queues are on; null without queues, and while <see cref="Problem"/> is not null.</summary>
    public BrokerConnection? Connection => Volatile.Read(ref _connections).Broker;

    /// <summary>What else it is decided by; null for nothing, and while <see cref="Problem"/> is not null.</summary>
    public FleetSources? Fleet => Volatile.Read(ref _connections).Fleet;

    /// <summary>All of these by kind and name, for people.</summary>
    public string ConnectionNames
    {
        get
        {
            var (broker, fleet, _) = Volatile.Read(ref _connections);
            List<string> names =
            [
                .. Named("RabbitMQ", broker?.Name),
                .. Named("GPU", fleet?.Gpu?.Options.Name),
                .. Named("model server", fleet?.ModelServers?.Options.Name),
                .. Named("Prometheus", fleet?.Queries?.Options.Name),
                .. Named("Prometheus", fleet?.Replicas?.Options.Name),
            ];
            return names.Count == 0 ? "no connection" : string.Join(", ", names.Distinct(StringComparer.Ordinal));

            static IEnumerable<string> Named(string kind, string? name) => name is null ? [] : [$"{kind} {name}"];
        }
    }

    /// <summary>
    /// Why it cannot be evaluated: a connection that it needs is not configured, or not for its namespace; null when it can.
    /// </summary>
    public ConnectionProblem? Problem => Volatile.Read(ref _connections).Problem;

    /// <summary>What its history belongs to; null without queues, and while <see cref="Problem"/> is not null.</summary>
    public WorkloadSlots? Slots => Volatile.Read(ref _slots);

    /// <summary>The policy it was last evaluated with, or will be first.</summary>
    public ScalingPolicy Policy => Volatile.Read(ref _policy);

    /// <summary>Who asked last; the registry's business.</summary>
    public IPAddress Caller { get; set; } = IPAddress.None;

    /// <summary>Whether it is evaluated because the configuration names its queue, asked about or not; the registry's business.</summary>
    public bool IsShadow { get; set; }

    /// <summary>Whether anybody has ever asked about it.</summary>
    public bool WasAsked => Interlocked.Read(ref _lastAskedTicks) != 0 || OpenStreams > 0;

    /// <summary>Whether it had to make room: its streams must end, for nobody decides it any more.</summary>
    public bool IsEvicted { get; private set; }

    /// <summary>The newest decision; null before the first evaluation.</summary>
    public PublishedDecision? Published => Volatile.Read(ref _published);

    /// <summary>When somebody last asked about it; the minimum before anybody did.</summary>
    public DateTimeOffset LastAskedAt => new(Interlocked.Read(ref _lastAskedTicks), TimeSpan.Zero);

    /// <summary>Streams that are open on it now: each is a standing question.</summary>
    public int OpenStreams => Volatile.Read(ref _openStreams);

    /// <summary>State and queue slots; of the evaluation loop alone.</summary>
    public WorkloadEvaluation? Evaluation { get; set; }

    /// <summary>
    /// Takes policy and connection from the configuration in force; of the evaluation loop alone. Another configuration than
    /// the last time is another object: there is nothing to compare.
    /// </summary>
    public void Follow(ConfigurationSnapshot snapshot)
    {
        if (ReferenceEquals(_snapshot, snapshot))
        {
            return;
        }

        if (!ReferenceEquals(_snapshot.Options.Policies, snapshot.Options.Policies))
        {
            Volatile.Write(ref _policy, PolicyOf(Trigger, snapshot));
        }

        _snapshot = snapshot;
        var connections = ConnectionsOf(Trigger, _policy, snapshot);
        Volatile.Write(ref _connections, connections);
        Volatile.Write(ref _slots, SlotsOf());
        if (connections.Problem is not null)
        {
            WakeStreams();
        }
    }

    public void Touch(DateTimeOffset now) => Interlocked.Exchange(ref _lastAskedTicks, now.UtcTicks);

    public void StreamOpened() => Interlocked.Increment(ref _openStreams);

    public void StreamClosed(DateTimeOffset now)
    {
        Touch(now);
        Interlocked.Decrement(ref _openStreams);
    }

    /// <summary>
    /// Completes when activity next changes. Take it before reading <see cref="Published"/>, or a change in between is
    /// missed.
    /// </summary>
    public Task ActivityChanged => Volatile.Read(ref _activityChanged).Task;

    /// <summary>Ends it, and wakes its streams to hear of it.</summary>
    public void Evict()
    {
        IsEvicted = true;
        WakeStreams();
    }

    /// <summary>Swaps a decision in and wakes streams when it changes what they would say.</summary>
    public void Publish(PublishedDecision decision, DateTimeOffset now)
    {
        var before = _published;
        Volatile.Write(ref _published, decision);
        if (before is null ||
            before.ValidUntil < now || // it had run out, and streams had fallen silent
            before.Decision.IsDecided != decision.Decision.IsDecided ||
            before.Decision.IsActive != decision.Decision.IsActive ||
            before.WakesFromZero != decision.WakesFromZero)
        {
            WakeStreams();
        }
    }

    private WorkloadSlots? SlotsOf() => _connections.Broker is { } broker && Trigger.Queues is { } queues
        ? new WorkloadSlots(new HistoryKey(broker.Name, Trigger.Vhost, queues.Canonical, _policy.Concurrency))
        : null;

    private void WakeStreams() => Interlocked.Exchange(ref _activityChanged, NewSignal()).TrySetResult();

    private static ScalingPolicy PolicyOf(TriggerMetadata trigger, ConfigurationSnapshot snapshot) =>
        snapshot.Options.Policies.Resolve(trigger.Namespace, trigger.Name, trigger.Policy).Policy;

    private static Connections ConnectionsOf(TriggerMetadata trigger, ScalingPolicy policy, ConfigurationSnapshot snapshot) =>
        ConnectionRules.Problems(trigger, policy, snapshot.Options).FirstOrDefault() is { } problem
            ? new Connections(null, null, problem)
            : new Connections(
                trigger.Queues is null ? null : snapshot.Brokers.Find(trigger.Connection),
                snapshot.Fleet.For(trigger, policy, snapshot.Options),
                null);

    // Streams continue on the pool: a hundred of them must not run on the evaluation loop.
    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>What it reads, swapped in whole.</summary>
    private sealed record Connections(BrokerConnection? Broker, FleetSources? Fleet, ConnectionProblem? Problem);
}
