using System.Globalization;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Makes the sentence that explains a decision, when somebody asks (never on the way to an answer).</summary>
public static class DecisionText
{
    /// <summary>One or two sentences: what was seen, what followed from it.</summary>
    public static string Describe(in ScalingDecision decision, DateTimeOffset now)
    {
        var age = Seconds(Math.Max(0, (now - decision.ObservedAt).TotalSeconds));
        var seen = string.Create(CultureInfo.InvariantCulture,
            $"{decision.Ready} ready, {Count(decision, QueueGauges.Unacked, decision.Unacked)} unacknowledged, {Count(decision, QueueGauges.Consumers, decision.Consumers)} consumers ({age} ago)");
        return Reason(decision, seen, age) + Caveats(decision);
    }

    private static string Reason(in ScalingDecision decision, string seen, string age) =>
        decision.Reason switch
        {
            DecisionReason.NotSampled => "no reading of the queue yet",
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
            _ => decision.Reason.Code(),
        };

    /// <summary>What limits the figures behind an answer.</summary>
    private static string Caveats(in ScalingDecision decision)
    {
        if (!decision.IsDecided || decision.Reason == DecisionReason.Holding)
        {
            return "";
        }

        var caveats = "";
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

        return decision.ArrivalsAreLowerBound && decision.Reason is DecisionReason.ConsumerSaturation or DecisionReason.ServiceTimeUnknown
            ? caveats + "; arrivals are not known"
            : caveats;
    }

    private static string Count(in ScalingDecision decision, QueueGauges gauge, long value) =>
        (decision.Missing & gauge) == QueueGauges.None ? value.ToString(CultureInfo.InvariantCulture) : "an unknown number of";

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    private static string Seconds(double seconds) => seconds.ToString("0.#", CultureInfo.InvariantCulture) + " s";
}
