using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>
/// Ours: <see cref="DecisionFold.Step"/> once a second, as the server's evaluation does it, on readings of a sweep every two seconds, as
/// its source makes them.
/// </summary>
/// <param name="policy">The policy in force.</param>
public sealed class AheadRule(ScalingPolicy policy) : IScalingRule
{
    private const int SweepEvery = 2;

    private static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(20);

    private readonly WorkloadState _state = new();
    private readonly QueueReading[] _queues = new QueueReading[1];

    /// <summary>The newest decision.</summary>
    public ScalingDecision Decision { get; private set; }

    /// <inheritdoc/>
    public void Observe(int second, in BrokerView view)
    {
        var now = Start + TimeSpan.FromSeconds(second + 1);
        if (second % SweepEvery == 0)
        {
            // As of the sweep, though the figures are up to one statistics interval older.
            _queues[0] = new QueueReading
            {
                Presence = QueuePresence.Present,
                Kind = QueueKind.Classic,
                Ready = view.Ready,
                Unacked = view.Unacked,
                Consumers = view.Consumers,
                ObservedAt = now,
                LastPresentAt = now,
                FreshFor = TimeSpan.FromSeconds(2 * SweepEvery),
                StaleAfter = StaleAfter,
                Counters = new QueueCounters
                {
                    ObservedAt = now,
                    StaleAfter = StaleAfter,
                    Messages = view.Ready + view.Unacked,
                    Unacked = view.Unacked,
                    AutoAcked = 0,
                    Completed = view.Completed,
                    Delivered = view.Delivered,
                    Redelivered = view.Redelivered,
                    Published = view.Published,
                },
            };
        }

        Decision = DecisionFold.Step(_state, new WorkloadSnapshot { Queues = _queues }, policy, now);
    }

    /// <inheritdoc/>
    public RuleAnswer Answer(int second, in BrokerView view) =>
        new(new ExternalMetric(TargetType.AverageValue, Decision.IsDecided ? Decision.Value : null, ScalingDecision.Target), Decision.IsActive);
}
