using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Missing is not zero (K20): what happens when readings are late, partial, gone and back.</summary>
public class HoldingTests
{
    private readonly Dictionary<string, long> _completed = new(StringComparer.Ordinal);

    [Fact]
    public void Nothing_sampled_is_undecided_and_never_zero()
    {
        var decision = new Workload().Unobserved().Step();

        decision.IsDecided.Should().BeFalse();
        decision.Reason.Should().Be(DecisionReason.NotSampled);
    }

    [Fact]
    public void Late_readings_repeat_the_answer_then_it_is_undecided()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);

        workload.After(10, observed: false).Step().Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.Holding && d.Value == 1000 && d.IsActive);
        workload.After(10.5, observed: false).Step().Reason.Should().Be(DecisionReason.SourceStale);
    }

    [Fact]
    public void After_an_outage_neither_value_nor_activity_falls_until_readings_were_fresh_for_long_enough()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);
        workload.After(60, observed: false).Step().IsDecided.Should().BeFalse();

        // Back with neither consumers nor messages: the honest zero that would switch the fleet off.
        workload.Queue(0, 0, 0);
        var back = workload.Run(299);
        back.Reason.Should().Be(DecisionReason.Recovering);
        back.Value.Should().Be(1000);
        back.IsActive.Should().BeTrue();

        workload.After(2).Step().Should().Match<ScalingDecision>(d => d.Value == 0 && !d.IsActive);
    }

    [Theory]
    [InlineData(12)] // within staleAfter: what a broker counted in its last and first seconds is lost all the same
    [InlineData(60)]
    public void No_window_reaches_across_an_outage(int seconds)
    {
        var workload = new Workload().Queue(0, 10, 10);
        Busy(workload, 120, "q", busy: 10);
        workload.After(seconds, observed: false).Step();

        // Meanwhile 5,000 were completed, or the broker began to count anew and made up for it: nobody knows.
        _completed["q"] += 5000;
        var back = Busy(workload, 2, "q", busy: 10);
        back.ArrivalsPerSecond.Should().BeNull();
        Busy(workload, 60, "q", busy: 10).Should().Match<ScalingDecision>(d => d.ArrivalsPerSecond < 6 && d.ServiceTimeSeconds > 1.5);
    }

    [Fact]
    public void A_second_outage_during_recovery_starts_the_wait_anew_and_keeps_the_higher_answer()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);
        workload.After(60, observed: false).Step();
        workload.Queue(0, 14, 20).Run(100).Value.Should().Be(2000);
        workload.After(60, observed: false).Step().IsDecided.Should().BeFalse();

        workload.Queue(0, 0, 0).Run(250).Value.Should().Be(2000);
    }

    [Fact]
    public void A_broker_that_restarts_within_staleAfter_does_not_drop_the_answer_while_consumers_return()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);
        workload.After(8, observed: false).Step().Reason.Should().Be(DecisionReason.Holding);

        workload.Queue(7, 0, 0).Run(58).Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.Recovering && d.Value == 1000);
        workload.After(4).Step().Value.Should().Be(100);
    }

    [Fact]
    public void Growth_goes_on_during_recovery()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);
        workload.After(60, observed: false).Step();

        workload.Queue(100, 10, 10).Run(10).Value.Should().Be(2000);
    }

    [Fact]
    public void With_one_queue_of_a_list_late_the_answer_grows_and_does_not_shrink()
    {
        var workload = new Workload().Queue(0, 7, 10, "a").Queue(0, 7, 10, "b");
        workload.Run(20).Value.Should().Be(2000);

        workload.After(6, observed: false).Queue(0, 0, 10, "a").Step()
            .Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.PartialReadings && d.Value == 2000 && d.TroubledQueue == 1);
        workload.After(2, observed: false).Queue(500, 10, 10, "a").Step();
        workload.After(2, observed: false).Queue(500, 10, 10, "a").Step().Replicas.Should().BeGreaterThan(20);
        workload.After(12, observed: false).Queue(500, 10, 10, "a").Step().Reason.Should().Be(DecisionReason.SourceStale);
    }

    [Fact]
    public void A_queue_that_disappears_is_held_then_undecided()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20);

        workload.After(4).Absent().Step().Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.Holding && d.Value == 1000);
        workload.After(21).Absent().Step().Reason.Should().Be(DecisionReason.QueueMissing);
    }

    [Fact]
    public void A_queue_never_seen_on_a_broker_that_answers_is_missing_at_once()
    {
        new Workload().Absent().Step().Reason.Should().Be(DecisionReason.QueueMissing);
    }

    [Fact]
    public void Where_the_policy_says_so_a_missing_queue_is_zero_but_a_missing_broker_is_not()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { MissingQueue = MissingQueuePolicy.Zero } };
        workload.Queue(0, 7, 10).Run(20);

        var gone = workload.After(2).Absent().Run(16);
        gone.Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 0 && !d.IsActive);
        workload.After(10, observed: false).Step().Reason.Should().Be(DecisionReason.Holding);
        workload.After(15, observed: false).Step().Reason.Should().Be(DecisionReason.SourceStale);
    }

    [Fact]
    public void A_queue_gone_from_a_pattern_stops_shrinking_and_not_growing()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a").Queue(0, 7, 10, "b");
        workload.Run(20);

        for (var t = 0; t < 40; t += 4)
        {
            workload.After(4).Queue(0, 1, 10, "a").Absent("b").Step().Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 2000);
        }

        // What the others need counts, not what the vanished one last held.
        workload.After(4).Queue(500, 15, 15, "a").Absent("b").Step();
        workload.After(4).Queue(500, 15, 15, "a").Absent("b").Step().Value.Should().Be(3000);
    }

    [Fact]
    public void Stale_counters_stop_shrinking_for_holdFor_and_then_no_longer()
    {
        var workload = new Workload();
        long completed = 0;
        for (var t = 0; t < 60; t += 2)
        {
            workload.Queue(0, 10, 20).Counters(10, completed).Step();
            completed += 10;
            workload.After(2);
        }

        var before = workload.Step().Value;
        workload.Queue(0, 1, 20);
        workload.Run(120).Should().Match<ScalingDecision>(d => d.Reason == DecisionReason.CountersStale && d.Value == before);
        workload.Run(30 * 60).Value.Should().BeLessThan(before);
    }

    [Fact]
    public void A_workload_first_asked_during_an_outage_has_no_floor_to_keep()
    {
        var workload = new Workload().Unobserved();
        workload.Step();

        workload.After(2).Queue(0, 0, 0).Step().Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 0);
    }

    [Fact]
    public void A_missing_queue_that_means_zero_is_zero_where_counters_exist_too()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { MissingQueue = MissingQueuePolicy.Zero } };
        Busy(workload, 60, "q");

        workload.After(2).Absent().Run(20).Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 0 && !d.IsActive);
    }

    [Fact]
    public void A_queue_that_is_deleted_and_declared_again_does_not_bring_its_past_completions_along()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { MissingQueue = MissingQueuePolicy.Zero } };
        workload.Queue(0, 5, 10, "a").Queue(0, 0, 0, "b").Counters(0, 100_000, name: "b");
        var before = Busy(workload, 60, "a");
        workload.Absent("b");
        Busy(workload, 40, "a");

        workload.Queue(0, 0, 0, "b").Counters(0, 100_000, name: "b");
        for (var t = 0; t < 40; t += 2)
        {
            workload.Counters(0, 100_000, name: "b");
            Busy(workload, 2, "a").Replicas.Should().BeLessThanOrEqualTo(before.Replicas * 1.2);
        }
    }

    [Fact]
    public void A_queue_deleted_from_a_pattern_leaves_the_others_their_arrivals()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 5, 10, "a").Queue(0, 0, 0, "b").Counters(0, 500, name: "b");
        Busy(workload, 60, "a");
        for (var t = 0; t < 120; t += 2)
        {
            workload.Absent("b");
            Busy(workload, 2, "a", perSecond: 50, busy: 10, ready: 50 * t);
        }

        var decision = workload.Step();
        decision.ArrivalsPerSecond.Should().BeGreaterThan(40);
        decision.Replicas.Should().BeGreaterThan(50);
    }

    [Fact]
    public void A_new_queue_of_a_pattern_without_figures_keeps_the_answer_and_does_not_take_it_away()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a");
        workload.Run(20);

        workload.Unobserved("b").After(2).Step().Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 1000);
        workload.Queue(0, 0, 0, "b").Queue(0, 0, 10, "a").Run(20).Value.Should().Be(0, "nothing was late, so there is nothing to recover from");
    }

    [Fact]
    public void A_queue_gone_from_a_pattern_takes_nothing_away_however_old_the_proof_is()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a").Queue(0, 7, 10, "b");
        workload.Run(20);
        workload.After(2).Absent("b");
        var gone = workload.Readings()[1];

        for (var t = 0; t < 300; t += 2)
        {
            workload.After(2).Queue(0, 7, 10, "a");
            var readings = workload.Readings();
            readings[1] = gone;
            workload.Step(readings).Should().Match<ScalingDecision>(d => d.IsDecided && d.Value == 2000);
        }
    }

    [Fact]
    public void A_queue_gone_from_a_pattern_does_not_hide_that_another_is_stale()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a").Queue(0, 7, 10, "b").Queue(0, 7, 10, "c");
        workload.Run(20);
        workload.After(2).Absent("b");

        for (var t = 0; t < 24; t += 2)
        {
            workload.After(2, observed: false).Queue(0, 7, 10, "a").Absent("b");
            workload.Step();
        }

        workload.Step().Reason.Should().Be(DecisionReason.SourceStale);
    }

    [Fact]
    public void A_queue_gone_from_a_pattern_for_longer_than_holdFor_no_longer_holds()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a").Queue(0, 7, 10, "b");
        workload.Run(20).Value.Should().Be(2000);

        workload.Absent("b").Run(1790).Value.Should().Be(2000);
        workload.Run(40).Value.Should().Be(1000);
    }

    [Fact]
    public void A_first_answer_waits_for_the_queues_of_a_pattern_that_have_no_figures_yet_but_not_for_ever()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 0, 10, "a").Unobserved("b");

        workload.Step().Reason.Should().Be(DecisionReason.NotSampled);
        workload.Run(18).IsDecided.Should().BeFalse();
        workload.Run(4).IsDecided.Should().BeTrue();
    }

    [Fact]
    public void A_queue_of_a_list_that_vanished_keeps_a_jobs_messages_until_it_is_undecided()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { Mode = WorkloadMode.Job } }.Queue(0, 0, 0, "a").Queue(20, 0, 0, "b");
        workload.Step().Value.Should().Be(2000);

        workload.After(2).Absent("b").Step().Should().Match<ScalingDecision>(d => d.Value == 2000 && d.IsActive);
        workload.After(22).Absent("b").Step().Reason.Should().Be(DecisionReason.QueueMissing);
    }

    [Fact]
    public void A_late_proof_of_absence_brings_no_arrivals()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { MissingQueue = MissingQueuePolicy.Zero } };
        workload.Queue(0, 5, 10, "a").Queue(3000, 0, 0, "b").Counters(3000, 500, name: "b");
        var before = Busy(workload, 60, "a");
        workload.Absent("b");
        Busy(workload, 60, "a");

        // The proof grows old while the other queue stays fresh.
        for (var t = 0; t < 8; t += 2)
        {
            workload.After(2, observed: false).Queue(0, 5, 10, "a");
            workload.Step().Replicas.Should().BeLessThanOrEqualTo(before.Replicas);
        }
    }

    [Fact]
    public void With_all_queues_of_a_pattern_gone_there_is_nothing_to_decide_on()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a");
        workload.Run(20);

        workload.After(4).Absent("a").Step().Reason.Should().Be(DecisionReason.Holding);
        workload.After(22).Absent("a").Step().Reason.Should().Be(DecisionReason.QueueMissing);
    }

    [Fact]
    public void A_stream_that_was_deleted_no_longer_refuses_its_pattern()
    {
        var workload = new Workload { MatchedByPattern = true }.Queue(0, 7, 10, "a").Queue(0, 0, 0, "b", QueueKind.Stream);
        workload.Step().Reason.Should().Be(DecisionReason.StreamUnsupported);

        workload.After(2).Absent("b").Step().IsDecided.Should().BeTrue();
    }

    [Fact]
    public void A_queue_of_a_list_that_was_late_comes_back_under_the_floor_of_one_cold_start()
    {
        var workload = new Workload().Queue(0, 5, 10, "a").Queue(0, 5, 10, "b");
        workload.Run(20).Value.Should().Be(1429);
        for (var t = 0; t < 10; t += 2)
        {
            workload.After(2, observed: false).Queue(0, 5, 10, "a").Step();
        }

        // Back without its consumers.
        workload.Queue(0, 5, 10, "a").Queue(5, 0, 0, "b").Run(56).Value.Should().BeGreaterThanOrEqualTo(1429);
        workload.Run(10).Value.Should().BeLessThan(1429);
    }

    /// <summary>Steady work on one queue: so many arrivals and completions a second, with counters every sweep.</summary>
    private ScalingDecision Busy(Workload workload, int seconds, string queue, long perSecond = 5, long busy = 5, long ready = 0)
    {
        ScalingDecision decision = default;
        for (var t = 0; t < seconds; t += 2)
        {
            workload.After(2).Queue(ready, busy, 10, queue).Counters(ready + busy, _completed.GetValueOrDefault(queue), name: queue);
            _completed[queue] = _completed.GetValueOrDefault(queue) + (2 * Math.Min(perSecond, busy));
            decision = workload.Step();
        }

        return decision;
    }
}
