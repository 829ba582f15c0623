using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>What is decided on sources that lack a figure (T2), and on consumers that hide their work (T5).</summary>
public class PartialSourceTests
{
    [Theory]
    // AMQP alone: ready and consumers, no unacknowledged.
    [InlineData(0, 10, 1000, true)] // at first, what exists is taken to be busy
    [InlineData(0, 0, 0, false)] // nobody is there to hold a message
    [InlineData(25, 0, 100, true)]
    [InlineData(5, 10, 1500, true)] // a message waits, so every window is full
    public void Without_unacknowledged_the_first_answer_is(long ready, long consumers, long value, bool active)
    {
        var decision = new Workload().Queue(ready, 0, consumers).Known(Amqp).Step();

        decision.Value.Should().Be(value);
        decision.IsActive.Should().Be(active);
    }

    [Fact]
    public void Without_unacknowledged_the_answer_grows_and_does_not_shrink_and_says_why()
    {
        var workload = new Workload().Queue(0, 10, 16);
        var complete = workload.Run(60);
        complete.Value.Should().Be(1429);

        var silent = workload.Queue(0, 0, 16).Known(Amqp).Run(600);
        silent.Should().BeEquivalentTo(new { Value = 1600, IsActive = true, Reason = DecisionReason.UnackedUnknown }, "what exists may be busy");
        DecisionText.Describe(silent, workload.Now).Should().Contain("an unknown number of unacknowledged").And.Contain("AMQP");

        workload.Queue(40, 0, 16).Known(Amqp).Run(10).Replicas.Should().BeGreaterThan(16);
    }

    [Fact]
    public void Without_unacknowledged_a_fleet_whose_consumers_are_gone_is_idle()
    {
        var workload = new Workload().Queue(0, 0, 16).Known(Amqp);
        workload.Run(60).IsActive.Should().BeTrue();

        workload.Queue(0, 0, 0).Known(Amqp).Run(310).Should().BeEquivalentTo(new { Value = 0, IsActive = false, Reason = DecisionReason.Idle });
    }

    [Fact]
    public void One_look_without_consumers_does_not_take_away_a_fleet_whose_work_is_not_seen()
    {
        var workload = new Workload().Queue(0, 0, 16).Known(Amqp);
        var before = workload.Run(60);

        workload.After(2).Queue(0, 0, 0).Known(Amqp).Step().Should().BeEquivalentTo(new { before.Replicas, IsActive = true });
        workload.After(2).Queue(0, 0, 16).Known(Amqp).Step().Should().BeEquivalentTo(new { before.Replicas, IsActive = true });
    }

    [Fact]
    public void A_list_of_which_one_queue_is_read_without_unacknowledged_does_not_shrink()
    {
        var workload = new Workload().Queue(0, 10, 16, "a").Queue(0, 10, 16, "b");
        var before = workload.Run(60);

        workload.Queue(0, 0, 16, "a").Queue(0, 0, 16, "b").Known(Amqp, "b").Run(600).Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas);
    }

    [Fact]
    public void A_source_that_changes_to_one_without_unacknowledged_and_back_never_lowers_the_answer_in_between()
    {
        var workload = new Workload().Queue(0, 10, 16);
        var before = workload.Run(60);
        for (var t = 0; t < 120; t += 2)
        {
            workload.After(2).Queue(0, t / 20 % 2 == 0 ? 0 : 10, 16).Known(q => t / 20 % 2 == 0 ? Amqp(q) : q with { Missing = QueueGauges.None });
            workload.Step().Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas * (1 - 1e-9));
        }
    }

    [Theory]
    // Totals alone: ready and unacknowledged, no consumers.
    [InlineData(0, 0, null, 0)]
    [InlineData(0, 7, null, 1000)] // all that is held is taken to be worked on
    [InlineData(0, 7, 1, 1000)]
    [InlineData(0, 20, 10, 400)] // windows of ten: two consumers at least, one in work each, so 18 wait
    [InlineData(30, 20, 10, 400)] // doubles them
    public void Without_consumers_the_answer_is(long ready, long unacked, int? prefetch, long value)
    {
        var decision = new Workload().Queue(ready, unacked, 0).Known(q => q with { Missing = QueueGauges.Consumers, Prefetch = prefetch }).Step();

        decision.Value.Should().Be(value);
        DecisionText.Describe(decision, Workload.Start).Should().Contain("an unknown number of consumers");
    }

    [Theory]
    // prefetch, concurrency, unacked of 10 consumers → busy slots, saturation
    [InlineData(1, 4, 10, 10, 1)] // a consumer given one message at a time never works on four
    [InlineData(2, 4, 10, 10, 0.5)]
    [InlineData(8, 4, 40, 40, 1)]
    [InlineData(8, 4, 80, 40, 1)] // the other half is waiting
    [InlineData(0, 4, 80, 40, 1)] // no limit: the declared concurrency decides
    [InlineData(null, 4, 10, 10, 0.25)]
    public void Prefetch_interprets_unacknowledged(int? prefetch, int concurrency, long unacked, long busy, double saturation)
    {
        var byBroker = new Workload { Policy = ScalingPolicy.Default with { Concurrency = concurrency } }
            .Queue(0, unacked, 10).Known(q => q with { Prefetch = prefetch }).Step();
        var byPolicy = new Workload { Policy = ScalingPolicy.Default with { Concurrency = concurrency, Prefetch = prefetch } }
            .Queue(0, unacked, 10).Step();

        byBroker.Busy.Should().Be(busy);
        byBroker.Saturation.Should().Be(saturation);
        byPolicy.Should().Be(byBroker with { PrefetchSource = byPolicy.PrefetchSource });
    }

    [Fact]
    public void The_policys_prefetch_has_the_last_word()
    {
        var decision = new Workload { Policy = ScalingPolicy.Default with { Concurrency = 4, Prefetch = 8 } }
            .Queue(0, 10, 10).Known(static q => q with { Prefetch = 1 }).Step();

        decision.Should().BeEquivalentTo(new { Prefetch = 8, PrefetchSource = PrefetchSource.Policy, Saturation = 0.25 });
    }

    [Fact]
    public void A_full_window_shows_the_prefetch()
    {
        var workload = new Workload().Queue(500, 100, 10);

        workload.Run(10).Should().BeEquivalentTo(new { Prefetch = 10, PrefetchSource = PrefetchSource.Observed });
    }

    [Fact]
    public void What_draining_workers_hold_does_not_teach_a_larger_prefetch()
    {
        var workload = new Workload().Queue(500, 100, 10);
        workload.Run(10);

        workload.Queue(500, 60, 2).Run(110).Prefetch.Should().Be(10);
        workload.Queue(500, 40, 2).Run(20).Prefetch.Should().Be(20, "nobody takes two minutes to finish");
    }

    [Fact]
    public void Of_a_single_active_consumer_more_replicas_are_not_asked_for()
    {
        var workload = new Workload().Queue(5000, 1, 3).Known(static q => q with { IsSingleActive = true });

        workload.Run(60).Should().BeEquivalentTo(new { Value = 100, IsActive = true, Reason = DecisionReason.SingleActiveConsumer, Saturation = 1.0 });
        workload.Queue(0, 0, 3).Known(static q => q with { IsSingleActive = true }).Run(60).Value.Should().Be(0);
    }

    [Fact]
    public void Several_single_active_queues_take_a_replica_each()
    {
        var workload = new Workload();
        foreach (var name in new[] { "a", "b", "c" })
        {
            workload.Queue(5000, 1, 3, name).Known(static q => q with { IsSingleActive = true }, name);
        }

        workload.Run(60).Value.Should().Be(300);
    }

    [Fact]
    public void Work_acknowledged_on_delivery_is_held_while_deliveries_go_on_and_then_no_longer()
    {
        var workload = new Workload();
        var busy = AutoAck(workload, 120, perSecond: 5, policy: null);
        busy.Should().BeEquivalentTo(new { IsActive = true, Reason = DecisionReason.UnackedUnknown, ServiceTimeSeconds = (double?)null });
        busy.Replicas.Should().Be(10);

        // The last delivery may still be worked on: HoldAfterRecovery stands for how long.
        AutoAck(workload, 290, perSecond: 0, policy: null).Replicas.Should().Be(10);
        AutoAck(workload, 30, perSecond: 0, policy: null).Should().BeEquivalentTo(new { Value = 0, IsActive = false });
    }

    [Fact]
    public void Work_acknowledged_on_delivery_is_sized_by_deliveries_where_the_service_time_is_given()
    {
        var workload = new Workload();
        var policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(4) };

        AutoAck(workload, 120, perSecond: 5, policy, consumers: 30).Replicas.Should().BeApproximately(20 / 0.7, 0.1);
        AutoAck(workload, 120, perSecond: 1, policy).Replicas.Should().BeApproximately(4 / 0.7, 0.1);
        AutoAck(workload, 60, perSecond: 0, policy).Should().BeEquivalentTo(new { Value = 1, IsActive = true });
        AutoAck(workload, 300, perSecond: 0, policy).IsActive.Should().BeFalse();
    }

    [Fact]
    public void Work_acknowledged_on_delivery_that_takes_longer_than_deliveries_are_counted_over_is_held()
    {
        var workload = new Workload();
        var policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(300) };
        var busy = AutoAck(workload, 120, perSecond: 1, policy, consumers: 300);

        AutoAck(workload, 600, perSecond: 0, policy, consumers: 300).Replicas.Should().BeGreaterThanOrEqualTo(busy.Replicas);
        AutoAck(workload, 400, perSecond: 0, policy, consumers: 300).IsActive.Should().BeFalse();
    }

    [Fact]
    public void Work_acknowledged_on_delivery_outlives_the_look_that_tells_of_its_consumers()
    {
        var workload = new Workload();
        var busy = AutoAck(workload, 120, perSecond: 5, policy: null);

        // Neither the flag nor a consumer: both are read on schedules of their own.
        AutoAck(workload, 4, perSecond: 0, policy: null, told: false, consumers: 0).Should().BeEquivalentTo(new { busy.Replicas, IsActive = true });
        AutoAck(workload, 4, perSecond: 5, policy: null).Replicas.Should().BeGreaterThanOrEqualTo(busy.Replicas);
    }

    [Fact]
    public void Automatic_acknowledgement_is_noticed_by_the_counters_alone()
    {
        var workload = new Workload();
        AutoAck(workload, 120, perSecond: 5, policy: null, told: false).Should().BeEquivalentTo(
            new { HasAutoAck = true, IsActive = true, Reason = DecisionReason.UnackedUnknown });
    }

    [Theory]
    [InlineData(-1)] // the source has no such counter
    [InlineData(0)]
    public void No_service_time_is_measured_while_consumers_acknowledge_on_delivery_and_the_counters_do_not_tell(long autoAcked)
    {
        var workload = new Workload();
        ScalingDecision decision = default;
        long completed = 0;
        for (var t = 0; t < 600; t += 2)
        {
            // Of 5 a second one is acknowledged when done; the others' work is never seen.
            completed += 10;
            decision = workload.After(t == 0 ? 0 : 2).Queue(0, 2, 10).Known(static q => q with { HasAutoAck = true })
                .Counters(2, completed, delivered: completed + 2, redelivered: 0, unacked: 2, autoAcked: autoAcked).Step();
        }

        decision.Should().BeEquivalentTo(new { ServiceTimeSeconds = (double?)null, HasAutoAck = true });

        // Once they are gone, what was completed before does not count.
        for (var t = 0; t < 60; t += 2)
        {
            completed += 2;
            decision = workload.After(2).Queue(0, 2, 10).Known(static q => q with { HasAutoAck = false })
                .Counters(2, completed, delivered: completed + 2, redelivered: 0, unacked: 2, autoAcked: autoAcked).Step();
        }

        decision.ServiceTimeSeconds.Should().BeApproximately(2, 0.1);
    }

    private static QueueReading Amqp(QueueReading reading) => reading with { Missing = QueueGauges.Unacked, Unacked = 0 };

    private static long _total;

    private static ScalingDecision AutoAck(Workload workload, double seconds, long perSecond, ScalingPolicy? policy, bool told = true, long consumers = 10)
    {
        workload.Policy = policy ?? ScalingPolicy.Default;
        ScalingDecision decision = default;
        for (var t = 0.0; t < seconds; t += 2)
        {
            workload.After(2);
            _total += 2 * perSecond;
            decision = workload.Queue(0, 0, consumers)
                .Known(q => q with { HasAutoAck = told })
                .Counters(0, _total, delivered: _total, redelivered: 0, autoAcked: _total)
                .Step();
        }

        return decision;
    }
}
