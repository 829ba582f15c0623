namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>
/// Somebody who knows what will come, and has to live with the same cold start. At every moment he asks for as many slots as will be
/// needed when they are ready: for all that will then be being worked on, that will wait, or that will come while it drains, each
/// counted as the part of the drain time D that its work takes, and never more than one slot. With short work that is the true
/// offered load plus the backlog drained within D; with long work one slot a message. And never fewer than are at work or come now,
/// for whoever asks for fewer loses them at once. For what is being worked on and what comes he keeps the slack that the policy asks
/// for, its saturation threshold, for what waits none. He knows nothing of a maximum or a lack of GPUs, and asks for whole replicas.
/// </summary>
internal static class Clairvoyant
{
    /// <summary>What he asks for, by second; shorter than the log by what he has to look ahead.</summary>
    public static double[] Asks(TwinLog log)
    {
        var policy = log.Scenario.Policy;
        var ahead = (int)policy.ColdStart.TotalSeconds;
        var drain = (int)policy.EffectiveDrainTime.TotalSeconds;
        var arrived = new double[log.Seconds.Count + 1];
        for (var t = 0; t < log.Seconds.Count; t++)
        {
            arrived[t + 1] = arrived[t] + log.Seconds[t].ArrivedSlots;
        }

        var asks = new double[log.Seconds.Count - ahead - drain];
        for (var t = 0; t < asks.Length; t++)
        {
            var then = (Load(t + ahead) / policy.SaturationThreshold) + log.Seconds[t + ahead].WaitingSlots;
            var needed = Math.Max(then, Load(t) / policy.SaturationThreshold);
            asks[t] = Math.Ceiling(Math.Max(needed, log.Seconds[t].Busy) - 1e-6) / log.Scenario.Concurrency;
        }

        return asks;

        double Load(int at) => log.Seconds[at].BusySlots + arrived[at + drain + 1] - arrived[at + 1];
    }
}
