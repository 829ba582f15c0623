using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>The twin itself: it loses nothing, it repeats itself, and its clairvoyant and judge say what can be worked out by hand.</summary>
public class TwinTests
{
    [Theory]
    [InlineData(1, false)]
    [InlineData(1, true)]
    [InlineData(10, false)]
    public void No_message_and_no_work_is_lost(int prefetch, bool drain)
    {
        var scenario = Steady(2, 20) with { Prefetch = prefetch, WorkersDrain = drain, Rejecting = new Span(300, 600), Maximum = 30 };
        scenario = scenario with { Seconds = 3600, ArrivalsPerSecond = static t => t < 600 ? 12 : t < 2400 ? 6 : 0 };
        var log = TwinRun.Of(scenario);
        var reading = log.Broker.Reading;

        (log.Broker.Ready, log.Broker.Unacked, log.Fleet.Busy).Should().Be((0, 0, 0));
        log.Fleet.Finished.Should().Be(reading.Counters.Completed).And.Be(reading.Counters.Published).And.BeInRange(17_000, 19_000);
        log.Fleet.WaitingSlots.Should().BeApproximately(0, 1e-6);

        // 300 s of it are worked on three times. Whoever drains loses nothing, and what is lost is done again.
        log.Fleet.WorkDone.Should().BeApproximately(2 * (reading.Counters.Completed + (2 * 3600)), 1500);
        (reading.Counters.Redelivered == 0).Should().Be(drain && prefetch == 1);
        (log.Fleet.WorkLost == 0).Should().Be(drain);
        (reading.Counters.Delivered - reading.Counters.Redelivered).Should().BeInRange(reading.Counters.Completed + 7000, reading.Counters.Completed + 7400);
    }

    [Fact]
    public void A_run_repeats_itself_and_another_seed_does_not()
    {
        var scenario = Steady(2, 20);
        var one = TwinRun.Of(scenario);
        TwinRun.Of(scenario).Seconds.Should().Equal(one.Seconds);
        TwinRun.Of(scenario with { Seed = 2 }).Seconds.Should().NotEqual(one.Seconds);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(600)]
    public void Of_a_steady_load_the_clairvoyant_asks_for_just_that_and_the_policys_slack(double serviceTime)
    {
        var log = TwinRun.Of(Steady(serviceTime, 35) with { ArrivalsAreRandom = false, Seconds = 3600 + (int)(10 * serviceTime) });
        Clairvoyant.Asks(log)[^600..].Average().Should().BeInRange(35 / 0.7, 40 / 0.7);
    }

    [Fact]
    public void Figures_are_as_late_as_a_brokers_and_missing_while_it_cannot_be_read()
    {
        var broker = new TwinBroker();
        broker.Tick(0, TwinRun.Start, 0, isReachable: true);
        broker.Publish(new TwinMessage(0, 1, 0, false), counts: true);
        for (var t = 1; t < 6; t++)
        {
            broker.Tick(t, TwinRun.Start + TimeSpan.FromSeconds(t), 0, isReachable: true);
            broker.Reading.Ready.Should().Be(0);
        }

        var sixth = TwinRun.Start + TimeSpan.FromSeconds(6);
        broker.Tick(6, sixth, 0, isReachable: true);
        (broker.Reading.Ready, broker.Reading.ObservedAt).Should().Be((1, sixth));
        broker.Tick(8, TwinRun.Start + TimeSpan.FromSeconds(8), 0, isReachable: false);
        broker.Reading.ObservedAt.Should().Be(sixth);
        broker.Reading.Presence.Should().Be(QueuePresence.Present);
    }

    [Fact]
    public void The_judge_sees_what_it_is_there_for()
    {
        var log = TwinRun.Of(Steady(2, 35));
        TwinJudge.BelowBusyWork(log).Seconds.Should().Be(0);
        TwinJudge.Deactivations(log).Should().Be((0, 0));

        Change(log, 3000, 3300, static second => second with { Answer = 10 });
        TwinJudge.BelowBusyWork(log).Seconds.Should().BeInRange(295, 300);
        Change(log, 3000, 3300, static second => second with { Answer = 150 });
        TwinJudge.LongestExcess(log).Seconds.Should().BeInRange(290, 320);
        Change(log, 3100, 3150, static second => second with { Answer = 60 });
        TwinJudge.LongestExcess(log).Seconds.Should().BeInRange(290, 320);
        Change(log, 3100, 3170, static second => second with { Answer = 60 });
        TwinJudge.LongestExcess(log).Seconds.Should().BeLessThan(200);
        Change(log, 3400, 3410, static second => second with { IsActive = false });
        TwinJudge.Deactivations(log).Should().Be((1, 0));
        Change(log, 3400, 3430, static second => second with { IsActive = false });
        TwinJudge.Deactivations(log).Should().Be((1, 1));
        Change(log, 3400, 3430, static second => second with { Answer = double.NaN });
        TwinJudge.Deactivations(log).Should().Be((0, 0));
    }

    private static TwinScenario Steady(double serviceTime, double load) => new()
    {
        Policy = ScalingPolicy.Default,
        Seconds = 5400,
        ArrivalsPerSecond = _ => load / serviceTime,
        ServiceTime = serviceTime,
        PodStart = 45,
    };

    private static void Change(TwinLog log, int from, int to, Func<TwinSecond, TwinSecond> change)
    {
        for (var t = from; t < to; t++)
        {
            log.Seconds[t] = change(log.Seconds[t]);
        }
    }
}
