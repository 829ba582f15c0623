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

        queue.Last.Should().BeEquivalentTo(new { Reason = DecisionReason.NoProgress, Replicas = cap, IsActive = true, ServiceTimeSeconds = learned });
        queue.Ready.Should().BeGreaterThan(1000);
        DecisionText.Describe(queue.Last, queue.Workload.Now).Should().Contain("none is completed");

        // The message is removed: growing begins at once, with what is known of the service time.
        queue.CrashEvery = null;
        queue.Run(30, perSecond: 1).Reason.Should().Be(DecisionReason.Backlog);
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

    /// <summary>A queue with serial workers, which now and then lose everything they hold.</summary>
    private sealed class Queue(double serviceTime, int consumers)
    {
        private readonly List<double> _started = [];
        private double _now;
        private double _arriving;
        private double _sinceCrash;
        private long _completed;
        private long _published;
        private long _delivered;
        private long _redelivered;
        private long _returned;

        public Workload Workload { get; } = new() { Policy = ScalingPolicy.Default };

        public int Prefetch { get; init; } = 1;

        public double? CrashEvery { get; set; }

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
                    foreach (var done in _started.Take(consumers).Where(started => _now - started >= serviceTime).ToList())
                    {
                        _started.Remove(done);
                        _completed++;
                    }

                    for (var i = 0; i < Math.Min(consumers, _started.Count); i++)
                    {
                        _started[i] = Math.Min(_started[i], _now);
                    }
                }

                while (_started.Count < consumers * Prefetch && Ready > 0)
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
