using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// What is added to the need that readings show: spare replicas, schedules, and a nudge over the HPA's tolerance. And what is learned from
/// the answer when it is complete: cold starts, replicas on their way, the ledger.
/// </summary>
internal static class Provision
{
    // The HPA's sync, in shortest windows: 15 s.
    private const int SyncWindows = 1;

    /// <summary>The answer, given what signals demand.</summary>
    public static ScalingDecision Complete(WorkloadState state, in ScalingDecision demanded, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        if (!demanded.IsDecided)
        {
            return demanded;
        }

        var coldStart = state.History.ColdStarts.InForce(policy);
        var maximum = MaximumOf(snapshot, policy, now);

        // Nobody leaves because he is not counted. An undecided queue beside another source shows no consumers at all.
        var areQueuesSeen = !snapshot.HasQueues || state.LastAnswer.DecidedAt == now;
        var counted = areQueuesSeen ? ReplicasOfConsumers(demanded, snapshot, policy) : null;
        var there = ReplicasOf(demanded, snapshot, counted, now) ?? state.Replicas;
        state.Replicas = there;
        var decision = Add(demanded, snapshot, policy, there ?? 0);

        // What is repeated was learned from when it was new.
        if (decision.Reason != DecisionReason.Holding)
        {
            state.Pending.Note(now, decision.Replicas, coldStart);
            if (areQueuesSeen && ReadyOf(demanded, snapshot, counted, now) is { } ready)
            {
                var told = snapshot.Replicas.Reading.IsFresh(now) ? snapshot.Replicas.Ready : null;
                state.History.ColdStarts.Note(now, decision.IsActive || ready > 0 ? decision.Replicas : 0, ready, told, maximum, coldStart, policy);
            }

            Enter(state, demanded, there ?? 0, maximum, coldStart, policy, now);
        }

        // What is held, capped or asked for by another signal keeps its name: that says more.
        var isWithoutCapacity = state.History.ColdStarts.IsWithoutCapacity && there < decision.Replicas && !(there >= maximum);
        var isPlain = decision.Reason is DecisionReason.ConsumerSaturation or DecisionReason.OfferedLoad or DecisionReason.Backlog or DecisionReason.Forecast;
        return decision with
        {
            Reason = isWithoutCapacity && isPlain ? DecisionReason.Capacity : decision.Reason,
            Forecast = decision.Forecast with
            {
                ReplicaSecondsAdded = state.Ledger?.ReplicaSecondsAdded ?? 0,
                WaitSecondsAvoided = state.Ledger?.WaitSecondsAvoided ?? 0,
                IsWithoutCapacity = isWithoutCapacity,
                MeasuredColdStartSeconds = state.History.ColdStarts.MeasuredSeconds ?? 0,
                ColdStartWatches = state.History.ColdStarts.Watches,
            },
        };
    }

    /// <summary>
    /// A need just above what there is, as the HPA will hear it: inside its tolerance it would ignore it (Dead band). For limits, which
    /// are no preference.
    /// </summary>
    public static double AboveDeadBand(double need, double existing, ScalingPolicy policy) =>
        existing > 0 && need > existing && policy.HpaTolerance > 0 ? Math.Max(need, ((1 + policy.HpaTolerance) * existing) + 0.01) : need;

    /// <summary>Most replicas there may be; null if not known.</summary>
    public static double? MaximumOf(in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
        policy.MaxReplicas ?? (snapshot.Replicas.Reading.IsFresh(now) ? snapshot.Replicas.Maximum : null);

    /// <summary>Replicas that run, less the spare ones among them: those are added to every answer, and would be again to this one.</summary>
    public static double WithoutSpare(double existing, ScalingPolicy policy) => Math.Max(0, existing - policy.WarmReplicas);

    private static ScalingDecision Add(in ScalingDecision demanded, in WorkloadSnapshot snapshot, ScalingPolicy policy, double there)
    {
        // What is no number demands nothing; it must not take away what others do.
        var scheduled = snapshot.ScheduledReplicas is > 0 and var told ? Math.Min(told, 1e12) : 0;
        var need = demanded.Replicas + policy.WarmReplicas;
        if (scheduled <= 0 && policy.WarmReplicas == 0 && policy.WaitObjective is null)
        {
            return demanded;
        }

        var bySchedule = scheduled > need;
        var replicas = AboveDeadBand(Math.Max(need, scheduled), there, policy);
        return demanded with
        {
            Replicas = replicas,
            IsActive = demanded.IsActive || scheduled > 0 || policy.WarmReplicas > 0,
            Reason = bySchedule ? DecisionReason.Schedule
                : demanded.Reason == DecisionReason.Idle && policy.WarmReplicas > 0 ? DecisionReason.WarmReplicas
                : demanded.Reason,
            Forecast = demanded.Forecast with { ScheduledReplicas = scheduled, WarmReplicas = policy.WarmReplicas },
        };
    }

    /// <summary>Replicas there are, ready or not, as the HPA counts them or as near to it as is known; null if not known.</summary>
    private static double? ReplicasOf(in ScalingDecision decision, in WorkloadSnapshot snapshot, double? counted, DateTimeOffset now) =>
        snapshot.Replicas is { Existing: { } existing, Reading: var reading } && reading.IsFresh(now) ? existing
        : decision.Fleet is { IsUsed: true, ExistingSource: not ReplicaSource.Unknown } ? decision.Fleet.Existing
        : counted;

    /// <summary>Replicas that work; null if not known.</summary>
    private static double? ReadyOf(in ScalingDecision decision, in WorkloadSnapshot snapshot, double? counted, DateTimeOffset now) =>
        counted
        ?? (snapshot.Replicas is { Ready: { } ready, Reading: var reading } && reading.IsFresh(now) ? ready
            : decision.Fleet is { IsUsed: true, ExistingSource: ReplicaSource.Pods or ReplicaSource.ModelServers } ? decision.Fleet.Existing
            : null);

    private static double? ReplicasOfConsumers(in ScalingDecision decision, in WorkloadSnapshot snapshot, ScalingPolicy policy) =>
        snapshot.HasQueues && decision.Queues > 0 && (decision.Missing & QueueGauges.Consumers) == QueueGauges.None
            ? decision.Consumers * policy.Share / policy.ConsumersPerReplica
            : null;

    private static void Enter(WorkloadState state, in ScalingDecision decision, double there, double? maximum, TimeSpan coldStart, ScalingPolicy policy, DateTimeOffset now)
    {
        if (policy.Forecast == ForecastMode.Off || decision is not { ArrivalsPerSecond: { } arrivals, ServiceTimeSeconds: { } serviceTime })
        {
            return;
        }

        state.Ledger ??= new Ledger();
        state.Ledger.Note(
            now,
            new LedgerDemand
            {
                ArrivalsPerSecond = arrivals * policy.Share,
                ServiceTimeSeconds = serviceTime,
                ColdStartSeconds = coldStart.TotalSeconds,
                DrainSeconds = Math.Max(policy.EffectiveDrainTime.TotalSeconds, 0.001),
                Threshold = policy.SaturationThreshold,
                SlotsPerReplica = policy.SlotsPerConsumer(decision.Prefetch) * (double)policy.ConsumersPerReplica,
                Maximum = maximum ?? double.MaxValue,
                Replicas = there,
                Sync = SyncWindows * policy.MinimumWindow,
            },
            decision.Forecast.Forecaster == Forecasting.Forecaster.None ? arrivals * policy.Share : Math.Max(arrivals, decision.Forecast.ArrivalsPerSecond) * policy.Share);
    }
}
