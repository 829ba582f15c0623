using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>What is added to an answer, where readings say little or nonsense.</summary>
public class ProvisionDoubtTests
{
    private static readonly ScalingPolicy Spare = ScalingPolicy.Default with { WarmReplicas = 2 };

    [Fact]
    public void Spare_replicas_are_not_added_to_what_runs_again_at_every_restart_when_nobody_sees_work()
    {
        for (var (restart, consumers) = (0, 10L); restart < 3; restart++)
        {
            var workload = new Workload { Policy = Spare }.Queue(0, 0, consumers).Known(q => q with { Missing = QueueGauges.Unacked });
            var decision = workload.Run(10);

            decision.Replicas.Should().Be(10);
            consumers = (long)Math.Ceiling(decision.Replicas);
        }
    }

    [Fact]
    public void Spare_replicas_are_not_added_to_what_runs_when_memory_says_nothing()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.8, WarmReplicas = 2, ModelMemory = (long)(72 * Fleet.Gib) } };

        fleet.Pods(6, 0.9, old: true).Step().Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.VramSaysNothing && d.Replicas == 6 && d.IsActive);
    }

    [Fact]
    public void Spare_replicas_are_not_added_to_what_runs_when_a_signal_is_not_known_after_a_restart()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, WarmReplicas = 2 } };

        fleet.Queue(0, 0, 6).Replicas(6).Memory(FleetPresence.NeverSeen).Step().Replicas.Should().Be(6);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(-5)]
    [InlineData(1e300)]
    public void A_schedule_that_is_no_number_does_not_take_the_answer_away(double scheduled)
    {
        var workload = new Workload { Scheduled = scheduled }.Queue(0, 7, 10);
        var decision = workload.Run(30);

        decision.Replicas.Should().BeGreaterThanOrEqualTo(10 - 1e-9);
        double.IsFinite(decision.Replicas).Should().BeTrue();
        decision.Value.Should().BeGreaterThan(0);
    }

    [Fact]
    public void A_queue_that_is_not_known_shows_no_lack_of_capacity_beside_servers_that_are()
    {
        var fleet = new Fleet().Queue(0, 4, 4);
        fleet.Policy = ScalingPolicy.Default;
        fleet.Run(20, f => f.Queue(0, 4, 4).Servers(4, 0, 4), every: 2);
        var decision = fleet.Run(400, f => f.Servers(4, 0, 4), every: 2);

        decision.Reason.Should().NotBe(DecisionReason.Capacity);
        decision.IsDecided.Should().BeTrue();
        decision.Forecast.IsWithoutCapacity.Should().BeFalse("four servers were there all the time");
    }

    [Fact]
    public void A_clock_that_jumps_back_leaves_an_answer()
    {
        var workload = new Workload().Queue(0, 7, 10);
        var before = workload.Run(10);

        workload.After(-600).Step().Replicas.Should().Be(before.Replicas);
    }

    [Theory]
    [InlineData(1e300)]
    [InlineData(double.MaxValue)]
    [InlineData(double.Epsilon)]
    public void What_is_remembered_wrongly_does_not_take_the_answer_away(double garbage)
    {
        foreach (var coldStart in new[] { TimeSpan.Zero, TimeSpan.FromSeconds(60), TimeSpan.FromDays(1) })
        {
            var workload = new Workload { Policy = ScalingPolicy.Default with { ColdStart = coldStart } };
            workload.State.History.Fill(new PastArrivals
            {
                Arrivals = [.. Enumerable.Range(-60, 60).Select(i => (Workload.Start.AddSeconds(15 * i), garbage))],
                ServiceTimeSeconds = garbage,
                ColdStartSeconds = garbage,
            });
            workload.Queue(3, 7, 10).Known(q => q with { HasAutoAck = true }).Counters(10, 0, 0, 0, 0);
            for (var t = 0; t < 60; t++)
            {
                var decision = workload.After(2).Step();
                double.IsFinite(decision.Replicas).Should().BeTrue();
                decision.Value.Should().BeGreaterThan(0);
                workload.Counters(10, t, t, t, 0).Queue(0, 0, t % 3 == 0 ? 0 : 10);
            }
        }
    }
}
