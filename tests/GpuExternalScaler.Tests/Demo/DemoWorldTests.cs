using GpuExternalScaler.Demo;

namespace GpuExternalScaler.Tests.Demo;

/// <summary>Script, queue, pods, and the world they make together.</summary>
public class DemoWorldTests
{
    private static readonly DemoSettings Settings = new() { Duration = TimeSpan.FromMinutes(20) };

    [Theory]
    [InlineData(0, nameof(DemoPhase.Steady), 2)]
    [InlineData(299, nameof(DemoPhase.Steady), 2)]
    [InlineData(330, nameof(DemoPhase.Spike), 6)] // half way up
    [InlineData(360, nameof(DemoPhase.Spike), 10)]
    [InlineData(599, nameof(DemoPhase.Spike), 10)]
    [InlineData(600, nameof(DemoPhase.Decay), 10)]
    [InlineData(762, nameof(DemoPhase.Decay), 5.25)] // half way down
    [InlineData(925, nameof(DemoPhase.Idle), 0)]
    [InlineData(1200, nameof(DemoPhase.Idle), 0)]
    public void The_script_rises_falls_and_ends(double second, string phase, double arrivalsPerSecond)
    {
        var script = new DemoScript(Settings);
        script.PhaseAt(S(second)).ToString().Should().Be(phase);
        script.ArrivalsPerSecondAt(S(second)).Should().BeApproximately(arrivalsPerSecond, 1e-9);
    }

    [Fact]
    public void Messages_arrive_at_the_scripted_rate_and_then_no_more()
    {
        var script = new DemoScript(Settings);
        var random = new Random(1);
        var arrivals = new List<TimeSpan>();
        for (var at = script.NextArrival(TimeSpan.Zero, random); at is { } next; at = script.NextArrival(next, random))
        {
            arrivals.Add(next);
        }

        arrivals.Should().BeInAscendingOrder();
        arrivals.Count(at => at < S(300)).Should().BeInRange(500, 700, "2 a second for 300 seconds are 600, give or take 4 deviations");
        arrivals.Count(at => at >= S(360) && at < S(600)).Should().BeInRange(2200, 2600);
        arrivals.Max().Should().BeLessThan(S(925));
    }

    [Fact]
    public void A_queue_delivers_the_oldest_message_first_and_remembers_its_wait()
    {
        var queue = new DemoQueue();
        queue.TryDeliver(S(0)).Should().BeFalse();
        queue.Publish(S(1));
        queue.Publish(S(3));
        queue.TryDeliver(S(4)).Should().BeTrue();
        queue.Waits.Should().Equal(S(3));
        (queue.Ready, queue.Unacked, queue.Published, queue.Delivered, queue.Acknowledged).Should().Be((1, 1, 2L, 1L, 0L));
        queue.Acknowledge();
        (queue.Ready, queue.Unacked, queue.Acknowledged).Should().Be((1, 0, 1L));
        queue.Invoking(static empty => empty.Acknowledge()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_pod_consumes_one_message_at_a_time_from_when_it_is_ready()
    {
        var (queue, fleet) = (new DemoQueue(), new DemoFleet());
        queue.Publish(S(0));
        queue.Publish(S(0));
        fleet.ScaleTo(1, S(0), static () => S(60));
        (fleet.Wanted, fleet.Ready).Should().Be((1, 0));
        fleet.NextEventAt.Should().Be(S(60));

        Work(59).Should().Be((0, 0));
        Work(60).Should().Be((1, 1));
        fleet.NextEventAt.Should().Be(S(62));
        Work(62).Should().Be((1, 1), "it takes the next one at once");
        Work(64).Should().Be((1, 0));
        queue.Acknowledged.Should().Be(2);
        fleet.NextEventAt.Should().BeNull();
        fleet.ReplicaTime.Should().Be(S(64));
        fleet.WorkTime.Should().Be(S(4));

        (int Ready, int Unacked) Work(double second)
        {
            fleet.Work(S(second), queue, static () => S(2));
            return (fleet.Ready, queue.Unacked);
        }
    }

    [Fact]
    public void Scale_in_takes_loading_pods_first_and_lets_busy_ones_finish()
    {
        var (queue, fleet) = (new DemoQueue(), new DemoFleet());
        fleet.ScaleTo(2, S(0), static () => S(10));
        fleet.Work(S(10), queue, static () => S(2));
        fleet.ScaleTo(4, S(10), static () => S(60));
        fleet.ScaleTo(2, S(11), static () => S(60));
        (fleet.Wanted, fleet.Ready, fleet.Holding).Should().Be((2, 2, 2), "the two that were loading went");

        queue.Publish(S(12));
        queue.Publish(S(12));
        fleet.Work(S(12), queue, static () => S(2));
        fleet.ScaleTo(0, S(13), static () => S(60));
        (fleet.Wanted, fleet.Ready, fleet.Holding, queue.Unacked).Should().Be((0, 0, 2, 2), "both drain");

        queue.Publish(S(13));
        fleet.Work(S(14), queue, static () => S(2));
        (fleet.Holding, queue.Unacked, queue.Ready, queue.Acknowledged).Should().Be((0, 0, 1, 2L), "they finished and took nothing new");
        fleet.PeakWanted.Should().Be(4);
        fleet.ReplicaTime.Should().Be(S((2 * 10) + 4 + (2 * 3)));
    }

    [Fact]
    public void The_world_does_not_depend_on_how_often_it_is_looked_at()
    {
        Play(S(0.05)).Should().Be(Play(S(15)));

        static DemoSummary Play(TimeSpan step)
        {
            var cluster = new DemoCluster(Settings);
            for (var at = TimeSpan.Zero; at <= Settings.Duration; at += step)
            {
                if (at.Ticks % S(15).Ticks == 0)
                {
                    cluster.ScaleTo((int)(at.TotalMinutes * 7 % 30), at);
                }

                var moment = cluster.At(at);
                moment.Published.Should().Be(moment.Ready + moment.Unacked + moment.Acknowledged, "no message is lost or made");
            }

            return cluster.Summarize();
        }
    }

    [Fact]
    public void The_summary_counts_waits_by_nearest_rank()
    {
        var (queue, fleet) = (new DemoQueue(), new DemoFleet());
        for (var wait = 1; wait <= 200; wait++)
        {
            queue.Publish(S(0));
            queue.TryDeliver(S(wait / 10.0));
        }

        var summary = DemoSummary.Of(S(60), queue, fleet, S(10));
        summary.MedianWait.Should().Be(S(10));
        summary.NinetyNinthWait.Should().Be(S(19.8));
        summary.LateShare.Should().Be(0.5);

        for (var i = 0; i < 200; i++)
        {
            queue.Publish(S(45));
        }

        DemoSummary.Of(S(60), queue, fleet, S(10)).LateShare.Should().Be(0.75, "those still waiting have waited 15 s");
        DemoSummary.Of(S(60), new DemoQueue(), fleet, S(10)).MedianWait.Should().Be(TimeSpan.Zero);
    }

    private static TimeSpan S(double seconds) => TimeSpan.FromSeconds(seconds);
}
