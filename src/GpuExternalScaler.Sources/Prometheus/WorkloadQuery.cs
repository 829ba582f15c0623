using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>One query of workloads with what it last came to. Read from anywhere, changed by one sweep at a time.</summary>
internal sealed class WorkloadQuery
{
    private readonly PrometheusQuery? _query;
    private volatile State _state;

    public WorkloadQuery(string text, PrometheusConnectionOptions options, DateTimeOffset now)
    {
        Text = text;
        var problem = PrometheusQuery.TrySupply(text, out _query);
        _state = new State
        {
            Reading = new QueryReading
            {
                Reading = new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = options.StaleAfter },
                Window = RangeWindow.Of(text.Length <= PrometheusQuery.LongestSupplied ? text : ""),
            },
            Fault = problem == QueryTextProblem.None ? null : new SourceFault(SourceReason.QueryRejected, "", Describe(problem, options), now),
        };
    }

    public string Text { get; }

    /// <summary>Whether it can be asked at all.</summary>
    public bool IsAskable => _query is not null;

    /// <summary>When it was last asked; null if never.</summary>
    public DateTimeOffset? AskedAt => _state.AskedAt;

    public QueryReading Reading => _state.Reading;

    public SourceFault? Fault => _state.Fault;

    /// <summary>Asks and takes what comes of it.</summary>
    public async Task<PrometheusAnswer> AskAsync(PrometheusClient client, PrometheusFaultSentences sentences, CancellationToken cancellationToken)
    {
        var answer = await client.QueryAsync(_query!, null, cancellationToken);
        Take(answer, sentences);
        return answer;
    }

    private static string Describe(QueryTextProblem problem, PrometheusConnectionOptions options) =>
        $"Prometheus connection '{options.Name}': a query of a workload is not asked because it " + problem switch
        {
            QueryTextProblem.Empty => "is empty.",
            QueryTextProblem.TooLong => $"has more than {PrometheusQuery.LongestSupplied} characters.",
            _ => "holds control or invisible characters.",
        };

    private void Take(PrometheusAnswer answer, PrometheusFaultSentences sentences)
    {
        var state = _state;
        var (reason, problem) = answer.Result is { } result
            ? (SourceReason.QueryRejected, ProblemOf(result))
            : (answer.Reason, sentences.Describe(answer));
        if (problem is not null)
        {
            // The reading stays what it was, and ages.
            var fault = new SourceFault(reason, sentences.Endpoint, problem, answer.SentAt);
            _state = state with { AskedAt = answer.SentAt, Fault = FaultRuns.Continue(state.Fault, fault) };
            return;
        }

        _state = state with
        {
            AskedAt = answer.SentAt,
            Fault = null,
            Reading = state.Reading with
            {
                Value = answer.Result!.TryGetSingle(out var value) ? value : null,
                Reading = state.Reading.Reading with
                {
                    Presence = FleetPresence.Present,
                    ObservedAt = answer.SentAt,
                    IsPartial = answer.Result.IsPartial,
                },
            },
        };

        string? ProblemOf(PrometheusResult result)
        {
            var what = result.Type is PrometheusResultType.Matrix or PrometheusResultType.String ? "a range or a text"
                : result.SkippedHistograms > 0 ? "a histogram"
                : result.Series.Count + result.BadSeries > 1 ? "several series"
                : result.TryGetSingle(out var value) && value < 0 ? "a negative number"
                : null;
            return what is null ? null : sentences.DescribeNoNumber(what);
        }
    }

    private sealed record State
    {
        public DateTimeOffset? AskedAt { get; init; }

        public QueryReading Reading { get; init; }

        public SourceFault? Fault { get; init; }
    }
}
