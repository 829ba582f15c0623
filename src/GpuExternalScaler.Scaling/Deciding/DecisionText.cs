using System.Globalization;

namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>Makes the sentence that explains a decision, when somebody asks (never on the way to an answer).</summary>
public static class DecisionText
{
    /// <summary>One or two sentences: what was seen, what followed from it.</summary>
    public static string Describe(in ScalingDecision decision, DateTimeOffset now)
    {
        var age = Seconds(Math.Max(0, (now - decision.ObservedAt).TotalSeconds));
        var seen = string.Create(CultureInfo.InvariantCulture,
            $"{decision.Ready} ready, {decision.Unacked} unacknowledged, {decision.Consumers} consumers ({age} ago)");
        return decision.Reason switch
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
            DecisionReason.PartialReadings => $"{seen}, but not every queue has a fresh reading: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.CountersStale => $"{seen}, but message counters are stale: not below {Number(decision.FloorReplicas)} replicas",
            DecisionReason.Recovering => $"{seen}, back after an outage: not below the {Number(decision.FloorReplicas)} replicas from before it",
            _ => decision.Reason.Code(),
        };
    }

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);

    private static string Seconds(double seconds) => seconds.ToString("0.#", CultureInfo.InvariantCulture) + " s";
}
