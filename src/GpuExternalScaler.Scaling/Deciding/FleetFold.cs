using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// Puts what queues ask for together with the other signals: the largest wins and is named. What each is worth while it is stale
/// is in <c>docs/decision.md</c>, Holding.
/// </summary>
internal static class FleetFold
{
    private const double LeastReplicas = 1.0 / ScalingDecision.Target;

    /// <summary>Whether a workload has signals besides queues, or nothing else.</summary>
    public static bool IsUsed(in WorkloadSnapshot snapshot) => !snapshot.HasQueues
        || snapshot.Memory.Presence != FleetPresence.NotUsed
        || snapshot.ModelServers.Reading.Presence != FleetPresence.NotUsed
        || snapshot.Latency.Reading.Presence != FleetPresence.NotUsed
        || snapshot.Query.Reading.Presence != FleetPresence.NotUsed;

    /// <summary>The decision over all signals.</summary>
    /// <param name="state">What they remember; changed.</param>
    /// <param name="queues">The decision by the queues alone; not to be looked at for a workload without queues.</param>
    /// <param name="snapshot">The newest readings.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="coldStart">The cold start in force (L).</param>
    /// <param name="now">The moment of the step.</param>
    public static ScalingDecision Step(FleetState state, in ScalingDecision queues, in WorkloadSnapshot snapshot, ScalingPolicy policy, TimeSpan coldStart, DateTimeOffset now)
    {
        var context = ContextOf(state, queues, snapshot, policy, coldStart, now);
        var vram = VramSignal.Evaluate(state.Vram, snapshot, policy, context);
        var servers = ServersOf(state, snapshot, policy, context);
        var latency = LatencySignal.Evaluate(state.Latency, snapshot.Latency, policy, context, out var latencyIsFresh);
        var query = QueryOf(state, snapshot, context);

        // Without a queue and without model servers, a query is the demand; without one too, VRAM is.
        var demand = new Demand();
        if (snapshot.HasQueues)
        {
            demand.Add(queues.IsDecided && queues.Reason != DecisionReason.Holding, false, queues.Reason);
        }

        // Servers that were never seen may be a name that fits none: a queue says what there is to do all the same.
        var serversAreDemand = servers.IsUsed && !(snapshot.HasQueues && snapshot.ModelServers.Reading.Presence == FleetPresence.NeverSeen);
        if (serversAreDemand)
        {
            demand.Add(servers.IsFresh, servers.IsAwaited, servers.Undecided);
        }

        var queryIsDemand = query.IsUsed && demand.Count == 0;
        if (queryIsDemand)
        {
            demand.Add(query.IsFresh, query.IsAwaited, query.Undecided);
        }

        var vramIsUsed = vram.Standing != VramStanding.NotUsed;
        var vramIsDemand = vramIsUsed && demand.Count == 0;
        if (vramIsDemand)
        {
            demand.Add(IsTold(vram), vram.IsAwaited, UndecidedOf(vram, snapshot.Memory));
        }

        var stale = (vramIsUsed && !vram.IsFresh ? StaleSignals.Vram : StaleSignals.None)
            | (servers.IsUsed && (!servers.IsComplete || servers.LacksCache) ? StaleSignals.ModelServers : StaleSignals.None)
            | (latencyIsFresh ? StaleSignals.None : StaleSignals.Latency)
            | (query.IsUsed && !(query.IsFresh && query.IsComplete) ? StaleSignals.Query : StaleSignals.None);
        var decision = (snapshot.HasQueues ? queues : OwnOf(snapshot, coldStart, demand, now)) with
        {
            DecidedAt = now,
            Fleet = Describe(context, snapshot, vram, servers, latency, query, stale),
        };

        var isAwaited = (vram.IsAwaited || servers.IsAwaited) && !state.HasAnswer;
        if (!demand.AnyFresh || isAwaited)
        {
            return Hold(state, decision, isAwaited ? DecisionReason.NotSampled : demand.Undecided);
        }

        state.FreshSince = demand.AllFresh ? state.FreshSince ?? now : null;
        decision = Decide(decision, queues, snapshot, policy, vram, vramIsDemand, servers, latency, query, state);
        decision = KeepFloors(state, decision, demand, IsOptionalStale(vram, vramIsDemand, servers, serversAreDemand, latencyIsFresh, query, queryIsDemand), (vramIsDemand && !vram.IsFresh) || servers.IsPartial || (queryIsDemand && !query.IsComplete), context, policy, now);
        state.HasAnswer = true;
        state.LastAnswer = decision;
        return decision;
    }

    /// <summary>Notes that nobody is answered for a while, as in an outage.</summary>
    public static void BeginRecovery(FleetState state)
    {
        state.FreshSince = null;
        state.Recovering |= state.HasAnswer;
    }

    private static bool IsTold(in VramOutcome vram) => vram.Standing is not (VramStanding.NotSeen or VramStanding.Stale or VramStanding.NotUsed);

    private static DecisionReason UndecidedOf(in VramOutcome vram, in FleetReading reading) =>
        reading.Presence == FleetPresence.Unobserved ? DecisionReason.NotSampled
        : vram.Standing == VramStanding.NotSeen ? DecisionReason.PodsNotSeen
        : DecisionReason.SourceStale;

    private static FleetContext ContextOf(FleetState state, in ScalingDecision queues, in WorkloadSnapshot snapshot, ScalingPolicy policy, TimeSpan coldStart, DateTimeOffset now)
    {
        var replicas = snapshot.Replicas;
        var servers = snapshot.ModelServers;
        var hasConsumers = snapshot.HasQueues && queues.IsDecided && (queues.Missing & QueueGauges.Consumers) == QueueGauges.None;
        var accelerators = 0;
        foreach (ref readonly var pod in snapshot.Pods)
        {
            accelerators += pod.Accelerators;
        }

        var (existing, source) = replicas.Existing is { } told && replicas.Reading.IsFresh(now) ? (told, ReplicaSource.StateMetrics)
            : snapshot.Memory.IsFresh(now) && snapshot.Memory.Presence == FleetPresence.Present
                ? (policy.GpusPerReplica is { } each ? accelerators / (double)each : snapshot.Pods.Length, ReplicaSource.Pods)
            : servers.Reading.IsFresh(now) && servers.Reading.Presence == FleetPresence.Present ? (servers.Pods, ReplicaSource.ModelServers)
            : hasConsumers ? (queues.Consumers * policy.Share / policy.ConsumersPerReplica, ReplicaSource.Consumers)
            : (0, ReplicaSource.Unknown);

        bool? queueIsIdle = !snapshot.HasQueues || !queues.IsDecided || queues.Reason == DecisionReason.Holding || queues.HasAutoAck || queues.Missing != QueueGauges.None ? null
            : queues.Ready + queues.Unacked == 0;
        var serversTell = servers.Reading.IsFresh(now) && servers.Running is not null;
        bool? serversIdle = serversTell ? servers.Running + (servers.Waiting ?? 0) <= 0 : null;

        // Nobody knows what servers do that are silent, or not all told of.
        var mayServe = servers.Reading.Presence != FleetPresence.NotUsed && (!servers.Reading.IsFresh(now) || servers.Reading.IsPartial);
        var isWhole = serversTell && !mayServe;
        var load = (queueIsIdle is null ? LoadSource.None : LoadSource.Queue) | (isWhole ? LoadSource.ModelServers : LoadSource.None);

        // Replicas that do not serve yet have no slots.
        double? saturation = isWhole && servers.Pods > 0 ? Math.Min(1, servers.Running!.Value / ((double)servers.Pods * Math.Max(1, policy.Concurrency)))
            : hasConsumers && queues.Consumers > 0 && queueIsIdle is not null ? queues.Saturation
            : UtilisationOf(snapshot, now);
        return new FleetContext
        {
            Now = now,
            BeganAt = state.BeganAt,
            Existing = existing,
            ExistingSource = source,
            Maximum = policy.MaxReplicas ?? (replicas.Reading.IsFresh(now) ? replicas.Maximum : null),
            ColdStart = coldStart,
            Consumers = hasConsumers ? queues.Consumers : 0,
            IsIdle = queueIsIdle == false || serversIdle == false ? false : mayServe ? null : queueIsIdle ?? serversIdle,
            Load = load == LoadSource.None ? null : (queueIsIdle is null ? 0 : queues.Busy) + (isWhole ? servers.Running!.Value : 0),
            LoadSource = load,
            Saturation = saturation,
            HoldIsOver = state.OptionalStaleSince is { } since && now - since >= policy.HoldFor,
            HasDemand = snapshot.HasQueues || servers.Reading.Presence != FleetPresence.NotUsed,
        };
    }

    private static double? UtilisationOf(in WorkloadSnapshot snapshot, DateTimeOffset now)
    {
        if (!snapshot.Memory.IsFresh(now) || snapshot.Memory.IsPartial)
        {
            return null;
        }

        double sum = 0;
        var told = 0;
        foreach (ref readonly var pod in snapshot.Pods)
        {
            sum += pod.Utilisation ?? 0;
            told += pod.Utilisation is null ? 0 : 1;
        }

        return told == 0 || told < snapshot.Pods.Length ? null : sum / told;
    }

    private static ServersOutcome ServersOf(FleetState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, in FleetContext context)
    {
        var servers = snapshot.ModelServers;
        var reading = servers.Reading;
        var isFresh = reading.IsFresh(context.Now);
        if (reading.Presence == FleetPresence.NotUsed)
        {
            return default;
        }

        if (!isFresh)
        {
            return new ServersOutcome
            {
                IsUsed = true,
                IsAwaited = reading.Presence == FleetPresence.Unobserved && context.Now - context.BeganAt < reading.StaleAfter,
                Undecided = reading.Presence == FleetPresence.Unobserved ? DecisionReason.NotSampled
                    : reading.Presence == FleetPresence.NeverSeen ? DecisionReason.PodsNotSeen
                    : DecisionReason.SourceStale,
                // Of servers that were never there nothing is missing.
                IsComplete = reading.Presence == FleetPresence.NeverSeen && context.Existing <= 0,
            };
        }

        var isStarting = snapshot.HasQueues && snapshot.Replicas.Reading.IsFresh(context.Now) && snapshot.Replicas.Ready == 0;
        if (reading.Presence == FleetPresence.ProvenAbsent && !isStarting
            && context is { Existing: > 0, ExistingSource: ReplicaSource.StateMetrics or ReplicaSource.Pods })
        {
            // T21: replicas that exist are silent. Beside a queue those that never become ready must not hold it up.
            return new ServersOutcome { IsUsed = true, Undecided = DecisionReason.SourceStale };
        }

        if (reading.Presence == FleetPresence.ProvenAbsent)
        {
            state.Running.Clear();
            state.HasToldCache = false;
            return new ServersOutcome { IsUsed = true, IsFresh = true, IsComplete = true };
        }

        state.HasToldCache |= servers.CacheFill is not null;
        var runs = servers.Running is not null || context.Saturation is not null;
        return new ServersOutcome
        {
            IsUsed = true,
            IsFresh = servers.Waiting is not null || servers.Running is not null,
            Undecided = DecisionReason.PodsNotSeen,
            IsPartial = reading.IsPartial || !runs,
            IsComplete = !reading.IsPartial && runs,
            LacksCache = state.HasToldCache && servers.CacheFill is null,
            Requests = RequestSignal.Requests(state.Running, servers, policy, context),
            Cache = RequestSignal.Cache(servers, policy, context),
        };
    }

    private static QueryOutcome QueryOf(FleetState state, in WorkloadSnapshot snapshot, in FleetContext context)
    {
        var now = context.Now;
        var reading = snapshot.Query.Reading;
        if (reading.Presence == FleetPresence.NotUsed)
        {
            return default;
        }

        if (snapshot.Query.Value is { } value && reading.Presence == FleetPresence.Present && !(state.Query?.At > reading.ObservedAt))
        {
            state.Query = (reading.IsPartial && !(context.HoldIsOver && context.HasDemand) && state.Query is { } before ? Math.Max(before.Value, value) : value, reading.ObservedAt);
        }

        // Nothing is no number: the last one counts until it is too old.
        var isFresh = state.Query is { } last && now - last.At <= reading.StaleAfter;
        return new QueryOutcome
        {
            IsUsed = true,
            IsFresh = isFresh,
            IsComplete = !reading.IsPartial,
            IsAwaited = reading.Presence == FleetPresence.Unobserved,
            Undecided = reading.Presence == FleetPresence.Unobserved ? DecisionReason.NotSampled
                : reading.IsFresh(now) ? DecisionReason.QueryEmpty
                : DecisionReason.SourceStale,
            Replicas = isFresh ? Math.Min(state.Query!.Value.Value, 1e12) : 0,
        };
    }

    private static ScalingDecision OwnOf(in WorkloadSnapshot snapshot, TimeSpan coldStart, in Demand demand, DateTimeOffset now)
    {
        var oldest = DateTimeOffset.MaxValue;
        oldest = Older(oldest, snapshot.ModelServers.Reading);
        oldest = Older(oldest, snapshot.Query.Reading);
        oldest = Older(oldest, snapshot.Memory);
        return new ScalingDecision
        {
            Reason = demand.Undecided,
            DecidedAt = now,
            ObservedAt = oldest == DateTimeOffset.MaxValue ? DateTimeOffset.MinValue : oldest,
            TroubledQueue = -1,
            ColdStart = coldStart,
        };

        static DateTimeOffset Older(DateTimeOffset than, in FleetReading reading) =>
            reading.Presence is FleetPresence.Present or FleetPresence.ProvenAbsent && reading.ObservedAt < than ? reading.ObservedAt : than;
    }

    private static FleetFigures Describe(
        in FleetContext context, in WorkloadSnapshot snapshot, in VramOutcome vram, in ServersOutcome servers, double latency, in QueryOutcome query, StaleSignals stale) => new()
        {
            IsUsed = true,
            Existing = context.Existing,
            ExistingSource = context.ExistingSource,
            Maximum = context.Maximum ?? 0,
            VramReplicas = vram.Replicas,
            Vram = vram.Standing,
            VramUsed = vram.Used,
            VramFullest = vram.Fullest,
            VramBase = vram.Base,
            Pods = vram.Pods,
            CacheReplicas = servers.Cache,
            HasCache = servers.IsFresh && snapshot.ModelServers.CacheFill is not null,
            CacheFill = servers.IsFresh && snapshot.ModelServers is { CacheFill: { } fill, Pods: > 0 and var pods } ? fill / pods : 0,
            HasRequests = servers.IsFresh,
            HasQuery = query.IsFresh,
            RequestReplicas = servers.Requests,
            RequestsWaiting = servers.IsFresh ? snapshot.ModelServers.Waiting ?? 0 : 0,
            RequestsRunning = servers.IsFresh ? snapshot.ModelServers.Running ?? 0 : 0,
            LatencyReplicas = latency,
            LatencySeconds = snapshot.Latency.Reading.IsFresh(context.Now) ? snapshot.Latency.Value ?? 0 : 0,
            QueryReplicas = query.Replicas,
            Stale = stale,
        };

    /// <summary>No demand source is fresh: the last answer for as long as the queues' hold lasts, then none.</summary>
    private static ScalingDecision Hold(FleetState state, in ScalingDecision decision, DecisionReason undecided)
    {
        if (decision is { IsDecided: true, Reason: DecisionReason.Holding } && state.HasAnswer)
        {
            return state.LastAnswer with
            {
                Reason = DecisionReason.Holding,
                DecidedAt = decision.DecidedAt,
                TroubledQueue = decision.TroubledQueue,
                FloorReplicas = state.LastAnswer.Replicas,
                Fleet = decision.Fleet,
            };
        }

        BeginRecovery(state);
        return decision with { Reason = undecided.IsUndecided() ? undecided : DecisionReason.NotSampled, Replicas = 0, IsActive = false, FloorReplicas = 0 };
    }

    private static ScalingDecision Decide(
        in ScalingDecision decision,
        in ScalingDecision queues,
        in WorkloadSnapshot snapshot,
        ScalingPolicy policy,
        in VramOutcome vram,
        bool vramIsDemand,
        in ServersOutcome servers,
        double latency,
        in QueryOutcome query,
        FleetState state)
    {
        // An undecided queue beside a fresh model server has no number of its own.
        var hasQueues = snapshot.HasQueues && queues.IsDecided;
        var replicas = hasQueues ? queues.Replicas : 0;
        var reason = hasQueues ? queues.Reason : DecisionReason.Idle;
        Raise(servers.Requests, DecisionReason.ModelServerRequests);
        Raise(servers.Cache, DecisionReason.CacheFill);
        Raise(vram.Replicas, DecisionReason.VramHeadroom);
        Raise(latency, DecisionReason.Latency);
        Raise(query.Replicas, DecisionReason.Query);
        if (hasQueues && queues.Reason is DecisionReason.NoProgress or DecisionReason.SingleActiveConsumer)
        {
            // Where more replicas would not help, they do not help whatever asks for them.
            replicas = Math.Min(replicas, Math.Max(queues.Replicas, state.HasAnswer ? state.LastAnswer.Replicas : 0));
            reason = queues.Reason;
        }

        var requests = (servers.IsFresh ? (snapshot.ModelServers.Waiting ?? 0) + (snapshot.ModelServers.Running ?? 0) : 0) > policy.ActivationThreshold;
        var active = (hasQueues && queues.IsActive) || requests || vram.Replicas > 0 || query.Replicas > 0;
        if (vramIsDemand && vram.IsBlind)
        {
            // T14: nothing else is known of it, so it stays where it is; of a fleet at work, a zero from before is not that.
            var stay = state is { HasAnswer: true, LastAnswer: { IsActive: true, Replicas: var last } } ? last : Provision.WithoutSpare(decision.Fleet.Existing, policy);
            (replicas, reason, active) = (Math.Max(replicas, stay), DecisionReason.VramSaysNothing, true);
        }

        return decision with
        {
            Replicas = active ? Math.Max(replicas, LeastReplicas) : replicas,
            Reason = reason,
            IsActive = active,
            FloorReplicas = hasQueues ? queues.FloorReplicas : 0,
        };

        void Raise(double by, DecisionReason because)
        {
            if (by > replicas)
            {
                (replicas, reason) = (by, because);
            }
        }
    }

    private static bool IsOptionalStale(in VramOutcome vram, bool vramIsDemand, in ServersOutcome servers, bool serversAreDemand, bool latencyIsFresh, in QueryOutcome query, bool queryIsDemand) =>
        (vram.Standing != VramStanding.NotUsed && !vramIsDemand && !vram.IsFresh)
        || (servers.IsUsed && !serversAreDemand && !servers.IsComplete)
        || !latencyIsFresh
        || servers.LacksCache
        || (query.IsUsed && !queryIsDemand && !(query.IsFresh && query.IsComplete));

    private static ScalingDecision KeepFloors(
        FleetState state, ScalingDecision decision, in Demand demand, bool isOptionalStale, bool isDemandPartial, in FleetContext context, ScalingPolicy policy, DateTimeOffset now)
    {
        state.OptionalStaleSince = isOptionalStale ? state.OptionalStaleSince ?? now : null;

        // Nothing was answered yet, after a restart say: what runs is what is needed until it is known to be less.
        var (floor, active) = state.HasAnswer ? (state.LastAnswer.Replicas, state.LastAnswer.IsActive) : (Provision.WithoutSpare(context.Existing, policy), context.Existing > 0);
        if (state.OptionalStaleSince is { } since && now - since < policy.HoldFor)
        {
            decision = DecisionFold.NotBelow(decision, floor, active, DecisionReason.SignalStale);
        }

        var isPartial = !demand.AllFresh || isDemandPartial;
        if (isPartial)
        {
            decision = DecisionFold.NotBelow(decision, floor, active, DecisionReason.PartialReadings);
        }

        if (!state.Recovering)
        {
            return decision;
        }

        if (state.FreshSince is { } fresh && now - fresh >= policy.HoldAfterRecovery)
        {
            state.Recovering = false;
            return decision;
        }

        return DecisionFold.NotBelow(decision, state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.Recovering);
    }

    /// <summary>What model servers came to.</summary>
    private readonly record struct ServersOutcome
    {
        public bool IsUsed { get; init; }

        /// <summary>Whether they tell of demand at all.</summary>
        public bool IsFresh { get; init; }

        public bool IsAwaited { get; init; }

        /// <summary>Whether something is missing from figures that are fresh.</summary>
        public bool IsPartial { get; init; }

        /// <summary>Whether the answer may fall by them.</summary>
        public bool IsComplete { get; init; }

        /// <summary>Whether they no longer tell the fill of their caches.</summary>
        public bool LacksCache { get; init; }

        public DecisionReason Undecided { get; init; }

        public double Requests { get; init; }

        public double Cache { get; init; }
    }

    /// <summary>What the query came to.</summary>
    private readonly record struct QueryOutcome
    {
        public bool IsUsed { get; init; }

        public bool IsFresh { get; init; }

        public bool IsComplete { get; init; }

        public bool IsAwaited { get; init; }

        public DecisionReason Undecided { get; init; }

        public double Replicas { get; init; }
    }

    /// <summary>The sources that tell of demand.</summary>
    private struct Demand
    {
        private int _fresh;

        public int Count { get; private set; }

        public readonly bool AnyFresh => _fresh > 0;

        public readonly bool AllFresh => _fresh == Count;

        /// <summary>Why there is no answer; the first source's reason.</summary>
        public DecisionReason Undecided { get; private set; } = DecisionReason.NoDemandSignal;

        public Demand()
        {
        }

        public void Add(bool isFresh, bool isAwaited, DecisionReason undecided)
        {
            Undecided = Count == 0 ? (isAwaited ? DecisionReason.NotSampled : undecided) : Undecided;
            Count++;
            _fresh += isFresh ? 1 : 0;
        }
    }
}
