using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Model servers, latency and queries of the workload's own.</summary>
public class ModelServerTests
{
    private static readonly ScalingPolicy Eight = ScalingPolicy.Default with { Concurrency = 8 };

    [Theory]
    // pods, waiting, running → value
    [InlineData(3, 0, 12, 215)] // 12 ÷ (8 × 0.7)
    [InlineData(3, 0, 0, 0)]
    [InlineData(3, 16, 24, 629)] // 24 ÷ 5.6, and two replicas' worth waiting
    [InlineData(3, 800, 24, 729)] // growth stops at what exists
    [InlineData(1, 4, 8, 193)]
    public void Waiting_and_running_are_demand_without_a_queue(int pods, double waiting, double running, long value)
    {
        var decision = new Fleet { Policy = Eight }.Servers(pods, waiting, running).Step();

        decision.Value.Should().Be(value);
        decision.IsActive.Should().Be(waiting + running > 0);
        decision.Reason.Should().Be(waiting + running > 0 ? DecisionReason.ModelServerRequests : DecisionReason.Idle);
    }

    [Fact]
    public void A_server_with_flat_memory_is_scaled_by_its_cache()
    {
        // T14: 92 % of VRAM for ever.
        var policy = Eight with { VramThreshold = 0.85 };
        var fleet = new Fleet { Policy = policy };
        var replicas = 3;
        for (var i = 0; i < 40; i++)
        {
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Pods(replicas, 0.92, utilisation: 0.6).Servers(replicas, 0, 5 * replicas, 0.2)));
        }

        replicas.Should().Be(3, "it stays where its requests need it");
        var quiet = fleet.Step();
        quiet.Fleet.Vram.Should().Be(VramStanding.ReplacedByCache);
        DecisionText.Describe(quiet, fleet.Now).Should().Contain("in place of VRAM");

        var full = fleet.Run(30, f => f.Pods(3, 0.92, utilisation: 0.9).Servers(3, 0, 15, 0.85));
        full.Reason.Should().Be(DecisionReason.CacheFill);
        Fleet.Hpa(3, full).Should().Be(4);

        var idle = fleet.Run(120, f => f.Pods(4, 0.92, utilisation: 0).Servers(4, 0, 0, 0.02));
        idle.Value.Should().Be(0);
        idle.IsActive.Should().BeFalse();
    }

    [Fact]
    public void While_a_model_server_is_silent_its_flat_memory_drives_nothing_and_nothing_shrinks()
    {
        var fleet = new Fleet { Policy = Eight with { VramThreshold = 0.85 } };
        var before = fleet.Run(60, f => f.Queue(0, 1, 3).Pods(3, 0.92).Servers(3, 0, 15, 0.2), every: 3);

        var silent = fleet.Run(3600, f => f.Queue(0, 1, 3).Pods(3, 0.92), every: 3);

        silent.Replicas.Should().Be(before.Replicas);
        silent.Fleet.Stale.Should().HaveFlag(StaleSignals.ModelServers);
    }

    [Fact]
    public void Servers_that_were_never_seen_block_a_queue_for_holdFor_at_most()
    {
        var none = new Fleet { Policy = Eight };
        none.Run(60, f => f.Queue(1, 0, 0).Servers(FleetPresence.NeverSeen), every: 3).IsActive.Should().BeTrue();
        var slept = none.Run(60, f => f.Queue(0, 0, 0).Servers(FleetPresence.NeverSeen), every: 3);
        slept.Value.Should().Be(0);
        slept.IsActive.Should().BeFalse();

        var misnamed = new Fleet { Policy = Eight with { HoldFor = TimeSpan.FromMinutes(5) } };
        misnamed.Run(60, f => f.Queue(0, 20, 4).Servers(FleetPresence.NeverSeen), every: 3).Replicas.Should().BeGreaterThan(3);
        misnamed.Run(60, f => f.Queue(0, 1, 4).Servers(FleetPresence.NeverSeen), every: 3).Reason.Should().Be(DecisionReason.SignalStale);
        misnamed.Run(300, f => f.Queue(0, 1, 4).Servers(FleetPresence.NeverSeen), every: 3).Replicas.Should().BeLessThanOrEqualTo(1);
    }

    [Fact]
    public void A_silent_model_server_alone_is_undecided()
    {
        var fleet = new Fleet { Policy = Eight };
        fleet.Run(30, f => f.Servers(3, 0, 15));
        fleet.Run(60, static _ => { }).Replicas.Should().BeApproximately(15 / 5.6, 1e-9);
        fleet.Run(40, static _ => { }).Reason.Should().Be(DecisionReason.SourceStale);
    }

    [Fact]
    public void A_server_that_does_not_tell_what_runs_does_not_shrink_by_what_waits()
    {
        // Triton
        var fleet = new Fleet { Policy = Eight };
        fleet.Run(30, f => f.Servers(3, 24, null)).Replicas.Should().Be(3);
        fleet.Run(300, f => f.Servers(3, 0, null)).Replicas.Should().Be(3);

        // How busy its devices are tells.
        fleet.Policy = Eight with { VramThreshold = 0.85 };
        fleet.Run(60, f => f.Servers(3, 0, null).Pods(3, 0.3, utilisation: 0.35)).Replicas.Should().BeApproximately(1.5, 1e-9);
    }

    [Fact]
    public void A_latency_five_times_the_objective_for_ten_minutes_does_not_run_to_the_maximum()
    {
        var fleet = new Fleet { Policy = Eight with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        var replicas = 3;
        var history = new List<int>();
        for (var i = 0; i < 40; i++)
        {
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Servers(replicas, 0, 8 * replicas).Latency(10)));
            history.Add(replicas);
        }

        // Saturated throughout, which is demand of its own; latency adds one doubling that did not help.
        fleet.Step().Fleet.LatencyReplicas.Should().BeApproximately(6, 1e-6);

        var alone = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        alone.Run(600, f => f.Queue(0, 3, 6).Latency(10).Replicas(6), every: 3).Replicas.Should().BeLessThanOrEqualTo(12);
    }

    [Fact]
    public void A_rise_that_helps_may_be_followed_by_another_after_cold_start_and_window()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        var rises = new List<double>();
        var trace = new List<string>();
        var before = 0.0;
        var replicas = 2;
        for (var i = 0; i < 90; i++)
        {
            var latency = 40.0 / replicas; // 20 replicas meet the objective
            var decision = fleet.Run(15, f => f.Queue(0, (long)(0.6 * replicas), replicas).Latency(latency, window: 60).Replicas(replicas), every: 3);
            if (decision.Fleet.LatencyReplicas > before)
            {
                rises.Add(i * 15);
            }

            trace.Add($"{replicas}:{decision.Fleet.LatencyReplicas:0.##}");
            before = decision.Fleet.LatencyReplicas;
            replicas = Fleet.Hpa(replicas, decision);
        }

        replicas.Should().BeInRange(20, 40, "{0}", string.Join(" ", trace));
        rises.Zip(rises.Skip(1), static (one, next) => next - one).Should().OnlyContain(static gap => gap >= 120);
    }

    [Fact]
    public void A_latency_that_is_missing_all_night_neither_blocks_nor_asks()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        fleet.Run(60, f => f.Queue(0, 6, 6).Latency(1).Replicas(6), every: 3);
        var night = fleet.Run(8 * 3600, f => f.Queue(0, 0, 0).Latency(null).Replicas(0), every: 3);
        night.IsDecided.Should().BeTrue();
        night.Value.Should().Be(0);

        // A query that cannot be asked for all the night.
        var dead = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        dead.Run(60, f => f.Queue(0, 6, 6).Latency(1).Replicas(6), every: 3);
        dead.Run(120, f => f.Queue(0, 3, 6).Replicas(6), every: 3);
        var held = dead.Run(600, f => f.Queue(0, 0, 6).Replicas(6), every: 3);
        held.Reason.Should().Be(DecisionReason.SignalStale);
        held.IsDecided.Should().BeTrue();
        dead.Run(8 * 3600, f => f.Queue(0, 0, 0).Replicas(0), every: 3).Value.Should().Be(0);
    }

    [Fact]
    public void A_slow_workload_with_slack_is_slow_for_another_reason()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        fleet.Run(600, f => f.Queue(0, 1, 10).Latency(10).Replicas(10), every: 3).Fleet.LatencyReplicas.Should().Be(0);
    }

    [Fact]
    public void At_the_maximum_latency_asks_for_no_more()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2) } };
        fleet.Run(60, f => f.Queue(0, 6, 6).Latency(10).Replicas(6, maximum: 6), every: 3).Fleet.LatencyReplicas.Should().Be(0);
    }

    [Fact]
    public void A_query_is_demand_and_nothing_is_no_number()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { Query = "x" } };
        fleet.Run(30, f => f.Query(4.5)).Value.Should().Be(450);
        fleet.Run(60, f => f.Query(null)).Value.Should().Be(450);
        var empty = fleet.Run(120, f => f.Query(null));
        empty.IsDecided.Should().BeFalse();
        empty.Reason.Should().Be(DecisionReason.QueryEmpty);
        fleet.Run(30, f => f.Query(0)).Reason.Should().Be(DecisionReason.Recovering);
        fleet.Run(400, f => f.Query(0)).Value.Should().Be(0);
    }

    [Fact]
    public void The_largest_of_all_signals_wins_and_is_named()
    {
        var fleet = new Fleet
        {
            Policy = Eight with { VramThreshold = 0.85, LatencyQuery = "p99", LatencyObjective = TimeSpan.FromSeconds(2), Query = "x", Concurrency = 1 },
        };

        ScalingDecision With(long unacked, double used, double running, double latency, double query) => fleet.Run(
            60,
            f => f.Queue(0, unacked, 8).Pods(8, used, utilisation: 0.9).Servers(8, 0, running).Latency(latency).Query(query).Replicas(8),
            every: 3);

        With(8, 0.5, 2, 1, 3).Reason.Should().Be(DecisionReason.ConsumerSaturation);
        With(1, 0.95, 2, 1, 3).Reason.Should().Be(DecisionReason.VramHeadroom);
        With(1, 0.1, 8, 1, 3).Reason.Should().Be(DecisionReason.ModelServerRequests);
        With(4, 0.1, 4, 8, 3).Reason.Should().Be(DecisionReason.Latency);
        With(4, 0.1, 4, 1, 50).Reason.Should().Be(DecisionReason.Query);
    }

    [Fact]
    public void Without_anything_to_go_by_there_is_no_answer() =>
        new Fleet { Policy = ScalingPolicy.Default }.Step().Reason.Should().Be(DecisionReason.NoDemandSignal);
}
