using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Workers that crash on what they are given, and messages that go round (decision.md, No progress).</summary>
public class NoProgressTests
{
    [Fact]
    public void Workers_that_crash_on_a_poison_message_do_not_make_the_fleet_grow()
    {
        var queue = new Queue(serviceTime: 4, consumers: 8);
        queue.Run(180, perSecond: 1).Reason.Should().NotBe(DecisionReason.NoProgress);
        var learned = queue.Last.ServiceTimeSeconds;

        // Everything that is held comes back every 10 s, and arrivals go on.
        queue.CrashEvery = 10;
        queue.Run(116, perSecond: 1).Reason.Should().NotBe(DecisionReason.NoProgress, "two minutes have not passed");
        queue.Run(10, perSecond: 1).Reason.Should().Be(DecisionReason.NoProgress);
        var cap = queue.Last.Replicas;
        queue.Run(1200, perSecond: 1);

        queue.Last.Should().BeEquivalentTo(new { Reason = DecisionReason.NoProgress, Replicas = cap, IsActive = true });
        queue.Last.ServiceTimeSeconds.Should().BeApproximately(learned!.Value, 0.01 * learned.Value);
        queue.Ready.Should().BeGreaterThan(1000);
        DecisionText.Describe(queue.Last, queue.Workload.Now).Should().Contain("none is completed");

        // The message is removed: growing begins at once, with what is known of the service time.
        queue.CrashEvery = null;
        queue.Run(30, perSecond: 1).Reason.Should().BeOneOf(DecisionReason.Backlog, DecisionReason.Forecast, DecisionReason.Capacity);
        queue.Last.Replicas.Should().BeGreaterThan(2 * cap);
    }

    [Fact]
    public void No_progress_keeps_a_fleet_awake()
    {
        var queue = new Queue(serviceTime: 4, consumers: 8);
        queue.Run(180, perSecond: 1);
        queue.CrashEvery = 10;
        queue.Run(600, perSecond: 0);

        queue.Last.Should().BeEquivalentTo(new { Reason = DecisionReason.NoProgress, IsActive = true });
    }

    [Theory]
    [InlineData(600)] // 10-minute jobs: long without a completion is how they are
    [InlineData(30)]
    public void A_rolling_restart_of_all_workers_is_no_lack_of_progress(double serviceTime)
    {
        var queue = new Queue(serviceTime, consumers: 8);
        queue.Run((4 * serviceTime) + 120, perSecond: 4 / serviceTime);
        queue.CrashOnce();
        for (var t = 0; t < 2 * serviceTime; t += 10)
        {
            queue.Run(10, perSecond: 4 / serviceTime).Reason.Should().NotBe(DecisionReason.NoProgress);
        }
    }

    [Fact]
    public void Prefetched_messages_that_come_back_with_a_restart_are_no_lack_of_progress()
    {
        var queue = new Queue(serviceTime: 60, consumers: 4) { Prefetch = 10 };
        queue.Run(300, perSecond: 1);
        queue.CrashOnce();
        queue.Run(150, perSecond: 1).Reason.Should().NotBe(DecisionReason.NoProgress);
    }

    [Fact]
    public void A_retry_loop_through_a_dead_letter_exchange_is_sized_by_its_rounds()
    {
        // Nothing is published, nothing is acknowledged: 20 messages are worked on for 3 s, rejected, and back after 10 s.
        var workload = new Workload();
        ScalingDecision decision = default;
        long delivered = 0;
        for (var t = 0; t < 400; t += 2)
        {
            workload.After(2);
            delivered += 3; // 20 messages in a round of 13.3 s: 1.5 a second
            decision = workload.Queue(0, 5, 20).Counters(5, 0, published: 20, delivered: delivered, redelivered: 0, unacked: 5).Step();
        }

        decision.Reason.Should().NotBe(DecisionReason.NoProgress);
        decision.ServiceTimeSeconds.Should().BeApproximately(5 / 1.5, 0.4);
        decision.ArrivalsPerSecond.Should().BeApproximately(1.5, 0.1);
        decision.Replicas.Should().BeInRange(5, 5 / 0.7 * 1.2);
    }

    [Fact]
    public void A_crowd_of_messages_that_come_back_at_once_does_not_shorten_the_service_time()
    {
        var queue = new Queue(serviceTime: 20, consumers: 40);
        queue.Run(300, perSecond: 1.5);
        queue.CrashOnce();
        queue.Run(120, perSecond: 1.5);

        queue.Last.ServiceTimeSeconds.Should().BeApproximately(20, 5);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(1)]
    public void A_fleet_that_rejects_poison_messages_is_not_without_progress(long perSecond)
    {
        // Each message is tried three times, then rejected for good: 2 a second leave, 4 a second come back.
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(1) } };
        for (long t = 0; t < 900; t += 2)
        {
            workload.After(2);
            var published = 1000 + (perSecond * t);
            var messages = published - (2 * t);
            workload.Queue(messages - 6, 6, 6)
                .Counters(messages, 0, published, (6 * t) + 6, 4 * t, unacked: 6)
                .Step().Reason.Should().NotBe(DecisionReason.NoProgress);
        }
    }

    [Fact]
    public void Workers_that_crash_beside_many_arrivals_are_noticed_though_publishes_are_counted_later()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(1) } };
        for (long t = 0; t < 300; t += 2)
        {
            workload.After(2);
            var messages = 1000 + (100 * t);
            var redelivered = 4 * t;
            workload.Queue(messages - 6, 6, 6)
                .Counters(messages, 0, messages - (t % 8 * 100), 6 + redelivered, redelivered, unacked: 6)
                .Step();
        }

        workload.Step().Reason.Should().Be(DecisionReason.NoProgress);
    }

    [Fact]
    public void Long_jobs_of_unknown_length_that_a_few_restarts_bring_back_are_no_lack_of_progress()
    {
        // 20-minute jobs; the workers are rolled out anew three times in a row, while they begin.
        var queue = new Queue(serviceTime: 1200, consumers: 8);
        queue.Run(60, perSecond: 0.2);
        for (var i = 0; i < 3; i++)
        {
            queue.CrashOnce();
            queue.Run(40, perSecond: 0.2);
        }

        for (var t = 0; t < 1000; t += 10)
        {
            queue.Run(10, perSecond: 0.2).Reason.Should().NotBe(DecisionReason.NoProgress);
        }
    }

    [Fact]
    public void One_broken_worker_beside_others_with_long_jobs_of_unknown_length_is_no_lack_of_progress()
    {
        var workload = new Workload();
        for (long t = 0; t < 580; t += 2)
        {
            workload.After(2);
            var redelivered = t / 2;
            workload.Queue(50, 8 - (t % 4 / 2), 8)
                .Counters(58, 0, 58, 8 + redelivered, redelivered, unacked: 8 - (t % 4 / 2))
                .Step().Reason.Should().NotBe(DecisionReason.NoProgress);
        }
    }

    [Fact]
    public void Workers_of_a_first_version_that_crash_together_are_noticed_within_minutes()
    {
        var queue = new Queue(serviceTime: 5, consumers: 4) { CrashEvery = 20, RestartSeconds = 8 };

        queue.Run(110, perSecond: 1).Reason.Should().NotBe(DecisionReason.NoProgress);
        queue.Run(40, perSecond: 1).Reason.Should().Be(DecisionReason.NoProgress);
    }

    [Fact]
    public void Redeliveries_in_one_burst_are_no_lack_of_progress()
    {
        var queue = new Queue(serviceTime: 60, consumers: 8);
        queue.Run(600, perSecond: 0.12);
        for (var i = 0; i < 5; i++)
        {
            queue.CrashOnce();
            queue.Run(4, perSecond: 0.12);
        }

        // From here on every worker has a message that takes five times as long.
        queue.ServiceTime = 300;
        for (var t = 0; t < 280; t += 10)
        {
            queue.Run(10, perSecond: 0.12).Reason.Should().NotBe(DecisionReason.NoProgress);
        }
    }

    [Fact]
    public void A_cap_on_growth_leaves_room_for_a_worker_beside_the_one_that_is_killed()
    {
        var queue = new Queue(serviceTime: 4, consumers: 1);
        queue.Run(180, perSecond: 0.2);
        queue.CrashEvery = 6;
        queue.Run(300, perSecond: 0).Reason.Should().Be(DecisionReason.NoProgress);

        queue.Run(300, perSecond: 1).Replicas.Should().BeGreaterThanOrEqualTo(2);
    }

    [Fact]
    public void A_cap_on_growth_ends_when_counters_are_stale()
    {
        var queue = Looping();
        var workload = queue.Workload.Queue(2000, 8, 8);

        workload.Run(60).Should().Match<ScalingDecision>(d => d.Reason != DecisionReason.NoProgress && d.Replicas > queue.Last.Replicas);
    }

    [Fact]
    public void A_cap_on_growth_ends_when_the_queue_is_empty()
    {
        var queue = Looping();
        queue.Workload.After(2).Queue(0, 0, 8).Step().Reason.Should().NotBe(DecisionReason.NoProgress);

        queue.Workload.After(2).Queue(2000, 8, 8).Step();
        queue.Workload.After(2).Step().Replicas.Should().BeGreaterThan(queue.Last.Replicas);
    }

    [Fact]
    public void A_cap_on_growth_ends_when_nothing_has_come_back_for_as_long_as_it_took()
    {
        var queue = Looping();

        // The poison message is gone, and what the others do takes long.
        queue.CrashEvery = null;
        queue.ServiceTime = 10_000;
        queue.Run(110, perSecond: 1).Reason.Should().Be(DecisionReason.NoProgress);
        queue.Run(20, perSecond: 1).Replicas.Should().BeGreaterThan(20);
        queue.Last.Reason.Should().NotBe(DecisionReason.NoProgress);
    }

    [Fact]
    public void A_crash_while_a_backlog_drains_does_not_shorten_the_service_time()
    {
        var queue = new Queue(serviceTime: 20, consumers: 40);
        queue.Run(300, perSecond: 3);
        queue.CrashOnce();
        for (var t = 0; t < 200; t += 10)
        {
            queue.Run(10, perSecond: 0.5).ServiceTimeSeconds.Should().BeInRange(15, 32, "work that was lost took time too");
        }
    }

    [Fact]
    public void Deliveries_out_of_a_backlog_are_no_arrivals()
    {
        var queue = new Queue(serviceTime: 4, consumers: 8);
        queue.Run(300, perSecond: 4);
        queue.Run(60, perSecond: 0);

        queue.Ready.Should().BeGreaterThan(100);
        queue.Last.ArrivalsPerSecond.Should().BeLessThan(0.2);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Messages_rejected_back_to_the_queue_do_not_shorten_the_service_time(long rejections)
    {
        // 8 at work, 2 a second completed; each is worked on for 4 s in all, and was rejected with requeue before.
        var workload = new Workload();
        ScalingDecision decision = default;
        for (long completed = 100; completed < 700; completed += 4)
        {
            workload.After(2);
            decision = workload.Queue(0, 8, 12)
                .Counters(8, completed, completed + 8, (completed * (1 + rejections)) + 8, completed * rejections, unacked: 8)
                .Step();
        }

        decision.ServiceTimeSeconds.Should().BeApproximately(4, 0.2);
    }

    [Fact]
    public void Rates_go_on_where_workers_reject_back_to_the_queue_faster_than_they_complete()
    {
        // A completion every 6 s, and 40 rejections in between: more than is held.
        var workload = new Workload();
        ScalingDecision decision = default;
        var (completed, redelivered, arrived) = (0L, 0L, 0.0);
        for (var t = 0; t < 600; t += 2)
        {
            workload.After(2);
            arrived += t < 300 ? 1.0 / 3 : 10;
            completed += t % 6 == 0 ? 1 : 0;
            redelivered += t % 6 == 0 ? 0 : 20;
            var messages = 58 + (long)arrived - completed;
            decision = workload.Queue(messages - 4, 4, 4)
                .Counters(messages, completed, (long)arrived, 4 + completed + redelivered, redelivered, unacked: 4)
                .Step();
            if (t is 298)
            {
                decision.ArrivalsPerSecond.Should().BeApproximately(1.0 / 6, 0.15);
            }
        }

        decision.ArrivalsPerSecond.Should().BeApproximately(5, 0.5);
    }

    [Fact]
    public void A_queue_that_joins_does_not_bring_its_past_redeliveries_along()
    {
        var workload = new Workload();
        ScalingDecision decision = default;
        for (long completed = 100; completed < 700; completed += 4)
        {
            workload.After(2).Queue(0, 8, 12, "a").Counters(8, completed, completed + 8, completed + 8, 0, unacked: 8, name: "a");
            if (completed > 400)
            {
                workload.Queue(0, 0, 2, "b").Counters(0, 50_000, 50_000, 90_000, 40_000, name: "b");
            }

            decision = workload.Step();
            if (completed is > 200 and not (> 400 and < 420))
            {
                decision.ServiceTimeSeconds.Should().BeApproximately(4, 0.2, "{0} are completed", completed);
            }
        }
    }

    private static Queue Looping()
    {
        var queue = new Queue(serviceTime: 4, consumers: 8);
        queue.Run(180, perSecond: 1);
        queue.CrashEvery = 10;
        queue.Run(300, perSecond: 1).Reason.Should().Be(DecisionReason.NoProgress);
        return queue;
    }

    /// <summary>A queue with serial workers, which now and then lose everything they hold.</summary>
    private sealed class Queue(double serviceTime, int consumers)
    {
        private readonly List<double> _started = [];
        private double _now;
        private double _arriving;
        private double _sinceCrash = double.PositiveInfinity;
        private long _completed;
        private long _published;
        private long _delivered;
        private long _redelivered;
        private long _returned;

        public Workload Workload { get; } = new() { Policy = ScalingPolicy.Default };

        public int Prefetch { get; init; } = 1;

        public double ServiceTime { get; set; } = serviceTime;

        public double? CrashEvery { get; set; }

        public double RestartSeconds { get; init; }

        public long Ready { get; private set; }

        public ScalingDecision Last { get; private set; }

        public ScalingDecision Run(double seconds, double perSecond)
        {
            for (var end = _now + seconds; _now < end; _now += 2)
            {
                _arriving += 2 * perSecond;
                var arrived = (long)_arriving;
                _arriving -= arrived;
                _published += arrived;
                Ready += arrived;
                _sinceCrash += 2;
                if (_sinceCrash >= CrashEvery)
                {
                    CrashOnce();
                }
                else if (CrashEvery is null)
                {
                    // Serial workers: of what is held, only one message each is worked on.
                    foreach (var done in _started.Take(consumers).Where(started => _now - started >= ServiceTime).ToList())
                    {
                        _started.Remove(done);
                        _completed++;
                    }

                    for (var i = 0; i < Math.Min(consumers, _started.Count); i++)
                    {
                        _started[i] = Math.Min(_started[i], _now);
                    }
                }

                while (_sinceCrash >= RestartSeconds && _started.Count < consumers * Prefetch && Ready > 0)
                {
                    Ready--;
                    _delivered++;
                    _redelivered += _returned > 0 ? 1 : 0;
                    _returned -= _returned > 0 ? 1 : 0;
                    _started.Add(_started.Count < consumers ? _now : double.MaxValue);
                }

                Workload.After(2);
                Last = Workload.Queue(Ready, _started.Count, consumers)
                    .Counters(Ready + _started.Count, _completed, _published, _delivered, _redelivered, _started.Count)
                    .Step();
            }

            return Last;
        }

        public void CrashOnce()
        {
            _sinceCrash = 0;
            Ready += _started.Count;
            _returned += _started.Count;
            _started.Clear();
        }
    }
}
