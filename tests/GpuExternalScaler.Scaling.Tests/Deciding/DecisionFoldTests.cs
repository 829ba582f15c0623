using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

public class DecisionFoldTests
{
    [Theory]
    // ready, unacked, consumers → value, active, reason (threshold 0.7, no service time known)
    [InlineData(0, 7, 10, 1000, true, DecisionReason.ConsumerSaturation)] // the article's rule: exactly 0.7 asks for what exists
    [InlineData(0, 8, 10, 1143, true, DecisionReason.ConsumerSaturation)]
    [InlineData(0, 1, 10, 143, true, DecisionReason.ConsumerSaturation)]
    [InlineData(30, 10, 10, 2000, true, DecisionReason.ServiceTimeUnknown)] // doubles what exists
    [InlineData(5, 10, 10, 1500, true, DecisionReason.ServiceTimeUnknown)] // one slot a message, no more
    [InlineData(25, 0, 0, 100, true, DecisionReason.ServiceTimeUnknown)] // from zero: one
    [InlineData(5000, 0, 0, 100, true, DecisionReason.ServiceTimeUnknown)]
    [InlineData(5000, 3, 3, 600, true, DecisionReason.ServiceTimeUnknown)]
    [InlineData(0, 0, 0, 0, false, DecisionReason.Idle)]
    [InlineData(0, 0, 10, 0, false, DecisionReason.Idle)]
    public void A_queue_is_read_as(long ready, long unacked, long consumers, long value, bool active, DecisionReason reason)
    {
        var decision = new Workload().Queue(ready, unacked, consumers).Step();

        decision.Value.Should().Be(value);
        decision.IsActive.Should().Be(active);
        decision.Reason.Should().Be(reason);
    }

    [Theory]
    [InlineData(3, 3, 0)] // 30 % load: the broker hands out one each
    [InlineData(10, 10, 0)]
    [InlineData(40, 10, 30)]
    [InlineData(400, 10, 390)]
    public void A_serial_worker_with_prefetch_10_reads_like_one_with_prefetch_1(long messages, long unackedWith1, long readyWith1)
    {
        var unackedWith10 = Math.Min(messages, 100);
        var with1 = new Workload().Queue(readyWith1, unackedWith1, 10);
        var with10 = new Workload().Queue(messages - unackedWith10, unackedWith10, 10);

        with10.Step().Value.Should().Be(with1.Step().Value);
        with10.Run(30).Value.Should().Be(with1.Run(30).Value);
    }

    [Fact]
    public void Five_thousand_messages_of_unknown_service_time_never_more_than_double_the_consumers()
    {
        var workload = new Workload().Queue(5000, 0, 0);
        long consumers = 0;
        for (var generation = 0; generation < 8; generation++)
        {
            var decision = workload.Run(60);
            decision.Replicas.Should().BeLessThanOrEqualTo(Math.Max(1, 2 * consumers));
            consumers = (long)Math.Ceiling(decision.Replicas);
            workload.Queue(5000 - consumers, consumers, consumers);
        }

        consumers.Should().Be(128);
    }

    [Fact]
    public void Arrivals_times_service_time_size_the_fleet_and_the_backlog_is_drained_in_the_drain_time()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(2) } };
        // 5 messages a second of 2 s each: 10 slots busy, 16 consumers.
        long completed = 0;
        ScalingDecision decision = default;
        for (var t = 0; t <= 40; t += 2)
        {
            decision = workload.Queue(0, 10, 16).Counters(10, completed).Step();
            completed += 10;
            workload.After(2);
        }

        decision.ArrivalsPerSecond.Should().BeApproximately(5, 1e-9);
        decision.ServiceTimeSeconds.Should().BeApproximately(2, 1e-9);
        decision.ServiceTimeSource.Should().Be(ServiceTimeSource.Measured);
        decision.LoadReplicas.Should().BeApproximately(10 / 0.7, 1e-9);
        decision.Value.Should().Be(1429);

        // The same load, 300 waiting, 10 consumers all busy: 300 × 2 s ÷ 60 s = 10 slots more.
        for (var t = 0; t <= 40; t += 2)
        {
            decision = workload.Queue(300, 10, 10).Counters(310, completed).Step();
            completed += 10;
            workload.After(2);
        }

        decision.BacklogReplicas.Should().BeApproximately(10, 1e-6);
        decision.Reason.Should().Be(DecisionReason.Backlog);
        decision.Value.Should().Be(2429);
    }

    [Fact]
    public void A_lump_of_long_jobs_is_not_counted_both_as_load_and_as_backlog()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        ScalingDecision decision = default;
        for (var t = 0; t < 60; t += 2)
        {
            workload.After(2);
            var messages = t < 54 ? 0 : 100;
            decision = workload.Queue(messages, 0, 0).Counters(messages, 0).Step();

            // A slot for each that is there or may still come while a replica starts.
            var most = (messages + (60 * (decision.ArrivalsPerSecond ?? 0))) / 0.7;
            decision.Replicas.Should().BeLessThanOrEqualTo(most * (1 + 1e-9));
            (decision.LoadReplicas + decision.BacklogReplicas).Should().BeApproximately(decision.Replicas, 1e-9);
        }

        decision.ArrivalsPerSecond.Should().BeGreaterThan(1);
    }

    [Fact]
    public void Ten_ten_minute_jobs_ask_for_ten_slots_and_not_a_hundred()
    {
        var decision = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } }.Queue(10, 0, 0).Step();

        decision.Value.Should().Be(1000);
    }

    [Fact]
    public void From_zero_with_a_known_service_time_the_backlog_sets_the_size()
    {
        var decision = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(6) } }.Queue(100, 0, 0).Step();

        decision.Value.Should().Be(1000); // 100 × 6 s in 60 s
        decision.IsActive.Should().BeTrue();
    }

    [Fact]
    public void Messages_that_idle_consumers_will_take_still_keep_the_answer_above_zero()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(1) } };
        long completed = 0;
        for (var t = 0; t <= 20; t += 2)
        {
            workload.Queue(0, 0, 50).Counters(0, completed).Step();
            workload.After(2);
        }

        // Seen by the gauges and not yet by the counters: no arrivals, and fifty consumers to take it.
        var decision = workload.Queue(1, 0, 50).Step();

        decision.IsActive.Should().BeTrue();
        decision.Value.Should().BeGreaterThan(0); // K17: active and zero would contradict each other
    }

    [Fact]
    public void The_average_keeps_a_lull_of_one_sweep_from_dropping_the_answer()
    {
        var workload = new Workload().Queue(0, 7, 10);
        workload.Run(20).Value.Should().Be(1000);

        workload.After(2).Queue(0, 1, 10).Step().Replicas.Should().BeGreaterThan(8);
    }

    [Fact]
    public void Messages_that_draining_workers_hold_are_not_waiting()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        var before = workload.Queue(0, 10, 10).Known(static q => q with { Prefetch = 1 }).Run(60);

        // Five pods are replaced: the old ones finish what they hold, the new ones take more.
        workload.Queue(0, 10, 5).Run(10);
        var during = workload.Queue(0, 15, 10).Run(300);

        during.Should().BeEquivalentTo(new { before.Replicas, Waiting = 0, Draining = 5, Busy = 10 });
        DecisionText.Describe(during, workload.Now).Should().Contain("5 messages more than the consumers can hold");
    }

    [Fact]
    public void Work_of_draining_workers_does_not_let_the_answer_fall_below_it()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        workload.Queue(0, 10, 10).Known(static q => q with { Prefetch = 1 }).Run(60);

        // These may as well be workers that cancel their consumer while they work.
        workload.Queue(0, 10, 2).Run(300).Should().BeEquivalentTo(new { Replicas = 10.0, Reason = DecisionReason.Draining });
        workload.Queue(0, 2, 2).Run(120).Replicas.Should().BeApproximately(2 / 0.7, 1e-6);
    }

    [Fact]
    public void Messages_beyond_what_consumers_hold_wait_where_none_has_left()
    {
        var decision = new Workload().Queue(0, 15, 10).Known(static q => q with { Prefetch = 1 }).Run(60);

        decision.Should().BeEquivalentTo(new { Waiting = 5, Draining = 0, Busy = 10 });
    }

    [Theory]
    [InlineData(4, 1, 10, 40, 1429)] // 4 at once: 40 busy of 40
    [InlineData(4, 1, 10, 28, 1000)]
    [InlineData(1, 2, 10, 7, 500)] // two consumers a replica
    [InlineData(4, 2, 10, 28, 500)]
    public void Concurrency_and_consumers_per_replica_turn_slots_into_replicas(int concurrency, int perReplica, long consumers, long unacked, long value)
    {
        var workload = new Workload
        {
            Policy = ScalingPolicy.Default with { Concurrency = concurrency, ConsumersPerReplica = perReplica },
        };

        workload.Queue(0, unacked, consumers).Step().Value.Should().Be(value);
    }

    [Fact]
    public void Shares_of_one_queue_add_up_to_the_whole()
    {
        var whole = new Workload().Queue(30, 10, 10).Step().Replicas;
        var shares = new[] { 0.25, 0.75 }
            .Sum(share => new Workload { Policy = ScalingPolicy.Default with { Share = share } }.Queue(30, 10, 10).Step().Replicas);

        shares.Should().BeApproximately(whole, 1e-9);
    }

    [Fact]
    public void A_small_share_still_wakes_with_one_whole_replica_from_zero()
    {
        new Workload { Policy = ScalingPolicy.Default with { Share = 0.1 } }.Queue(25, 0, 0).Step().Value.Should().Be(100);
    }

    [Theory]
    [InlineData(5, 0, false)]
    [InlineData(5, 1, true)] // K21: strictly greater
    public void Activation_is_strictly_above_the_threshold_and_the_need_is_reported_all_the_same(long unacked, long ready, bool active)
    {
        var decision = new Workload { Policy = ScalingPolicy.Default with { ActivationThreshold = 5 } }.Queue(ready, unacked, 10).Step();

        decision.IsActive.Should().Be(active);
        decision.Value.Should().BeGreaterThan(0);
    }

    [Fact]
    public void A_list_is_added_up()
    {
        var workload = new Workload().Queue(0, 4, 5, "a").Queue(0, 3, 5, "b");

        workload.Step().Value.Should().Be(1000);
    }

    [Theory]
    [InlineData(12, 3, 1500)]
    [InlineData(0, 0, 0)]
    public void A_job_counts_messages_running_ones_included(long ready, long unacked, long value)
    {
        var decision = new Workload { Policy = ScalingPolicy.Default with { Mode = WorkloadMode.Job } }.Queue(ready, unacked, unacked).Step();

        decision.Value.Should().Be(value);
        decision.IsActive.Should().Be(value > 0);
    }

    [Fact]
    public void A_stream_is_refused()
    {
        var decision = new Workload().Queue(100, 0, 3, kind: QueueKind.Stream).Step();

        decision.IsDecided.Should().BeFalse();
        decision.Reason.Should().Be(DecisionReason.StreamUnsupported);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1e-12, 1)] // K19: above zero never becomes zero
    [InlineData(0.004, 1)]
    [InlineData(7 / 0.7, 1000)]
    [InlineData(3.0049, 301)] // rounded up: 300 would be one replica too few
    [InlineData(double.NaN, 0)]
    [InlineData(double.PositiveInfinity, 1_000_000_000)]
    [InlineData(1e300, 1_000_000_000)]
    public void Replicas_become_a_whole_value(double replicas, long value)
    {
        ScalingDecision.ToValue(replicas).Should().Be(value);
    }

    [Theory]
    [InlineData(1e-310, 1)]
    [InlineData(1e-310, 5e-324)]
    [InlineData(1, 5e-324)]
    public void No_policy_makes_an_answer_that_is_no_number(double threshold, double share)
    {
        var workload = new Workload
        {
            Policy = ScalingPolicy.Default with { SaturationThreshold = threshold, Share = share, Concurrency = 10_000, ConsumersPerReplica = 10_000 },
        };

        var decision = workload.Queue(1000, 1000, 10).Step();

        double.IsFinite(decision.Replicas).Should().BeTrue();
        decision.Value.Should().BeGreaterThan(0);
    }
}
