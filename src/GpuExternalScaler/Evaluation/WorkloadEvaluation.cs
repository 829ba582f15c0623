using GpuExternalScaler.Recording;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>What the evaluation loop keeps for a workload.</summary>
internal sealed class WorkloadEvaluation(HistoryKey? key, WorkloadState state, QueueBinding? queues, FleetBinding fleet, SeasonalBinding seasonal)
{
    private QueueBinding? _next;

    /// <summary>Where its history is remembered; null without queues.</summary>
    public HistoryKey? Key { get; set; } = key;

    /// <summary>The fold's state.</summary>
    public WorkloadState State { get; } = state;

    /// <summary>Its queues; null without.</summary>
    public QueueBinding? Queues { get; private set; } = queues;

    /// <summary>Its pods, servers and queries.</summary>
    public FleetBinding Fleet { get; } = fleet;

    /// <summary>Where its steps are recorded; the recorder's business.</summary>
    public Recorded? Recorded { get; set; }

    /// <summary>Its replicas by the clock.</summary>
    public ScheduleBinding Schedule { get; } = new();

    /// <summary>What it had to do in the weeks before.</summary>
    public SeasonalBinding Seasonal { get; } = seasonal;

    /// <summary>Its wait for what is remembered elsewhere; null once that is over.</summary>
    public PastWait? Past { get; set; }

    /// <summary>Decisions made so far.</summary>
    public long Decisions { get; set; }

    /// <summary>Reason last logged, so that a log line is a change and not a poll.</summary>
    public DecisionReason? LoggedReason { get; set; }

    /// <summary>Sum of the shares of all workloads on the queue with the largest such sum; above 1 is a mistake.</summary>
    public double QueueShares { get; set; }

    /// <summary>
    /// Moves on to the source of an edited connection, once that can say what the one before knew, or when nothing of that is
    /// believed any more. Until then the readings from before count and grow old: an edit is no outage.
    /// </summary>
    public void MoveTo(RabbitMqSource source, MatchingBudget budget)
    {
        if (Queues is null || ReferenceEquals(Queues.Source, source))
        {
            _next = null;
            return;
        }

        if (!ReferenceEquals(_next?.Source, source))
        {
            _next = new QueueBinding(Queues, source);
        }

        if (_next.CanReplaceWhatWasBefore(budget) || (LoggedReason?.IsUndecided() == true && source.Current.HasSwept))
        {
            _next.Replace();
            Queues = _next;
            _next = null;
        }
    }
}
