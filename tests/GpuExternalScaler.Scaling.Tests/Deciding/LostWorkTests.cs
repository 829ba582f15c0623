using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>
/// Messages that come back, expire, are purged or are with workers that leave: none of it is work done, and none of it
/// lowers an answer. All jobs take ten minutes.
/// </summary>
public class LostWorkTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Messages_that_came_back_before_an_outage_are_not_taken_for_work_done_after_it(bool crashIsSeen)
    {
        var fleet = new Fleet(workers: 100, prefetch: 5);
        fleet.Work(3600);

        Break(fleet, crashIsSeen);

        fleet.ShouldKnowTheServiceTimeFor(minutes: 20);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Messages_that_came_back_before_an_outage_do_not_take_the_backlog_away_after_it(bool crashIsSeen)
    {
        var fleet = new Fleet(workers: 10, prefetch: 50);
        var before = fleet.Work(7200);

        Break(fleet, crashIsSeen);

        for (var minute = 1; minute <= 30; minute++)
        {
            var now = fleet.Work(60);
            now.Replicas.Should().BeGreaterThan(0.8 * before.Replicas, $"{minute} min: W {now.ServiceTimeSeconds:F0}, {now.Reason}");
        }
    }

    [Fact]
    public void Messages_that_came_back_and_were_purged_are_no_work()
    {
        var fleet = new Fleet(workers: 100, prefetch: 5);
        fleet.Work(3600);
        fleet.Show(ready: fleet.Held, unacked: 0, consumers: 0);
        fleet.Show(ready: 0, unacked: 0, consumers: 0);

        fleet.Publish(fleet.Held);
        fleet.Deliver(fleet.Held);

        fleet.ShouldKnowTheServiceTimeFor(minutes: 20);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(120)]
    public void Messages_that_came_back_and_expired_or_were_purged_do_not_make_the_service_time_a_millisecond(int expiresWithin)
    {
        var fleet = new Fleet(workers: 100, prefetch: 1);
        fleet.Work(3600);

        // The fleet is taken away; what it held goes back, and then expires or is purged.
        for (var t = 0; t < 120; t += 2)
        {
            fleet.Show(ready: 100, unacked: 0, consumers: 0);
        }

        for (var t = 0; t < 240; t += 2)
        {
            fleet.Show(ready: Math.Max(0, 100 - (100 * t / expiresWithin)), unacked: 0, consumers: 0);
        }

        fleet.ServiceTime.Should().BeInRange(450, 750);
        fleet.Publish(5000);
        fleet.Show(ready: 5000, unacked: 0, consumers: 0).Replicas.Should().BeGreaterThan(1000);
    }

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
    public void Workers_that_drain_for_long_lower_no_answer_and_teach_no_service_time()
    {
        // Jobs of 20 minutes, which nobody knows yet. A rollout leaves 10 new workers at first; 100 old ones finish.
        var workload = new Workload();
        Show(held: 110, completed: 0, consumers: 110);
        for (var t = 2; t <= 60; t += 2)
        {
            Show(held: 110, completed: 0, consumers: 110);
        }

        long completed = 0;
        for (var t = 2; t <= 1200; t += 2)
        {
            if (t > 200 && t % 10 == 0)
            {
                completed++;
            }

            Show(110 - completed, completed, consumers: 10).Replicas.Should().BeGreaterThanOrEqualTo(110 - completed, $"that is what is being worked on after {t} s");
        }

        (workload.State.History.MeasuredServiceTimeSeconds ?? 1200).Should().BeGreaterThan(600);

        ScalingDecision Show(long held, long completed, long consumers) => workload.After(2)
            .Queue(0, held, consumers).Known(static q => q with { Prefetch = 1 }).Counters(held, completed, 0, 110, 0, held).Step();
    }

    /// <summary>All connections end, which a sweep may see; then a minute without readings, in which workers take all of it again.</summary>
    private static void Break(Fleet fleet, bool isSeen)
    {
        if (isSeen)
        {
            fleet.Show(ready: fleet.Held, unacked: 0, consumers: 0);
        }

        fleet.Silence(60);
        fleet.Deliver(fleet.Held, again: true);
    }

    /// <summary>Workers that always hold as much as they can, of ten-minute jobs.</summary>
    private sealed class Fleet(long workers, int prefetch)
    {
        private readonly Workload _workload = new() { Policy = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromMinutes(10) } };
        private readonly double _perSecond = workers / 600.0;
        private double _due;
        private long _completed;
        private long _published = workers * prefetch;
        private long _delivered = workers * prefetch;
        private long _redelivered;

        public long Held => workers * prefetch;

        public double ServiceTime => _workload.State.History.MeasuredServiceTimeSeconds ?? 0;

        public void Publish(long messages) => _published += messages;

        public void Deliver(long messages, bool again = false)
        {
            _delivered += messages;
            _redelivered += again ? messages : 0;
        }

        public void Silence(int seconds)
        {
            for (var t = 0; t < seconds; t += 2)
            {
                _workload.After(2, observed: false).Step();
            }
        }

        public ScalingDecision Show(long ready, long unacked, long consumers) => _workload.After(2)
            .Queue(ready, unacked, consumers)
            .Known(q => q with { Prefetch = prefetch })
            .Counters(ready + unacked, _completed, _published, _delivered, _redelivered, unacked)
            .Step();

        /// <summary>What is completed is published and taken anew.</summary>
        public ScalingDecision Work(int seconds)
        {
            ScalingDecision decision = default;
            for (var t = 2; t <= seconds; t += 2)
            {
                for (_due += 2 * _perSecond; _due >= 1; _due--)
                {
                    _completed++;
                    _delivered++;
                    _published++;
                }

                decision = Show(0, Held, workers);
            }

            return decision;
        }

        public void ShouldKnowTheServiceTimeFor(int minutes)
        {
            for (var minute = 1; minute <= minutes; minute++)
            {
                Work(60);
                ServiceTime.Should().BeInRange(450, 750, $"ten minutes is the truth {minute} min later as well");
            }
        }
    }
}
