using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>What is missing, partial or contradicts itself in signals besides queues lowers nothing, and blocks nothing for ever.</summary>
public class FleetDoubtTests
{
    private static readonly ScalingPolicy Eight = ScalingPolicy.Default with { Concurrency = 8 };
    private static readonly ScalingPolicy Slow = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) };

    [Fact]
    public void Replicas_that_find_no_accelerator_do_not_make_memory_look_flat()
    {
        // Three hold 90 %; a fourth is asked for and stays pending.
        var fleet = new Fleet();
        fleet.Run(120, f => f.Queue(0, 3, 3).Pods(3, 0.9, utilisation: 0.8).Replicas(3), every: 3);

        var pending = fleet.Run(900, f => f.Queue(0, 3, 3).Pods(3, 0.9, utilisation: 0.8).Replicas(4), every: 3);

        pending.Fleet.Vram.Should().Be(VramStanding.Counts);
        pending.Replicas.Should().BeGreaterThan(3.1);
    }

    [Fact]
    public void A_queue_that_is_late_for_a_moment_does_not_make_memory_look_flat()
    {
        var fleet = new Fleet();
        fleet.Run(400, f => f.Queue(0, 3, 3).Pods(3, 0.9, utilisation: 0.5).Replicas(3), every: 3);

        // Memory goes on to be read.
        fleet.Run(15, f => f.Pods(3, 0.9, utilisation: 0.5).Replicas(3), every: 3);
        var after = fleet.Run(400, f => f.Queue(0, 3, 3).Pods(3, 0.9, utilisation: 0.5).Replicas(3), every: 3);

        after.Fleet.Vram.Should().Be(VramStanding.Counts);
        after.Replicas.Should().BeGreaterThan(3.1);
    }

    [Fact]
    public void Blind_vram_stays_at_the_replicas_there_are()
    {
        // Two pods are one replica.
        var spread = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.5, ModelMemory = (long)(120 * Fleet.Gib), GpusPerReplica = 2 } };
        spread.Pods(6, 0.9).Step().Should().Match<ScalingDecision>(d => d.Replicas == 3 && d.Reason == DecisionReason.VramSaysNothing);

        // Idle long enough for a zero, and busy again before the HPA has acted on it.
        var woken = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.5, ModelMemory = (long)(60 * Fleet.Gib) } };
        woken.Run(900, f => f.Pods(4, 0.9, utilisation: 0)).Replicas.Should().Be(0);
        woken.Run(60, f => f.Pods(4, 0.9, utilisation: 0.9)).Replicas.Should().Be(4);
    }

    [Fact]
    public void Model_servers_that_were_never_there_do_not_hold_a_queue_up()
    {
        var fleet = new Fleet { Policy = Eight };
        fleet.Run(30, f => f.Queue(5, 0, 0).Servers(FleetPresence.NeverSeen), every: 3).Replicas.Should().BeGreaterThan(0);

        fleet.Run(120, f => f.Queue(0, 0, 0).Servers(FleetPresence.NeverSeen), every: 3).Value.Should().Be(0, "somebody else took them");
    }

    [Fact]
    public void Model_servers_proven_absent_beside_replicas_that_exist_are_no_zero()
    {
        var fleet = new Fleet { Policy = Eight };
        fleet.Run(60, f => f.Servers(4, 0, 20).Replicas(4));

        fleet.Servers(FleetPresence.ProvenAbsent).Replicas(4).Step().IsDecided.Should().BeFalse();
        fleet.Servers(FleetPresence.ProvenAbsent).Replicas(0).Step().IsDecided.Should().BeTrue();
    }

    [Fact]
    public void A_first_answer_from_part_of_the_figures_is_not_below_what_runs()
    {
        var servers = new Fleet { Policy = Eight }.Servers(2, 0, 3, partial: true).Replicas(10).Step();
        servers.Replicas.Should().Be(10);
        servers.IsActive.Should().BeTrue();

        var vram = new Fleet().Pods(2, 0.3, partial: true).Replicas(10).Step();
        vram.Replicas.Should().Be(10);
    }

    [Fact]
    public void Partial_vram_beside_a_queue_blocks_the_night_for_holdFor_and_no_longer()
    {
        // A pod of which nobody ever learns whether it is gone.
        var fleet = new Fleet();
        fleet.Run(120, f => f.Queue(0, 3, 3).Pods(3, 0.9, utilisation: 0.8), every: 3);
        fleet.Run(1700, f => f.Queue(0, 0, 3).Pods(3, 0.1, utilisation: 0, partial: true), every: 3).Replicas.Should().BeGreaterThan(3.1);

        var after = fleet.Run(300, f => f.Queue(0, 0, 3).Pods(3, 0.1, utilisation: 0, partial: true), every: 3);
        after.Replicas.Should().BeLessThan(1);
    }

    [Fact]
    public void A_latency_without_a_number_while_there_is_work_forgets_nothing()
    {
        var fleet = new Fleet { Policy = Slow };
        var risen = fleet.Run(30, f => f.Queue(0, 6, 6).Latency(5).Replicas(6), every: 3);
        risen.Fleet.LatencyReplicas.Should().BeApproximately(12, 1e-6);

        fleet.Run(30, f => f.Queue(0, 6, 6).Latency(null).Replicas(6), every: 3).Replicas.Should().Be(risen.Replicas);
        fleet.Run(30, f => f.Queue(0, 6, 6).Latency(5).Replicas(6), every: 3).Replicas.Should().BeApproximately(12, 1e-6);
    }

    [Fact]
    public void Above_the_objective_the_replicas_there_are_stay_while_the_next_rise_waits()
    {
        var fleet = new Fleet { Policy = Slow };
        fleet.Run(30, f => f.Queue(0, 4, 4).Latency(5).Replicas(4), every: 3);
        fleet.Run(30, f => f.Queue(0, 5, 8).Latency(0.5).Replicas(8), every: 3);

        fleet.Run(30, f => f.Queue(0, 5, 8).Latency(3).Replicas(8), every: 3).Replicas.Should().BeGreaterThanOrEqualTo(8);
    }

    [Fact]
    public void Servers_that_are_not_all_told_of_are_no_slack()
    {
        var fleet = new Fleet { Policy = Slow with { Concurrency = 8 } };
        fleet.Run(30, f => f.Servers(4, 0, 28).Latency(5).Replicas(4)).Fleet.LatencyReplicas.Should().BeApproximately(8, 1e-6);

        // Four that are asked for stay pending, and half of the others are not told of for a while.
        fleet.Run(90, f => f.Servers(4, 0, 8, partial: true).Latency(5).Replicas(8));
        fleet.Run(15, f => f.Servers(4, 0, 28).Latency(5).Replicas(8)).Fleet.LatencyReplicas.Should().BeApproximately(8, 1e-6);
    }

    [Fact]
    public void Pods_without_utilisation_are_not_idle_while_their_servers_are_silent()
    {
        var fleet = new Fleet { Policy = Eight with { VramThreshold = 0.85 } };
        fleet.Run(30, f => f.Queue(0, 0, 3).Pods(3, 0.3).Servers(3, 0, 0), every: 3);

        // Silent, and busy with requests for all anybody knows.
        var silent = fleet.Run(900, f => f.Queue(0, 0, 3).Pods(3, 0.8), every: 3);

        silent.Fleet.VramReplicas.Should().BeApproximately(3 * 0.5 / 0.55, 1e-6);
    }

    [Fact]
    public void Idle_before_an_outage_is_not_idle_throughout()
    {
        var fleet = new Fleet();
        fleet.Run(60, f => f.Pods(3, 0.3, utilisation: 0));
        fleet.Run(700, static _ => { });

        var back = fleet.Run(30, f => f.Pods(3, 0.8, utilisation: 0));

        back.Fleet.VramReplicas.Should().BeApproximately(3 * 0.5 / 0.55, 1e-6);
    }

    [Fact]
    public void A_dip_does_not_take_away_what_was_asked_for_a_moment_before()
    {
        // Without a base a rise waits for a cold start; coming back to the last one does not.
        var fleet = new Fleet();
        var risen = fleet.Run(30, f => f.Pods(3, 0.95, utilisation: 0.9));
        fleet.Run(15, f => f.Pods(3, 0.3, utilisation: 0.9));

        fleet.Run(15, f => f.Pods(3, 0.95, utilisation: 0.9)).Replicas.Should().BeApproximately(risen.Replicas, 1e-6);
    }

    [Fact]
    public void A_share_is_of_the_queue_and_not_of_the_workloads_own_servers() =>
        new Fleet { Policy = Eight with { Share = 0.5 } }.Servers(4, 0, 24).Step().Replicas.Should().BeApproximately(24 / 5.6, 1e-9);

    [Theory]
    [InlineData(3.29)]
    [InlineData(3.3)]
    [InlineData(3.305)]
    [InlineData(3.31)]
    public void The_dead_band_has_no_step_down_at_its_end(double need) =>
        new Fleet().Pods(3, need * 0.85 / 3).Step().Replicas.Should().BeApproximately(3.31, 1e-9);

    [Fact]
    public void A_cache_that_is_no_longer_told_is_not_empty()
    {
        var fleet = new Fleet { Policy = Eight };
        var before = fleet.Run(60, f => f.Servers(3, 0, 5, 0.9));
        before.Reason.Should().Be(DecisionReason.CacheFill);

        fleet.Run(600, f => f.Servers(3, 0, 5)).Replicas.Should().Be(before.Replicas);
        fleet.Run(1800, f => f.Servers(3, 0, 5)).Replicas.Should().BeApproximately(5 / 5.6, 1e-9);
    }

    [Fact]
    public void Pods_that_are_all_replaced_at_once_take_nothing_away()
    {
        var fleet = new Fleet();
        var before = fleet.Run(300, f => f.Queue(0, 4, 4).Pods(4, 0.8, utilisation: 0.8).Replicas(4), every: 3);
        PodMemory[] old = [.. fleet.Seen];
        var begin = fleet.Now;
        for (var t = 0; t < 180; t += 15)
        {
            var share = Math.Min(0.8, 0.1 + (t * 0.005));
            fleet.Queue(0, 4, 4).Replicas(4).Pods([.. old.Select(pod => pod with
            {
                UsedBytes = share * pod.UsableBytes,
                FullestUsedBytes = share * pod.UsableBytes,
                FirstSeenAt = begin,
                SampledAt = fleet.Now,
            })]);
            var decision = fleet.Step();
            decision.Replicas.Should().BeInRange(Math.Min(before.Replicas, 3.7), 8, "{0}", t);
            fleet.After(15);
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(null)] // MIG
    public void A_workload_sleeps_at_night_with_its_model_loaded(double? idle)
    {
        var fleet = new Fleet();
        fleet.Run(600, f => f.Queue(0, 3, 4).Pods(4, 0.8, utilisation: idle is null ? null : 0.7), every: 3).IsActive.Should().BeTrue();

        var night = fleet.Run(900, f => f.Queue(0, 0, 4).Pods(4, 0.7, utilisation: idle), every: 3);
        night.IsActive.Should().BeFalse();
        night.Value.Should().Be(0);

        fleet.Run(60, f => f.Queue(0, 0, 0).Memory(FleetPresence.ProvenAbsent), every: 3).Value.Should().Be(0);
        fleet.Run(30, f => f.Queue(5, 0, 0).Memory(FleetPresence.ProvenAbsent), every: 3).IsActive.Should().BeTrue();
    }

    [Fact]
    public void Heavier_weights_neither_run_away_nor_stay_for_ever()
    {
        var fleet = new Fleet();
        fleet.Run(60, f => f.Queue(0, 0, 3).Pods(3, 0.4, utilisation: 0), every: 3);
        var replicas = 3;
        for (var i = 0; i < 80; i++)
        {
            var decision = fleet.Run(15, f => f.Queue(0, 2, replicas).Pods(replicas, 0.8 + (0.06 / replicas), utilisation: 0.6 + (0.1 * (i % 3))).Replicas(replicas), every: 3);
            replicas = Fleet.Hpa(replicas, decision);
        }

        replicas.Should().BeLessThanOrEqualTo(5);
        fleet.Run(900, f => f.Queue(0, 0, replicas).Pods(replicas, 0.8, utilisation: 0).Replicas(replicas), every: 3).Value.Should().Be(0);
    }
}
