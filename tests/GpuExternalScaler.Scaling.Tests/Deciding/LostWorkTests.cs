using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Messages that come back, expire, are purged or are with workers that leave: none of it is work done, and none of it lowers an answer.</summary>
public class LostWorkTests
{
    [Fact]
    public void An_edit_while_workers_drain_does_not_lower_the_answer_to_nothing()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        workload.Queue(0, 100, 100).Known(static q => q with { Prefetch = 1 }).Run(60);
        var before = workload.Queue(0, 100, 0).Run(60);

        // The trigger's metadata are edited: the history is handed on, the state is new.
        workload.State = new WorkloadState(workload.State.History);
        var after = workload.After(2).Step();

        after.Replicas.Should().BeGreaterThanOrEqualTo(before.Replicas);
    }

    [Fact]
    public void Workers_that_drain_longer_than_two_minutes_do_not_teach_a_service_time_that_is_far_too_short()
    {
        // 20-minute jobs, which nobody knows yet. A rollout leaves 10 new workers at first; 100 old ones finish.
        var workload = new Workload();
        long completed = 0;
        long delivered = 110;
        workload.Queue(0, 110, 110).Known(static q => q with { Prefetch = 1 }).Counters(110, 0, 0, delivered, 0, 110);
        workload.Step();
        for (var t = 2; t <= 60; t += 2)
        {
            workload.After(2).Queue(0, 110, 110).Counters(110, 0, 0, delivered, 0, 110).Step();
        }

        var log = new List<string>();
        for (var t = 2; t <= 1200; t += 2)
        {
            if (t > 200 && t % 10 == 0)
            {
                completed++;
            }

            var unacked = 110 - completed;
            var d = workload.After(2).Queue(0, unacked, 10).Counters(unacked, completed, 0, delivered, 0, unacked).Step();
            if (t % 100 == 0)
            {
                log.Add($"{t} s: completed {completed}, draining {d.Draining}, waiting {d.Waiting}, W {d.ServiceTimeSeconds}, replicas {d.Replicas:F1}");
            }
        }

        (workload.State.History.MeasuredServiceTimeSeconds ?? 1200).Should().BeGreaterThan(600, string.Join("; ", log));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Messages_that_came_back_before_an_outage_are_not_taken_for_work_done_after_it(bool crashIsSeen)
    {
        // 100 workers, 10-minute jobs, prefetch 5: 500 held, 10 completed a minute, always enough waiting.
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        long completed = 0;
        long delivered = 500;
        long redelivered = 0;
        long published = 500;
        void Tick(long ready, long unacked, long consumers) => workload
            .Queue(ready, unacked, consumers).Known(static q => q with { Prefetch = 5 })
            .Counters(ready + unacked, completed, published, delivered, redelivered, unacked).Step();
        Tick(0, 500, 100);
        void Work(int seconds)
        {
            for (var t = 2; t <= seconds; t += 2)
            {
                workload.After(2);
                if (t % 6 == 0)
                {
                    completed++;
                    delivered++;
                    published++;
                }

                Tick(0, 500, 100);
            }
        }

        Work(3600);
        var before = workload.State.History.MeasuredServiceTimeSeconds;
        if (crashIsSeen)
        {
            // The broker's node is drained: all connections end, everything held goes back.
            workload.After(2);
            Tick(500, 0, 0);
        }

        // A minute without readings, in which the workers come back and take it again.
        for (var t = 0; t < 60; t += 2)
        {
            workload.After(2, observed: false).Step();
        }

        delivered += 500;
        redelivered += 500;
        workload.After(2);
        Tick(0, 500, 100);
        var least = 600.0;
        var log = new List<string>();
        for (var minute = 0; minute < 20; minute++)
        {
            Work(60);
            log.Add($"{minute + 1} min: W {workload.State.History.MeasuredServiceTimeSeconds:F0}");
            least = Math.Min(least, workload.State.History.MeasuredServiceTimeSeconds ?? 600);
        }

        least.Should().BeInRange(450, 750, $"it was {before:F0}; " + string.Join("; ", log));
    }

    [Fact]
    public void Messages_that_came_back_and_were_purged_are_no_work()
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        long completed = 0;
        long delivered = 500;
        long published = 500;
        void Tick(long ready, long unacked, long consumers) => workload
            .Queue(ready, unacked, consumers).Known(static q => q with { Prefetch = 5 })
            .Counters(ready + unacked, completed, published, delivered, 0, unacked).Step();
        Tick(0, 500, 100);
        void Work(int seconds)
        {
            for (var t = 2; t <= seconds; t += 2)
            {
                workload.After(2);
                if (t % 6 == 0)
                {
                    completed++;
                    delivered++;
                    published++;
                }

                Tick(0, 500, 100);
            }
        }

        Work(3600);
        var before = workload.State.History.MeasuredServiceTimeSeconds;
        workload.After(2);
        Tick(500, 0, 0);
        workload.After(2);
        Tick(0, 0, 0);
        workload.After(2);
        delivered += 500;
        published += 500;
        Tick(0, 500, 100);
        var least = 600.0;
        var log = new List<string>();
        for (var minute = 0; minute < 20; minute++)
        {
            Work(60);
            log.Add($"{minute + 1} min: W {workload.State.History.MeasuredServiceTimeSeconds:F0}");
            least = Math.Min(least, workload.State.History.MeasuredServiceTimeSeconds ?? 600);
        }

        least.Should().BeInRange(450, 750, $"it was {before:F0}; " + string.Join("; ", log));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Messages_that_came_back_before_an_outage_do_not_take_the_backlog_away_after_it(bool crashIsSeen)
    {
        // 10 workers, 10-minute jobs, prefetch 50: 500 held, a completion a minute.
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        long completed = 0;
        long delivered = 500;
        long redelivered = 0;
        long published = 500;
        ScalingDecision Tick(long ready, long unacked, long consumers) => workload
            .Queue(ready, unacked, consumers).Known(static q => q with { Prefetch = 50 })
            .Counters(ready + unacked, completed, published, delivered, redelivered, unacked).Step();
        ScalingDecision Work(int seconds)
        {
            ScalingDecision decision = default;
            for (var t = 2; t <= seconds; t += 2)
            {
                workload.After(2);
                if (t % 60 == 0)
                {
                    completed++;
                    delivered++;
                    published++;
                }

                decision = Tick(0, 500, 10);
            }

            return decision;
        }

        Tick(0, 500, 10);
        var before = Work(7200);
        if (crashIsSeen)
        {
            workload.After(2);
            Tick(500, 0, 0);
        }

        for (var t = 0; t < 60; t += 2)
        {
            workload.After(2, observed: false).Step();
        }

        delivered += 500;
        redelivered += 500;
        workload.After(2);
        Tick(0, 500, 10);
        var log = new List<string> { $"before: W {before.ServiceTimeSeconds:F0}, {before.Replicas:F0} replicas" };
        var least = before;
        for (var minute = 1; minute <= 30; minute++)
        {
            var now = Work(60);
            least = now.Replicas < least.Replicas ? now : least;
            log.Add($"{minute} min: W {now.ServiceTimeSeconds:F1}, {now.Replicas:F0} replicas, {now.Reason}");
        }

        least.Replicas.Should().BeGreaterThan(0.8 * before.Replicas, string.Join("; ", log));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(120)]
    public void Messages_that_came_back_and_expired_or_were_purged_do_not_make_the_service_time_a_millisecond(int expiresWithin)
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        long completed = 0;
        long delivered = 100;
        long published = 100;
        ScalingDecision Tick(long ready, long unacked, long consumers) => workload
            .Queue(ready, unacked, consumers).Known(static q => q with { Prefetch = 1 })
            .Counters(ready + unacked, completed, published, delivered, 0, unacked).Step();
        Tick(0, 100, 100);
        for (var t = 2; t <= 3600; t += 2)
        {
            workload.After(2);
            if (t % 6 == 0)
            {
                completed++;
                delivered++;
                published++;
            }

            Tick(0, 100, 100);
        }

        var before = workload.State.History.MeasuredServiceTimeSeconds;

        // The fleet is taken away; what it held goes back, and then expires or is purged.
        for (var t = 0; t < 120; t += 2)
        {
            workload.After(2);
            Tick(100, 0, 0);
        }

        for (var t = 0; t < 240; t += 2)
        {
            workload.After(2);
            Tick(Math.Max(0, 100 - (100 * t / expiresWithin)), 0, 0);
        }

        var idle = workload.State.History.MeasuredServiceTimeSeconds;
        ScalingDecision burst = default;
        published += 5000;
        for (var t = 0; t < 120; t += 2)
        {
            workload.After(2);
            burst = Tick(5000, 0, 0);
        }

        idle.Should().BeInRange(450, 750, $"it was {before:F0}; of 5,000 ten-minute jobs the answer is {burst.Replicas} replicas, {burst.Reason}");
    }
}
