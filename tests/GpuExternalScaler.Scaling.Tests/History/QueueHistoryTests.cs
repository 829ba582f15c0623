using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.History;

public class QueueHistoryTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan MaximumGap = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData(2, 5, 2)] // 10 busy
    [InlineData(0.4, 50, 2)]
    [InlineData(60, 0.2, 2)]
    [InlineData(600, 0.1, 2)] // 10-minute jobs
    [InlineData(2, 5, 10)] // counters every 10 s, as from the management list of 3.10
    [InlineData(60, 0.2, 10)]
    public void Steady_load_is_measured(double serviceTime, double perSecond, int counterInterval)
    {
        var work = new Work(serviceTime);
        work.Run(Math.Max(120, 4 * serviceTime), perSecond, counterInterval);

        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(serviceTime, serviceTime * 0.1);
        work.History.ArrivalsPerSecond.Should().BeApproximately(perSecond, perSecond * 0.2);
        work.History.CompletionsPerSecond.Should().BeApproximately(perSecond, perSecond * 0.25);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(60)]
    [InlineData(600)] // jobs longer than every window: ∫B ÷ acks alone would read three times too long
    public void A_fivefold_step_does_not_bend_the_service_time(double serviceTime)
    {
        var work = new Work(serviceTime);
        work.Run(4 * serviceTime + 120, 0.5, 2);
        var worst = work.Run(3 * serviceTime + 120, 2.5, 2);

        worst.Should().BeLessThan(0.25);
    }

    [Fact]
    public void Another_concurrency_makes_the_service_time_be_measured_anew_and_nothing_else()
    {
        var work = new Work(2);
        work.Run(120, 5, 2);
        var arrivals = work.History.ArrivalsPerSecond;
        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(2, 0.3);

        work.Policy = ScalingPolicy.Default with { Concurrency = 4 };
        work.Run(2, 5, 2);
        work.History.MeasuredServiceTimeSeconds.Should().BeNull("it was measured in other slots");
        work.History.ArrivalsPerSecond.Should().BeApproximately(arrivals!.Value, 1);

        work.Run(120, 5, 2);
        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(2, 0.3);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(60)]
    public void Jobs_that_become_three_times_as_long_are_followed_within_three_of_them(double serviceTime)
    {
        var work = new Work(serviceTime);
        work.Run(6 * serviceTime + 120, 1, 2);
        work.ServiceTime = 3 * serviceTime;

        // Until the first long job ends there is nothing to learn from.
        work.Run(3 * 3 * serviceTime + 15, 1, 2);

        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(3 * serviceTime, 3 * serviceTime * 0.25);
    }

    [Theory]
    [InlineData(600, 100, 1 / 3.0)]
    [InlineData(600, 10, 1 / 3.0)]
    [InlineData(600, 30, 0.1)]
    [InlineData(600, 100, 3)]
    [InlineData(60, 10, 1 / 3.0)]
    public void Long_jobs_of_a_busy_fleet_are_measured_and_followed(double serviceTime, int slots, double factor)
    {
        // Every slot always at work, on jobs of random length.
        var random = new Random(slots);
        var history = new QueueHistory();
        var doneAt = Enumerable.Range(0, slots).Select(_ => serviceTime * random.NextDouble()).ToArray();
        var change = 6 * serviceTime;
        var followed = change + (2.5 * serviceTime * Math.Max(1, factor));
        long completed = 0;
        for (var now = 0.0; now < followed + (2 * serviceTime * factor); now += 2)
        {
            var length = now < change ? serviceTime : factor * serviceTime;
            for (var i = 0; i < slots; i++)
            {
                if (doneAt[i] <= now)
                {
                    completed++;
                    doneAt[i] += length * (0.5 + random.NextDouble());
                }
            }

            history.AddGauges(Start + TimeSpan.FromSeconds(now), slots, 0, 0, ScalingPolicy.Default, MaximumGap);
            history.AddCounters(new CounterSample(Start + TimeSpan.FromSeconds(now), 1, slots, completed, null, null), ScalingPolicy.Default);
            history.RenewServiceTime(ScalingPolicy.Default);
            if ((now > 4 * serviceTime && now < change) || now > followed)
            {
                history.MeasuredServiceTimeSeconds.Should().BeApproximately(length, 0.3 * length, "at {0} s", now);
            }
        }
    }

    [Theory]
    [InlineData(600, 2)]
    [InlineData(120, 5)]
    public void Jobs_that_become_a_third_as_long_are_followed_when_the_long_ones_are_done(double serviceTime, double perSecond)
    {
        var work = new Work(serviceTime);
        work.Run(4 * serviceTime + 120, perSecond, 2);
        work.ServiceTime = serviceTime / 3;
        work.Run(serviceTime + 100, perSecond, 2);

        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(serviceTime / 3, serviceTime / 3 * 0.25);
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(0.5, 1)]
    [InlineData(2, 1)]
    [InlineData(2, 4)]
    [InlineData(0.2, 4)]
    [InlineData(10, 4)]
    [InlineData(2, 40)]
    [InlineData(60, 10)]
    public void A_broker_that_looks_every_five_seconds_is_measured_all_the_same(double serviceTime, double busy)
    {
        // Random arrivals and work; gauges and counters are those of up to 5 s ago, and counters are read every 10 s.
        var errors = new List<double>();
        for (var seed = 0; seed < 20; seed++)
        {
            var random = new Random(seed);
            var history = new QueueHistory();
            var running = new PriorityQueue<double, double>();
            var (arrives, completed, shown, shownCompleted) = (0.0, 0L, 0, 0L);
            for (var now = 0; now <= 900; now++)
            {
                for (; arrives <= now; arrives -= serviceTime / busy * Math.Log(1 - random.NextDouble()))
                {
                    var done = arrives + (serviceTime * (0.5 + random.NextDouble()));
                    running.Enqueue(done, done);
                }

                while (running.TryPeek(out var done, out _) && done <= now)
                {
                    running.Dequeue();
                    completed++;
                }

                (shown, shownCompleted) = now % 5 == 0 ? (running.Count, completed) : (shown, shownCompleted);
                var at = Start + TimeSpan.FromSeconds(now);
                if (now % 2 == 0)
                {
                    history.AddGauges(at, shown, 0, 0, ScalingPolicy.Default, MaximumGap);
                }

                if (now % 10 == 3)
                {
                    history.AddCounters(new CounterSample(at, 1, shown, shownCompleted, null, null), ScalingPolicy.Default);
                    history.RenewServiceTime(ScalingPolicy.Default);
                }
            }

            errors.Add(Math.Abs(history.MeasuredServiceTimeSeconds!.Value - serviceTime) / serviceTime);
        }

        errors.Count(static error => error > 0.25).Should().BeLessThanOrEqualTo(2, "of twenty, {0}", string.Join(' ', errors.Select(static e => e.ToString("0.00", System.Globalization.CultureInfo.InvariantCulture))));
    }

    [Fact]
    public void The_service_time_is_kept_through_idleness_and_rates_fall_to_zero()
    {
        var work = new Work(2);
        work.Run(120, 5, 2);
        work.Run(600, 0, 2);

        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(2, 0.3);
        work.History.ArrivalsPerSecond.Should().Be(0);
    }

    [Fact]
    public void Fewer_than_twenty_completions_measure_nothing()
    {
        var work = new Work(2);
        work.Run(60, 0.3, 2);

        work.History.MeasuredServiceTimeSeconds.Should().BeNull();
    }

    [Fact]
    public void A_gap_is_not_integrated_over()
    {
        var history = new QueueHistory();
        var at = Start;
        for (var i = 0; i < 10; i++, at += TimeSpan.FromSeconds(2))
        {
            history.AddGauges(at, 10, 0, 0, ScalingPolicy.Default, MaximumGap);
        }

        history.AddGauges(at + TimeSpan.FromSeconds(60), 2, 0, 0, ScalingPolicy.Default, MaximumGap);

        history.AverageBusy(TimeSpan.FromSeconds(60)).Should().Be(2);
    }

    [Fact]
    public void A_queue_that_joins_brings_neither_arrivals_nor_completions()
    {
        var work = new Work(2);
        work.Run(60, 1, 2);
        var before = work.History.ArrivalsPerSecond;

        // 10,000 messages that were there all along.
        work.Queues++;
        work.Extra = 10_000;
        work.ExtraCompleted = 1_000_000;
        work.Run(40, 1, 2);

        work.History.ArrivalsPerSecond.Should().BeLessThan(2 * before!.Value);
        work.History.CompletionsPerSecond.Should().BeLessThan(2);
        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(2, 0.4);
    }

    [Fact]
    public void Queues_that_join_all_the_time_do_not_freeze_the_rates()
    {
        var work = new Work(0.2);
        work.Run(60, 1, 2);
        for (var i = 0; i < 30; i++)
        {
            work.Queues++;
            work.Run(4, 50, 2);
        }

        work.History.ArrivalsPerSecond.Should().BeApproximately(50, 10);
        work.History.MeasuredServiceTimeSeconds.Should().BeApproximately(0.2, 0.05);
    }

    [Fact]
    public void Counters_that_answer_late_are_measured_against_the_busy_slots_of_their_own_moment()
    {
        var history = new QueueHistory();
        long completed = 0;
        var pending = new Queue<CounterSample>();
        for (var t = 0; t < 300; t += 2)
        {
            // 90 and 1 busy by turns of ten seconds, each message 0.1 s.
            var busy = t / 10 % 2 == 0 ? 90 : 1;
            var at = Start + TimeSpan.FromSeconds(t);
            history.AddGauges(at, busy, 0, 0, ScalingPolicy.Default, MaximumGap);
            completed += busy * 20;
            pending.Enqueue(new CounterSample(at, 1, busy, completed, null, null));
            if (pending.Count > 4)
            {
                history.AddCounters(pending.Dequeue(), ScalingPolicy.Default);
                history.RenewServiceTime(ScalingPolicy.Default);
            }
        }

        history.MeasuredServiceTimeSeconds.Should().BeApproximately(0.1, 0.015);
    }

    [Fact]
    public void Expired_and_purged_messages_are_neither_completions_nor_negative_arrivals()
    {
        var work = new Work(2) { Extra = 10_000 };
        work.Run(60, 1, 2);
        work.Extra = 0;
        work.Run(20, 1, 2);

        work.History.ArrivalsPerSecond.Should().BeGreaterThanOrEqualTo(0);
        work.History.CompletionsPerSecond.Should().BeLessThan(2);
    }

    [Fact]
    public void A_copy_goes_its_own_way()
    {
        var work = new Work(2);
        work.Run(60, 5, 2);
        var copy = work.History.Clone();
        var before = copy.AverageBusy(TimeSpan.FromSeconds(15));
        work.Run(60, 50, 2);

        copy.AverageBusy(TimeSpan.FromSeconds(15)).Should().Be(before);
        copy.ArrivalsPerSecond.Should().BeApproximately(5, 1);
        work.History.ArrivalsPerSecond.Should().BeGreaterThan(20);
    }

    /// <summary>Arrivals at fixed distances, unlimited slots, fixed service time: what the broker would show.</summary>
    private sealed class Work(double serviceTime)
    {
        private readonly PriorityQueue<double, double> _busyUntil = new();
        private double _now;
        private double _arrived;
        private long _completed;
        private long _published;
        private double _nextCounters;

        public double ServiceTime { get; set; } = serviceTime;

        public ScalingPolicy Policy { get; set; } = ScalingPolicy.Default;

        public QueueHistory History { get; } = new();

        public long Extra { get; set; }

        public long ExtraCompleted { get; set; }

        public int Queues { get; set; } = 1;

        /// <summary>Runs, and gives the largest relative error of the service time on the way.</summary>
        public double Run(double seconds, double perSecond, int counterInterval)
        {
            double worst = 0;
            for (var end = _now + seconds; _now < end; _now += 2)
            {
                for (_arrived += 2 * perSecond; _arrived >= 1; _arrived--)
                {
                    var done = _now - 2 + (2 * _arrived / (2 * Math.Max(perSecond, 1e-9))) + ServiceTime;
                    _busyUntil.Enqueue(done, done);
                    _published++;
                }

                while (_busyUntil.TryPeek(out var done, out _) && done <= _now)
                {
                    _busyUntil.Dequeue();
                    _completed++;
                }

                var at = Start + TimeSpan.FromSeconds(_now);
                History.AddGauges(at, _busyUntil.Count, 0, 0, Policy, MaximumGap);
                if (_now >= _nextCounters)
                {
                    _nextCounters = _now + counterInterval;
                    History.AddCounters(new CounterSample(at, Queues, _busyUntil.Count + Extra, _completed + ExtraCompleted, _published, null), Policy);
                    History.RenewServiceTime(Policy);
                }

                if (History.MeasuredServiceTimeSeconds is { } measured)
                {
                    worst = Math.Max(worst, Math.Abs(measured - ServiceTime) / ServiceTime);
                }
            }

            return worst;
        }
    }
}
