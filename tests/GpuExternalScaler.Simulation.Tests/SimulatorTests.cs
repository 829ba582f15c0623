using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests;

/// <summary>The closed loop: what is known without a simulator must come out of it, and both ways to follow messages must agree.</summary>
public class SimulatorTests
{
    public static TheoryData<string, double, double, string> Cases() => new()
    {
        { "daily", 2, 60, "ahead" },
        { "viral", 2, 180, "queue" },
        { "viral", 8, 180, "ahead" },
        { "step", 8, 60, "ratio" },
        { "flapping", 60, 60, "queue" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void Messages_one_by_one_and_by_the_second_come_to_the_same(string shape, double serviceTime, double coldStart, string rule)
    {
        // Of four seeds: one decision a moment earlier makes another course of things.
        var setup = Of(Shapes.Create(shape).ScaledTo(50, serviceTime), serviceTime, coldStart);
        var ones = Runs(Fidelity.Messages);
        var others = Runs(Fidelity.Cohorts);

        Mean(others, static run => run.ReplicaHoursPerWork).Should().BeApproximately(Mean(ones, static run => run.ReplicaHoursPerWork), 0.04 * Mean(ones, static run => run.ReplicaHoursPerWork));
        Mean(others, static run => run.Late).Should().BeApproximately(Mean(ones, static run => run.Late), 0.005 + (0.05 * Mean(ones, static run => run.Late)));
        Mean(others, static run => run.WaitP50).Should().BeApproximately(Mean(ones, static run => run.WaitP50), 1 + (0.05 * Mean(ones, static run => run.WaitP50)));
        Mean(others, static run => run.WaitP99).Should().BeApproximately(Mean(ones, static run => run.WaitP99), 2 + (0.1 * Mean(ones, static run => run.WaitP99)));
        Mean(others, static run => run.Messages).Should().BeApproximately(Mean(ones, static run => run.Messages), 0.02 * Mean(ones, static run => run.Messages));

        List<SimulationResult> Runs(Fidelity fidelity) => [.. Enumerable.Range(1, 4).Select(seed => Simulator.Run(setup with { Fidelity = fidelity, Seed = seed }, Rule()))];

        static double Mean(List<SimulationResult> runs, Func<SimulationResult, double> figure) => runs.Average(figure);

        IScalingRule Rule() => rule switch
        {
            "ahead" => new AheadRule(ScalingPolicy.Default with { ColdStart = TimeSpan.FromSeconds(coldStart) }),
            "queue" => new QueueLengthRule(1, excludeUnacknowledged: false),
            _ => new SaturationRatioRule(0.7),
        };
    }

    [Fact]
    public void The_same_seed_gives_the_same_to_the_last_message_and_another_seed_something_else()
    {
        var setup = Of(Shapes.Create("viral").ScaledTo(20, 8), 8, 60);
        SimulationResult Run(int seed) => Simulator.Run(setup with { Seed = seed }, new QueueLengthRule(1, excludeUnacknowledged: false), keepSeconds: true);

        var first = Run(1);
        Run(1).Should().BeEquivalentTo(first, static options => options.WithStrictOrdering());
        Run(2).ReplicaHours.Should().NotBe(first.ReplicaHours);
    }

    [Theory]
    [InlineData(Fidelity.Messages)]
    [InlineData(Fidelity.Cohorts)]
    public void A_fleet_that_never_changes_costs_what_it_is_and_lets_nobody_wait_while_it_is_large_enough(Fidelity fidelity)
    {
        var setup = Of(Constant(5, 3600), 4, 60) with { Fidelity = fidelity, FirstReplicas = 40 };

        var result = Simulator.Run(setup, new Always(40), keepSeconds: true);

        // 40 replicas for an hour; 5 a second of 4 s each keep 20 of them busy.
        result.ReplicaHours.Should().BeApproximately(40, 1e-9);
        result.ReplicaHoursPerWork.Should().BeApproximately(2, 0.05);
        (result.Late, result.Churn, result.KilledWorkSeconds).Should().Be((0, 0, 0));
        result.WaitP99.Should().BeLessThan(0.2);
        result.Seconds!.Average(static second => second.Busy).Should().BeApproximately(20, 0.7);
        result.Waits!.Sum().Should().Be(result.Messages);
    }

    [Fact]
    public void A_fleet_half_as_large_as_the_load_falls_behind_by_half_of_what_comes()
    {
        var setup = Of(Constant(5, 600), 4, 60) with { Fidelity = Fidelity.Messages, FirstReplicas = 10, WarmUpSeconds = 0 };

        var result = Simulator.Run(setup, new Always(10), keepSeconds: true);

        // Who comes after t seconds finds 2.5·t before him, of which 2.5 are done in a second: he waits t.
        result.Seconds![^1].Waiting.Should().BeInRange(1300, 1700);
        result.WaitP50.Should().BeInRange(130, 190);
    }

    [Fact]
    public void A_pod_takes_its_cold_start_and_costs_from_the_moment_it_is_created()
    {
        var setup = Of(Constant(5, 600), 4, 60) with { ColdStartSpread = 0, WarmUpSeconds = 0, FirstReplicas = 1 };

        var seconds = Simulator.Run(setup, new Always(30), keepSeconds: true).Seconds!;

        // The HPA doubles or adds four: 1, 5, 10, 20, 30 at 7, 22, 37 and 52 s; each takes 60 s more.
        seconds.Select(static second => second.Wanted).Distinct().Should().Equal(1, 5, 10, 20, 30);
        foreach (var wanted in (int[])[5, 10, 20, 30])
        {
            var asked = Index(second => second.Wanted == wanted);
            var ready = Index(second => second.Ready == wanted);
            (ready - asked).Should().BeInRange(60, 61);
        }

        int Index(Predicate<SimulatedSecond> predicate) => seconds.ToList().FindIndex(predicate);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Victims_are_random_and_what_they_work_on_is_finished_or_done_again(bool drains)
    {
        // Thirty busy replicas of forty, of which ten go: a quarter of those are idle.
        var setup = Of(Constant(0.5, 1200), 60, 60) with { WorkersDrain = drains, Fidelity = Fidelity.Messages, FirstReplicas = 40, WarmUpSeconds = 0 };

        var result = Simulator.Run(setup, new Falls(40, 30, 500), keepSeconds: true);

        var lost = result.KilledWorkSeconds;
        (lost > 0).Should().Be(!drains);
        lost.Should().BeLessThan(10 * 90);
        result.Churn.Should().Be(10);
    }

    [Fact]
    public void What_comes_before_the_trace_is_not_counted_but_known()
    {
        var trace = Constant(5, 600);
        var setup = Of(trace, 4, 60);

        var result = Simulator.Run(setup, new AheadRule(ScalingPolicy.Default), keepSeconds: true);

        result.Seconds.Should().HaveCount(600);
        result.Messages.Should().BeInRange(2800, 3200);

        // At the first second it knows the service time already.
        result.Seconds![0].Asked.Should().BeInRange(20, 40);
    }

    [Fact]
    public void A_message_that_still_waits_at_the_end_is_late_if_it_has_waited_long_enough()
    {
        var setup = Of(Constant(1, 60), 4, 600) with { FirstReplicas = 0, WarmUpSeconds = 0, ScaledObject = new ScaledObjectSpec() };

        var result = Simulator.Run(setup, new QueueLengthRule(1, excludeUnacknowledged: false));

        (result.Messages, result.Late).Should().Be((result.Messages, 1));
        result.Messages.Should().BeInRange(35, 65);
    }

    [Fact]
    public void It_can_be_cancelled_and_says_how_far_it_is()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var setup = Of(Constant(1, 20_000), 4, 60);
        var told = new Told();

        FluentActions.Invoking(() => Simulator.Run(setup, new Always(5), cancellation: cancelled.Token)).Should().Throw<OperationCanceledException>();
        Simulator.Run(setup, new Always(5), progress: told);

        told.Shares.Should().BeInAscendingOrder().And.HaveCountGreaterThan(3);
        told.Shares[^1].Should().Be(1);
    }

    private static ArrivalTrace Constant(double perSecond, int seconds) => new("constant", [.. Enumerable.Repeat(perSecond, seconds)], isMeasured: false);

    private static SimulationSetup Of(ArrivalTrace trace, double serviceTime, double coldStart) => new()
    {
        Trace = trace,
        ServiceTime = serviceTime,
        ColdStart = coldStart,
        ScaledObject = new ScaledObjectSpec { IdleReplicas = null, Autoscaler = new AutoscalerSpec { MaxReplicas = 1000 } },
    };

    private sealed class Told : IProgress<double>
    {
        public List<double> Shares { get; } = [];

        public void Report(double value) => Shares.Add(value);
    }

    private sealed class Always(double replicas) : IScalingRule
    {
        public void Observe(int second, in BrokerView view)
        {
        }

        public RuleAnswer Answer(int second, in BrokerView view) => new(new ExternalMetric(TargetType.AverageValue, replicas, 1), IsActive: true);
    }

    private sealed class Falls(double before, double after, int at) : IScalingRule
    {
        public void Observe(int second, in BrokerView view)
        {
        }

        public RuleAnswer Answer(int second, in BrokerView view) => new(new ExternalMetric(TargetType.AverageValue, second < at ? before : after, 1), IsActive: true);
    }
}
