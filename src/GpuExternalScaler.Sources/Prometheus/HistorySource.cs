namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Reads this program's own series from the Prometheus that scrapes it: the last minutes, which it has forgotten at a start, and the
/// weeks before. A few queries serve all workloads (T18). Run <see cref="RunAsync"/> once; everything else can be used from anywhere.
/// </summary>
/// <remarks>
/// Memory: the last minutes take 0.8 kB for each workload in Prometheus and are let go after <see cref="KeptFor"/>; the weeks before
/// 0.3 kB and 0.1 kB more for each hour of the longest cold start, for good. The connection's limits of series and points bound both.
/// </remarks>
public sealed class HistorySource : ISource
{
    /// <summary>How far back the last minutes go.</summary>
    public static readonly TimeSpan PastWindow = TimeSpan.FromMinutes(45);

    /// <summary>Shortest time between two looks at them; who asks in between gets what the last one brought.</summary>
    public static readonly TimeSpan PastInterval = TimeSpan.FromSeconds(15);

    /// <summary>How long they are kept: who waits for them may look as seldom as once a minute.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(75);

    /// <summary>Longest cold start that the weeks before are looked up for.</summary>
    public static readonly TimeSpan LongestColdStart = TimeSpan.FromHours(6);

    private static readonly TimeSpan PastStep = TimeSpan.FromSeconds(15);

    // Of the last minutes, as much as is asked in one query: 15,000 workloads stay within the points of an answer.
    private const int PastPieces = 3;

    // Servers that ran one after the other are told apart by when they last said something.
    private static readonly TimeSpan LastSaid = TimeSpan.FromMinutes(3);

    private static readonly TimeSpan SeasonalInterval = TimeSpan.FromMinutes(30);

    // After a failure, or for a cold start longer than what is known.
    private static readonly TimeSpan SeasonalRetry = TimeSpan.FromMinutes(1);

    // For so long a whole answer is good: it reaches half an hour further than the next one, and an hour for clocks that changed.
    private static readonly TimeSpan SeasonalKeptFor = TimeSpan.FromHours(1);

    // Clocks that were changed in between move what is the same time by an hour.
    private static readonly TimeSpan ClockChange = TimeSpan.FromHours(1);

    // How often to look whether anything is wanted: somebody waits for it.
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);

    private readonly PrometheusClient _client;
    private readonly MonotonicClock _clock;
    private readonly Action<FleetSweep>? _onSweep;
    private readonly PrometheusFaultSentences _sentences;
    // At the start without being asked: KEDA will.
    private volatile bool _wantsPast = true;
    private volatile PastSweep? _past;
    private volatile SeasonalTable? _seasonal;
    private volatile bool _wantsSeasonal;
    private long _coldStartTicks;
    private DateTimeOffset? _seasonalAt;
    private DateTimeOffset? _seasonalWholeAt;
    private bool _seasonalSucceeded;
    private TimeSpan _seasonalColdStart;
    private IReadOnlyList<SourceFault> _pastFaults = [];
    private IReadOnlyList<SourceFault> _seasonalFaults = [];

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="client">Asks the Prometheus; whoever made it disposes of it.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    public HistorySource(PrometheusClient client, MonotonicClock clock, Action<FleetSweep>? onSweep = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(clock);
        _client = client;
        _clock = clock;
        _onSweep = onSweep;
        _sentences = new PrometheusFaultSentences(client.Options);
    }

    /// <summary>The Prometheus that is asked.</summary>
    public PrometheusClient Client => _client;

    /// <summary>Whether anybody goes by the weeks before; they are not asked for otherwise.</summary>
    public bool WantsSeasonal
    {
        get => _wantsSeasonal;
        set => _wantsSeasonal = value;
    }

    /// <summary>The longest cold start of those that do.</summary>
    public TimeSpan ColdStart
    {
        get => new(Interlocked.Read(ref _coldStartTicks));
        set => Interlocked.Exchange(ref _coldStartTicks, Math.Clamp(value.Ticks, 0, LongestColdStart.Ticks));
    }

    /// <summary>What arrived in the weeks before; null while that is not known.</summary>
    public SeasonalTable? Seasonal => _seasonal;

    /// <summary>
    /// The last minutes as of some moment at most <see cref="PastInterval"/> before one, or any later: asked for if need be.
    /// </summary>
    /// <param name="since">When they were first wanted.</param>
    /// <param name="table">What is known; null where Prometheus did not say.</param>
    /// <returns>False while they are being asked for.</returns>
    public bool TryGetPast(DateTimeOffset since, out PastTable? table)
    {
        var past = _past;
        table = past?.Table;
        if (past is not null && past.AskedAt >= since - PastInterval)
        {
            return true;
        }

        _wantsPast = true;
        return false;
    }

    /// <summary>Asks for the last minutes at once and whenever they are wanted, and for the weeks before now and then, until cancelled.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(FollowPastAsync(cancellationToken), FollowSeasonsAsync(cancellationToken));

    /// <inheritdoc/>
    public void Dispose()
    {
        // The client is somebody else's.
    }

    /// <summary>Asks for the last minutes of all workloads once.</summary>
    internal async Task<FleetSweep> SweepPastAsync(CancellationToken cancellationToken)
    {
        var sweep = new Sweep(this, FleetSource.Past);
        PastTable? table = null;
        if (await sweep.AskServerTimeAsync(cancellationToken) is { } server)
        {
            var piece = PastWindow / PastPieces;
            var arrivals = new SeriesGrid(server - PastWindow - sweep.Ahead, PastStep, (int)(PastWindow / PastStep) + 1);
            for (var i = PastPieces; i > 0 && sweep.Failed is null; i--)
            {
                // The newest first: it is worth something without the others.
                var end = server - ((PastPieces - i) * piece);
                await sweep.AddRangeAsync(arrivals, PromQl.Metric(OwnSeries.Arrivals), end - piece, end, PastStep, cancellationToken);
            }

            var serviceTimes = await sweep.AskNewestAsync(OwnSeries.MeasuredServiceTime, OwnSeries.Slots, server, cancellationToken);
            var coldStarts = await sweep.AskNewestAsync(OwnSeries.MeasuredColdStart, OwnSeries.Trigger, server, cancellationToken);
            table = arrivals.Rows == 0 && sweep.Failed is not null ? null : new PastTable(arrivals, serviceTimes, coldStarts);
        }

        _past = new PastSweep(sweep.StartedAt, table);
        _pastFaults = sweep.FaultsAfter(_pastFaults);
        return sweep.Outcome(table?.Count ?? 0) with { Faults = _pastFaults };
    }

    /// <summary>Asks for the weeks before of all workloads once.</summary>
    internal async Task<FleetSweep> SweepSeasonsAsync(CancellationToken cancellationToken)
    {
        var sweep = new Sweep(this, FleetSource.Seasonal);
        var coldStart = ColdStart;
        SeasonalTable? table = null;
        if (await sweep.AskServerTimeAsync(cancellationToken) is { } server)
        {
            // What is the same time in half an hour's table is looked up until the next one is there.
            var (before, after) = (ClockChange + SeasonalTable.Window, coldStart + ClockChange + SeasonalInterval + SeasonalRetry + SeasonalTable.Window);
            var weeks = new SeriesGrid[2];
            for (var i = 0; i < weeks.Length && sweep.Failed is null; i++)
            {
                var (start, end) = (server - (7 * (i + 1) * TimeSpan.FromDays(1)) - before, server - (7 * (i + 1) * TimeSpan.FromDays(1)) + after);
                weeks[i] = new SeriesGrid(start - sweep.Ahead, SeasonalTable.Window, (int)((end - start) / SeasonalTable.Window) + 1);
                await sweep.AddRangeAsync(weeks[i], PromQl.Metric(OwnSeries.Arrivals).QuantileOverTime(0.9, SeasonalTable.Window), start, end, SeasonalTable.Window, cancellationToken);
            }

            table = sweep.Failed is null ? new SeasonalTable(weeks[0], weeks[1]) : null;
        }

        if (sweep.IsPartial && _seasonal is not null && sweep.StartedAt - _seasonalWholeAt < SeasonalKeptFor)
        {
            // What was left out may be more than what is there (T19).
            table = null;
        }
        else if (table is not null && !sweep.IsPartial)
        {
            _seasonalWholeAt = sweep.StartedAt;
        }

        // What was known before stays until its time is over.
        _seasonal = table ?? _seasonal;
        (_seasonalAt, _seasonalSucceeded) = (sweep.StartedAt, table is not null);
        _seasonalColdStart = table is null ? _seasonalColdStart : coldStart;
        _seasonalFaults = sweep.FaultsAfter(_seasonalFaults);
        return sweep.Outcome(table?.Count ?? 0) with { Faults = _seasonalFaults };
    }

    private async Task FollowPastAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Tick, _clock.TimeProvider);
        do
        {
            var past = _past;
            var age = past is null ? TimeSpan.MaxValue : _clock.Now - past.AskedAt;
            if (_wantsPast)
            {
                // Who still waits after what has just been brought says so again.
                _wantsPast = false;
                if (age > PastInterval)
                {
                    await GuardAsync(FleetSource.Past, SweepPastAsync, cancellationToken);
                }
            }
            else if (past is { Table: not null } && age > KeptFor)
            {
                _past = past with { Table = null };
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    private async Task FollowSeasonsAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Tick, _clock.TimeProvider);
        do
        {
            var since = _seasonalAt is { } at ? _clock.Now - at : TimeSpan.MaxValue;

            // Somebody waits for the last minutes, and nobody for the weeks before.
            if (WantsSeasonal && _past is not null && (since >= SeasonalInterval || (since >= SeasonalRetry && (!_seasonalSucceeded || ColdStart > _seasonalColdStart))))
            {
                await GuardAsync(FleetSource.Seasonal, SweepSeasonsAsync, cancellationToken);
            }
            else if (!WantsSeasonal)
            {
                (_seasonal, _seasonalSucceeded) = (null, false);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>Keeps the loops alive through defects of ours: nobody would be told that there is no past.</summary>
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
            _past = source == FleetSource.Past ? new PastSweep(startedAt, null) : _past;
            (_seasonalAt, _seasonalSucceeded) = source == FleetSource.Seasonal ? (startedAt, false) : (_seasonalAt, _seasonalSucceeded);
            outcome = new FleetSweep
            {
                Connection = _client.Options.Name,
                Source = source,
                StartedAt = startedAt,
                Duration = _clock.Now - startedAt,
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

    /// <summary>What a look at the last minutes came to.</summary>
    private sealed record PastSweep(DateTimeOffset AskedAt, PastTable? Table);

    /// <summary>The queries of one sweep, and what they came to together.</summary>
    private sealed class Sweep(HistorySource source, FleetSource kind)
    {
        private int _asked;
        private int _answered;
        private long _bytes;

        /// <summary>When it began.</summary>
        public DateTimeOffset StartedAt { get; } = source._clock.Now;

        /// <summary>How far the server's clock is ahead of ours: samples are of its clock, and none is of the future.</summary>
        public TimeSpan Ahead { get; private set; }

        /// <summary>The first answer without a result; null while there is none.</summary>
        public PrometheusAnswer? Failed { get; private set; }

        /// <summary>Whether an answer may lack something.</summary>
        public bool IsPartial { get; private set; }

        /// <summary>The time on the server's clock, in whole milliseconds; null if it does not say.</summary>
        public async Task<DateTimeOffset?> AskServerTimeAsync(CancellationToken cancellationToken)
        {
            var answer = await source._client.QueryAsync(PromQl.ServerTime.ToQuery(), null, cancellationToken);
            if (Take(answer, PrometheusResultType.Scalar)?.EvaluatedAt is not { } at)
            {
                Failed ??= answer with { Reason = SourceReason.MalformedAnswer, Result = null };
                return null;
            }

            // Queries give milliseconds.
            at = DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());
            Ahead = at - answer.SentAt;
            return at;
        }

        /// <summary>Adds the figures of a range, the largest of those that are said of one workload.</summary>
        public async Task AddRangeAsync(SeriesGrid grid, PromQl figures, DateTimeOffset start, DateTimeOffset end, TimeSpan step, CancellationToken cancellationToken)
        {
            var range = PrometheusRange.Covering(start, end, step);
            if (Take(await source._client.QueryRangeAsync(figures.MaxBy(OwnSeries.LabelsBy(grid.Apart)).ToQuery(), range, cancellationToken), PrometheusResultType.Matrix) is { } result)
            {
                grid.Add(result, Ahead);
            }
        }

        /// <summary>The newest figure of each workload; none if there was no answer.</summary>
        /// <remarks>A server that ended long before the last one had its say is not asked for the larger figure.</remarks>
        public async Task<SeriesGrid> AskNewestAsync(string metric, string apart, DateTimeOffset server, CancellationToken cancellationToken)
        {
            var grid = new SeriesGrid(server - Ahead, PastStep, 1, apart);
            var newest = Over(LastSaid).Or(Over(PastWindow));
            if (Failed is null && Take(
                    await source._client.QueryAsync(newest.ToQuery(), server, cancellationToken),
                    PrometheusResultType.Vector) is { } result)
            {
                grid.Add(result, Ahead);
            }

            return grid;

            PromQl Over(TimeSpan window) => PromQl.Metric(metric).LastOverTime(window).MaxBy(OwnSeries.LabelsBy(apart));
        }

        /// <summary>What was wrong, as old as the run of failures.</summary>
        public List<SourceFault> FaultsAfter(IReadOnlyList<SourceFault> before) => Failed is not { } failed ? [] :
            FaultRuns.Continue(before, [new SourceFault(failed.Reason, source._sentences.Endpoint, source._sentences.Describe(failed), source._clock.Now)]);

        public FleetSweep Outcome(int rows) => new()
        {
            Connection = source._client.Options.Name,
            Source = kind,
            StartedAt = StartedAt,
            Duration = source._clock.Now - StartedAt,
            Bytes = _bytes,
            Asked = _asked,
            Answered = _answered,
            Rows = rows,
            Succeeded = Failed is null,
            IsPartial = IsPartial,
        };

        private PrometheusResult? Take(PrometheusAnswer answer, PrometheusResultType type)
        {
            _asked++;
            _bytes += answer.Bytes;
            if (answer.Result is { } other && other.Type != type)
            {
                answer = answer with { Reason = SourceReason.MalformedAnswer, Result = null };
            }

            if (answer.Result is not { } result)
            {
                Failed ??= answer;
                return null;
            }

            _answered++;
            IsPartial |= result.IsPartial;
            return result;
        }
    }
}
