using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.History;

/// <summary>What is a cold start and what only looks like one, told as stories of fleets.</summary>
public class ColdStartsTests
{
    [Fact]
    public void Five_watches_make_a_measure()
    {
        var fleet = Watched.Fleet(4);
        fleet.Cycles(4, 40);
        fleet.ColdStarts.Watches.Should().Be(4);
        fleet.ColdStarts.MeasuredSeconds.Should().BeNull();
        fleet.ColdStarts.InForce(fleet.Policy).Should().Be(fleet.Policy.ColdStart);

        fleet.Cycles(1, 40);
        fleet.ColdStarts.MeasuredSeconds.Should().Be(40);
        fleet.ColdStarts.InForce(fleet.Policy).Should().Be(TimeSpan.FromSeconds(40));
        fleet.ColdStarts.InForce(fleet.Policy with { MeasuresColdStart = false }).Should().Be(fleet.Policy.ColdStart);
    }

    [Fact]
    public void It_is_the_P90_of_the_newest_sixteen()
    {
        var fleet = Watched.Fleet(4);
        foreach (var seconds in Enumerable.Range(21, 20))
        {
            fleet.Cycles(1, seconds);
        }

        // Of 25 to 40 the 15th.
        fleet.ColdStarts.Watches.Should().Be(16);
        fleet.ColdStarts.MeasuredSeconds.Should().Be(39);
    }

    [Theory]
    [InlineData(5, 30)]
    [InlineData(45, 45)]
    [InlineData(170, 170)]
    public void It_is_kept_within_half_and_three_times_the_policy(double coldStart, double inForce)
    {
        var fleet = Watched.Fleet(4).Cycles(8, coldStart);
        fleet.ColdStarts.InForce(fleet.Policy).Should().Be(TimeSpan.FromSeconds(inForce));
        fleet.ColdStarts.InForce(fleet.Policy with { ColdStart = TimeSpan.FromSeconds(1) }).Should().Be(TimeSpan.FromSeconds(3));
    }

    [Fact]
    public void What_was_remembered_counts_until_there_are_five_of_its_own()
    {
        var fleet = Watched.Fleet(4);
        fleet.ColdStarts.Fill(double.NaN);
        fleet.ColdStarts.Fill(-1);
        fleet.ColdStarts.MeasuredSeconds.Should().BeNull();
        fleet.ColdStarts.Fill(90);
        fleet.ColdStarts.MeasuredSeconds.Should().Be(90);
        fleet.ColdStarts.Watches.Should().Be(0);
        fleet.Cycles(4, 40).ColdStarts.MeasuredSeconds.Should().Be(90);
        fleet.Cycles(1, 40).ColdStarts.MeasuredSeconds.Should().Be(40);
    }

    [Fact]
    public void Waking_from_zero_is_a_cold_start_too() =>
        Watched.Fleet(0).Cycles(5, 75).ColdStarts.MeasuredSeconds.Should().Be(75);

    [Fact]
    public void Of_several_replicas_the_first_tells()
    {
        // The HPA adds four at once and the rest 15 s later, and pods differ: only the first measures what one takes.
        var fleet = Watched.Fleet(4);
        fleet.Asked = 14;
        fleet.For(40);
        fleet.Replicas = 5;
        fleet.For(20);
        fleet.Replicas = 9;
        fleet.For(50);
        fleet.Replicas = 14;
        fleet.For(100);
        fleet.ColdStarts.Watches.Should().Be(1);
        Remaining(fleet, 4, 30).Should().Be(40);
    }

    [Theory]
    [InlineData(20, 21.9)]
    [InlineData(3, 3.3)]
    [InlineData(3, 2.5)]
    [InlineData(0, 0)]
    public void What_the_HPA_does_not_hear_begins_no_watch(double replicas, double asked)
    {
        var fleet = Watched.Fleet(replicas);
        fleet.Asked = asked;
        fleet.For(20);
        fleet.Replicas = replicas + 1;
        fleet.For(60).ColdStarts.Watches.Should().Be(0);
        fleet.ColdStarts.IsWithoutCapacity.Should().BeFalse();
    }

    [Fact]
    public void A_part_of_a_replicas_consumers_is_not_a_replica()
    {
        var fleet = Watched.Fleet(4);
        fleet.Asked = 5;
        fleet.For(40);
        fleet.Replicas = 4.75;
        fleet.For(10).ColdStarts.Watches.Should().Be(0);
        fleet.Replicas = 5;
        fleet.For(1).ColdStarts.Watches.Should().Be(1);
        Remaining(fleet, 4, 30).Should().Be(50);
    }

    [Fact]
    public void A_watch_is_cut_short_when_less_is_asked_for()
    {
        var fleet = Watched.Fleet(4);
        fleet.Asked = 6;
        fleet.For(20);
        fleet.Asked = 4;
        fleet.For(1);

        // The HPA may have heard it all the same: what then comes does not belong to what is asked for next.
        fleet.Asked = 6;
        fleet.For(10);
        fleet.Replicas = 6;
        fleet.For(60).ColdStarts.Watches.Should().Be(0);
        fleet.Cycles(1, 40).ColdStarts.Watches.Should().Be(1);
    }

    [Fact]
    public void A_need_that_wavers_within_the_tolerance_goes_on()
    {
        var fleet = Watched.Fleet(10);
        for (var i = 0; i < 20; i++)
        {
            fleet.Asked = i % 2 == 0 ? 11.5 : 10.5;
            fleet.For(2);
        }

        fleet.Replicas = 12;
        fleet.For(1).ColdStarts.Watches.Should().Be(1);
    }

    [Fact]
    public void A_later_ask_is_not_watched_while_an_earlier_one_is_pending()
    {
        // 8 asked for, one came, then a ramp goes on: replicas that come now were asked for at any time.
        var fleet = Watched.Fleet(4);
        fleet.Asked = 8;
        fleet.For(40);
        fleet.Replicas = 5;
        fleet.For(10);
        for (var t = 0; t < 100; t++)
        {
            fleet.Asked += 0.1;
            fleet.Replicas += t % 10 == 9 ? 1 : 0;
            fleet.For(1);
        }

        fleet.ColdStarts.Watches.Should().Be(1);
    }

    [Theory]
    [InlineData(4.0)]
    [InlineData(3.0)]
    public void A_maximum_that_is_reached_is_neither_watched_nor_a_lack_of_capacity(double maximum)
    {
        var fleet = Watched.Fleet(4);
        fleet.Maximum = maximum;
        fleet.Asked = 40;
        fleet.For(1200).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.Maximum = null;
        fleet.Replicas = 5;
        fleet.For(60).ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void Up_to_a_maximum_replicas_are_watched()
    {
        var fleet = Watched.Fleet(4);
        fleet.Maximum = 5;
        fleet.Asked = 40;
        fleet.For(30);
        fleet.Replicas = 5;
        fleet.For(1200).ColdStarts.Watches.Should().Be(1);
        fleet.ColdStarts.IsWithoutCapacity.Should().BeFalse();
    }

    [Fact]
    public void Twenty_minutes_without_GPUs_are_said_and_not_learned()
    {
        var fleet = Watched.Fleet(4).Cycles(5, 40);
        fleet.Asked = 8;
        fleet.For(120).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.For(2).ColdStarts.IsWithoutCapacity.Should().BeTrue();
        fleet.For(1080).ColdStarts.IsWithoutCapacity.Should().BeTrue();

        // One comes; those that are still missing are no new ask.
        fleet.Replicas = 5;
        fleet.For(1).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.For(120).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.For(2).ColdStarts.IsWithoutCapacity.Should().BeTrue();
        fleet.Asked = 12;
        fleet.For(10);
        fleet.Replicas = 6;
        fleet.For(10);
        fleet.Replicas = 12;
        fleet.For(60);
        (fleet.ColdStarts.Watches, fleet.ColdStarts.IsWithoutCapacity, fleet.ColdStarts.MeasuredSeconds).Should().Be((5, false, 40));

        // Caught up: from here on they are measured again.
        fleet.Shrink(4).Cycles(1, 40).ColdStarts.Watches.Should().Be(6);
    }

    [Fact]
    public void A_need_that_goes_away_ends_a_lack_of_capacity()
    {
        var fleet = Watched.Fleet(4);
        fleet.Asked = 8;
        fleet.For(400).ColdStarts.IsWithoutCapacity.Should().BeTrue();
        fleet.Asked = 4;
        fleet.For(1).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.For(1200).ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void Capacity_lacks_only_as_long_after_the_need_as_it_may_take_to_come()
    {
        // Ten too many once, satisfied for a minute, then one more is asked for.
        var fleet = Watched.Fleet(4).Grow(3, 40);
        fleet.Asked = 17;
        fleet.For(160);
        fleet.Asked = 7;
        fleet.For(60);
        fleet.Asked = 8;
        fleet.For(120).ColdStarts.IsWithoutCapacity.Should().BeFalse();
        fleet.For(70).ColdStarts.IsWithoutCapacity.Should().BeTrue();
    }

    [Fact]
    public void With_a_share_nothing_is_measured()
    {
        var fleet = Watched.Fleet(4);
        fleet.Policy = fleet.Policy with { Share = 0.5 };
        fleet.Cycles(6, 40).ColdStarts.Watches.Should().Be(0);
        fleet.Asked = 40;
        fleet.For(600).ColdStarts.IsWithoutCapacity.Should().BeFalse();
    }

    [Theory]
    [InlineData(3)]
    [InlineData(600)]
    public void Consumers_that_return_after_the_broker_was_away_are_no_cold_start(double outage)
    {
        var fleet = Watched.Fleet(20).Cycles(5, 40);
        fleet.Unseen(outage);
        foreach (var back in (double[])[0, 0, 3, 9, 14, 20])
        {
            fleet.Replicas = back;
            fleet.For(2);
        }

        fleet.For(600).ColdStarts.Watches.Should().Be(5);
        fleet.Cycles(1, 40).ColdStarts.Watches.Should().Be(6);
    }

    [Fact]
    public void Consumers_that_return_while_more_is_asked_for_are_no_cold_start()
    {
        // Ten of twenty lose their connection and what they held waits, so more is asked for; they are back in 4 s.
        var fleet = Watched.Fleet(20);
        fleet.Asked = 15;
        fleet.For(30);
        fleet.Replicas = 10;
        fleet.For(2);
        fleet.Asked = 26;
        fleet.For(4);
        fleet.Replicas = 20;
        fleet.For(56);
        fleet.Replicas = 26;
        fleet.For(300).ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void Reconnecting_for_a_quarter_of_an_hour_is_no_lack_that_is_learned()
    {
        var fleet = Watched.Fleet(20);
        fleet.Replicas = 0;
        fleet.For(900);
        for (var i = 1; i <= 20; i++)
        {
            fleet.Replicas = i;
            fleet.For(5);
        }

        fleet.ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void A_reading_that_is_missing_spoils_the_watch()
    {
        var fleet = Watched.Fleet(4);
        fleet.Asked = 6;
        fleet.For(10).Unseen(40);
        fleet.Replicas = 6;
        fleet.For(300).ColdStarts.Watches.Should().Be(0);

        fleet.Asked = 8;
        fleet.For(20).Unseen(14).For(6);
        fleet.Replicas = 8;
        fleet.For(1).ColdStarts.Watches.Should().Be(1);
        fleet.Asked = double.NaN;
        fleet.For(1);
        fleet.Asked = 12;
        fleet.For(1);
        fleet.Replicas = 12;
        fleet.For(60).ColdStarts.Watches.Should().Be(1);
    }

    [Fact]
    public void What_was_asked_for_before_it_began_is_not_watched()
    {
        // A new leader, or an edited trigger: the ask may be minutes old.
        var fleet = new Watched { Asked = 6, Replicas = 4 };
        fleet.For(10);
        fleet.Replicas = 6;
        fleet.For(300).ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void Of_consumers_nobody_asked_for_nothing_is_learned_for_a_while()
    {
        // Another Deployment on the same queue adds some every two minutes, also while this one waits for its own.
        var fleet = Watched.Fleet(4);
        for (var i = 0; i < 7; i++)
        {
            fleet.Replicas += 1;
            fleet.For(60);
            fleet.Asked = fleet.Replicas + 2;
            fleet.For(10);
            fleet.Replicas += 1;
            fleet.For(50);
            fleet.Replicas += 1;
            fleet.For(5);
        }

        fleet.ColdStarts.Watches.Should().Be(0);

        // It has gone quiet; ten cold starts later they are believed.
        fleet.For(600).Cycles(5, 40).ColdStarts.MeasuredSeconds.Should().Be(40);
    }

    [Fact]
    public void A_rollout_with_surge_is_no_cold_start()
    {
        var fleet = Watched.Fleet(8).Cycles(5, 40);
        for (var i = 0; i < 4; i++)
        {
            fleet.Replicas = 10;
            fleet.For(5);
            fleet.Replicas = 8;
            fleet.For(20);
            fleet.Asked = 10;
            fleet.For(15);
            fleet.Asked = 8;
            fleet.For(20);
        }

        fleet.For(1200);
        (fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds).Should().Be((5, 40));
    }

    [Fact]
    public void A_rolling_restart_is_no_cold_start()
    {
        var fleet = Watched.Fleet(3).Cycles(5, 40);
        fleet.Asked = 2.9;
        for (var i = 0; i < 3; i++)
        {
            fleet.Replicas = 2;
            fleet.For(15);
            fleet.Replicas = 3;
            fleet.For(15);
        }

        fleet.For(300).ColdStarts.Watches.Should().Be(5);
    }

    [Fact]
    public void A_few_short_ones_do_not_move_it()
    {
        var fleet = Watched.Fleet(4).Cycles(13, 60).Cycles(3, 2);
        (fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds).Should().Be((16, 60));
        fleet = Watched.Fleet(4).Cycles(15, 60).Cycles(1, 150);
        (fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds).Should().Be((16, 60));
    }

    [Fact]
    public void With_ready_replicas_known_others_consumers_are_not_taken_for_ours()
    {
        // The other Deployment's come at once, ours after 40 s, and kube-state-metrics says so 20 s later.
        var fleet = Watched.Fleet(4, ready: 4);
        fleet.Asked = 8;
        fleet.For(5);
        fleet.Replicas = 5;
        fleet.For(35);
        fleet.Replicas = 6;
        fleet.For(20);
        fleet.Ready = 5;
        fleet.For(300).ColdStarts.Watches.Should().Be(0);
    }

    [Fact]
    public void With_ready_replicas_known_the_rise_counts_from_when_it_was_seen_first()
    {
        var fleet = Watched.Fleet(4, ready: 4);
        for (var i = 0; i < 5; i++)
        {
            fleet.Asked = fleet.Replicas + 3;
            fleet.For(40);
            fleet.Replicas += 1;
            fleet.For(5);
            fleet.Replicas += 2;
            fleet.For(10);
            fleet.Ready += 1;
            fleet.For(15);
            fleet.Ready += 2;
            fleet.For(10);
        }

        (fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds).Should().Be((5, 40));
    }

    [Fact]
    public void Consumers_that_come_unasked_are_no_reason_for_distrust_where_ready_replicas_are_known()
    {
        var fleet = Watched.Fleet(4, ready: 4);
        fleet.Replicas = 9;
        fleet.For(30).Grow(3, 40).For(30).Grow(3, 40);
        fleet.ColdStarts.Watches.Should().Be(2);
    }

    [Fact]
    public void A_changed_model_is_followed()
    {
        var fleet = Watched.Fleet(4).Cycles(16, 30).Cycles(2, 85);
        fleet.ColdStarts.MeasuredSeconds.Should().Be(85);
        fleet.Cycles(14, 40).ColdStarts.MeasuredSeconds.Should().Be(85);
        fleet.Cycles(2, 40).ColdStarts.MeasuredSeconds.Should().Be(40);
    }

    [Fact]
    public void Scaling_all_times_changes_nothing() => Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), static seed =>
    {
        var one = new Watched();
        var four = new Watched
        {
            Scale = 4,
            Policy = one.Policy with
            {
                ColdStart = 4 * one.Policy.ColdStart,
                MinimumWindow = 4 * one.Policy.MinimumWindow,
                MaximumWindow = 4 * one.Policy.MaximumWindow,
                HoldAfterRecovery = 4 * one.Policy.HoldAfterRecovery,
            },
        };
        Wander(one, seed, () => { });
        Wander(four, seed, () => { });
        (four.ColdStarts.Watches, four.ColdStarts.IsWithoutCapacity).Should().Be((one.ColdStarts.Watches, one.ColdStarts.IsWithoutCapacity));
        four.ColdStarts.MeasuredSeconds.Should().Be(4 * one.ColdStarts.MeasuredSeconds);
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(30));

    [Fact]
    public void A_copy_goes_its_own_way_and_the_same() => Prop.ForAll(Arb.From(Gen.Choose(0, int.MaxValue)), static seed =>
    {
        var fleet = new Watched();
        Wander(fleet, seed, () =>
        {
            var copy = new Watched { ColdStarts = fleet.ColdStarts.Clone(), Asked = 50, Replicas = 1 };
            copy.For(1);
        });
        var same = new Watched();
        Wander(same, seed, () => same.ColdStarts = same.ColdStarts.Clone());
        (same.ColdStarts.Watches, same.ColdStarts.MeasuredSeconds).Should().Be((fleet.ColdStarts.Watches, fleet.ColdStarts.MeasuredSeconds));
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(30));

    [Fact]
    public void Wild_input_leaves_a_measure_that_is_one()
    {
        double[] wild = [0, double.Epsilon, 1, 1e9, 1e300, double.MaxValue, double.NaN, double.PositiveInfinity, -1];
        TimeSpan[] times = [TimeSpan.Zero, new(1), TimeSpan.FromSeconds(60), TimeSpan.MaxValue];
        var random = new Random(7);
        double Any() => wild[random.Next(wild.Length)];
        TimeSpan Some() => times[random.Next(times.Length)];
        var starts = new ColdStarts();
        var now = DateTimeOffset.UnixEpoch;
        for (var i = 0; i < 20_000; i++)
        {
            now += TimeSpan.FromSeconds(random.Next(-1, 20));
            var policy = ScalingPolicy.Default with { ColdStart = Some(), MinimumWindow = Some(), HoldAfterRecovery = Some(), MeasuresColdStart = true };
            starts.Note(now, Any(), Any(), random.Next(2) == 0 ? null : Any(), random.Next(2) == 0 ? null : Any(), Some(), policy);
            (starts.MeasuredSeconds is null or (> 0 and < 1e12)).Should().BeTrue();
            starts.InForce(policy).Should().BeGreaterThanOrEqualTo(TimeSpan.Zero);
        }
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        var fleet = Watched.Fleet(4).Cycles(6, 40);
        var before = GC.GetAllocatedBytesForCurrentThread();
        fleet.Cycles(6, 40);
        GC.GetAllocatedBytesForCurrentThread().Should().Be(before);
    }

    /// <summary>P90 after so many more watches of another length, shorter than the first: shows how long that one was.</summary>
    private static double? Remaining(Watched fleet, int times, double after)
    {
        fleet.Asked = fleet.Replicas;
        return fleet.For(600).Cycles(times, after).ColdStarts.MeasuredSeconds;
    }

    private static void Wander(Watched fleet, int seed, Action between)
    {
        var random = new Random(seed);
        for (var i = 0; i < 60; i++)
        {
            switch (random.Next(6))
            {
                case 0:
                    fleet.Unseen(random.Next(200));
                    break;
                case 1:
                    fleet.Replicas = random.Next(10);
                    break;
                case 2:
                    fleet.Asked = 10 * random.NextDouble();
                    break;
                case 3:
                    fleet.For(random.Next(200));
                    break;
                default:
                    fleet.Cycles(1, random.Next(1, 250));
                    break;
            }

            between();
        }
    }
}
