using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Spare replicas, schedules, waiting objectives, and what the HPA's tolerance would swallow.</summary>
public class ProvisionTests
{
    [Theory]

    // Idle: spare replicas and schedules are all there is.
    [InlineData(0, 0, 0, 2, 0, 2, DecisionReason.WarmReplicas, true)]
    [InlineData(0, 0, 2, 2, 0, 2, DecisionReason.WarmReplicas, true)]
    [InlineData(0, 0, 0, 0, 4, 4, DecisionReason.Schedule, true)]
    [InlineData(0, 0, 0, 2, 4, 4, DecisionReason.Schedule, true)]
    [InlineData(0, 0, 0, 0, 0, 0, DecisionReason.Idle, false)]

    // Seven of ten at work need ten; a schedule of eight asks for nothing more, spare ones come on top and over the tolerance.
    [InlineData(0, 7, 10, 0, 8, 10, DecisionReason.ConsumerSaturation, true)]
    [InlineData(0, 7, 10, 3, 0, 13, DecisionReason.ConsumerSaturation, true)]
    [InlineData(0, 7, 10, 1, 0, 11.01, DecisionReason.ConsumerSaturation, true)]
    [InlineData(0, 7, 10, 0, 11, 11.01, DecisionReason.Schedule, true)]
    public void Spare_replicas_come_on_top_and_schedules_are_floors(long ready, long unacked, long consumers, int warm, double scheduled, double expected, DecisionReason reason, bool active)
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { WarmReplicas = warm }, Scheduled = scheduled }.Queue(ready, unacked, consumers);
        var decision = workload.Run(30);

        decision.Replicas.Should().BeApproximately(expected, 0.02);
        decision.Reason.Should().Be(reason);
        decision.IsActive.Should().Be(active);
        (decision.Forecast.ScheduledReplicas, decision.Forecast.WarmReplicas).Should().Be((scheduled, warm));
    }

    [Fact]
    public void Spare_replicas_and_schedules_are_not_for_jobs()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { Mode = WorkloadMode.Job, WarmReplicas = 3 }, Scheduled = 5 }.Queue(0, 0, 0);

        workload.Run(10).Should().Match<ScalingDecision>(d => d.Replicas == 0 && !d.IsActive && d.Reason == DecisionReason.Idle);
    }

    [Fact]
    public void Spare_replicas_are_added_once_while_readings_are_late()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { WarmReplicas = 3 } }.Queue(0, 7, 10);
        workload.Run(30);
        for (var t = 0; t < 14; t++)
        {
            workload.After(1, observed: false).Step().Replicas.Should().BeApproximately(13, 0.02);
        }
    }

    [Theory]

    // Work of 10 s, 99 % within 5 s: the least c of Erlang's C formula for 7 and for 70 busy slots, where θ = 0.7 makes it 10 and 100.
    [InlineData(7, 12)]
    [InlineData(70, 77)]
    public void A_waiting_objective_staffs_small_fleets_generously_and_large_ones_tightly(long busy, double expected)
    {
        var workload = new Workload
        {
            Policy = ScalingPolicy.Default with
            {
                ServiceTime = TimeSpan.FromSeconds(10),
                WaitObjective = new WaitObjective(0.99, TimeSpan.FromSeconds(5)),
                HpaTolerance = 0,
            },
        }.Queue(0, busy, 2 * busy);

        workload.Run(60).Replicas.Should().Be(expected);
    }

    [Fact]
    public void What_was_asked_for_in_vain_is_a_lack_of_capacity_and_no_less_is_asked_for()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(60) } }.Queue(0, 4, 8);
        workload.Run(400);
        workload.Queue(20, 8, 8);
        workload.Run(100).Reason.Should().Be(DecisionReason.Backlog);
        var decision = workload.Run(200);

        decision.Reason.Should().Be(DecisionReason.Capacity);
        decision.Replicas.Should().BeGreaterThan(11);
        DecisionText.Describe(decision, workload.Now).Should().Contain("none came within three cold starts");
        workload.Policy = workload.Policy with { MaxReplicas = 8 };
        workload.Run(10).Reason.Should().Be(DecisionReason.Backlog, "the maximum explains it");
    }
}
