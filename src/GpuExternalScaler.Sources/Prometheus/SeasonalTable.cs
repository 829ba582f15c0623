namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>What arrived in every workload's queues one and two weeks ago, around the same time. Never changes.</summary>
public sealed class SeasonalTable
{
    /// <summary>How much of the past each figure is about.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(5);

    private readonly SeriesGrid _weekAgo;
    private readonly SeriesGrid _twoWeeksAgo;

    internal SeasonalTable(SeriesGrid weekAgo, SeriesGrid twoWeeksAgo)
    {
        _weekAgo = weekAgo;
        _twoWeeksAgo = twoWeeksAgo;
    }

    /// <summary>Workloads of which anything is known a week ago.</summary>
    public int Count => _weekAgo.Rows;

    /// <summary>A workload's figures of both weeks; null where nothing is known of one.</summary>
    /// <param name="owner">The workload.</param>
    /// <param name="isAskedAbout">Whether the server evaluates another workload, which then does not stand in for this one.</param>
    public SeasonalFigures? Find(SeriesOwner owner, Predicate<SeriesOwner> isAskedAbout)
    {
        ArgumentNullException.ThrowIfNull(isAskedAbout);
        return _weekAgo.Find(owner, isAskedAbout) is { } week && _twoWeeksAgo.Find(owner, isAskedAbout) is { } other
            ? new SeasonalFigures(_weekAgo, week, _twoWeeksAgo, other)
            : null;
    }
}

/// <summary>One workload's figures of the weeks before.</summary>
public sealed class SeasonalFigures
{
    private readonly (SeriesGrid Grid, float[] Values) _weekAgo;
    private readonly (SeriesGrid Grid, float[] Values) _twoWeeksAgo;

    internal SeasonalFigures(SeriesGrid weekAgo, float[] week, SeriesGrid twoWeeksAgo, float[] other)
    {
        _weekAgo = (weekAgo, week);
        _twoWeeksAgo = (twoWeeksAgo, other);
    }

    /// <summary>
    /// The most (P90 of five minutes each) from one moment to another, and what holds at the first. Null unless both ends are known.
    /// </summary>
    /// <param name="weeks">1 or 2.</param>
    /// <param name="from">The first moment, in the past.</param>
    /// <param name="to">The last.</param>
    public (double First, double Most)? Between(int weeks, DateTimeOffset from, DateTimeOffset to)
    {
        var (grid, values) = weeks == 1 ? _weekAgo : _twoWeeksAgo;

        // A figure is about the minutes before its moment.
        var (first, last) = (grid.IndexAtOrAfter(from), grid.IndexAtOrAfter(to));
        if (first < 0 || last < first || last >= values.Length || float.IsNaN(values[first]) || float.IsNaN(values[last]))
        {
            return null;
        }

        var most = values[first];
        for (var i = first + 1; i <= last; i++)
        {
            most = float.IsNaN(values[i]) ? most : Math.Max(most, values[i]);
        }

        return (values[first], most);
    }
}
