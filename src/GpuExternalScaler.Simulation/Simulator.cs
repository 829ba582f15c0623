using GpuExternalScaler.Simulation.Brokers;
using GpuExternalScaler.Simulation.Fleets;
using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation;

/// <summary>
/// The closed loop, second by second: messages come, a broker tells of them late, a rule answers, KEDA and an HPA act on it, pods start
/// and work. Nothing but the setup, the rule and the seed decides what happens.
/// </summary>
public static class Simulator
{
    // Messages in a second from which they are followed together where nothing else is said.
    private const double Many = 30;

    // The second of the sync period in which the HPA looks, so that it is not the one in which KEDA polls.
    private const int SyncPhase = 7;

    /// <summary>Runs it.</summary>
    /// <param name="setup">What is simulated.</param>
    /// <param name="rule">A rule that has not been used before.</param>
    /// <param name="keepSeconds">Whether the result holds every second and the distribution of waits.</param>
    /// <param name="progress">Told how much is done, from 0 to 1, now and then.</param>
    /// <param name="cancellation">Ends the run early.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static SimulationResult Run(SimulationSetup setup, IScalingRule rule, bool keepSeconds = false, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(setup);
        return Run(setup, rule, Arrivals.Draw(setup), keepSeconds, progress, cancellation);
    }

    /// <summary>The same with what arrives drawn before, for runs that are compared.</summary>
    public static SimulationResult Run(SimulationSetup setup, IScalingRule rule, Arrivals arrivals, bool keepSeconds = false, IProgress<double>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(setup);
        ArgumentNullException.ThrowIfNull(rule);
        ArgumentNullException.ThrowIfNull(arrivals);
        var coming = arrivals.PerSecond;
        var cohorts = setup.Fidelity == Fidelity.Cohorts || (setup.Fidelity == Fidelity.Auto && CohortFleet.IsFit(setup) && setup.Trace.Mean > Many);
        Fleet fleet = cohorts ? new CohortFleet(setup) : new MessageFleet(setup);
        fleet.Begin(setup.FirstReplicas ?? FirstReplicas(setup, coming));
        var broker = new BrokerStatistics();
        var spec = setup.ScaledObject;
        var hpa = new HorizontalPodAutoscaler(spec.Autoscaler);
        var keda = new KedaActivation(spec);
        var warmUp = arrivals.WarmUp;
        var seconds = keepSeconds ? new SimulatedSecond[coming.Count - warmUp] : null;
        long holding = 0, churn = 0, came = 0, counted = 0;
        for (var second = 0; second < coming.Count; second++)
        {
            if (second == warmUp)
            {
                fleet.BeginToCount();
                (holding, churn, counted) = (0, 0, came);
            }

            fleet.Pass(second, coming[second]);
            came += coming[second];
            broker.Tick(second, fleet, came);
            rule.Observe(second, broker.View);

            var wanted = fleet.Wanted;
            var now = TimeSpan.FromSeconds(second + 1);
            RuleAnswer? answer = null;
            if (second % spec.PollingSeconds == 0)
            {
                answer = rule.Answer(second, broker.View);
                wanted = keda.Poll(now, answer.Value.Metric.Value is null ? null : answer.Value.IsActive, wanted);
            }

            if (second % spec.Autoscaler.SyncSeconds == SyncPhase % spec.Autoscaler.SyncSeconds)
            {
                answer = rule.Answer(second, broker.View);
                wanted = hpa.Sync(now, wanted, fleet.Ready, [answer.Value.Metric]);
            }

            if (wanted != fleet.Wanted)
            {
                churn += Math.Abs(wanted - fleet.Wanted);
                fleet.ScaleTo(wanted, second);
            }

            holding += fleet.Holding;
            if (seconds is not null && second >= warmUp)
            {
                var asked = (answer ?? rule.Answer(second, broker.View)).Metric;
                seconds[second - warmUp] = new SimulatedSecond(
                    coming[second],
                    Demand(setup, coming, second),
                    (float)(asked.Type == TargetType.AverageValue ? asked.Value / asked.Target : asked.Value / asked.Target * fleet.Ready ?? double.NaN)!,
                    wanted,
                    fleet.Ready,
                    fleet.Busy,
                    fleet.Waiting);
            }

            if (second % 4096 == 0)
            {
                cancellation.ThrowIfCancellationRequested();
                progress?.Report(second / (double)coming.Count);
            }
        }

        fleet.End(coming.Count - 1);
        progress?.Report(1);
        return new SimulationResult
        {
            Messages = fleet.Waits.Total,
            Late = fleet.Waits.Total == 0 ? 0 : fleet.Waits.Late / (double)fleet.Waits.Total,
            WaitP50 = fleet.Waits.Quantile(0.5),
            WaitP99 = fleet.Waits.Quantile(0.99),
            ReplicaHours = holding / 3600.0,
            ReplicaHoursPerWork = came == counted ? double.NaN : holding / ((came - counted) * setup.ServiceTime),
            Churn = churn,
            KilledWorkSeconds = fleet.WorkLost,
            Seconds = seconds,
            Waits = keepSeconds ? fleet.Waits.BySeconds(600) : null,
        };
    }

    private static int FirstReplicas(SimulationSetup setup, IReadOnlyList<int> coming)
    {
        var seconds = Math.Min(60, coming.Count);
        double first = 0;
        for (var second = 0; second < seconds; second++)
        {
            first += coming[second];
        }

        var autoscaler = setup.ScaledObject.Autoscaler;
        return Math.Clamp((int)Math.Ceiling(first / seconds * setup.ServiceTime / 0.8), setup.ScaledObject.IdleReplicas ?? autoscaler.MinReplicas, autoscaler.MaxReplicas);
    }

    private static float Demand(SimulationSetup setup, IReadOnlyList<int> coming, int second)
    {
        var from = Math.Max(0, second - 59);
        double sum = 0;
        for (var i = from; i <= second; i++)
        {
            sum += coming[i];
        }

        return (float)(sum / (second - from + 1) * setup.ServiceTime);
    }
}
