using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>What holds for every history of signals besides queues. A history is a seeded random walk of all of them, with gaps.</summary>
public class FleetProperties
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(200);
    private static readonly Arbitrary<int> Seeds = Arb.From(Gen.Choose(0, int.MaxValue));

    [Fact]
    public void Every_answer_is_finite_and_not_negative_and_active_means_above_zero() => Prop.ForAll(Seeds, seed => Walk(seed, 80, static (_, decision) =>
    {
        double.IsFinite(decision.Replicas).Should().BeTrue();
        decision.Replicas.Should().BeGreaterThanOrEqualTo(0);
        (decision.IsActive && decision.Value == 0).Should().BeFalse();
        if (!decision.IsDecided)
        {
            decision.Value.Should().Be(0);
            decision.IsActive.Should().BeFalse();
        }
    })).Check(Quick);

    [Fact]
    public void Stepping_twice_at_one_moment_changes_nothing_and_a_copy_decides_the_same() => Prop.ForAll(Seeds, seed => Walk(seed, 60, static (fleet, decision) =>
    {
        var copy = fleet.State.Clone();
        var again = fleet.Step();
        again.Replicas.Should().Be(decision.Replicas);
        again.IsActive.Should().Be(decision.IsActive);
        fleet.State = copy;
        fleet.Step().Should().Be(again);
    })).Check(Quick);

    [Fact]
    public void The_order_of_pods_does_not_matter() => Prop.ForAll(Seeds, seed => Walk(seed, 60, static (fleet, decision) =>
    {
        if (fleet.Seen.Count < 2)
        {
            return;
        }

        fleet.After(5);
        var copy = fleet.State.Clone();
        PodMemory[] pods = [.. fleet.Seen];
        var one = fleet.Pods(pods).Step();
        fleet.State = copy;
        Array.Reverse(pods);
        fleet.Pods(pods).Step().Replicas.Should().BeApproximately(one.Replicas, 1e-9);
    })).Check(Quick);

    [Fact]
    public void More_memory_or_requests_in_the_newest_sample_never_lower_the_answer() => Prop.ForAll(Seeds, seed =>
    {
        var random = new Random(seed);
        var coldStart = random.Next(2) == 0 ? 60 : 600;
        var fleet = Walk(seed, 40 + random.Next(60), static (_, _) => { }, coldStart);
        fleet.After(5);
        var state = fleet.State;
        var count = 1 + random.Next(4);
        double[] used = [.. Enumerable.Range(0, count).Select(_ => random.NextDouble())];
        var hot = random.Next(count);
        var more = random.NextDouble();
        var (waiting, running, queued) = (random.Next(10), 1 + random.Next(20), random.Next(5));

        ScalingDecision With(bool greater)
        {
            fleet.State = state.Clone();
            double[] held = [.. used.Select((share, index) => greater && index == hot ? share + ((1 - share) * more) : share)];
            var extra = greater ? random.Next(20) : 0;
            fleet.Queue(queued, 1, count).Replicas(count).Pods(held, utilisation: 0.5, old: true).Query(1);
            return fleet.Servers(count, waiting + extra, running + extra, 0.3).Latency(1).Step();
        }

        var less = With(false);
        With(true).Replicas.Should().BeGreaterThanOrEqualTo(less.Replicas * (1 - 1e-9));
    }).Check(Quick);

    [Fact]
    public void While_a_demand_source_is_partial_or_stale_the_answer_does_not_fall() => Prop.ForAll(Seeds, seed =>
    {
        var fleet = Walk(seed, 60, static (_, _) => { });
        var random = new Random(seed);
        var isPartial = random.Next(2) == 0;
        ScalingDecision? last = null;
        for (var i = 0; i < 400; i++)
        {
            // Complete at first.
            var whole = i < 4;
            fleet.Replicas(random.Next(2) == 0 ? 4 : 3);
            fleet.Queue(random.Next(3), random.Next(3), 4);
            if (isPartial || whole)
            {
                fleet.Servers(whole ? 4 : 1 + random.Next(4), random.Next(3), random.Next(4), partial: !whole);
            }

            fleet.Pods(1 + random.Next(4), random.NextDouble(), utilisation: 0.5, partial: random.Next(4) == 0);
            var decision = fleet.Step();

            // Silent ones are believed for a while.
            if ((isPartial ? i >= 4 : i > 30) && last is { } before)
            {
                decision.Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas * (1 - 1e-12), "{0}", i);
            }

            last = decision;
            fleet.After(5);
        }
    }).Check(Quick);

    [Fact]
    public void How_often_it_is_stepped_does_not_matter() => Prop.ForAll(Seeds, seed =>
    {
        var random = new Random(seed);
        var policy = ScalingPolicy.Default with { Concurrency = 8, VramThreshold = 0.85, ModelMemory = (long)(20 * Fleet.Gib), LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) };
        Fleet often = new() { Policy = policy }, seldom = new() { Policy = policy };
        var count = 3;
        for (var i = 0; i < 60; i++)
        {
            count = Math.Clamp(count + random.Next(3) - 1, 1, 8);
            var (used, running, latency) = (random.NextDouble(), random.Next(8 * count), 4 * random.NextDouble());
            void Sample(Fleet f) => f.Pods(count, used, utilisation: 0.5, old: true).Servers(count, 0, running).Latency(latency).Replicas(count);
            Sample(often);
            Sample(seldom);
            var decision = often.Step();
            seldom.Step().Replicas.Should().BeApproximately(decision.Replicas, 1e-6, "{0}", i);
            for (var t = 0; t < 14; t++)
            {
                often.After(1).Step();
            }

            often.After(1);
            seldom.After(15);
        }
    }).Check(Quick);

    [Fact]
    public void Flat_memory_never_runs_to_the_maximum() => Prop.ForAll(Seeds, seed =>
    {
        var random = new Random(seed);
        var held = 0.86 + (0.13 * random.NextDouble());
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, ColdStart = TimeSpan.FromSeconds(30 + random.Next(300)) } };
        var replicas = 2 + random.Next(10);
        var begin = replicas;
        for (var i = 0; i < 80; i++)
        {
            var busy = random.NextDouble();
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Pods(replicas, held, utilisation: 0.2 + (0.8 * busy)).Replicas(replicas)));
        }

        replicas.Should().BeLessThanOrEqualTo((int)Math.Ceiling(begin * 1.5) + 2);
    }).Check(Quick);

    internal static Fleet Walk(int seed, int steps, Action<Fleet, ScalingDecision> check, double coldStart = 60, Stepper? stepper = null)
    {
        var random = new Random(seed);
        var hasQueue = random.Next(3) > 0;
        var hasServers = random.Next(2) == 0;
        var hasLatency = random.Next(2) == 0;
        var fleet = new Fleet
        {
            Stepper = stepper ?? DecisionFold.Step,
            Policy = ScalingPolicy.Default with
            {
                VramThreshold = 0.85,
                ColdStart = TimeSpan.FromSeconds(coldStart),
                HpaTolerance = random.Next(3) == 0 ? 0 : 0.1,
                VramAggregate = random.Next(4) == 0 ? VramAggregate.Max : VramAggregate.Total,
                ModelMemory = random.Next(3) == 0 ? (long)(20 * Fleet.Gib) : null,
                Share = random.Next(4) == 0 ? 0.5 : 1,
                LatencyQuery = hasLatency ? "p99" : null,
                LatencyObjective = hasLatency ? TimeSpan.FromSeconds(2) : null,
            },
        };
        var count = 3;
        var level = 0.5;
        for (var i = 0; i < steps; i++)
        {
            count = Math.Clamp(count + (random.Next(6) == 0 ? random.Next(3) - 1 : 0), 1, 8);
            level = Math.Clamp(level + ((random.NextDouble() - 0.45) * 0.05), 0, 1);
            if (random.Next(8) > 0)
            {
                fleet.Pods(count, level, utilisation: random.Next(4) == 0 ? 0 : 0.5, partial: random.Next(8) == 0);
            }

            if (hasQueue && random.Next(10) > 0)
            {
                fleet.Queue(random.Next(4), random.Next(count + 1), count);
            }

            if (hasServers && random.Next(8) > 0)
            {
                fleet.Servers(count, random.Next(4), random.Next(count + 1), partial: random.Next(8) == 0);
            }

            if (hasLatency && random.Next(8) > 0)
            {
                fleet.Latency(random.Next(6) == 0 ? null : 4 * random.NextDouble());
            }

            if (random.Next(3) > 0)
            {
                fleet.Replicas(count, random.Next(2) == 0 ? 8 : null);
            }

            check(fleet, fleet.Step());
            fleet.After(random.Next(20) == 0 ? 100 : 5);
        }

        return fleet;
    }
}
