using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// The one function that decides. Deterministic and without I/O: server, simulator, tests and replay all run it.
/// The mathematics and its symbols (R, U, C, m, k, B, Q, λ, W, L, D, θ) are in <c>docs/decision.md</c>.
/// </summary>
public static class DecisionFold
{
    // One unit of the metric: above zero, and still the least that can be asked for.
    private const double LeastReplicas = 1.0 / ScalingDecision.Target;

    // Replicas a forecast has to ask for to wake a fleet.
    private const double LeastForecast = 0.5;

    /// <summary>
    /// Folds the newest readings into the state and says how many replicas are needed when one asked for now would
    /// be ready.
    /// </summary>
    /// <param name="state">The workload's own state; changed.</param>
    /// <param name="snapshot">The newest readings.</param>
    /// <param name="policy">The policy in force, read once.</param>
    /// <param name="now">The moment of the step, on the clock of the readings.</param>
    /// <returns>The decision; undecided ones carry their reason and no number.</returns>
    public static ScalingDecision Step(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(policy);

        // Jobs are started for messages, whatever memory or latency say, and a spare one would find none.
        if (policy.Mode == WorkloadMode.Job)
        {
            state.Fleet = null;
            return StepQueues(state, snapshot, policy, now);
        }

        return Provision.Complete(state, Demanded(state, snapshot, policy, now), snapshot, policy, now);
    }

    private static ScalingDecision Demanded(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        if (!FleetFold.IsUsed(snapshot))
        {
            state.Fleet = null;
            return StepQueues(state, snapshot, policy, now);
        }

        state.Fleet ??= new FleetState { BeganAt = now, HasAnswer = state.HasAnswer, LastAnswer = state.LastAnswer };
        var queues = snapshot.HasQueues ? StepQueues(state, snapshot, policy, now) : default;
        return FleetFold.Step(state.Fleet, queues, snapshot, policy, state.History.ColdStarts.InForce(policy), now);
    }

    private static ScalingDecision StepQueues(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        var sums = QueueSums.Of(snapshot, policy, state.History, now);
        if (sums.Undecided is { } reason)
        {
            return Undecide(state, reason, sums, now);
        }

        state.UnobservedSince = sums.AnyUnobserved ? state.UnobservedSince ?? now : null;
        if (state.UnobservedSince is { } unobserved)
        {
            if (!state.HasAnswer && now - unobserved < sums.StaleAfter)
            {
                // Nothing to hold on to yet: a first answer from part of the queues could be the zero that others' work
                // contradicts a second later.
                return Undecide(state, DecisionReason.NotSampled, sums, now);
            }

            sums.AllFresh &= now - unobserved >= policy.HoldFor;
        }

        if (!sums.AnyFresh)
        {
            return Hold(state, sums, now);
        }

        if (sums.AllFresh)
        {
            state.FreshSince ??= now;
        }
        else if (sums.AnyLate)
        {
            // Part of the queues comes back without consumers just like the whole.
            BeginRecovery(state, afterOutage: false);
        }
        else
        {
            state.FreshSince = null;
        }

        var history = state.History;
        if (sums.UnackedUnknown || (sums.HasAutoAck && !history.HasAutoAcks))
        {
            // Nor do the counters tell how much of the work it is that is not seen.
            history.NoteUnseenWork(sums.NewestAt);
        }

        if (sums.UnackedUnknown)
        {
            history.AddWaiting(sums.NewestAt, sums.Waiting, sums.StaleAfter);
        }
        else
        {
            if (!sums.ConsumersUnknown)
            {
                history.NoteConsumers(sums.NewestAt, sums.Consumers, sums.Beyond, policy);
                sums.SetDrainingApart(history);
                if (sums.Draining > 0)
                {
                    history.NoteUnseenWork(sums.NewestAt);
                }
            }

            // A broker that was silent for so long may have restarted, and what it counted in its last and first seconds is
            // lost: no window may reach across.
            history.AddGauges(sums.NewestAt, sums.Busy, sums.Waiting, snapshot.QueueSetVersion, policy, sums.FreshFor > sums.StaleAfter / 2 ? sums.FreshFor : sums.StaleAfter / 2);
        }

        history.KnownPrefetch = sums.LeastPrefetch ?? history.KnownPrefetch;
        if (sums is { Ready: > 0, ConsumersUnknown: false, UnackedUnknown: false, SingleActive: 0 })
        {
            history.ObservePrefetch(sums.Unacked, sums.Consumers);
        }

        var newCounters = sums.PresentFresh && sums.Counters is { } sample && history.AddCounters(sample, policy);
        NoteCounterHealth(state, sums, now);
        NoteConsumers(state, sums, now);

        var decision = policy.Mode == WorkloadMode.Job
            ? DecideJob(history, sums, policy, now)
            : KeepCaps(state, Decide(state, sums, snapshot, policy, now), sums, policy);
        decision = KeepSeason(state, decision, snapshot.Seasonal, policy, now);
        decision = KeepFloors(state, decision, sums, policy, now);

        if (newCounters)
        {
            Judge(state, decision, snapshot.Seasonal, policy);
        }

        state.HasAnswer = true;
        state.LastAnswer = decision;
        return decision;
    }

    private static ScalingDecision Undecide(WorkloadState state, DecisionReason reason, in QueueSums sums, DateTimeOffset now)
    {
        // The HPA and KEDA forget during an outage, and consumers return over seconds: the first honest zero
        // afterwards would switch the fleet off.
        BeginRecovery(state, afterOutage: true);
        return new ScalingDecision
        {
            Reason = reason,
            DecidedAt = now,
            ObservedAt = sums.ObservedAt,
            Queues = sums.Count,
            TroubledQueue = sums.Troubled,
        };
    }

    private static ScalingDecision Hold(WorkloadState state, in QueueSums sums, DateTimeOffset now)
    {
        if (!state.HasAnswer)
        {
            return Undecide(state, DecisionReason.NotSampled, sums, now);
        }

        // A broker that restarts within staleAfter comes back without consumers too.
        BeginRecovery(state, afterOutage: false);
        return state.LastAnswer with
        {
            Reason = DecisionReason.Holding,
            DecidedAt = now,
            TroubledQueue = sums.Troubled,
            FloorReplicas = state.LastAnswer.Replicas,
        };
    }

    internal static void BeginRecovery(WorkloadState state, bool afterOutage)
    {
        state.FreshSince = null;
        if (!state.HasAnswer)
        {
            return;
        }

        state.Recovering = true;
        state.RecoveringFromOutage |= afterOutage;
        state.RecoveryFloorReplicas = state.LastAnswer.Replicas;
        state.RecoveryFloorActive = state.LastAnswer.IsActive;
    }

    private static void NoteCounterHealth(WorkloadState state, in QueueSums sums, DateTimeOffset now)
    {
        if (!state.History.HasCounters || sums.CountersUsable)
        {
            state.CountersStaleSince = null;
        }
        else
        {
            state.CountersStaleSince ??= now;
        }
    }

    private static void NoteConsumers(WorkloadState state, in QueueSums sums, DateTimeOffset now)
    {
        if (!sums.ConsumersUnknown)
        {
            state.ConsumersKnown = true;
            state.ConsumersUnknownSince = null;
        }
        else if (state.ConsumersKnown)
        {
            state.ConsumersUnknownSince ??= now;
        }
    }

    /// <summary>What the newest counters say about the workers themselves; after the decision, so that they do not change what judged them.</summary>
    private static void Judge(WorkloadState state, in ScalingDecision decision, in SeasonalReading season, ScalingPolicy policy)
    {
        if (policy.Mode != WorkloadMode.Job && state.History.ArrivalsPerSecond is { } arrivals)
        {
            state.History.Forecast.Add(state.History.LastCountersAt, arrivals, season.Expected(arrivals), policy.Forecast);
        }

        if (state.History.IsWithoutProgress(policy) && decision.Ready + decision.Unacked > 0)
        {
            // One more than there is, and never less than two: the message that would end this may need a worker beside
            // the one that it kills.
            var existing = decision.Consumers * policy.Share / policy.ConsumersPerReplica;
            state.NoProgressCap ??= Math.Max(decision.Replicas, Math.Max(existing + 1, 2));
            return;
        }

        state.NoProgressCap = null;
        state.History.RenewServiceTime(policy);
    }

    private static ScalingDecision DecideJob(QueueHistory history, in QueueSums sums, ScalingPolicy policy, DateTimeOffset now)
    {
        var messages = (double)sums.Ready + sums.Unacked;
        return Describe(history, sums, policy, now) with
        {
            Reason = messages > 0 ? DecisionReason.JobMessages : DecisionReason.Idle,
            Replicas = messages * policy.Share / (sums.SlotsPerConsumer(policy) * policy.ConsumersPerReplica),
            IsActive = messages > policy.ActivationThreshold,
            BusyAverage = sums.Busy,
        };
    }

    private static ScalingDecision Decide(WorkloadState state, in QueueSums sums, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        var history = state.History;
        var slotsPerReplica = sums.SlotsPerConsumer(policy) * policy.ConsumersPerReplica;
        var coldStart = history.ColdStarts.InForce(policy);
        history.Forecast.Prepare(coldStart, policy);
        var (serviceTime, source) = history.MeasuredServiceTimeSeconds is { } measured
            ? (measured, ServiceTimeSource.Measured)
            : policy.ServiceTime is { } configured
                ? (Math.Max(configured.TotalSeconds, 0.001), ServiceTimeSource.Policy)
                : ((double?)null, ServiceTimeSource.Unknown);

        // Signal 1. Work already going on is a floor even while the average still climbs, and a wait that persists is
        // not an average's business.
        var average = history.AverageBusy(history.AveragingWindow(policy));
        var steady = history.WaitingPersists ? Math.Max(average, sums.Busy) : average;
        var saturationSlots = Math.Max(QueueDemand.Staff(steady, serviceTime, policy), sums.Busy);

        // Stale counters say nothing about now: without them arrivals are taken to be what is being worked on.
        var countersStale = state.CountersStaleSince is not null;
        var arrivals = countersStale ? null : history.ArrivalsAt(now, policy);
        var scale = policy.Share / slotsPerReplica;
        var messages = (double)sums.Ready + sums.Unacked;
        double loadSlots = 0;
        double backlogSlots;
        double waitingThen = sums.Waiting;
        var forecast = new ForecastFigures { Coverage = history.Forecast.Coverage, Scored = history.Forecast.Scored };
        if (serviceTime is { } w && arrivals is { } lambda)
        {
            var seesWork = !sums.HasAutoAck && !history.HasAutoAcks && !sums.UnackedUnknown;
            var demand = new QueueDemand(sums, steady, seesWork, w, coldStart, policy);
            var replicas = sums.Consumers * policy.Share / policy.ConsumersPerReplica;
            var pending = sums.ConsumersUnknown ? default : state.Pending.Help(now, replicas, Provision.MaximumOf(snapshot, policy, now) ?? double.MaxValue, coldStart);
            var helped = pending.ReplicaSeconds * slotsPerReplica;
            var last = state.HasAnswer ? state.LastAnswer.Replicas / scale : 0;
            (loadSlots, backlogSlots, waitingThen) = demand.For(lambda, lambda, helped, last);
            forecast = forecast with { PendingReplicas = pending.Replicas };
            if (history.Forecast.TryForecast(lambda, policy.Forecast) is { } then)
            {
                // Less than now asks for nothing that now does not.
                var (load, backlog, _) = then.ArrivalsPerSecond > lambda ? demand.For(lambda, then.ArrivalsPerSecond, helped, last) : default;
                forecast = forecast with { Forecaster = then.Forecaster, ArrivalsPerSecond = then.ArrivalsPerSecond, Replicas = (load + backlog) * scale };
            }
        }
        else if (serviceTime is { } known)
        {
            loadSlots = QueueDemand.Staff(steady, known, policy);
            backlogSlots = sums.Waiting * Math.Min(1, known / Math.Max(policy.EffectiveDrainTime.TotalSeconds, 0.001));
        }
        else
        {
            // 5,000 messages may be 5,000 GPUs or five seconds of one: double what exists until it is known.
            backlogSlots = Math.Min((double)sums.Busy + sums.Waiting, Math.Max(2.0 * sums.Slots, 1));
        }

        var saturationReplicas = saturationSlots * scale;
        var loadReplicas = loadSlots * scale;
        var backlogReplicas = backlogSlots * scale;
        if (serviceTime is null && backlogSlots > 0)
        {
            // From zero, one whole replica is the least that can be asked for, whatever the share.
            backlogReplicas = Math.Max(backlogReplicas, Math.Min(1, sums.Busy + sums.Waiting));
        }

        var queued = loadReplicas + backlogReplicas;
        var reactive = Math.Max(saturationReplicas, queued);

        // Only a forecast that knows more than that it stays as it is may wake a fleet, and for no less than half a replica: one
        // message an hour must let it sleep in between.
        var wakes = forecast.Replicas >= LeastForecast && forecast.Forecaster.LooksAhead();
        var isAhead = forecast.Replicas > reactive && (messages > 0 || wakes);
        var reason = isAhead ? DecisionReason.Forecast
            : reactive <= 0 && messages <= 0 ? DecisionReason.Idle
            : saturationReplicas >= queued ? DecisionReason.ConsumerSaturation
            : serviceTime is null ? DecisionReason.ServiceTimeUnknown
            : backlogReplicas > 0 ? DecisionReason.Backlog
            : DecisionReason.OfferedLoad;

        var answer = isAhead ? forecast.Replicas : reactive;
        if (messages > 0)
        {
            // Idle consumers may well take the one message there is before anything new is ready; but active and
            // zero would contradict each other (K17), and a fleet at zero could never start.
            answer = Math.Max(answer, LeastReplicas);
        }

        return Describe(history, sums, policy, now) with
        {
            Reason = reason,
            Replicas = answer,
            IsActive = messages > policy.ActivationThreshold || wakes,
            BusyAverage = average,
            ArrivalsPerSecond = arrivals,
            CompletionsPerSecond = countersStale ? null : history.CompletionsPerSecond,
            ArrivalsAreLowerBound = arrivals is null,
            ServiceTimeSeconds = serviceTime,
            ServiceTimeSource = source,
            WaitingAtColdStart = waitingThen,
            SaturationReplicas = saturationReplicas,
            LoadReplicas = loadReplicas,
            BacklogReplicas = backlogReplicas,
            Forecast = forecast with { ReactiveReplicas = reactive },
        };
    }

    /// <summary>Where more replicas would not help: one consumer may work at a time, or all of them crash on what they are given.</summary>
    private static ScalingDecision KeepCaps(WorkloadState state, ScalingDecision decision, in QueueSums sums, ScalingPolicy policy)
    {
        if (decision.IsSingleActive && decision.Replicas > sums.SingleActive)
        {
            decision = decision with { Replicas = sums.SingleActive, Reason = DecisionReason.SingleActiveConsumer };
        }

        if (state.CountersStaleSince is not null || sums.Ready + sums.Unacked == 0)
        {
            // Nothing tells any more that there is no progress.
            state.NoProgressCap = null;
        }

        if (state.NoProgressCap is { } cap)
        {
            // Work that is going on is kept all the same: it may be what ends this.
            var busy = sums.Busy * policy.Share / (sums.SlotsPerConsumer(policy) * policy.ConsumersPerReplica);
            decision = decision with { Replicas = Math.Min(decision.Replicas, Math.Max(cap, busy)), Reason = DecisionReason.NoProgress };
        }

        return decision;
    }

    /// <summary>Whether readings without unacknowledged messages could be those of a busy fleet.</summary>
    private static bool MayBeBusyUnseen(WorkloadState state, in ScalingDecision decision, in QueueSums sums, ScalingPolicy policy, DateTimeOffset now)
    {
        if (sums.UnackedUnknown)
        {
            state.SignOfWorkAt = now;
            return true;
        }

        // Deliveries are all that is seen of work acknowledged on delivery: it may go on for as long again after the last
        // of them, and outlives its consumer.
        var quiet = Math.Max(policy.HoldAfterRecovery.TotalSeconds, 3 * (decision.ServiceTimeSeconds ?? 0));
        if (decision.HasAutoAck && sums.Consumers > 0)
        {
            state.AutoAckUnseen = state.CountersStaleSince is not null
                || state.History.LastProgressAt is not { } last
                || (now - last).TotalSeconds < quiet;
            state.SignOfWorkAt = state.AutoAckUnseen ? now : state.SignOfWorkAt;
            return state.AutoAckUnseen;
        }

        if (!sums.LacksUnacked && sums.Unacked > 0)
        {
            state.SignOfWorkAt = now;
        }

        // Without consumers a message may still be held by one that was cancelled, or that pulled it.
        state.AutoAckUnseen &= now - state.SignOfWorkAt < TimeSpan.FromSeconds(quiet);
        return state.AutoAckUnseen || (sums.LacksUnacked && now - state.SignOfWorkAt < policy.HoldAfterRecovery);
    }

    /// <summary>Where the weeks before can no longer be told, what they had asked for stays for <c>holdFor</c>.</summary>
    private static ScalingDecision KeepSeason(WorkloadState state, in ScalingDecision decision, in SeasonalReading season, ScalingPolicy policy, DateTimeOffset now)
    {
        state.SeasonLostSince = season.IsKnown || policy.Forecast is ForecastMode.Off or ForecastMode.Trend ? null
            : state is { HasAnswer: true, LastAnswer.Forecast.Forecaster: Forecaster.Seasonal } ? now
            : state.SeasonLostSince;
        if (state.SeasonLostSince is not { } since || now - since >= policy.HoldFor)
        {
            return decision;
        }

        var held = NotBelow(decision, state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.SignalStale);
        return held with { Fleet = held.Fleet with { Stale = held.Fleet.Stale | StaleSignals.Season } };
    }

    private static ScalingDecision KeepFloors(WorkloadState state, ScalingDecision decision, in QueueSums sums, ScalingPolicy policy, DateTimeOffset now)
    {
        if (policy.Mode == WorkloadMode.Job)
        {
            // A ScaledJob never takes running jobs away, and a job held in demand would start and find no message.
            state.Recovering = false;
            return decision;
        }

        var unseen = MayBeBusyUnseen(state, decision, sums, policy, now);
        if (unseen && !state.BusyUnseen && sums.Consumers > 0)
        {
            // From here on nobody sees what they do, so what exists is taken to be busy; once, because as a rule it would
            // chase its own consumers.
            var existing = sums.Consumers * policy.Share / policy.ConsumersPerReplica;
            decision = NotBelow(decision, Provision.WithoutSpare(existing, policy), active: true, DecisionReason.UnackedUnknown);
        }

        if (unseen && state.HasAnswer)
        {
            // Deliveries times serviceTime say how much there is to do, but not that the last of it is done.
            // Of work longer than the window they are counted over, they say less than is being done.
            var isSized = !sums.LacksUnacked && decision is { HasAutoAck: true, ArrivalsPerSecond: not null, ServiceTimeSeconds: { } w }
                && w <= policy.MaximumWindow.TotalSeconds;
            decision = NotBelow(decision, isSized ? LeastReplicas : state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.UnackedUnknown);
        }

        state.BusyUnseen = unseen;
        if (state.HasAnswer && !sums.AllFresh)
        {
            decision = NotBelow(decision, state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.PartialReadings);
        }

        if (state.Recovering)
        {
            // Through a short gap the HPA and KEDA remember; only the consumers need time to come back.
            var needed = state.RecoveringFromOutage || policy.HoldAfterRecovery < policy.ColdStart
                ? policy.HoldAfterRecovery
                : policy.ColdStart;
            if (state.FreshSince is { } since && now - since >= needed)
            {
                state.Recovering = false;
                state.RecoveringFromOutage = false;
            }
            else
            {
                decision = NotBelow(decision, state.RecoveryFloorReplicas, state.RecoveryFloorActive, DecisionReason.Recovering);
            }
        }

        if (state.HasAnswer && state.ConsumersUnknownSince is { } unknown && now - unknown < policy.HoldFor)
        {
            // Fewer slots than there were are known of, so growth would start from less.
            decision = NotBelow(decision, state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.PartialReadings);
        }

        if (state.HasAnswer && state.CountersStaleSince is { } stale && now - stale < policy.HoldFor)
        {
            decision = NotBelow(decision, state.LastAnswer.Replicas, state.LastAnswer.IsActive, DecisionReason.CountersStale);
        }

        if (sums.Draining > 0)
        {
            // Nothing to grow for, but nobody knows that these workers are those which were asked to leave. An edited
            // trigger has no answer yet, and what is known of its queues.
            var held = (sums.Busy + sums.Draining) * policy.Share / (sums.SlotsPerConsumer(policy) * policy.ConsumersPerReplica);
            decision = NotBelow(decision, state.HasAnswer ? Math.Min(held, state.LastAnswer.Replicas) : held, active: false, DecisionReason.Draining);
        }

        return decision;
    }

    internal static ScalingDecision NotBelow(in ScalingDecision decision, double replicas, bool active, DecisionReason reason)
    {
        var raised = decision.Replicas < replicas || (active && !decision.IsActive);
        return decision with
        {
            Replicas = Math.Max(decision.Replicas, replicas),
            IsActive = decision.IsActive || active,
            FloorReplicas = Math.Max(decision.FloorReplicas, replicas),
            Reason = raised ? reason : decision.Reason,
        };
    }

    private static ScalingDecision Describe(QueueHistory history, in QueueSums sums, ScalingPolicy policy, DateTimeOffset now) => new()
    {
        Missing = (sums.UnackedUnknown ? QueueGauges.Unacked : QueueGauges.None) | (sums.ConsumersUnknown ? QueueGauges.Consumers : QueueGauges.None),
        Prefetch = sums.Prefetch ?? history.ObservedPrefetch,
        PrefetchSource = policy.Prefetch is not null ? PrefetchSource.Policy
            : sums.Prefetch is not null ? PrefetchSource.Broker
            : history.ObservedPrefetch is not null ? PrefetchSource.Observed
            : PrefetchSource.Unknown,
        HasAutoAck = sums.HasAutoAck || history.HasAutoAcks,
        IsSingleActive = sums.SingleActive > 0 && sums.SingleActive == sums.Counted,
        DecidedAt = now,
        ObservedAt = sums.ObservedAt,
        Queues = sums.Count,
        TroubledQueue = sums.Troubled,
        Ready = sums.Ready,
        Unacked = sums.Unacked,
        Consumers = sums.Consumers,
        Busy = sums.Busy,
        Waiting = sums.Waiting,
        Draining = sums.Draining,
        WaitingAtColdStart = sums.Waiting,
        Saturation = sums.Slots > 0 ? sums.Busy / (double)sums.Slots : 0,
        ColdStart = history.ColdStarts.InForce(policy),
    };
}
