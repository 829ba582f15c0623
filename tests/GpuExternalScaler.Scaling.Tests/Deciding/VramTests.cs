using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Signal 4 of <c>docs/decision.md</c>.</summary>
public class VramTests
{
    [Theory]
    // pods, share used, threshold → what the HPA makes of it
    [InlineData(3, 0.90, 0.85, 4)] // 3.18 is within its tolerance: dead band
    [InlineData(4, 0.40, 0.85, 2)]
    [InlineData(3, 0.85, 0.85, 3)]
    [InlineData(10, 0.86, 0.85, 12)] // 10.12 is within its tolerance, and so is 11
    [InlineData(10, 0.95, 0.85, 12)]
    [InlineData(1, 0.90, 0.85, 2)]
    [InlineData(1, 0.40, 0.85, 1)]
    [InlineData(50, 0.90, 0.85, 56)]
    public void Replicas_are_those_under_which_memory_fits_below_the_threshold(int pods, double used, double threshold, int expected)
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = threshold } }.Pods(pods, used);

        var decision = fleet.Step();

        decision.IsDecided.Should().BeTrue();
        decision.Reason.Should().Be(DecisionReason.VramHeadroom);
        decision.IsActive.Should().BeTrue();
        Fleet.Hpa(pods, decision).Should().Be(expected);
    }

    [Theory]
    [InlineData(0.1, 3.31)]
    [InlineData(0.0, 3.1764705882352944)]
    [InlineData(0.2, 3.61)]
    public void The_dead_band_is_the_hpas_own(double tolerance, double replicas) =>
        new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, HpaTolerance = tolerance } }.Pods(3, 0.9).Step()
            .Replicas.Should().BeApproximately(replicas, 1e-9);

    [Fact]
    public void Memory_that_every_replica_holds_is_not_load()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, ModelMemory = (long)(48 * Fleet.Gib) } };

        // 60 % of 80 GiB are weights: 0.9 of load, 0.25 of room each.
        fleet.Pods(3, 0.9).Step().Replicas.Should().BeApproximately(0.9 / 0.25, 1e-9);
        fleet.After(15).Pods(3, 0.6).Step().Replicas.Should().Be(0);
    }

    [Fact]
    public void What_a_pod_holds_while_idle_is_learnt()
    {
        var fleet = new Fleet();

        fleet.Run(60, f => f.Pods(2, 0.6, utilisation: 0)).Replicas.Should().Be(0);
        fleet.Pods(2, 0.9, utilisation: 0.8).Step().Replicas.Should().BeApproximately(2 * 0.3 / 0.25, 1e-9);
    }

    [Theory]
    [InlineData(0.30, 4)] // 3 × 0.3 = 0.9 of load; 3.6 are needed
    [InlineData(0.10, 2)]
    [InlineData(0.60, 8)]
    public void Weights_and_load_settle_at_the_right_size_without_oscillating(double loadAtThree, int expected)
    {
        var fleet = new Fleet();
        var load = 3 * loadAtThree;
        var replicas = 3;
        var history = new List<int>();
        var startedAt = new List<DateTimeOffset>();
        fleet.Run(30, f => f.Pods(3, 0.6, utilisation: 0));
        for (var i = 0; i < 120; i++)
        {
            var used = 0.6 + Math.Min(0.4, load / replicas);
            var decision = fleet.Run(15, f => f.Pods(replicas, used, utilisation: 0.5));
            replicas = Fleet.Hpa(replicas, decision);
            history.Add(replicas);
        }

        replicas.Should().Be(expected);
        history.Skip(12).Distinct().Should().HaveCount(1, "it must not oscillate: {0}", string.Join(' ', history));
    }

    [Theory]
    [InlineData(0.30, 4, 5)]
    [InlineData(0.10, 3, 4)]
    public void With_weights_that_nobody_has_seen_alone_it_settles_too(double loadAtThree, int least, int most)
    {
        var fleet = new Fleet();
        var load = 3 * loadAtThree;
        var replicas = 3;
        var history = new List<int>();
        for (var i = 0; i < 120; i++)
        {
            var used = 0.6 + Math.Min(0.4, load / replicas);
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Pods(replicas, used, utilisation: 0.5)));
            history.Add(replicas);
        }

        replicas.Should().BeInRange(least, most);
        history.Skip(60).Distinct().Should().HaveCount(1, "it must not oscillate: {0}", string.Join(' ', history));
    }

    [Fact]
    public void Several_accelerators_of_a_pod_are_one_replica()
    {
        new Fleet().Pods([0.9, 0.9, 0.9], accelerators: 4).Step().Replicas.Should().BeApproximately(3.31, 1e-9);

        var spread = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, GpusPerReplica = 2 } };
        spread.Pods(6, 0.9).Step().Replicas.Should().BeApproximately(3.31, 1e-9);
    }

    [Fact]
    public void One_hot_accelerator_counts_for_all_where_the_policy_says_so()
    {
        double[] used = [0.95, 0.5, 0.5];
        new Fleet().Pods(used).Step().Replicas.Should().BeApproximately(1.95 / 0.85, 1e-9);

        var max = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, VramAggregate = VramAggregate.Max } };
        max.Pods(used).Step().Replicas.Should().BeApproximately(3 * 0.95 / 0.85, 1e-9);
    }

    [Fact]
    public void A_hot_accelerator_that_stays_hot_does_not_drive_the_answer_to_the_maximum()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, VramAggregate = VramAggregate.Max } };
        var replicas = 3;
        for (var i = 0; i < 40; i++)
        {
            double[] used = [0.95, .. Enumerable.Repeat(0.5, replicas - 1)];
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Pods(used)));
        }

        // Ten minutes: no more than a step each cold start and a pod's youth.
        replicas.Should().BeLessThanOrEqualTo(3 + 5);
    }

    [Fact]
    public void Flat_memory_drives_nothing_and_blocks_nothing()
    {
        // T14: a server that takes 92 % beforehand; with a queue, the queue decides.
        var fleet = new Fleet();
        var replicas = 3;
        var most = 3;
        for (var i = 0; i < 80; i++)
        {
            var busy = i % 8 < 4 ? 0.9 : 0.3;
            var decision = fleet.Run(15, f => f.Queue(0, 1, replicas).Pods(replicas, 0.92, utilisation: busy), every: 3);
            replicas = Fleet.Hpa(replicas, decision);
            most = Math.Max(most, replicas);
        }

        most.Should().BeLessThanOrEqualTo(5);
        replicas.Should().Be(2, "one busy consumer of a threshold of 0.7 needs 1.43");
        fleet.Step().Fleet.Vram.Should().Be(VramStanding.Flat);
        DecisionText.Describe(fleet.Step(), fleet.Now).Should().Contain("does not move with load");
    }

    [Fact]
    public void A_device_that_is_more_and_less_busy_from_look_to_look_does_not_make_steady_memory_flat()
    {
        var fleet = new Fleet();
        double[] looks = [0.9, 0.7, 0.82, 0.71, 0.88, 0.9, 0.74, 0.7, 0.86];
        for (var i = 0; i < 80; i++)
        {
            fleet.Run(15, f => f.Queue(0, 1, 4).Pods(4, 0.83, utilisation: looks[i % looks.Length]), every: 3);
        }

        var decision = fleet.Step();
        decision.Fleet.Vram.Should().Be(VramStanding.Counts);
        decision.Reason.Should().Be(DecisionReason.VramHeadroom);
    }

    [Fact]
    public void A_workload_with_a_queue_sleeps_at_night_though_its_devices_are_never_quite_idle()
    {
        var fleet = new Fleet();
        fleet.Run(120, f => f.Queue(0, 2, 2).Pods(2, 0.8, utilisation: 0.9), every: 3);
        var night = fleet.Run(900, f => f.Queue(0, 0, 2).Pods(2, 0.6, utilisation: 0.04), every: 3);
        night.Value.Should().Be(0);
        night.IsActive.Should().BeFalse();
    }

    [Fact]
    public void Flat_memory_as_the_only_signal_stays_where_it_is_until_idle()
    {
        var fleet = new Fleet();
        var replicas = 3;
        for (var i = 0; i < 80; i++)
        {
            replicas = Fleet.Hpa(replicas, fleet.Run(15, f => f.Pods(replicas, 0.92, utilisation: i % 8 < 4 ? 0.9 : 0.3)));
        }

        replicas.Should().BeInRange(3, 5);
        var decision = fleet.Step();
        decision.Reason.Should().Be(DecisionReason.VramSaysNothing);
        decision.IsActive.Should().BeTrue();

        fleet.Run(900, f => f.Pods(replicas, 0.92, utilisation: 0)).Replicas.Should().Be(0);
    }

    [Fact]
    public void A_base_above_the_threshold_turns_the_signal_off_and_says_so()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.5, ModelMemory = (long)(60 * Fleet.Gib) } };

        var decision = fleet.Queue(0, 2, 4).Pods(4, 0.9).Step();

        decision.Fleet.Vram.Should().Be(VramStanding.BaseAboveThreshold);
        decision.Reason.Should().Be(DecisionReason.ConsumerSaturation);
        DecisionText.Describe(decision, fleet.Now).Should().Contain("more VRAM than vramThreshold");
    }

    [Fact]
    public void Memory_that_idleness_does_not_give_back_is_not_load_after_ten_minutes()
    {
        // A caching allocator: 30 % idle at first, 80 % for ever after load.
        var fleet = new Fleet();
        fleet.Run(30, f => f.Queue(0, 0, 3).Pods(3, 0.3, utilisation: 0), every: 3);
        fleet.Run(120, f => f.Queue(0, 3, 3).Pods(3, 0.8, utilisation: 0.9), every: 3);
        var before = fleet.Run(30, f => f.Queue(0, 0, 3).Pods(3, 0.8, utilisation: 0), every: 3);
        before.Fleet.VramReplicas.Should().BeApproximately(3 * 0.5 / 0.55, 1e-6);

        var after = fleet.Run(700, f => f.Queue(0, 0, 3).Pods(3, 0.8, utilisation: 0), every: 3);

        after.Replicas.Should().Be(0);
        after.IsActive.Should().BeFalse();
    }

    [Fact]
    public void Memory_that_climbs_is_answered_for_the_moment_a_new_pod_is_ready()
    {
        var fleet = new Fleet();
        var steady = fleet.Run(120, f => f.Pods(4, 0.5, utilisation: 0.5));
        steady.Replicas.Should().BeApproximately(4 * 0.5 / 0.85, 1e-9);

        // 1 % every 15 s: in 60 s, 4 % more of each.
        var used = 0.5;
        var climbing = fleet.Run(150, f => f.Pods(4, used += 0.01, utilisation: 0.5));

        climbing.Replicas.Should().BeGreaterThan(4 * (used + 0.03) / 0.85);
        climbing.Replicas.Should().BeLessThan(4 * (used + 0.06) / 0.85);
    }

    [Fact]
    public void Load_that_moves_to_a_new_pod_counts_once_though_exporters_are_seen_at_different_moments()
    {
        var fleet = new Fleet { Policy = ScalingPolicy.Default with { VramThreshold = 0.85, ModelMemory = (long)(48 * Fleet.Gib) } };
        fleet.Run(60, f => f.Pods(3, 0.9)).Replicas.Should().BeApproximately(3.6, 1e-9);

        // The new pod's node is seen with its part of the load, the others still with what they had.
        fleet.Run(15, f => f.Pods([0.9, 0.9, 0.9, 0.825])).Replicas.Should().BeApproximately(3.6, 1e-9);
        fleet.Run(120, f => f.Pods(4, 0.825)).Replicas.Should().BeApproximately(3.6, 1e-9);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void A_step_that_shows_pod_by_pod_is_no_trend(double every)
    {
        // Sampled while exporters are scraped one after the other.
        var fleet = new Fleet();
        fleet.Run(30, f => f.Pods(3, 0.6, utilisation: 0), every);
        var most = 0.0;
        double[][] steps = [[0.9, 0.6, 0.6], [0.9, 0.9, 0.6], [0.9, 0.9, 0.9]];
        foreach (var used in steps)
        {
            most = Math.Max(most, fleet.Run(every, f => f.Pods(used, utilisation: 0.9), every).Replicas);
        }

        for (var i = 0; i < 60; i++)
        {
            most = Math.Max(most, fleet.Run(every, f => f.Pods(3, 0.9, utilisation: 0.9), every).Replicas);
        }

        most.Should().BeApproximately(3.6, 1e-9);
    }

    [Fact]
    public void Memory_is_looked_ahead_for_as_long_as_a_cold_start_is_measured_to_take()
    {
        static ScalingDecision Run(ScalingPolicy policy, double? measured)
        {
            var fleet = new Fleet { Policy = policy with { VramThreshold = 0.85, ModelMemory = (long)(10 * Fleet.Gib) } };
            fleet.State.History.ColdStarts.Fill(measured ?? 0);
            var used = 0.3;
            return fleet.Run(150, f => f.Pods(4, used += 0.02, old: true), every: 10);
        }

        var minute = ScalingPolicy.Default;
        var given = Run(minute with { ColdStart = TimeSpan.FromSeconds(180) }, null);
        var measured = Run(minute with { MeasuresColdStart = true }, 180);

        given.Replicas.Should().BeGreaterThan(Run(minute, null).Replicas + 0.1);
        measured.Replicas.Should().Be(given.Replicas);
        measured.ColdStart.Should().Be(given.ColdStart);
    }

    [Fact]
    public void Pods_that_just_began_do_not_pass_for_load_nor_for_room()
    {
        // T15. With an unknown base, weights that are being loaded would look like load.
        var fleet = new Fleet();
        fleet.Run(60, f => f.Pods(3, 0.9));
        var decision = fleet.Pods([0.9, 0.9, 0.9, 0.6]).Step();

        decision.Replicas.Should().BeApproximately(3.31, 1e-9, "what was asked for before");

        // Load moves over to it: that is no reason to take it away.
        fleet.After(15).Pods([0.6, 0.6, 0.6, 0.6]).Step().Replicas.Should().BeApproximately(3.31, 1e-9);
        fleet.After(61).Pods([0.6, 0.6, 0.6, 0.6]).Step().Replicas.Should().BeApproximately(4 * 0.6 / 0.85, 1e-9);
    }

    [Fact]
    public void Garbage_makes_no_nan()
    {
        foreach (var bad in (double[])[0, -1, double.NaN, double.PositiveInfinity, 1e300])
        {
            var fleet = new Fleet();
            var pod = new PodMemory { UsedBytes = bad, UsableBytes = bad, Accelerators = 1, FullestUsedBytes = bad, FullestUsableBytes = bad, SampledAt = fleet.Now };
            var decision = fleet.Pods(pod).Step();
            double.IsFinite(decision.Replicas).Should().BeTrue();
            decision.Replicas.Should().BeGreaterThanOrEqualTo(0);
        }
    }
}
