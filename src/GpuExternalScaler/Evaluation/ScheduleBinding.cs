using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// A workload's schedule as its policy has it now. What it demands is worked out when it changes, and not at each of the
/// ten thousand steps a second. Of the evaluation loop alone.
/// </summary>
internal sealed class ScheduleBinding
{
    private (string? Text, string? Zone, TimeSpan ColdStart) _of;
    private Schedule? _schedule;
    private TimeZoneInfo _zone = TimeZoneInfo.Utc;
    private int _replicas;
    private DateTimeOffset _until;

    /// <summary>Most replicas that any window demands between now and the end of a cold start; 0 without a schedule.</summary>
    public int Replicas(ScalingPolicy policy, TimeSpan coldStart, DateTimeOffset now)
    {
        if (policy.Schedule is null)
        {
            return 0;
        }

        var of = (policy.Schedule, policy.TimeZone, coldStart);
        if (_of == of && now < _until)
        {
            return _replicas;
        }

        if (_of.Text != of.Schedule || _of.Zone != of.TimeZone)
        {
            // Both were checked when the policy was read.
            _schedule = Schedule.TryParse(of.Schedule, out var schedule, out _) ? schedule : null;
            _zone = TimeZones.Find(of.TimeZone) ?? TimeZoneInfo.Utc;
        }

        _of = of;
        (_replicas, _until) = _schedule?.Demand(now, coldStart, _zone) ?? (0, DateTimeOffset.MaxValue);
        return _replicas;
    }
}
