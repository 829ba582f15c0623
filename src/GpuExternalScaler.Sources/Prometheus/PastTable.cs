using GpuExternalScaler.Scaling.History;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>What this program's own series say of every workload's last minutes. Never changes.</summary>
public sealed class PastTable
{
    // What a policy may say; more was not written by this program.
    private const float LongestSeconds = 86_400;

    private readonly SeriesGrid _arrivals;
    private readonly SeriesGrid _serviceTimes;
    private readonly SeriesGrid _coldStarts;

    internal PastTable(SeriesGrid arrivals, SeriesGrid serviceTimes, SeriesGrid coldStarts)
    {
        _arrivals = arrivals;
        _serviceTimes = serviceTimes;
        _coldStarts = coldStarts;
    }

    /// <summary>Workloads whose arrivals are known.</summary>
    public int Count => _arrivals.Rows;

    /// <summary>What is known of a workload; null for nothing.</summary>
    /// <param name="owner">The workload.</param>
    /// <param name="slots">What its service time is measured with: one of other queues or slots is none of its.</param>
    /// <param name="isAskedAbout">Whether the server evaluates another workload, which then does not stand in for this one.</param>
    public PastArrivals? Find(SeriesOwner owner, string slots, Predicate<SeriesOwner> isAskedAbout)
    {
        ArgumentNullException.ThrowIfNull(isAskedAbout);
        var arrivals = new List<(DateTimeOffset, double)>();
        var row = _arrivals.Find(owner, isAskedAbout) ?? [];
        for (var i = 0; i < row.Length; i++)
        {
            if (!float.IsNaN(row[i]))
            {
                arrivals.Add((_arrivals.At(i), row[i]));
            }
        }

        var past = new PastArrivals
        {
            Arrivals = arrivals,
            ServiceTimeSeconds = Figure(_serviceTimes.FindRow(owner with { Trigger = slots })),
            ColdStartSeconds = Figure(_coldStarts.Find(owner, isAskedAbout)),
        };
        return arrivals.Count == 0 && past is { ServiceTimeSeconds: null, ColdStartSeconds: null } ? null : past;

        // A time of zero is none.
        static double? Figure(float[]? row) => row is [> 0 and <= LongestSeconds and var value] ? value : null;
    }
}
