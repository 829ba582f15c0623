using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What signal 4 remembers.</summary>
internal sealed class VramState
{
    /// <summary>The newest sample taken in.</summary>
    public DateTimeOffset SampledAt { get; set; }

    /// <summary>Bytes an accelerator holds without load, as seen; null before a pod was seen idle.</summary>
    public double? LearnedBase { get; set; }

    /// <summary>What it still holds after a long idleness, where that is more (a ratchet); null without one.</summary>
    public double? RatchetBase { get; set; }

    /// <summary>Since when all pods have been idle; null while one is not.</summary>
    public DateTimeOffset? IdleSince { get; set; }

    /// <summary>Replicas the signal last asked for on complete figures.</summary>
    public double Need { get; set; }

    /// <summary>When that last rose, and from what.</summary>
    public DateTimeOffset? RoseAt { get; set; }

    /// <summary>Mean share of VRAM in use then.</summary>
    public double MeanAtRise { get; set; }

    /// <summary>Pods that told it.</summary>
    public int PodsAtRise { get; set; }

    /// <summary>Replicas asked for then.</summary>
    public double NeedAtRise { get; set; }

    /// <summary>When the mean began to stay where it is, and where that is.</summary>
    public DateTimeOffset? SteadySince { get; set; }

    /// <summary>The mean then.</summary>
    public double SteadyMean { get; set; }

    /// <summary>Pods then.</summary>
    public int SteadyPods { get; set; }

    /// <summary>Least load on a replica since then.</summary>
    public double SteadyLeastLoad { get; set; }

    /// <summary>Most.</summary>
    public double SteadyMostLoad { get; set; }

    /// <summary>Who told these.</summary>
    public LoadSource SteadyLoadSource { get; set; }

    /// <summary>The load, averaged over about a minute; null while not told.</summary>
    public double? SmoothLoad { get; set; }

    /// <summary>When that was brought up to date.</summary>
    public DateTimeOffset SmoothAt { get; set; }

    /// <summary>Whether memory has been found to be taken beforehand (T14).</summary>
    public bool IsFlat { get; set; }

    /// <summary>When the mean was last seen to move with the same pods; null before.</summary>
    public DateTimeOffset? MovedAt { get; set; }

    /// <summary>Whether the model server's figure has stood in.</summary>
    public bool IsReplaced { get; set; }

    /// <summary>Load over time, in accelerators full of it, for the trend.</summary>
    public SampleRing Load { get; private set; } = new();

    /// <summary>Rise of the load per second, as of the samples before the newest: that one must not change what judges it.</summary>
    public double Trend { get; set; }

    /// <summary>When the newest of these was sampled.</summary>
    public DateTimeOffset LoadAt { get; set; }

    /// <summary>Pods that the trend is about.</summary>
    public int LoadPods { get; set; }

    /// <summary>An independent copy.</summary>
    public VramState Clone()
    {
        var copy = (VramState)MemberwiseClone();
        copy.Load = Load.Clone();
        return copy;
    }
}

/// <summary>What signal 4 came to.</summary>
internal readonly record struct VramOutcome
{
    /// <summary>Replicas; 0 while it has nothing to say.</summary>
    public double Replicas { get; init; }

    /// <summary>What it has to say.</summary>
    public VramStanding Standing { get; init; }

    /// <summary>Whether the figures are fresh and complete enough that the answer may fall by them.</summary>
    public bool IsFresh { get; init; }

    /// <summary>Whether the source has not been read yet, and may be any moment.</summary>
    public bool IsAwaited { get; init; }

    /// <summary>Whether the figures are fresh and say nothing about need, neither more nor less (T14).</summary>
    public bool IsBlind { get; init; }

    /// <summary>Share of VRAM in use, over all accelerators.</summary>
    public double Used { get; init; }

    /// <summary>The same of the fullest.</summary>
    public double Fullest { get; init; }

    /// <summary>Share of an accelerator held without load.</summary>
    public double Base { get; init; }

    /// <summary>Pods counted.</summary>
    public int Pods { get; init; }
}

/// <summary>
/// Signal 4: replicas such that memory that depends on load fits under the threshold, Σ(used − base) ÷ (θᵥ·usable − base), in
/// accelerators and then in replicas. <c>docs/decision.md</c> explains it.
/// </summary>
internal static class VramSignal
{
    // T14: how long memory must stay within how much of itself to be taken for unmoved, and how far it must move to be moved.
    private static readonly TimeSpan FlatAfter = TimeSpan.FromMinutes(5);
    private const double Steady = 0.01;
    private const double Moved = 0.03;

    // And how much load must change meanwhile, so that memory that depends on it would have moved.
    private const double LoadChange = 0.3;
    private const double LeastLoadChange = 0.1;
    private static readonly TimeSpan SmoothOver = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan MovedFor = TimeSpan.FromMinutes(30);

    // Signal 4: memory that idleness of so long does not give back is not load.
    private static readonly TimeSpan RatchetAfter = TimeSpan.FromMinutes(10);
    // A step takes exporters and Prometheus some seconds to show, in which it looks like a line.
    private static readonly TimeSpan TrendOver = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan TrendAtLeastOver = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan BetweenTrendSamples = TimeSpan.FromSeconds(6);

    private const double IdleUtilisation = 0.01;

    // Where queues or model servers say that there is nothing to do, this much is upkeep, or a neighbour's on a shared device.
    private const double NearlyIdle = 0.1;

    // Of usable: what an idle allocator's bookkeeping comes to must not keep a fleet awake.
    private const double Noise = 0.02;

    /// <summary>Evaluates the signal; changes its state.</summary>
    public static VramOutcome Evaluate(VramState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, in FleetContext context)
    {
        var reading = snapshot.Memory;
        if (policy.VramThreshold is not { } threshold || reading.Presence == FleetPresence.NotUsed)
        {
            return new VramOutcome { IsFresh = true };
        }

        switch (reading.Presence)
        {
            case FleetPresence.Unobserved:
                return new VramOutcome { Standing = VramStanding.NotSeen, IsAwaited = context.Now - context.BeganAt < reading.StaleAfter };
            case FleetPresence.NeverSeen:
                // Where there are replicas, their memory is not known; where there are none, there is no memory.
                return new VramOutcome { Standing = VramStanding.NotSeen, IsFresh = context.Existing <= 0 };
            case FleetPresence.ProvenAbsent when reading.IsFresh(context.Now):
                // T21: whoever consumes runs somewhere.
                return context.Consumers > 0 || context.Existing > 0
                    ? new VramOutcome { Standing = VramStanding.Stale }
                    : Gone(state);
            case FleetPresence.Present when reading.IsFresh(context.Now):
                break;
            default:
                return new VramOutcome { Standing = VramStanding.Stale };
        }

        var sums = PodSums.Of(snapshot.Pods, policy, context);
        if (sums.Pods == 0)
        {
            return new VramOutcome { Standing = VramStanding.NotSeen };
        }

        if (reading.ObservedAt > state.SampledAt && !reading.IsPartial)
        {
            if (reading.ObservedAt - state.SampledAt > reading.StaleAfter)
            {
                // Nobody knows what was in between.
                state.IdleSince = null;
                state.SteadySince = null;
            }

            state.SampledAt = reading.ObservedAt;
            Learn(state, sums, threshold, context);
        }

        return Decide(state, sums, snapshot, policy, threshold, context);
    }

    private static VramOutcome Gone(VramState state)
    {
        state.Need = 0;
        state.SteadySince = null;
        state.RoseAt = null;
        state.IdleSince = null;
        state.Load.Clear();
        state.Trend = 0;
        return new VramOutcome { Standing = VramStanding.NoPods, IsFresh = true };
    }

    private static VramOutcome Decide(VramState state, in PodSums sums, in WorkloadSnapshot snapshot, ScalingPolicy policy, double threshold, in FleetContext context)
    {
        var usable = sums.Usable / sums.Accelerators;
        var perReplica = policy.GpusPerReplica ?? (sums.Accelerators / (double)sums.Pods);
        var own = policy.ModelMemory is { } model ? model / perReplica : state.LearnedBase;
        var held = Math.Max(own ?? 0, state.RatchetBase ?? 0);
        var outcome = new VramOutcome
        {
            IsFresh = !snapshot.Memory.IsPartial,
            Used = sums.Used / sums.Usable,
            Fullest = sums.Fullest,
            Base = Math.Min(1, held / usable),
            Pods = sums.Pods,
        };
        if (IsReplaced(state, snapshot, context))
        {
            return outcome with { Standing = VramStanding.ReplacedByCache };
        }

        var isIdle = sums.IdleCount == sums.Mature && state.IdleSince is { } since && context.Now - since >= RatchetAfter;
        if (state.IsFlat || held >= threshold * usable)
        {
            // Idle for so long it holds nothing of anybody's.
            state.Need = 0;
            return outcome with { Standing = state.IsFlat ? VramStanding.Flat : VramStanding.BaseAboveThreshold, IsBlind = !isIdle };
        }

        if (sums.Mature == 0)
        {
            // Just asked for: as many as there are, until they can be told by their memory.
            return outcome with { Standing = VramStanding.Counts, Replicas = Math.Max(state.Need, sums.Accelerators / perReplica) };
        }

        var need = Need(state, sums, snapshot.Pods, policy, threshold, held, usable, perReplica, context);
        need = context.AboveDeadBand(need, policy);
        if ((snapshot.Memory.IsPartial && !IsLetGo(snapshot, context)) || sums.Mature < sums.Pods)
        {
            // What is not seen, and what pods that begin will take over, is not less.
            need = Math.Max(need, state.Need);
        }

        if (need > state.Need && !MayRise(state, sums, own is not null && state.RatchetBase is null && policy.VramAggregate == VramAggregate.Total, policy, context))
        {
            // What was asked for at the last rise may be asked for again.
            need = Math.Max(state.Need, Math.Min(need, state.NeedAtRise));
        }
        else if (need > state.Need && need > context.Existing)
        {
            state.NeedAtRise = need;
            state.RoseAt = context.Now;
            state.MeanAtRise = sums.MatureMean;
            state.PodsAtRise = sums.Mature;
        }

        state.Need = need;
        return outcome with { Standing = VramStanding.Counts, Replicas = need };
    }

    // Beside a demand source, memory is optional.
    private static bool IsLetGo(in WorkloadSnapshot snapshot, in FleetContext context) =>
        context.HoldIsOver && (context.HasDemand || snapshot.Query.Reading.Presence != FleetPresence.NotUsed);

    /// <summary>
    /// T14: where the server tells the fill of its cache, that counts, for such servers take their memory beforehand; unless this
    /// memory has been seen to move.
    /// </summary>
    private static bool IsReplaced(VramState state, in WorkloadSnapshot snapshot, in FleetContext context)
    {
        // While the server is silent its memory is as flat as before.
        var servers = snapshot.ModelServers;
        state.IsReplaced = servers.Reading.Presence != FleetPresence.NotUsed
            && (state.IsReplaced || (servers.CacheFill is not null && servers.Reading.IsFresh(context.Now)));
        return state.IsReplaced && !(state.MovedAt is { } moved && context.Now - moved <= MovedFor);
    }

    private static double Need(
        VramState state, in PodSums sums, ReadOnlySpan<PodMemory> pods, ScalingPolicy policy, double threshold, double held, double usable, double perReplica, in FleetContext context)
    {
        var room = (threshold * usable) - held;
        var hottest = 0.0;
        var load = 0.0;
        foreach (ref readonly var pod in pods)
        {
            // T15: weights that are being loaded would pass for load, and what a new pod takes over from an old one, seen at another
            // moment, would count twice. Until it is told by its memory, the answer does not fall.
            if (pod.UsableBytes <= 0 || PodSums.IsYoung(pod, policy, context.Now))
            {
                continue;
            }

            var own = pod.UsedBytes - (held * pod.Accelerators);
            load += own > Noise * pod.UsableBytes ? own : 0;
            var fullestRoom = (threshold * pod.FullestUsableBytes) - held;
            var fullestLoad = pod.FullestUsedBytes - held;
            hottest = fullestRoom > 0 && fullestLoad > Noise * pod.FullestUsableBytes ? Math.Max(hottest, fullestLoad / fullestRoom) : hottest;
        }

        if (policy.VramAggregate == VramAggregate.Max)
        {
            return hottest * sums.MatureAccelerators / perReplica;
        }

        // The trend is of what pods hold; more than double is nobody's to foresee.
        var then = load + Math.Clamp(state.Trend * usable * context.ColdStart.TotalSeconds, 0, load);
        return then / room / perReplica;
    }

    /// <summary>
    /// Whether the answer may rise. With an unknown base or a ratchet more pods hold more memory whatever the load: then once per cold
    /// start, or when the pods there are hold more than at the last rise.
    /// </summary>
    private static bool MayRise(VramState state, in PodSums sums, bool isProportional, ScalingPolicy policy, in FleetContext context) =>
        isProportional
        || state.RoseAt is not { } at
        || context.Now - at >= context.ColdStart + policy.YoungPod
        || (state.RatchetBase is null && sums.Mature <= state.PodsAtRise && sums.MatureMean > state.MeanAtRise + Steady);

    private static void Learn(VramState state, in PodSums sums, double threshold, in FleetContext context)
    {
        if (sums.Mature == 0)
        {
            return;
        }

        if (sums.IdleLeast is { } idle)
        {
            state.LearnedBase = Math.Min(state.LearnedBase ?? idle, idle);
            state.IdleSince = sums.IdleCount == sums.Mature ? state.IdleSince ?? context.Now : null;
            if (state.RatchetBase is { } ratchet && idle < ratchet)
            {
                state.RatchetBase = idle > state.LearnedBase * (1 + Noise) ? idle : null;
            }
            else if (state.IdleSince is { } since && context.Now - since >= RatchetAfter && idle > state.LearnedBase * (1 + Noise))
            {
                state.RatchetBase = idle;
            }
        }
        else
        {
            state.IdleSince = null;
        }

        if (state.LoadPods != sums.Mature)
        {
            state.Load.Clear();
            state.LoadPods = sums.Mature;
        }

        // Of exporters that are read each second, so that the ring reaches back far enough.
        if (state.SampledAt - state.LoadAt >= BetweenTrendSamples)
        {
            state.LoadAt = state.SampledAt;
            state.Trend = state.Load.RiseSince(context.Now - TrendOver, TrendAtLeastOver);
            state.Load.Add(state.SampledAt, sums.MatureUsed / (sums.Usable / sums.Accelerators));
        }

        LearnFlatness(state, sums, threshold, context);
    }

    private static void LearnFlatness(VramState state, in PodSums sums, double threshold, in FleetContext context)
    {
        var mean = sums.MatureMean;

        // Of the pods there are: replicas that wait for an accelerator take none of it.
        var load = Smooth(state, context.Load / sums.Mature ?? sums.MatureUtilisation, context);
        if (state.SteadySince is null || Math.Abs(mean - state.SteadyMean) > Steady)
        {
            if (state.SteadySince is not null && Math.Abs(mean - state.SteadyMean) > Moved)
            {
                state.IsFlat = false;
                state.MovedAt = sums.Mature == state.SteadyPods ? context.Now : state.MovedAt;
            }
            else if (state.IsFlat)
            {
                return;
            }

            state.SteadySince = context.Now;
            state.SteadyMean = mean;
            state.SteadyPods = sums.Mature;
            state.SteadyLeastLoad = load ?? double.MaxValue;
            state.SteadyMostLoad = load ?? double.MinValue;
        }
        else if (context.LoadSource != state.SteadyLoadSource)
        {
            // Other figures than before: not load that moved.
            state.SteadyLeastLoad = load ?? double.MaxValue;
            state.SteadyMostLoad = load ?? double.MinValue;
        }
        else if (load is { } known)
        {
            state.SteadyLeastLoad = Math.Min(state.SteadyLeastLoad, known);
            state.SteadyMostLoad = Math.Max(state.SteadyMostLoad, known);
        }

        state.SteadyLoadSource = context.LoadSource;

        // More pods hold no less each: not load, or it would have spread.
        if (state.RoseAt is not null && WouldHaveMoved(state.PodsAtRise, sums.Mature, state.MeanAtRise) && Math.Abs(mean - state.MeanAtRise) <= Steady)
        {
            state.IsFlat = true;
        }

        var loadMoved = state.SteadyMostLoad - state.SteadyLeastLoad is var range && range >= LeastLoadChange && range >= LoadChange * state.SteadyMostLoad;
        state.IsFlat |= mean >= threshold - 0.1
            && context.Now - state.SteadySince >= FlatAfter
            && (loadMoved || WouldHaveMoved(state.SteadyPods, sums.Mature, state.SteadyMean));
    }

    // How busy a device was in the second that it was looked at scatters; what counts is the load over about a minute.
    private static double? Smooth(VramState state, double? load, in FleetContext context)
    {
        if (load is not { } known || state.SmoothLoad is not { } before || context.LoadSource != state.SteadyLoadSource)
        {
            state.SmoothLoad = load;
        }
        else
        {
            state.SmoothLoad = before + ((known - before) * (1 - Math.Exp(-(state.SampledAt - state.SmoothAt) / SmoothOver)));
        }

        state.SmoothAt = state.SampledAt;
        return state.SmoothLoad;
    }

    private static bool WouldHaveMoved(int before, int now, double mean) =>
        before > 0 && now > 0 && mean * Math.Abs(1 - (before / (double)now)) >= Moved;

    /// <summary>The pods added up.</summary>
    private struct PodSums
    {
        public int Pods;
        public int Accelerators;
        public double Used;
        public double Usable;
        public double Fullest;

        // Pods old enough to be told by their memory (T15), and seen.
        public int Mature;
        public int MatureAccelerators;
        public double MatureUsed;
        public double MatureMean;
        public double? MatureUtilisation;

        /// <summary>The least an accelerator of an idle one holds; null without one.</summary>
        public double? IdleLeast;
        public int IdleCount;

        public static PodSums Of(ReadOnlySpan<PodMemory> pods, ScalingPolicy policy, in FleetContext context)
        {
            var sums = default(PodSums);
            double matureUsable = 0, utilisation = 0;
            var told = 0;
            foreach (ref readonly var pod in pods)
            {
                if (!(pod.UsableBytes > 0 && pod.FullestUsableBytes > 0 && pod.Accelerators > 0))
                {
                    continue;
                }

                sums.Pods++;
                sums.Accelerators += pod.Accelerators;
                sums.Used += pod.UsedBytes;
                sums.Usable += pod.UsableBytes;
                sums.Fullest = Math.Max(sums.Fullest, pod.FullestUsedBytes / pod.FullestUsableBytes);
                if (IsYoung(pod, policy, context.Now))
                {
                    continue;
                }

                sums.Mature++;
                sums.MatureAccelerators += pod.Accelerators;
                sums.MatureUsed += pod.UsedBytes;
                matureUsable += pod.UsableBytes;
                if (pod.Utilisation is { } busy)
                {
                    utilisation += busy;
                    told++;
                }

                if (!pod.IsHeld && (pod.Utilisation is { } share ? share <= (context.IsIdle == true ? NearlyIdle : IdleUtilisation) && context.IsIdle != false : context.IsIdle == true))
                {
                    var each = pod.UsedBytes / pod.Accelerators;
                    sums.IdleLeast = Math.Min(sums.IdleLeast ?? each, each);
                    sums.IdleCount++;
                }
            }

            sums.MatureMean = matureUsable > 0 ? sums.MatureUsed / matureUsable : 0;
            sums.MatureUtilisation = told > 0 ? utilisation / told : null;
            return sums;
        }

        public static bool IsYoung(in PodMemory pod, ScalingPolicy policy, DateTimeOffset now) => !pod.IsHeld && now - pod.FirstSeenAt < policy.YoungPod;
    }
}
