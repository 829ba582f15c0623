using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Reads from one Prometheus what is not pods' own: replicas of every workload by kube-state-metrics (T18), and the queries that
/// workloads bring. Run <see cref="RunAsync"/> once; everything else can be used from anywhere.
/// </summary>
public sealed class PrometheusSource : ISource
{
    /// <summary>Queries of workloads that are asked; what is beyond is reported.</summary>
    public const int MostQueries = 1000;

    private const int QueriesAtOnce = 4;

    // How often to look whether something new is wanted: KEDA asks about a new workload at once.
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    private readonly MonotonicClock _clock;
    private readonly Action<FleetSweep>? _onSweep;
    private readonly PrometheusFaultSentences _sentences;
    private volatile IReadOnlyDictionary<string, WorkloadQuery> _queries = new Dictionary<string, WorkloadQuery>(StringComparer.Ordinal);
    private volatile ReplicaTable? _replicas;
    private volatile bool _wantsReplicas;
    private volatile SourceFault? _excess;
    private IReadOnlyList<SourceFault> _replicaFaults = [];
    private IReadOnlyList<SourceFault> _queryFaults = [];

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="options">The connection.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    public PrometheusSource(PrometheusConnectionOptions options, MonotonicClock clock, Action<FleetSweep>? onSweep = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        Client = new PrometheusClient(options, clock);
        _clock = clock;
        _onSweep = onSweep;
        _sentences = new PrometheusFaultSentences(options);
    }

    /// <summary>The connection this source reads.</summary>
    public PrometheusConnectionOptions Options => Client.Options;

    /// <summary>Asks this Prometheus, for all who do: they share what is known of an outage.</summary>
    public PrometheusClient Client { get; }

    /// <summary>Whether anybody wants to know replicas; they are not asked for otherwise.</summary>
    public bool WantsReplicas
    {
        get => _wantsReplicas;
        set => _wantsReplicas = value;
    }

    /// <summary>
    /// Texts of the queries that workloads want asked, to be set by one thread as often as need be. Of more than
    /// <see cref="MostQueries"/> those that are asked already keep their places, and the rest is in ordinal order; those not wanted
    /// any more are forgotten.
    /// </summary>
    public IReadOnlySet<string> WantedQueries
    {
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            var before = _queries;
            var queries = new Dictionary<string, WorkloadQuery>(StringComparer.Ordinal);
            // Whoever invents queries crowds out nobody whose answer is held up by one.
            foreach (var text in value.OrderByDescending(before.ContainsKey).ThenBy(static text => text, StringComparer.Ordinal).Take(MostQueries))
            {
                queries[text] = before.GetValueOrDefault(text) ?? new WorkloadQuery(text, Options, _clock.Now);
            }

            var excess = value.Count - queries.Count;
            _excess = excess <= 0 ? null : FaultRuns.Continue(
                _excess, new SourceFault(SourceReason.LimitReached, "", _sentences.DescribeExcess(excess, MostQueries), _clock.Now));
            _queries = queries;
        }
    }

    /// <summary>What is known of a workload's replicas.</summary>
    /// <param name="namespace">Its namespace.</param>
    /// <param name="target">Name of its Deployment or StatefulSet.</param>
    /// <param name="scaledObject">Name of its ScaledObject, by which KEDA calls the HPA.</param>
    public ReplicaReading Replicas(string @namespace, string target, string scaledObject) => _replicas is { } table
        ? table.Of(@namespace, target, scaledObject)
        : new ReplicaReading { Reading = new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = Options.StaleAfter } };

    /// <summary>What a query last came to.</summary>
    public QueryReading Query(string text) => _queries.TryGetValue(text, out var query)
        ? query.Reading
        : new QueryReading { Reading = new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = Options.StaleAfter } };

    /// <summary>What is wrong with a query, in a sentence that does not quote it; null if nothing is, or it was not asked yet.</summary>
    public SourceFault? QueryFault(string text) => _queries.TryGetValue(text, out var query) ? query.Fault : _excess;

    /// <summary>Sweeps until cancelled, at once and then at fixed intervals. No fault ends it.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(
        LoopAsync(FleetSource.Replicas, (_, token) => SweepReplicasAsync(token), () => WantsReplicas, static () => false, cancellationToken),
        LoopAsync(FleetSource.Queries, SweepQueriesAsync, () => _queries.Count > 0 || _excess is not null, HasNews, cancellationToken));

    /// <inheritdoc/>
    public void Dispose() => Client.Dispose();

    /// <summary>Asks for all replicas once.</summary>
    internal async Task<FleetSweep> SweepReplicasAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        var answers = await Task.WhenAll(ReplicaTable.Metrics.Select(metric =>
            Client.QueryAsync(ReplicaTable.QueryOf(metric.Metric, metric.Label).ToQuery(), null, cancellationToken)));
        var sweep = Outcome(FleetSource.Replicas, startedAt, answers);
        if (Array.Find(answers, static answer => !answer.Succeeded) is { } failed)
        {
            _replicaFaults = FaultRuns.Continue(_replicaFaults, [new SourceFault(failed.Reason, _sentences.Endpoint, _sentences.Describe(failed), _clock.Now)]);
            return sweep with { Faults = _replicaFaults };
        }

        _replicaFaults = [];
        var table = new ReplicaTable(answers, Options.StaleAfter);
        _replicas = table;
        return sweep with { Rows = table.Count, Succeeded = true, IsPartial = table.IsPartial };
    }

    /// <summary>Asks the queries of workloads once, as many as the interval has room for, those first that have waited longest.</summary>
    /// <param name="onlyNews">Only those that were never asked.</param>
    /// <param name="cancellationToken">Cancels the sweep.</param>
    internal async Task<FleetSweep> SweepQueriesAsync(bool onlyNews, CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        var queries = _queries.Values
            .Where(query => query.IsAskable && (!onlyNews || query.AskedAt is null))
            .OrderBy(static query => query.AskedAt ?? DateTimeOffset.MinValue)
            .ThenBy(static query => query.Text, StringComparer.Ordinal)
            .ToArray();
        var answers = new List<PrometheusAnswer>();
        var late = 0;
        await Parallel.ForEachAsync(
            queries,
            new ParallelOptions { MaxDegreeOfParallelism = QueriesAtOnce, CancellationToken = cancellationToken },
            async (query, token) =>
            {
                if (_clock.Now - startedAt >= Options.Interval)
                {
                    Interlocked.Increment(ref late);
                    return;
                }

                var answer = await query.AskAsync(Client, _sentences, token);
                lock (answers)
                {
                    answers.Add(answer);
                }
            });

        var sweep = Outcome(FleetSource.Queries, startedAt, answers);
        _queryFaults = FaultsOf(late);
        return sweep with
        {
            Rows = queries.Count(static query => query.Reading.Value is not null),
            Succeeded = sweep.Answered > 0 || sweep.Asked == 0,
            IsPartial = answers.Exists(static answer => answer.Result?.IsPartial ?? false),
            Faults = [.. _queryFaults.Take(FaultRuns.Most)],
        };
    }

    /// <summary>Each trouble once, however many queries have it.</summary>
    private List<SourceFault> FaultsOf(int late)
    {
        var faults = new List<SourceFault>();
        if (_excess is { } excess)
        {
            faults.Add(excess);
        }

        if (late > 0)
        {
            var fault = new SourceFault(SourceReason.Timeout, _sentences.Endpoint, _sentences.DescribeLate(late), _clock.Now);
            faults.Add(FaultRuns.Continue(_queryFaults.FirstOrDefault(before => before.Reason == SourceReason.Timeout), fault));
        }

        faults.AddRange(_queries.Values.Select(static query => query.Fault).OfType<SourceFault>()
            .GroupBy(static fault => fault.Sentence, StringComparer.Ordinal)
            .OrderBy(static same => same.Key, StringComparer.Ordinal)
            .Select(static same => same.MinBy(static fault => fault.Since)!));
        return faults;
    }

    private bool HasNews() => _queries.Values.Any(static query => query.IsAskable && query.AskedAt is null);

    private FleetSweep Outcome(FleetSource source, DateTimeOffset startedAt, IReadOnlyCollection<PrometheusAnswer> answers) => new()
    {
        Connection = Options.Name,
        Source = source,
        StartedAt = startedAt,
        Duration = _clock.Now - startedAt,
        Bytes = answers.Sum(static answer => answer.Bytes),
        Asked = answers.Count,
        Answered = answers.Count(static answer => answer.Succeeded),
    };

    private async Task LoopAsync(
        FleetSource source,
        Func<bool, CancellationToken, Task<FleetSweep>> sweep,
        Func<bool> isWanted,
        Func<bool> hasNews,
        CancellationToken cancellationToken)
    {
        DateTimeOffset? lastAt = null;
        using var timer = new PeriodicTimer(Tick, _clock.TimeProvider);
        do
        {
            // Ticks come a little early or late.
            var isDue = lastAt is not { } last || _clock.Now - last >= Options.Interval - (Tick / 2);
            if (isWanted() && (isDue || hasNews()))
            {
                lastAt = isDue ? _clock.Now : lastAt;
                await GuardAsync(source, token => sweep(!isDue, token), cancellationToken);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Keeps the loop alive through defects of ours: a source that stops reading would never tell why.</summary>
    private async Task GuardAsync(FleetSource source, Func<CancellationToken, Task<FleetSweep>> sweep, CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        FleetSweep outcome;
#pragma warning disable CA1031 // Whatever it was, it becomes a fault with a sentence.
        try
        {
            outcome = await sweep(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e)
        {
            outcome = Outcome(source, startedAt, []) with
            {
                Faults = [new SourceFault(SourceReason.Unexpected, _sentences.Endpoint, _sentences.DescribeDefect(e), _clock.Now)],
            };
        }

        try
        {
            _onSweep?.Invoke(outcome);
        }
        catch (Exception)
        {
            // A listener's defect must not blind the source.
        }
#pragma warning restore CA1031
    }
}
