using GpuExternalScaler.Scaling.Deciding;

namespace GpuExternalScaler.Evaluation;

/// <summary>What the evaluation loop keeps for a workload.</summary>
internal sealed class WorkloadEvaluation(HistoryKey key, WorkloadState state, QueueBinding queues)
{
    /// <summary>Where its history is remembered.</summary>
    public HistoryKey Key { get; } = key;

    /// <summary>The fold's state.</summary>
    public WorkloadState State { get; } = state;

    /// <summary>Its queues.</summary>
    public QueueBinding Queues { get; } = queues;

    /// <summary>Decisions made so far.</summary>
    public long Decisions { get; set; }

    /// <summary>Reason last logged, so that a log line is a change and not a poll.</summary>
    public DecisionReason? LoggedReason { get; set; }

    /// <summary>Sum of the shares of all workloads on the queue with the largest such sum; above 1 is a mistake.</summary>
    public double QueueShares { get; set; }
}
