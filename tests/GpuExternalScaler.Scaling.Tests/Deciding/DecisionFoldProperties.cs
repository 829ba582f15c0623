using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>
/// What holds for every history. A history is a seeded random walk of one or three queues, with outages, missing
/// queues and counters that come and go; the newest sample is then varied with the state held fixed.
/// </summary>
public class DecisionFoldProperties
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(300);

    [Fact]
    public void Every_answer_is_finite_and_not_negative_and_active_means_above_zero()
    {
        Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), seed =>
        {
            Walk(seed, 160, (_, decision) =>
            {
                double.IsFinite(decision.Replicas).Should().BeTrue();
                decision.Replicas.Should().BeGreaterThanOrEqualTo(0);
                if (decision is { IsDecided: true, IsActive: true })
                {
                    decision.Value.Should().BeGreaterThan(0);
                }

                if (!decision.IsDecided)
                {
                    decision.Should().Match<ScalingDecision>(d => d.Value == 0 && !d.IsActive && d.Consumers == 0);
                }
            });
        }).Check(Quick);
    }

    [Fact]
    public void More_in_the_newest_sample_never_lowers_the_answer()
    {
        var gen = from seed in Gen.Choose(0, int.MaxValue)
                  from ready in Gen.Choose(0, 500)
                  from unacked in Gen.Choose(0, 100)
                  from arrived in Gen.Choose(0, 500)
                  select (seed, ready, unacked, arrived);
        Prop.ForAll(Arb.From(gen), more =>
        {
            var workload = Walk(more.seed, 60, static (_, _) => { });
            workload.After(2);
            var base_ = workload.Readings();
            var with = base_.ToArray();
            ref var queue = ref with[0];
            queue = queue with { Ready = queue.Ready + more.ready, Unacked = queue.Unacked + more.unacked };
            if (queue.Counters.IsKnown)
            {
                // The same messages, seen by the counters.
                queue = queue with
                {
                    Counters = queue.Counters with
                    {
                        ObservedAt = workload.Now,
                        Messages = queue.Counters.Messages + more.ready + more.unacked + more.arrived,
                        Published = queue.Counters.Published < 0 ? -1 : queue.Counters.Published + more.arrived,
                    },
                };
                base_[0] = base_[0] with { Counters = base_[0].Counters with { ObservedAt = workload.Now } };
            }

            var state = workload.State;
            workload.State = state.Clone();
            var less = workload.Step(base_);
            workload.State = state;
            var greater = workload.Step(with);

            if (less.IsDecided)
            {
                greater.IsDecided.Should().BeTrue();
                greater.Replicas.Should().BeGreaterThanOrEqualTo(less.Replicas * (1 - 1e-12));
                (greater.IsActive || !less.IsActive).Should().BeTrue();
            }
        }).Check(Quick);
    }

    [Fact]
    public void A_forecast_never_lowers_the_answer()
    {
        var used = 0;
        Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), seed =>
        {
            var workload = Walk(seed, 200, static (_, _) => { });
            workload.After(2);
            var state = workload.State;
            workload.State = state.Clone();
            var with = workload.Step();
            workload.State = state;
            workload.Policy = workload.Policy with { Forecast = ForecastMode.Off };
            var reactive = workload.Step();

            with.IsDecided.Should().Be(reactive.IsDecided);
            with.Replicas.Should().BeGreaterThanOrEqualTo(reactive.Replicas);
            (with.IsActive || !reactive.IsActive).Should().BeTrue();
            used += with.Reason == DecisionReason.Forecast ? 1 : 0;
        }).Check(Quick);
        used.Should().BePositive("the walks would say nothing otherwise");
    }

    [Fact]
    public void Missing_or_late_readings_never_lower_the_answer()
    {
        var gen = from seed in Gen.Choose(0, int.MaxValue)
                  from late in Gen.Choose(0, 40)
                  from absent in Gen.Elements(true, false)
                  select (seed, late, absent);
        Prop.ForAll(Arb.From(gen), fault =>
        {
            var workload = Walk(fault.seed, 60, static (_, _) => { }, missingQueue: MissingQueuePolicy.Hold);
            workload.After(2);
            var before = workload.Step();
            if (!before.IsDecided)
            {
                return;
            }

            for (var t = 0; t < fault.late; t += 2)
            {
                workload.After(2, observed: false);
                if (fault.absent)
                {
                    workload.Absent("a");
                }

                var decision = workload.Step();
                if (!fault.absent && workload.Readings().All(queue => queue.IsFresh(workload.Now)))
                {
                    // Not late yet: a service time just learned may still speak, or a recovery end.
                    before = decision;
                }
                else if (decision.IsDecided)
                {
                    decision.Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas * (1 - 1e-12));
                    (decision.IsActive || !before.IsActive).Should().BeTrue();
                }
            }
        }).Check(Quick);
    }

    [Fact]
    public void A_source_that_lacks_a_figure_never_lowers_the_answer()
    {
        var gen = from seed in Gen.Choose(0, int.MaxValue)
                  from missing in Gen.Elements(QueueGauges.Unacked, QueueGauges.Consumers)
                  from seconds in Gen.Choose(2, 120)
                  select (seed, missing, seconds);
        foreach (var fault in new[] { (714639893, QueueGauges.Unacked, 51), (307708739, QueueGauges.Unacked, 10) })
        {
            Lacks(fault);
        }

        Prop.ForAll(Arb.From(gen), Lacks).Check(Quick);

        static void Lacks((int seed, QueueGauges missing, int seconds) fault)
        {
            var workload = Walk(fault.seed, 60, static (_, _) => { }, MissingQueuePolicy.Hold, lacking: false);

            // The nudge over the HPA's tolerance goes with the consumers there are; it is no need.
            workload.Policy = workload.Policy with { HpaTolerance = 0 };
            workload.After(2);
            var before = workload.Step();
            if (!before.IsDecided)
            {
                return;
            }

            // Consumers are what tells that nobody can be working.
            for (var t = 0; t < fault.seconds; t += 2)
            {
                workload.After(2);
                foreach (var queue in new[] { "a", "b", "c" }.Take(workload.Readings().Length))
                {
                    workload.Known(q => Without(q with { Consumers = q.Consumers + 1 }, fault.missing), queue);
                }

                var decision = workload.Step();
                if (decision.IsDecided)
                {
                    decision.Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas * (1 - 1e-12));
                    (decision.IsActive || !before.IsActive).Should().BeTrue();
                }
            }
        }
    }

    [Fact]
    public void The_order_of_queues_changes_nothing()
    {
        Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), seed =>
        {
            var workload = Walk(seed, 40, static (_, _) => { });
            workload.After(2);
            var readings = workload.Readings();
            var mirrored = readings.Reverse().ToArray();
            var state = workload.State;
            workload.State = state.Clone();
            var one = workload.Step(readings);
            workload.State = state;
            var other = workload.Step(mirrored);

            (other with { TroubledQueue = 0, ObservedAt = default }).Should().Be(one with { TroubledQueue = 0, ObservedAt = default });
        }).Check(Quick);
    }

    [Fact]
    public void Scaling_every_time_by_k_changes_no_signal()
    {
        var gen = from seed in Gen.Choose(0, int.MaxValue)
                  from k in Gen.Elements(2, 4, 8)
                  select (seed, k);
        Prop.ForAll(Arb.From(gen), x =>
        {
            var one = Steady(x.seed, 1);
            var scaled = Steady(x.seed, x.k);

            scaled.SaturationReplicas.Should().BeApproximately(one.SaturationReplicas, 1e-6 * (1 + one.SaturationReplicas));
            scaled.LoadReplicas.Should().BeApproximately(one.LoadReplicas, 1e-6 * (1 + one.LoadReplicas));
            scaled.BacklogReplicas.Should().BeApproximately(one.BacklogReplicas, 1e-6 * (1 + one.BacklogReplicas));
        }).Check(Quick);
    }

    [Fact]
    public void A_step_between_two_sweeps_changes_no_answer()
    {
        var compared = 0;
        Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), seed =>
        {
            var workload = Walk(seed, 60, static (_, _) => { });
            workload.After(2);
            var once = workload.Step();
            var again = workload.Step();

            // What the first step learned (a service time, how forecasts do, what was asked for) may speak in the second.
            if (once.ServiceTimeSeconds == again.ServiceTimeSeconds && once.ServiceTimeSource == again.ServiceTimeSource
                && once.Forecast.Replicas == again.Forecast.Replicas && once.Forecast.PendingReplicas == again.Forecast.PendingReplicas && once.ColdStart == again.ColdStart)
            {
                compared++;
                again.Replicas.Should().BeApproximately(once.Replicas, 1e-9 * (1 + once.Replicas));
                Plain(again).Should().Be(Plain(once));
            }
        }).Check(Quick);
        compared.Should().BeGreaterThan(150);
    }

    // Without what is only told, and what is the same but for rounding.
    private static ScalingDecision Plain(ScalingDecision decision) =>
        decision with { FloorReplicas = 0, WaitingAtColdStart = 0, BacklogReplicas = 0, Replicas = 0, Forecast = default };

    /// <summary>Random weather: figures drift, counters advance, queues fall silent and vanish.</summary>
    internal static Workload Walk(int seed, int steps, Action<Workload, ScalingDecision> check, MissingQueuePolicy? missingQueue = null, bool lacking = true, Stepper? stepper = null)
    {
        var random = new Random(seed);
        var workload = new Workload
        {
            Stepper = stepper ?? DecisionFold.Step,
            Policy = ScalingPolicy.Default with
            {
                Concurrency = random.Next(1, 5),
                ConsumersPerReplica = random.Next(1, 3),
                SaturationThreshold = random.Next(1, 101) / 100.0,
                Share = random.Next(1, 101) / 100.0,
                ServiceTime = random.Next(3) == 0 ? TimeSpan.FromSeconds(random.Next(0, 300)) : null,
                ColdStart = TimeSpan.FromSeconds(random.Next(0, random.Next(2) == 0 ? 30 : 300)),
                Prefetch = random.Next(4) == 0 ? random.Next(0, 6) : null,
                ActivationThreshold = random.Next(3) == 0 ? random.Next(0, 20) : 0,
                MissingQueue = missingQueue ?? (MissingQueuePolicy)random.Next(2),
                WaitObjective = random.Next(4) == 0 ? new WaitObjective(random.Next(1, 1000) / 1000.0, TimeSpan.FromSeconds(random.Next(1, 60))) : null,
                MeasuresColdStart = random.Next(3) == 0,
                Forecast = (ForecastMode)random.Next(4),
                ForecastQuantile = random.Next(50, 100) / 100.0,
                WarmReplicas = random.Next(4) == 0 ? random.Next(1, 4) : 0,
            },
            Scheduled = random.Next(8) == 0 ? random.Next(1, 30) : 0,
            Season = random.Next(3) == 0 ? new SeasonalReading { IsKnown = true, WeekAgo = random.Next(20), WeekAgoAhead = random.Next(20), TwoWeeksAgoAhead = random.Next(20) } : default,
        };
        var names = random.Next(2) == 0 ? new[] { "a" } : ["a", "b", "c"];
        var completed = new long[names.Length];
        var withCounters = random.Next(2) == 0;
        var autoAcks = random.Next(6) == 0;
        var singleActive = random.Next(6) == 0;
        foreach (var name in names)
        {
            workload.Queue(random.Next(50), random.Next(20), random.Next(20), name);
            workload.Known(q => q with { HasAutoAck = autoAcks, IsSingleActive = singleActive, Prefetch = random.Next(3) == 0 ? random.Next(0, 6) : null }, name);
        }

        for (var step = 0; step < steps; step++)
        {
            for (var i = 0; i < names.Length; i++)
            {
                var weather = random.Next(40);
                if (weather == 0)
                {
                    workload.Absent(names[i]);
                }
                else if (weather > 4)
                {
                    var garbage = random.Next(200) == 0;
                    workload.Queue(garbage ? 1_000_000_000_000_000 : random.Next(100), random.Next(30), random.Next(25), names[i]);
                    if (lacking)
                    {
                        var missing = random.Next(40) switch { 0 => QueueGauges.Unacked, 1 => QueueGauges.Consumers, _ => QueueGauges.None };
                        workload.Known(q => Without(q, missing), names[i]);
                    }

                    if (withCounters)
                    {
                        completed[i] = random.Next(100) == 0 ? 0 : completed[i] + random.Next(20);
                        workload.Counters(
                            random.Next(130), completed[i], completed[i] + random.Next(40), completed[i] + random.Next(80), random.Next(400) * step / 40, random.Next(30), autoAcks ? completed[i] : 0, names[i]);
                    }
                }
            }

            workload.After(random.Next(100) == 0 ? random.Next(60) : random.Next(1, 4), observed: random.Next(10) > 0);
            check(workload, workload.Step());
        }

        return workload;
    }

    private static QueueReading Without(QueueReading reading, QueueGauges missing) => reading with
    {
        Missing = missing,
        Unacked = missing == QueueGauges.Unacked ? 0 : reading.Unacked,
        Consumers = missing == QueueGauges.Consumers ? 0 : reading.Consumers,
    };

    private static ScalingDecision Steady(int seed, int k)
    {
        var random = new Random(seed);
        var workload = new Workload
        {
            Policy = ScalingPolicy.Default with
            {
                ColdStart = k * TimeSpan.FromSeconds(60),
                MinimumWindow = k * TimeSpan.FromSeconds(15),
                MaximumWindow = k * TimeSpan.FromSeconds(60),
            },
            FreshFor = k * TimeSpan.FromSeconds(4),
            StaleAfter = k * TimeSpan.FromSeconds(20),
        };
        long completed = 0;
        ScalingDecision decision = default;
        for (var step = 0; step < 60; step++)
        {
            var busy = random.Next(8, 12);
            decision = workload.Queue(random.Next(5), busy, 12).Counters(busy, completed).Step();
            completed += random.Next(3, 6);
            workload.After(2 * k);
        }

        return decision;
    }
}
