using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Missing is not zero, for signals besides queues: Holding in <c>docs/decision.md</c>.</summary>
public class FleetHoldingTests
{
    [Fact]
    public void Vram_alone_is_held_until_stale_and_then_undecided_and_then_recovers_slowly()
    {
        var fleet = new Fleet();
        var before = fleet.Run(60, f => f.Pods(3, 0.9));

        fleet.Run(74, static _ => { }).Replicas.Should().Be(before.Replicas);
        fleet.After(5);
        var lost = fleet.Run(20, static _ => { });
        lost.IsDecided.Should().BeFalse();
        lost.Reason.Should().Be(DecisionReason.SourceStale);
        lost.Value.Should().Be(0);

        // Back with next to nothing: the HPA has forgotten.
        var back = fleet.Run(280, f => f.Pods(3, 0.1));
        back.Replicas.Should().Be(before.Replicas);
        back.Reason.Should().Be(DecisionReason.Recovering);
        fleet.Run(60, f => f.Pods(3, 0.1)).Replicas.Should().BeLessThan(1);
    }

    [Fact]
    public void Beside_a_queue_stale_vram_blocks_shrinking_for_holdFor_and_then_no_longer()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, HoldFor = TimeSpan.FromMinutes(10) } };
        fleet.Run(60, f => f.Queue(0, 2, 3).Pods(3, 0.9), every: 3).Reason.Should().Be(DecisionReason.VramHeadroom);

        // The exporter dies; the queue shrinks, grows and shrinks.
        fleet.Run(120, f => f.Queue(0, 1, 3), every: 3).Replicas.Should().BeApproximately(3.31, 1e-9);
        var grown = fleet.Run(120, f => f.Queue(0, 7, 7), every: 3);
        grown.Replicas.Should().BeApproximately(10, 1e-9);
        grown.Reason.Should().Be(DecisionReason.ConsumerSaturation);
        var held = fleet.Run(120, f => f.Queue(0, 1, 7), every: 3);
        held.Replicas.Should().BeApproximately(10, 1e-9);
        held.Reason.Should().Be(DecisionReason.SignalStale);
        DecisionText.Describe(held, fleet.Now).Should().Contain("VRAM cannot be told now");

        var after = fleet.Run(600, f => f.Queue(0, 1, 7), every: 3);
        after.Replicas.Should().BeApproximately(1 / 0.7, 1e-9);
        after.Reason.Should().Be(DecisionReason.ConsumerSaturation);
    }

    [Fact]
    public void Partial_figures_raise_an_answer_and_do_not_lower_it()
    {
        // T19, T21
        var fleet = new Fleet();
        fleet.Run(60, f => f.Pods(4, 0.8)).Replicas.Should().BeApproximately(4 * 0.8 / 0.85, 1e-9);
        fleet.Run(3600, f => f.Pods(4, 0.2, partial: true)).Replicas.Should().BeApproximately(4 * 0.8 / 0.85, 1e-9);
        fleet.Run(60, f => f.Pods(4, 0.95, partial: true)).Replicas.Should().BeGreaterThan(4.4);
    }

    [Fact]
    public void No_pods_is_believed_when_proven_and_nobody_consumes()
    {
        var fleet = new Fleet();
        fleet.Run(60, f => f.Pods(2, 0.9));
        fleet.Memory(FleetPresence.ProvenAbsent).Step().Value.Should().Be(0);
        fleet.Step().IsActive.Should().BeFalse();

        // T21: whoever consumes runs somewhere.
        var contradicted = new Fleet();
        contradicted.Run(60, f => f.Queue(0, 1, 2).Pods(2, 0.9), every: 3);
        var decision = contradicted.Queue(0, 0, 2).Memory(FleetPresence.ProvenAbsent).Step();
        decision.Replicas.Should().BeApproximately(2.21, 1e-9);
        decision.Reason.Should().Be(DecisionReason.SignalStale);
    }

    [Theory]
    [InlineData(FleetPresence.Unobserved, DecisionReason.NotSampled)]
    [InlineData(FleetPresence.NeverSeen, DecisionReason.PodsNotSeen)]
    public void Vram_alone_without_pods_is_no_answer(FleetPresence presence, DecisionReason reason)
    {
        var decision = new Fleet().Memory(presence).Step();

        decision.IsDecided.Should().BeFalse();
        decision.Reason.Should().Be(reason);
    }

    [Fact]
    public void A_queue_waits_for_the_first_reading_of_vram_and_no_longer_than_it_could_be_fresh()
    {
        var fleet = new Fleet();
        fleet.Run(80, f => f.Queue(0, 1, 3).Memory(FleetPresence.Unobserved), every: 3).Reason.Should().Be(DecisionReason.NotSampled);
        var decided = fleet.Run(30, f => f.Queue(0, 1, 3).Memory(FleetPresence.Unobserved), every: 3);
        decided.IsDecided.Should().BeTrue();
        decided.Replicas.Should().Be(3, "three replicas run, and nobody knows what memory they need");
    }

    [Fact]
    public void A_workload_at_zero_is_not_held_by_memory_it_never_had()
    {
        var fleet = new Fleet();
        var decision = fleet.Run(30, f => f.Queue(0, 0, 0).Memory(FleetPresence.NeverSeen), every: 3);
        decision.IsDecided.Should().BeTrue();
        decision.IsActive.Should().BeFalse();
        decision.Value.Should().Be(0);
    }

    [Fact]
    public void An_outage_of_the_queue_is_one_of_the_answer_whatever_vram_says()
    {
        var fleet = new Fleet();
        fleet.Run(60, f => f.Queue(0, 2, 3).Pods(3, 0.9), every: 3);
        fleet.Run(12, f => f.Pods(3, 0.9)).Reason.Should().Be(DecisionReason.Holding);
        fleet.Run(30, f => f.Pods(3, 0.9)).Reason.Should().Be(DecisionReason.SourceStale);

        var back = fleet.Run(60, f => f.Queue(0, 0, 0).Pods(3, 0.1, utilisation: 0), every: 3);
        back.Replicas.Should().BeApproximately(3.31, 1e-9);
        back.Reason.Should().Be(DecisionReason.Recovering);
    }

    [Fact]
    public void Where_workers_crash_memory_does_not_ask_for_more_of_them()
    {
        var workload = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, Mode = WorkloadMode.Job } };
        workload.Queue(3, 1, 1).Pods(1, 0.99).Step().Reason.Should().Be(DecisionReason.JobMessages, "jobs are started for messages");
    }

    [Fact]
    public void A_copy_goes_its_own_way()
    {
        var fleet = new Fleet();
        fleet.Run(60, f => f.Pods(3, 0.9));
        var copy = new Fleet { State = fleet.State.Clone() };
        copy.After(60).Pods(3, 0.2, old: true);
        fleet.Run(1, f => f.Pods(3, 0.9)).Replicas.Should().BeApproximately(3.31, 1e-9);
        copy.Step().Replicas.Should().BeApproximately(3 * 0.2 / 0.85, 1e-9);
        fleet.Step().Replicas.Should().BeApproximately(3.31, 1e-9);
    }
}
