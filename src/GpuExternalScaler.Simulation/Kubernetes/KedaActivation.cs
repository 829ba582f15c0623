namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>
/// KEDA's own part of scaling: the step from nothing to something and back. Everything between is the HPA's. An instance is what KEDA
/// remembers of one ScaledObject. Time is an argument and never goes back.
/// </summary>
/// <param name="spec">The ScaledObject.</param>
/// <param name="firstPollAt">When KEDA asks for the first time. It does so at once when a ScaledObject appears.</param>
public sealed class KedaActivation(ScaledObjectSpec spec, TimeSpan firstPollAt = default)
{
    private TimeSpan? _lastActiveAt;

    /// <summary>When <see cref="Poll"/> is due.</summary>
    public TimeSpan NextPollAt { get; private set; } = firstPollAt;

    /// <summary>Replicas wanted after a poll.</summary>
    /// <param name="now">Time since some beginning.</param>
    /// <param name="active">Whether there is something to do; null when the scaler could not say, which changes nothing, the cooldown included.</param>
    /// <param name="current">Replicas wanted so far.</param>
    public int Poll(TimeSpan now, bool? active, int current)
    {
        NextPollAt = now + TimeSpan.FromSeconds(spec.PollingSeconds);
        return active switch
        {
            true => Push(now, current),
            false => Inactive(now, current),
            null => current,
        };
    }

    /// <summary>Replicas wanted after a <c>true</c> that the scaler sent by itself. A <c>false</c> does nothing (K22).</summary>
    /// <param name="now">Time since some beginning.</param>
    /// <param name="current">Replicas wanted so far.</param>
    public int Push(TimeSpan now, int current)
    {
        _lastActiveAt = now;

        // Fewer than the minimum, but some, are the HPA's to mend unless they are KEDA's idle ones.
        return current == 0 || (spec.IdleReplicas is not null && current < spec.Autoscaler.MinReplicas) ? spec.Autoscaler.MinReplicas : current;
    }

    private int Inactive(TimeSpan now, int current)
    {
        if (spec.IdleReplicas is not { } idle)
        {
            return Math.Max(current, spec.Autoscaler.MinReplicas);
        }

        // What was never active needs no cooldown.
        return current > idle && (_lastActiveAt is null || now - _lastActiveAt > TimeSpan.FromSeconds(spec.CooldownSeconds)) ? idle : current;
    }
}
