namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Queries of one sweep, all evaluated at the instant of the first (T17), with what they came to together. For one sweep.
/// </summary>
internal sealed class MetricSweep(PrometheusClient client)
{
    private DateTimeOffset? _at;

    /// <summary>When the first query was sent: ages are of its instant, so that counted from any later one samples would look younger.</summary>
    public DateTimeOffset SentAt { get; private set; }

    /// <summary>Queries sent.</summary>
    public int Asked { get; private set; }

    /// <summary>Those of them that were answered.</summary>
    public int Answered { get; private set; }

    /// <summary>Bytes of the answers, unpacked.</summary>
    public long Bytes { get; private set; }

    /// <summary>Whether an answer may be partial (T19).</summary>
    public bool IsPartial { get; private set; }

    /// <summary>Whether a metric that was there had no series when it was asked for, at the same instant.</summary>
    public bool AnyVanished { get; private set; }

    /// <summary>The first answer without a result; null while there is none.</summary>
    public PrometheusAnswer? Failed { get; private set; }

    /// <summary>Asks for a vector; null if there is none.</summary>
    public async Task<PrometheusResult?> AskAsync(PromQl query, CancellationToken cancellationToken)
    {
        var answer = await client.QueryAsync(query.ToQuery(), _at, cancellationToken);
        Asked++;
        Bytes += answer.Bytes;
        if (answer.Result is { Type: not PrometheusResultType.Vector })
        {
            answer = answer with { Reason = SourceReason.MalformedAnswer, Result = null };
        }

        if (answer.Result is not { } result)
        {
            Failed ??= answer;
            return null;
        }

        if (Answered++ == 0)
        {
            (SentAt, _at) = (answer.SentAt, result.EvaluatedAt);
        }

        IsPartial |= result.IsPartial;
        return result;
    }

    /// <summary>
    /// Reads all series of those of some metrics that exist: one query tells which (T8: exporters are upgraded, and lose metrics), then
    /// one for each brings its figures and their ages (T18). One after the other, so that no more than one answer is held.
    /// </summary>
    /// <param name="metrics">The metrics' names.</param>
    /// <param name="labels">The labels that tell series apart.</param>
    /// <param name="begin">Called before the first sample, with <see cref="SentAt"/>.</param>
    /// <param name="take">
    /// Called with each sample: metric, labels, value and when it was sampled. A value that was lost is NaN, for its series exists; an age
    /// that is not known is too great.
    /// </param>
    /// <param name="cancellationToken">Cancels the queries.</param>
    /// <returns>False if a query failed; what was taken until then is half of a sweep.</returns>
    public async Task<bool> ReadAsync(
        IReadOnlyCollection<string> metrics,
        string[] labels,
        Action<DateTimeOffset> begin,
        Action<string, PrometheusLabels, double, DateTimeOffset> take,
        CancellationToken cancellationToken)
    {
        if (await AskAsync(PromQl.AnyOf(metrics).CountBy("__name__"), cancellationToken) is not { } present)
        {
            return false;
        }

        begin(SentAt);
        foreach (var metric in metrics.Intersect(present.Series.Select(static series => series.Labels["__name__"]), StringComparer.Ordinal))
        {
            if (await AskAsync(SampleAges.Ask(PromQl.Metric(metric), figures => figures.MaxBy(labels), labels), cancellationToken) is not { } result)
            {
                return false;
            }

            var figures = SampleAges.Join(result);
            foreach (var figure in figures)
            {
                take(metric, figure.Labels, figure.Value ?? double.NaN, figure.Age is { } age ? SentAt - age : DateTimeOffset.MinValue);
            }

            AnyVanished |= figures.Count == 0;
        }

        return true;
    }
}
