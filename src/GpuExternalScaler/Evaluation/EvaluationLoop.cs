using GpuExternalScaler.Configuration;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// Decides every workload on a fixed tick, whatever the sweeps do: a hung sweep shows as a reading that grows old, a
/// hung loop as a decision past its <see cref="PublishedDecision.ValidUntil"/>. The only supplier of <c>now</c>.
/// </summary>
internal sealed class EvaluationLoop(
    WorkloadRegistry registry,
    CurrentConfiguration configuration,
    MonotonicClock clock,
    ILogger<EvaluationLoop> logger,
    Recorder? recorder = null) : BackgroundService
{
    private readonly HistoryShelf _histories = new(configuration.Options.MaximumWorkloads);
    private readonly LiveWatch _watch = new();
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan AskedRecently = TimeSpan.FromMinutes(2);
    // Real time whatever the clock: it is the processor's that is budgeted.
    private readonly MatchingBudget _matching = new(TimeProvider.System);
    // By slot, of each connection; it is compared by reference, as a record would be by all its options.
    private readonly Dictionary<BrokerConnection, double[]> _shares = new(ReferenceEqualityComparer.Instance);
    private QueueReading[] _buffer = new QueueReading[16];
    private DateTimeOffset _sharesAt;
    private DateTimeOffset _expiredAt;
    private int _withoutPlace;
    private long _lastTickTicks;
    private long _lastTickDuration;

    /// <summary>When the newest tick finished; the minimum before the first.</summary>
    public DateTimeOffset LastTickAt => new(Interlocked.Read(ref _lastTickTicks), TimeSpan.Zero);

    /// <summary>How long the newest tick took.</summary>
    public TimeSpan LastTickDuration => new(Interlocked.Read(ref _lastTickDuration));

    /// <summary>Evaluates every workload once.</summary>
    /// <returns>The configuration it went by.</returns>
    public ConfigurationSnapshot Tick()
    {
        var now = clock.Now;
        var snapshot = configuration.Current;
        _matching.Reset();
        _watch.Follow(snapshot.Brokers);
        recorder?.BeginTick(now);
        foreach (var workload in registry.All)
        {
            if (registry.TryForget(workload, now))
            {
                Forgotten(workload, now);
                continue;
            }

            try
            {
                Evaluate(workload, snapshot, now);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                // One workload's defect is that workload's: its decision runs out and its answer becomes Unavailable.
                logger.EvaluationFailed(exception, workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId);
            }
        }

        recorder?.EndTick(now);
        _watch.Publish();

        // Who shares a queue changes with registrations, not with time; a few seconds' delay of a warning is no loss.
        if (now - _sharesAt >= TimeSpan.FromSeconds(2))
        {
            _sharesAt = now;
            FollowShadows(snapshot, now);
            CompareShares(snapshot.Brokers, now);
            _watch.CollectWanted(registry.All, now);
            FleetWishes.Collect(snapshot.Fleet, registry.All);
        }

        if (now - _expiredAt >= TimeSpan.FromMinutes(1))
        {
            _expiredAt = now;
            foreach (var workload in registry.All)
            {
                Shelve(workload, now);
            }

            _histories.Expire(now);
        }

        Interlocked.Exchange(ref _lastTickDuration, (clock.Now - now).Ticks);
        Interlocked.Exchange(ref _lastTickTicks, now.UtcTicks);
        return snapshot;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(configuration.Options.EvaluationInterval, clock.TimeProvider);
        void TickSoon(object? sender, EventArgs e) => timer.Period = Soon;
        configuration.Changed += TickSoon;
        try
        {
            do
            {
                // Decisions are valid for as long as the interval says by which they were made.
                ConfigurationSnapshot snapshot;
                do
                {
                    snapshot = Tick();
                    timer.Period = snapshot.Options.EvaluationInterval;
                }
                while (!ReferenceEquals(snapshot, configuration.Current));
            }
            while (await timer.WaitForNextTickAsync(stoppingToken));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Being stopped is no failure, and must not end the host like one.
        }
        finally
        {
            configuration.Changed -= TickSoon;
            recorder?.Flush(clock.Now);
        }
    }

    private void Evaluate(Workload workload, ConfigurationSnapshot snapshot, DateTimeOffset now)
    {
        workload.Follow(snapshot);
        if (workload.Problem is not null)
        {
            // Whoever asks is told why. KEDA and the HPA forget meanwhile, as in an outage.
            if (workload.Evaluation is { } interrupted)
            {
                interrupted.State.Interrupt();
                recorder?.Interrupted(interrupted, now);
            }

            return;
        }

        var policy = workload.Policy;
        var evaluation = workload.Evaluation ??= Begin(workload, snapshot.Fleet.History, now);
        evaluation.Fleet.Follow(workload.Fleet, policy, now, _matching);
        if (workload.Connection is not { } connection || evaluation.Queues is null)
        {
            var alone = Step(workload, evaluation, default, policy, snapshot.Fleet.History, now);
            Publish(workload, evaluation, alone, evaluation.Fleet.Fault, snapshot, now);
            return;
        }

        evaluation.MoveTo(connection.Source, _matching);
        var readings = evaluation.Queues.Source.Current;
        var queues = new WorkloadSnapshot
        {
            Queues = evaluation.Queues.Read(readings, _matching, ref _buffer),
            MatchedByPattern = evaluation.Queues.IsPattern,
            QueueSetVersion = evaluation.Queues.Version,
        };
        if (AwaitsPast(workload, evaluation, snapshot.Fleet.History, now))
        {
            Publish(workload, evaluation, new ScalingDecision { Reason = DecisionReason.NotSampled, DecidedAt = now, TroubledQueue = -1 }, connection.Source.Current.Fault, snapshot, now);
            return;
        }

        var decision = Step(workload, evaluation, queues, policy, snapshot.Fleet.History, now);
        var troubled = decision.IsDecided ? null : evaluation.Queues.NameAt(Math.Max(0, decision.TroubledQueue), readings);
        var newest = connection.Source.Current;
        var fault = (troubled is { } queue ? newest.FaultOf(queue) : null) ?? newest.Fault ?? (evaluation.Queues is { IsPattern: true, Slots.Length: 0 } ? newest.ListFault : null);
        Publish(workload, evaluation, decision, fault ?? evaluation.Fleet.Fault, snapshot, now);
        _watch.Note(workload, queues, in decision, readings);
    }

    private ScalingDecision Step(Workload workload, WorkloadEvaluation evaluation, WorkloadSnapshot queues, ScalingPolicy policy, HistorySource? history, DateTimeOffset now)
    {
        var coldStart = evaluation.State.History.ColdStarts.InForce(policy);
        var snapshot = new WorkloadSnapshot
        {
            Queues = queues.Queues,
            MatchedByPattern = queues.MatchedByPattern,
            QueueSetVersion = queues.QueueSetVersion,
            Pods = evaluation.Fleet.Pods,
            Memory = evaluation.Fleet.Memory,
            ModelServers = evaluation.Fleet.Servers,
            Latency = evaluation.Fleet.Latency,
            Query = evaluation.Fleet.Query,
            Replicas = evaluation.Fleet.Replicas,
            ScheduledReplicas = evaluation.Schedule.Replicas(policy, coldStart, now),
            Seasonal = queues.HasQueues ? evaluation.Seasonal.Read(history, policy, coldStart, now) : default,
        };
        recorder?.BeforeStep(workload, evaluation, policy, now);
        ScalingDecision decision;
        try
        {
            decision = DecisionFold.Step(evaluation.State, snapshot, policy, now);
        }
        catch
        {
            // What it threw at is worth most of all.
            recorder?.AfterStep(evaluation, snapshot, policy, now, decision: null);
            throw;
        }

        recorder?.AfterStep(evaluation, snapshot, policy, now, decision);
        return decision;
    }

    /// <summary>Whether a new workload still waits for what is remembered of it; what there is it takes in when that ends.</summary>
    private bool AwaitsPast(Workload workload, WorkloadEvaluation evaluation, HistorySource? history, DateTimeOffset now)
    {
        if (evaluation.Past is not { } past)
        {
            return false;
        }

        if (!past.IsOver(history, now, out var table))
        {
            return true;
        }

        evaluation.Past = null;
        if (table?.Find(OwnerOf(workload), workload.Slots?.Id ?? "", IsAskedAbout) is { } known)
        {
            evaluation.State.History.Fill(known);
        }

        Shelve(workload, now);
        return false;
    }

    private void Publish(Workload workload, WorkloadEvaluation evaluation, in ScalingDecision decision, SourceFault? fault, ConfigurationSnapshot snapshot, DateTimeOffset now)
    {
        workload.Publish(new PublishedDecision(++evaluation.Decisions, decision, now + snapshot.Options.DecisionValidFor, fault), clock.Now);
        LogChange(workload, evaluation, decision, now);
    }

    private WorkloadEvaluation Begin(Workload workload, HistorySource? history, DateTimeOffset now)
    {
        var fleet = new FleetBinding(workload.Trigger);
        var seasonal = new SeasonalBinding(OwnerOf(workload), IsAskedAbout);
        logger.WorkloadRegistered(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId, workload.ConnectionNames);
        if (workload.Slots?.Key is not { } key)
        {
            return new WorkloadEvaluation(null, new WorkloadState(), null, fleet, seasonal);
        }

        var known = _histories.Take(key);
        var state = new WorkloadState(known);
        var queues = new QueueBinding(workload.Trigger.Queues!, workload.Trigger.Vhost, workload.Connection!.Source);
        if (known is null && history is not null)
        {
            // Not on the shelf yet: who else is about these queues should not take nothing for something.
            return new WorkloadEvaluation(key, state, queues, fleet, seasonal) { Past = new PastWait(history, now) };
        }

        _histories.Put(key, state.History, now);
        return new WorkloadEvaluation(key, state, queues, fleet, seasonal);
    }

    private void FollowShadows(ConfigurationSnapshot snapshot, DateTimeOffset now)
    {
        var (begun, ended, withoutPlace) = registry.KeepShadows(snapshot);
        if (withoutPlace > 0 && _withoutPlace == 0)
        {
            logger.ShadowsWithoutPlace(withoutPlace, registry.Limit);
        }

        _withoutPlace = withoutPlace;
        foreach (var workload in begun)
        {
            logger.ShadowBegins(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId);
        }

        foreach (var workload in ended)
        {
            Shelve(workload, now);
            logger.ShadowEnds(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId, snapshot.Options.Policies.Shadows.Any(shadow => shadow.Namespace == workload.Key.Namespace && shadow.Name == workload.Key.Name) ? "its ScaledObject asks" : "the configuration names its queue no more");
        }
    }

    private void Forgotten(Workload workload, DateTimeOffset now)
    {
        Shelve(workload, now);
        if (workload.Evaluation is not null)
        {
            logger.WorkloadForgotten(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId);
        }
    }

    private void Shelve(Workload workload, DateTimeOffset now)
    {
        if (workload.Evaluation is { Past: null } evaluation)
        {
            // Of the policy and the connection that it has now.
            evaluation.Key = workload.Slots?.Key ?? evaluation.Key;
            if (evaluation.Key is { } key)
            {
                _histories.Put(key, evaluation.State.History, now);
            }
        }
    }

    private void CompareShares(BrokerConnections brokers, DateTimeOffset now)
    {
        foreach (var gone in _shares.Keys.Except(brokers.All, ReferenceEqualityComparer.Instance).Cast<BrokerConnection>().ToList())
        {
            _shares.Remove(gone);
        }

        foreach (var connection in brokers.All)
        {
            var count = connection.Source.Current.Count;
            if (_shares.TryGetValue(connection, out var shares) && shares.Length >= count)
            {
                Array.Clear(shares);
            }
            else
            {
                _shares[connection] = new double[count + (count / 4)];
            }
        }

        foreach (var workload in registry.All)
        {
            // A trigger that was edited leaves its old self behind until that is forgotten; nobody asks it any more.
            var wanted = workload.OpenStreams > 0 || now - workload.LastAskedAt <= AskedRecently;
            if (wanted && workload is { Evaluation: { Queues: { } queues } evaluation, Connection: { } connection } && _shares.TryGetValue(connection, out var shares) && IsBound(queues, connection))
            {
                foreach (var slot in queues.Slots)
                {
                    // Slots found since are counted the next time.
                    if ((uint)slot < (uint)shares.Length)
                    {
                        shares[slot] += workload.Policy.Share;
                    }
                }
            }
        }

        foreach (var workload in registry.All)
        {
            if (workload is not { Evaluation: { Queues: { } queues } evaluation, Connection: { } connection } || !_shares.TryGetValue(connection, out var shares) || !IsBound(queues, connection))
            {
                continue;
            }

            double most = 0;
            foreach (var slot in queues.Slots)
            {
                most = Math.Max(most, (uint)slot < (uint)shares.Length ? shares[slot] : 0);
            }

            // Thirds add up to a little more than one.
            if (most > 1 + 1e-9 && evaluation.QueueShares <= 1 + 1e-9)
            {
                logger.SharesExceedOne(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId, most);
            }

            evaluation.QueueShares = most;
        }
    }

    private static bool IsBound(QueueBinding queues, BrokerConnection connection) =>
        ReferenceEquals(queues.Source, connection.Source) && queues.IsBoundTo(connection.Source.Current);

    private void LogChange(Workload workload, WorkloadEvaluation evaluation, in ScalingDecision decision, DateTimeOffset now)
    {
        var before = evaluation.LoggedReason;
        if (before == decision.Reason)
        {
            return;
        }

        evaluation.LoggedReason = decision.Reason;
        var key = workload.Key;
        if (!decision.IsDecided)
        {
            // Its first tick often comes before its first sweep; that is not worth a warning.
            var level = before is null && decision.Reason == DecisionReason.NotSampled ? LogLevel.Debug : LogLevel.Warning;
            logger.WorkloadUndecided(level, key.Namespace, key.Name, key.TriggerId, decision.Reason.Code(), DecisionText.Describe(decision, now));
        }
        else if (decision.Reason == DecisionReason.NoProgress)
        {
            logger.WorkloadWithoutProgress(key.Namespace, key.Name, key.TriggerId, DecisionText.Describe(decision, now));
        }
        else if (before?.IsUndecided() ?? false)
        {
            logger.WorkloadDecidedAgain(key.Namespace, key.Name, key.TriggerId, decision.Reason.Code(), decision.Value);
        }
        else
        {
            logger.WorkloadReasonChanged(key.Namespace, key.Name, key.TriggerId, before?.Code() ?? "none", decision.Reason.Code(), decision.Value);
        }
    }

    private bool IsAskedAbout(SeriesOwner owner) => registry.Has(new WorkloadKey(owner.Namespace, owner.ScaledObject, owner.Trigger));

    private static SeriesOwner OwnerOf(Workload workload) => new(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId);
}
