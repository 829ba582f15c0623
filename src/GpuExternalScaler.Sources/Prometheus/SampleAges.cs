namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>A series' figure with the age of the oldest sample it was made of.</summary>
/// <param name="Labels">Without the mark of an age.</param>
/// <param name="Value">Null if it was lost (T16): the series exists and its figure is not known.</param>
/// <param name="Age">Null if it is not known, which is to be taken for too old.</param>
internal readonly record struct AgedValue(PrometheusLabels Labels, double? Value, TimeSpan? Age)
{
    /// <summary>Whether there is a value, of a known age that is not too great (T20).</summary>
    public bool IsUsable(TimeSpan staleAfter) => Value is not null && Age is { } age && age <= staleAfter;
}

/// <summary>
/// Asks for figures and the age of their samples in one query for a whole fleet (T17, T18, T20).
/// </summary>
/// <remarks>
/// <para>
/// The time in a vector is that of the evaluation, so how old a sample is takes an expression of its own: its age is
/// <c>time() - timestamp(metric)</c>. The query is
/// <c>max by (L) (M) or label_replace(max by (L) (time() - timestamp(M)), "__age__", "seconds", "", "")</c>: twice the series of
/// the figures alone, from one evaluation, so that figure and age are of the same samples. Ages are added up by maximum
/// whatever the figures are added up by: one old sample makes a sum old.
/// </para>
/// <para>
/// A series of ordinary scrapes has an age of at most one scrape interval: when its target goes, it is marked and vanishes
/// at once. A series with explicit timestamps lingers for five minutes, and its age is what tells (T20).
/// </para>
/// <para>
/// Both times are the server's, so clocks that differ do not matter, so long as the server chooses the time of the
/// evaluation. To read several queries at one instant, send the first without a time and give the others its
/// <see cref="PrometheusResult.EvaluatedAt"/>; a time of our own clock would put the difference of the clocks into every age.
/// </para>
/// </remarks>
internal static class SampleAges
{
    /// <summary>Marks the series that are ages.</summary>
    internal const string Mark = "__age__";

    private const double LongestSeconds = 1e9;

    /// <summary>A metric's figures by labels, and their ages.</summary>
    /// <param name="metric">A metric as <see cref="PromQl.Metric"/> gives it.</param>
    /// <param name="aggregate">How to add up series with the same labels, such as <c>m => m.MaxBy(labels)</c>.</param>
    /// <param name="labels">The labels that this keeps.</param>
    /// <exception cref="InvalidOperationException">Not a metric alone.</exception>
    public static PromQl Ask(PromQl metric, Func<PromQl, PromQl> aggregate, params ReadOnlySpan<string> labels) =>
        aggregate(metric).Or(metric.Age().MaxBy(labels).WithLabel(Mark, "seconds"));

    /// <summary>Puts figures and ages of an answer together. An age without a figure is left out.</summary>
    public static List<AgedValue> Join(PrometheusResult result)
    {
        var ages = new Dictionary<PrometheusLabels, double?>();
        foreach (var series in result.Series)
        {
            if (series.Labels[Mark].Length > 0)
            {
                ages[series.Labels.Without(Mark)] = series.Value;
            }
        }

        var values = new List<AgedValue>(result.Series.Count - ages.Count);
        foreach (var series in result.Series)
        {
            if (series.Labels[Mark].Length == 0)
            {
                values.Add(new AgedValue(series.Labels, series.Value, ages.TryGetValue(series.Labels, out var seconds) ? AgeOf(seconds) : null));
            }
        }

        return values;
    }

    // Milliseconds are rounded on the way: a sample of this very instant may come out as from the future.
    private static TimeSpan? AgeOf(double? seconds) => seconds switch
    {
        null or > LongestSeconds => null,
        < 0 => TimeSpan.Zero,
        _ => TimeSpan.FromSeconds(seconds.Value),
    };
}
