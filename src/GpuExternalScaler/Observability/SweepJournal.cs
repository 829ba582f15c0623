using System.Collections.Concurrent;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Observability;

/// <summary>Turns sweeps into metrics, and changes of their luck into log lines: a storm of the same error is one line.</summary>
internal sealed class SweepJournal(ScalerMetrics metrics, ILogger<SweepJournal> logger)
{
    private readonly ConcurrentDictionary<(string Connection, string Endpoint), Luck> _luck = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<string, SourceChoice> _choices = new(StringComparer.Ordinal);

    /// <summary>Notes one sweep. Called on the sweep's thread; sweeps of one endpoint never overlap.</summary>
    public void Note(SweepOutcome outcome)
    {
        metrics.Swept(outcome);
        NoteChoice(outcome.Connection, outcome.Choice);
        NoteLuck(outcome.Connection, ScalerMetrics.EndpointName(outcome.Endpoint), outcome.Faults, first: (connection, endpoint) =>
            logger.FirstSweep(connection, endpoint, outcome.Queues, Math.Round(outcome.Duration.TotalMilliseconds, 1)));
    }

    /// <summary>Notes one sweep of another source than a broker.</summary>
    public void Note(FleetSweep sweep)
    {
        metrics.Swept(sweep);
        NoteLuck(sweep.Connection, ScalerMetrics.SourceName(sweep.Source), sweep.Faults, first: (connection, source) =>
            logger.FirstFleetSweep(connection, source, sweep.Rows, Math.Round(sweep.Duration.TotalMilliseconds, 1)));
    }

    private void NoteLuck(string connection, string endpoint, IReadOnlyList<SourceFault> faults, Action<string, string> first)
    {
        var luck = _luck.GetOrAdd((connection, endpoint), static _ => new Luck());
        if (faults is [var fault, ..])
        {
            luck.Failures++;

            // Sparing a server that is down is no other trouble: who finds out and who is spared changes with each sweep.
            if (luck.Reason != fault.Reason && (fault.Reason != SourceReason.CircuitOpen || luck.Reason == SourceReason.None))
            {
                luck.Reason = fault.Reason;
                logger.SweepFails(connection, endpoint, fault.Reason.Code(), fault.Sentence);
            }

            return;
        }

        if (luck.Reason != SourceReason.None)
        {
            logger.SweepWorksAgain(connection, endpoint, luck.Failures);
        }
        else if (!luck.Swept)
        {
            first(connection, endpoint);
        }

        luck.Swept = true;
        luck.Failures = 0;
        luck.Reason = SourceReason.None;
    }

    /// <summary>Says so when other endpoints serve than before. Sweeps of several endpoints may end at once.</summary>
    private void NoteChoice(string connection, SourceChoice choice)
    {
        lock (_gate)
        {
            if (choice == default || (_choices.TryGetValue(connection, out var before) && before == choice))
            {
                return;
            }

            _choices[connection] = choice;
        }

        logger.SourceChanged(
            connection,
            ScalerMetrics.EndpointName(choice.Gauges),
            ScalerMetrics.EndpointName(choice.Consumers),
            ScalerMetrics.EndpointName(choice.Counters),
            ScalerMetrics.EndpointName(choice.Prefetch),
            MissingFigures(choice));
    }

    private static string MissingFigures(SourceChoice choice)
    {
        var missing = new List<string>();
        if (choice.Missing.HasFlag(QueueGauges.Unacked))
        {
            missing.Add("unacknowledged");
        }

        if (choice.Missing.HasFlag(QueueGauges.Consumers))
        {
            missing.Add("consumers");
        }

        if (choice.Counters == RabbitMqEndpoint.None)
        {
            missing.Add("counters");
        }

        return missing.Count == 0 ? "nothing" : string.Join(", ", missing);
    }

    private sealed class Luck
    {
        public bool Swept { get; set; }

        public int Failures { get; set; }

        public SourceReason Reason { get; set; }
    }
}
