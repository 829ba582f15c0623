using System.Globalization;
using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Makes the sentence that explains a decision, when somebody asks (never on the way to an answer).</summary>
public static class DecisionText
{
    /// <summary>One or two sentences: what was seen, what followed from it.</summary>
    public static string Describe(in ScalingDecision decision, DateTimeOffset now)
    {
        var age = Seconds(Math.Max(0, (now - decision.ObservedAt).TotalSeconds));
        var seen = decision.Queues == 0 ? Fleet(decision.Fleet, age) : string.Create(CultureInfo.InvariantCulture,
            $"{decision.Ready} ready, {Count(decision, QueueGauges.Unacked, decision.Unacked)} unacknowledged, {Count(decision, QueueGauges.Consumers, decision.Consumers)} consumers ({age} ago)");
        return Reason(decision, seen, age) + Caveats(decision);
    }

    private static string Reason(in ScalingDecision decision, string seen, string age) =>
        decision.Reason switch
        {
            DecisionReason.NotSampled => decision.Fleet.IsUsed ? "not every source has been read yet" : "no reading of the queue yet",
            DecisionReason.PodsNotSeen => "the source answers, but shows no pod of the workload: does target or podRegex name its pods, and do the metrics carry pod labels?",
            DecisionReason.QueryEmpty => "the workload's query is answered with no number",
            DecisionReason.NoDemandSignal => "nothing to go by: the workload needs a queue, a model server, vramThreshold or a query",
            DecisionReason.SourceStale => $"the newest reading is {age} old, past staleAfter",
            DecisionReason.QueueMissing => "the broker answers, but a queue does not exist",
            DecisionReason.StreamUnsupported => "the queue is a stream: its ready and unacknowledged counts say nothing about work to do",
            DecisionReason.Idle => $"{seen}: nothing to do",
            DecisionReason.ConsumerSaturation =>
                $"{seen}: {Number(decision.BusyAverage)} slots busy on average need {Number(decision.SaturationReplicas)} replicas to stay under the saturation threshold",
            DecisionReason.OfferedLoad =>
                $"{seen}: {Number(decision.ArrivalsPerSecond ?? 0)} arrivals/s of {Seconds(decision.ServiceTimeSeconds ?? 0)} need {Number(decision.LoadReplicas)} replicas",
            DecisionReason.Backlog =>
                $"{seen}: load needs {Number(decision.LoadReplicas)} replicas, and {Number(decision.WaitingAtColdStart)} messages waiting when a new one would be ready need {Number(decision.BacklogReplicas)} more",
            DecisionReason.ServiceTimeUnknown =>
                $"{seen}: no service time known yet, so growth stops at twice what exists: {Number(decision.Replicas)} replicas",
            DecisionReason.JobMessages => $"{seen}: {Number(decision.Replicas)} jobs",
            DecisionReason.Holding => $"the newest reading is {age} old: repeating the last answer, {Number(decision.Replicas)} replicas",
            DecisionReason.PartialReadings => $"{seen}, but not every queue has a complete and fresh reading: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.CountersStale => $"{seen}, but message counters are stale: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.Recovering => $"{seen}, back after an outage: not below the {Number(decision.FloorReplicas)} replicas from before it",
            DecisionReason.UnackedUnknown => $"{seen}: nobody can tell how many messages are being worked on: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.SingleActiveConsumer => $"{seen}: one consumer of the queue works at a time (single active consumer), so more than {Number(decision.Replicas)} replicas would not help",
            DecisionReason.NoProgress => $"{seen}: messages come back to the queue again and again and none is completed, as when one of them crashes its worker: not above {Number(decision.Replicas)} replicas",
            DecisionReason.Draining => $"{seen}: not below {Number(decision.FloorReplicas)} replicas while workers without a consumer hold messages",
            DecisionReason.VramHeadroom => $"{seen}: {Percent(decision.Fleet.VramUsed)} of VRAM in use by {decision.Fleet.Pods} pods, of which {Percent(decision.Fleet.VramBase)} is held without load, need {Number(decision.Fleet.VramReplicas)} replicas to stay under the threshold",
            DecisionReason.CacheFill => $"{seen}: key-value caches {Percent(decision.Fleet.CacheFill)} full need {Number(decision.Fleet.CacheReplicas)} replicas to stay under kvCacheThreshold",
            DecisionReason.ModelServerRequests => $"{seen}: {Number(decision.Fleet.RequestsRunning)} requests running and {Number(decision.Fleet.RequestsWaiting)} waiting in the model servers need {Number(decision.Fleet.RequestReplicas)} replicas",
            DecisionReason.Latency => $"{seen}: a latency of {Seconds(decision.Fleet.LatencySeconds)} needs {Number(decision.Fleet.LatencyReplicas)} replicas",
            DecisionReason.Query => $"{seen}: the workload's query asks for {Number(decision.Fleet.QueryReplicas)} replicas",
            DecisionReason.VramSaysNothing => $"{seen}: VRAM is the only signal and says nothing: staying at {Number(decision.Replicas)} replicas",
            DecisionReason.SignalStale => $"{seen}, but {Stale(decision.Fleet.Stale)} cannot be told now: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.Forecast =>
                $"{seen}: {Number(decision.ArrivalsPerSecond ?? 0)} arrivals/s now, up to {Number(decision.Forecast.ArrivalsPerSecond)}/s ({Words(decision.Forecast.Forecaster)}) when a replica asked for now is ready, in {Seconds(decision.ColdStart.TotalSeconds)}; of {Seconds(decision.ServiceTimeSeconds ?? 0)} each they need {Number(decision.Forecast.Replicas)} replicas, those of now {Number(decision.Forecast.ReactiveReplicas)}",
            DecisionReason.Schedule => $"{seen}: the schedule demands {Number(decision.Forecast.ScheduledReplicas)} replicas by the time one asked for now is ready",
            DecisionReason.WarmReplicas => $"{seen}: nothing to do, and {decision.Forecast.WarmReplicas} spare replicas are wanted",
            DecisionReason.Capacity => $"{seen}: {Number(decision.Replicas)} replicas are needed, and none came within three cold starts: no GPUs to be had, or the HPA is at its maximum (set maxReplicas)",
            _ => decision.Reason.Code(),
        };

    private static string Words(Forecaster forecaster) => forecaster switch
    {
        Forecaster.LastValue => "as they were wont to change",
        Forecaster.ShortTrend or Forecaster.Trend or Forecaster.LongTrend => "if they go on changing like this",
        Forecaster.Growth => "if they go on multiplying like this",
        Forecaster.Mean => "if they return to their mean",
        Forecaster.Peak => "if they return to their latest peak",
        Forecaster.Seasonal => "as at this time in the weeks before",
        _ => forecaster.Code(),
    };

    private static string Fleet(in FleetFigures fleet, string age) =>
        string.Create(CultureInfo.InvariantCulture, $"{Number(fleet.Existing)} replicas ({age} ago)");

    private static string Stale(StaleSignals stale) => string.Join(", ", Enum.GetValues<StaleSignals>().Where(signal => signal != StaleSignals.None && stale.HasFlag(signal)).Select(static signal => signal switch
    {
        StaleSignals.Vram => "VRAM",
        StaleSignals.ModelServers => "the model servers",
        StaleSignals.Latency => "the latency",
        StaleSignals.Season => "the weeks before",
        _ => "the query",
    }));

    private static string VramCaveat(VramStanding standing) => standing switch
    {
        VramStanding.Flat => "; VRAM is high and does not move with load, as of servers that take it beforehand, so it does not count",
        VramStanding.ReplacedByCache => "; the fill of the model servers' caches counts in place of VRAM",
        VramStanding.BaseAboveThreshold => "; a replica without load holds more VRAM than vramThreshold, so it does not count",
        VramStanding.NotSeen => "; no pod of the workload is seen with VRAM",
        VramStanding.Stale => "; what is known of VRAM is too old, or contradicts the replicas there are",
        _ => "",
    };

    /// <summary>What limits the figures behind an answer.</summary>
    private static string Caveats(in ScalingDecision decision)
    {
        if (!decision.IsDecided || decision.Reason == DecisionReason.Holding)
        {
            return "";
        }

        var caveats = VramCaveat(decision.Fleet.Vram);
        if ((decision.Missing & QueueGauges.Unacked) != QueueGauges.None)
        {
            caveats += "; the broker is read over AMQP, which does not count unacknowledged messages";
        }

        if (decision.Draining > 0)
        {
            caveats += string.Create(CultureInfo.InvariantCulture, $"; {decision.Draining} messages more than the consumers can hold are taken to be with workers that are finishing");
        }

        if ((decision.Missing & QueueGauges.Consumers) != QueueGauges.None)
        {
            caveats += "; consumers are not counted by the source in use, every unacknowledged message is taken to be worked on";
        }

        if (decision.HasAutoAck)
        {
            caveats += "; consumers acknowledge on delivery, so work is not seen: set serviceTime, or acknowledge when done";
        }

        if (decision.Prefetch == 0)
        {
            caveats += "; the prefetch has no limit, so what a consumer holds beyond concurrency counts as waiting";
        }

        if (decision is { Forecast.IsWithoutCapacity: true, Reason: not DecisionReason.Capacity })
        {
            caveats += "; none of the replicas asked for came within three cold starts";
        }

        if (decision.Forecast.WarmReplicas > 0 && decision.Reason != DecisionReason.WarmReplicas)
        {
            caveats += string.Create(CultureInfo.InvariantCulture, $"; {decision.Forecast.WarmReplicas} spare replicas on top");
        }

        return decision.ArrivalsAreLowerBound && decision.Reason is DecisionReason.ConsumerSaturation or DecisionReason.ServiceTimeUnknown
            ? caveats + "; arrivals are not known"
            : caveats;
    }

    private static string Count(in ScalingDecision decision, QueueGauges gauge, long value) =>
        (decision.Missing & gauge) == QueueGauges.None ? value.ToString(CultureInfo.InvariantCulture) : "an unknown number of";

    private static string Percent(double share) => (100 * share).ToString("0.#", CultureInfo.InvariantCulture) + " %";

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    private static string Seconds(double seconds) => seconds.ToString("0.#", CultureInfo.InvariantCulture) + " s";
}
