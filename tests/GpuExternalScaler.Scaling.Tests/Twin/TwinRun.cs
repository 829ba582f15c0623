using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>What was so, and what was said, at the end of one second.</summary>
internal readonly record struct TwinSecond
{
    /// <summary>Why the decision was what it was.</summary>
    public DecisionReason Reason { get; init; }

    /// <summary>What was forecast.</summary>
    public ForecastFigures Forecast { get; init; }

    /// <summary>Arrivals in 1/s, as the decision knew them.</summary>
    public double Arrivals { get; init; }

    /// <summary>Replicas of the answer; NaN where there was none.</summary>
    public double Answer { get; init; }

    /// <summary>Whether the workload was active; of no meaning without an answer.</summary>
    public bool IsActive { get; init; }

    /// <summary>Whether the readings behind it were fresh.</summary>
    public bool IsFresh { get; init; }

    /// <summary>Messages that waited in truth.</summary>
    public int Waiting { get; init; }

    /// <summary>Messages worked on in truth.</summary>
    public int Busy { get; init; }

    /// <summary>Consumers.</summary>
    public int Consumers { get; init; }

    /// <summary>Replicas wanted of the Deployment.</summary>
    public int Wanted { get; init; }

    /// <summary>See <see cref="Clairvoyant"/>.</summary>
    public double BusySlots { get; init; }

    /// <summary>See <see cref="Clairvoyant"/>.</summary>
    public double WaitingSlots { get; init; }

    /// <summary>See <see cref="Clairvoyant"/>.</summary>
    public double ArrivedSlots { get; init; }
}

/// <summary>A run of the twin, second by second, and what came of it.</summary>
internal sealed class TwinLog(TwinScenario scenario)
{
    public TwinScenario Scenario { get; } = scenario;

    public List<TwinSecond> Seconds { get; } = new(scenario.Seconds);

    /// <summary>Seconds of replicas that held a GPU.</summary>
    public double ReplicaSeconds { get; set; }

    /// <summary>Replicas wanted more or fewer, added up.</summary>
    public long Churn { get; set; }

    public required TwinFleet Fleet { get; init; }

    public required TwinBroker Broker { get; init; }

    public required WorkloadState State { get; init; }

    public double ReplicaSecondsPerWork => ReplicaSeconds / Fleet.WorkDone;

    public double LateShare => Fleet.Late / (double)Fleet.Finished;
}

/// <summary>
/// The closed loop: messages come, a broker tells of them late, <see cref="DecisionFold.Step"/> decides once a second, KEDA and an
/// HPA with Kubernetes' defaults act on it, pods start and work. Nothing but the scenario and its seed decides what happens.
/// </summary>
internal static class TwinRun
{
    /// <summary>Seconds from one poll of KEDA to the next, by default.</summary>
    public const int PollEvery = 30;

    private const int SyncEvery = 15;

    public static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);

    public static TwinLog Of(TwinScenario scenario)
    {
        var broker = new TwinBroker();
        var fleet = new TwinFleet(scenario, broker);
        var log = new TwinLog(scenario) { Fleet = fleet, Broker = broker, State = new WorkloadState() };
        var scaledObject = new ScaledObjectSpec { Autoscaler = new AutoscalerSpec { MaxReplicas = scenario.Maximum } };
        var hpa = new HorizontalPodAutoscaler(scaledObject.Autoscaler);
        var keda = new KedaActivation(scaledObject);
        var arrivals = new TwinArrivals(scenario);
        for (var second = 0; second < scenario.Seconds; second++)
        {
            if (second == (int)scenario.WithoutGpus.To)
            {
                fleet.StartPending();
            }

            arrivals.Schedule(second, fleet);
            fleet.RunUntil(second + 1);
            var now = Start + TimeSpan.FromSeconds(second + 1);
            broker.Tick(second, now, fleet.Consumers, !scenario.Outage.Holds(second));
            var decision = DecisionFold.Step(log.State, new WorkloadSnapshot { Queues = [broker.Reading] }, scenario.Policy, now);

            var wanted = fleet.Wanted;
            var elapsed = TimeSpan.FromSeconds(second + 1);
            if (second % PollEvery == 0)
            {
                wanted = keda.Poll(elapsed, decision.IsDecided ? decision.IsActive : null, wanted);
            }

            if (second % SyncEvery == 7)
            {
                wanted = hpa.Sync(elapsed, wanted, fleet.Consumers, [new ExternalMetric(TargetType.AverageValue, decision.IsDecided ? decision.Value : null, ScalingDecision.Target)]);
            }

            log.Churn += Math.Abs(wanted - fleet.Wanted);
            if (wanted != fleet.Wanted)
            {
                fleet.ScaleTo(wanted);
            }

            log.ReplicaSeconds += fleet.Holding;
            log.Seconds.Add(new TwinSecond
            {
                Reason = decision.Reason,
                Forecast = decision.Forecast,
                Arrivals = decision.ArrivalsPerSecond ?? double.NaN,
                Answer = decision.IsDecided ? decision.Replicas : double.NaN,
                IsActive = decision.IsActive,
                IsFresh = broker.Reading.IsFresh(now),
                Waiting = broker.Ready + broker.Unacked - fleet.Busy,
                Busy = fleet.Busy,
                Consumers = fleet.Consumers,
                Wanted = fleet.Wanted,
                BusySlots = fleet.BusySlots(),
                WaitingSlots = fleet.WaitingSlots,
                ArrivedSlots = fleet.TakeArrivedSlots(),
            });
        }

        return log;
    }
}

/// <summary>Draws what is published.</summary>
internal sealed class TwinArrivals(TwinScenario scenario)
{
    private readonly Random _random = new(scenario.Seed);
    private double _due = 1;

    /// <summary>Publishes what comes in the second that begins.</summary>
    public void Schedule(int second, TwinFleet fleet)
    {
        var rate = scenario.ArrivalsPerSecond(second);
        if (rate <= 0)
        {
            return;
        }

        // What is left of the gap to the next message, in messages; it goes on into the next second at that one's rate.
        for (var at = _due / rate; ; at = _due / rate)
        {
            if (at >= 1)
            {
                _due -= rate;
                return;
            }

            var message = new TwinMessage(
                second + at,
                scenario.ServiceTime * (0.5 + _random.NextDouble()),
                scenario.Rejecting.Holds(second) ? scenario.Rejections : 0,
                WasDelivered: false);
            fleet.Schedule(message);
            _due += scenario.ArrivalsAreRandom ? -Math.Log(1 - _random.NextDouble()) : 1;
        }
    }
}
