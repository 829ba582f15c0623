namespace GpuExternalScaler.Demo;

/// <summary>KEDA's own part of scaling: between zero and one replica. Everything above is the HPA's.</summary>
/// <param name="cooldown">The ScaledObject's <c>cooldownPeriod</c>, counted from when the workload was last active.</param>
internal sealed class KedaActivation(TimeSpan cooldown)
{
    private TimeSpan _lastActiveAt = TimeSpan.MinValue;

    /// <summary>Replicas wanted after a poll that was answered, or after an <c>IsActive</c> that was pushed.</summary>
    public int Apply(TimeSpan now, bool active, int current)
    {
        if (active)
        {
            _lastActiveAt = now;
            return Math.Max(current, 1);
        }

        return current > 0 && (_lastActiveAt == TimeSpan.MinValue || now - _lastActiveAt > cooldown) ? 0 : current;
    }
}
