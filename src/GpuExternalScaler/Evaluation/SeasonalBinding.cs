using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>What arrived in a workload's queues in the weeks before, looked up in memory. Of the evaluation loop alone.</summary>
/// <param name="owner">The workload.</param>
/// <param name="isAskedAbout">Whether the server evaluates another workload.</param>
internal sealed class SeasonalBinding(SeriesOwner owner, Predicate<SeriesOwner> isAskedAbout)
{
    // The figures are of five minutes each.
    private static readonly TimeSpan GoodFor = TimeSpan.FromSeconds(15);

    private SeasonalTable? _table;
    private SeasonalFigures? _figures;
    private (string? Zone, TimeSpan ColdStart) _of;
    private TimeZoneInfo _zone = TimeZoneInfo.Utc;
    private DateTimeOffset _until;
    private DateTimeOffset _soughtUntil;
    private SeasonalReading _reading;

    /// <summary>Whether a policy goes by the weeks before.</summary>
    public static bool IsFor(ScalingPolicy policy) => policy is { Mode: WorkloadMode.Deployment, Forecast: ForecastMode.Auto or ForecastMode.Seasonal };

    /// <summary>The reading of now.</summary>
    public SeasonalReading Read(HistorySource? source, ScalingPolicy policy, TimeSpan coldStart, DateTimeOffset now)
    {
        var table = IsFor(policy) ? source?.Seasonal : null;
        if (!ReferenceEquals(table, _table))
        {
            (_table, _figures, _until, _soughtUntil) = (table, null, default, default);
        }

        if (_figures is null && now >= _soughtUntil)
        {
            // The trigger from before an edit is forgotten some time after it, and the next table may be half an hour off.
            (_figures, _soughtUntil) = (table?.Find(owner, isAskedAbout), now + GoodFor);
        }

        if (_figures is null)
        {
            return default;
        }

        var of = (policy.TimeZone, coldStart);
        if (now < _until && _of == of)
        {
            return _reading;
        }

        _zone = _of.Zone == of.TimeZone ? _zone : TimeZones.Find(of.TimeZone) ?? TimeZoneInfo.Utc;
        (_of, _until) = (of, now + GoodFor);
        return _reading = ReadingOf(_figures, coldStart, now);
    }

    private SeasonalReading ReadingOf(SeasonalFigures figures, TimeSpan coldStart, DateTimeOffset now)
    {
        var (week, twoWeeks) = (SameTime(now, 1), SameTime(now, 2));
        return figures.Between(1, week, week + coldStart) is { } one && figures.Between(2, twoWeeks, twoWeeks + coldStart) is { } two
            ? new SeasonalReading { IsKnown = true, WeekAgo = one.First, WeekAgoAhead = one.Most, TwoWeeksAgoAhead = two.Most }
            : default;
    }

    /// <summary>The same time on the workload's clocks some weeks ago: people come at nine, summer or winter.</summary>
    private DateTimeOffset SameTime(DateTimeOffset now, int weeks)
    {
        var local = TimeZoneInfo.ConvertTime(now, _zone).DateTime.AddDays(-7 * weeks);

        // Of an hour that there was not, or was twice, the zone's standard time.
        return new DateTimeOffset(local, _zone.GetUtcOffset(local));
    }
}
