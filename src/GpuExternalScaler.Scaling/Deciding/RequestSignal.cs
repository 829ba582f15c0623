using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>What model servers ask for: requests waiting and running, and the fill of their key-value caches (T14).</summary>
internal static class RequestSignal
{
    /// <summary>
    /// Replicas for requests: those running, averaged, at the saturation threshold, and slots for those waiting. As for queues without
    /// a service time, what waits grows the answer by no more than doubling.
    /// </summary>
    public static double Requests(SampleRing running, in ModelServerReading servers, ScalingPolicy policy, in FleetContext context)
    {
        var slots = Math.Max(1, policy.Concurrency);
        var waiting = Math.Max(0, servers.Waiting ?? 0);
        double busy = 0;
        if (servers.Running is { } now)
        {
            running.Add(servers.Reading.ObservedAt, now);
            var average = running.MeanSince(context.Now - policy.MaximumWindow) ?? now;
            var steady = waiting > 0 ? Math.Max(average, now) : average;
            busy = Math.Max(steady / policy.SaturationThreshold, now) / slots;
        }
        else if (context.Saturation is { } saturation)
        {
            // Triton does not tell; how busy its devices are does.
            busy = context.Existing * saturation / policy.SaturationThreshold;
        }

        var drain = policy.ServiceTime is { } time
            ? waiting / slots * Math.Min(1, time.TotalSeconds / Math.Max(policy.EffectiveDrainTime.TotalSeconds, 0.001))
            : Math.Min(waiting / slots, Math.Max(context.Existing, 1));

        // No share: these are the workload's own servers already.
        return Math.Min(busy + drain, 1e12);
    }

    /// <summary>Replicas such that caches stay under their threshold.</summary>
    public static double Cache(in ModelServerReading servers, ScalingPolicy policy, in FleetContext context)
    {
        if (servers.CacheFill is not { } fill || servers.Pods == 0 || context.IsIdle == true)
        {
            return 0;
        }

        var need = policy.VramAggregate == VramAggregate.Max ? servers.Pods * (servers.HighestCacheFill ?? 0) : fill;
        return context.AboveDeadBand(need / policy.KvCacheThreshold, policy);
    }
}
