using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Tests.Deciding;

namespace GpuExternalScaler.Scaling.Tests.Forecasting;

/// <summary>Forecasts of arrivals by their shape, and what decisions make of them. Work of a second, one consumer a replica.</summary>
public class ForecastTests
{
    private static readonly ScalingPolicy Minute = ScalingPolicy.Default with { ServiceTime = TimeSpan.FromSeconds(1) };
    private double _arrived;

    [Fact]
    public void Nothing_is_forecast_before_two_minutes_of_forecasts_were_held_against_what_came()
    {
        var workload = new Workload { Policy = Minute };
        var first = Run(workload, 600, static _ => 10, static d => d.Forecast.Forecaster != Forecaster.None);

        (first.DecidedAt - Workload.Start).TotalSeconds.Should().BeInRange(60 + 120, 60 + 120 + 30);
        first.Forecast.ArrivalsPerSecond.Should().BeApproximately(10, 1);
    }

    [Fact]
    public void A_ramp_is_answered_for_the_end_of_the_cold_start()
    {
        // 7 times as much within 15 minutes, cold starts of 3.
        static double Ramp(double t) => 10 * (t < 1200 ? 1 : 1 + (6 * Math.Min(1, (t - 1200) / 900)));
        var workload = new Workload { Policy = Minute with { ColdStart = TimeSpan.FromSeconds(180) } };
        var decision = Run(workload, 1200 + 700, Ramp);

        decision.Forecast.Forecaster.LooksAhead().Should().BeTrue();
        decision.Forecast.ArrivalsPerSecond.Should().BeInRange(Ramp(1900 + 100), 1.3 * Ramp(1900 + 180));
        decision.Reason.Should().Be(DecisionReason.Forecast);
        decision.Replicas.Should().BeGreaterThan(1.15 * decision.Forecast.ReactiveReplicas);
        DecisionText.Describe(decision, workload.Now).Should().Contain("if they go on").And.Contain("when a replica asked for now is ready, in 180 s");
    }

    [Fact]
    public void Noise_is_no_trend_and_is_covered_nine_times_of_ten()
    {
        var random = new Random(7);
        var workload = new Workload { Policy = Minute };
        var decision = Run(workload, 4 * 3600, _ => 20 + (8 * (random.NextDouble() - 0.5)));

        decision.Forecast.Coverage.Should().BeInRange(0.85, 0.95);
        decision.Forecast.ArrivalsPerSecond.Should().BeInRange(20, 24);
        decision.Forecast.Scored.Should().BeGreaterThan(2000);
    }

    [Fact]
    public void Load_that_comes_and_goes_is_not_let_go_of_in_between()
    {
        static double Waves(double t) => t % 180 < 90 ? 30 : 3;
        var workload = new Workload { Policy = Minute with { ColdStart = TimeSpan.FromSeconds(120) } };
        Run(workload, 3600, Waves);
        var least = double.MaxValue;
        Run(workload, 360, Waves, d =>
        {
            least = Math.Min(least, d.Replicas);
            return false;
        });

        least.Should().BeGreaterThan(25);
    }

    [Theory]
    [InlineData(ForecastMode.Auto, true)]
    [InlineData(ForecastMode.Seasonal, true)]
    [InlineData(ForecastMode.Trend, false)]
    [InlineData(ForecastMode.Off, false)]
    public void A_season_that_has_been_right_wakes_a_fleet_before_the_first_message(ForecastMode mode, bool wakes)
    {
        // Ten minutes of work at every full half hour.
        static double Shift(double t) => t % 1800 < 600 ? 12 : 0;
        var workload = new Workload { Policy = Minute with { Forecast = mode } };
        ScalingDecision decision = default;
        for (var t = 0; t < (5 * 1800) - 40; t += 5)
        {
            workload.Season = new SeasonalReading { IsKnown = true, WeekAgo = Shift(t), WeekAgoAhead = Shift(t + 60), TwoWeeksAgoAhead = Shift(t + 60) };
            decision = Step(workload, 5, Shift(t));
        }

        decision.Ready.Should().Be(0);
        decision.IsActive.Should().Be(wakes);
        if (wakes)
        {
            decision.Forecast.Forecaster.Should().Be(Forecaster.Seasonal);
            decision.Replicas.Should().BeInRange(12, 30);
        }
    }

    [Fact]
    public void A_season_that_is_gone_keeps_what_it_asked_for_and_then_no_longer()
    {
        static double Wave(double t) => 20 + (18 * Math.Sin(t / 200));
        var workload = new Workload { Policy = Minute with { Forecast = ForecastMode.Seasonal, HoldFor = TimeSpan.FromSeconds(300) } };
        ScalingDecision decision = default;
        var t = 0;
        for (; t < 9000 && (t < 6000 || decision.Forecast.Replicas <= decision.Forecast.ReactiveReplicas); t += 5)
        {
            workload.Season = new SeasonalReading { IsKnown = true, WeekAgo = Wave(t), WeekAgoAhead = Wave(t + 60), TwoWeeksAgoAhead = Wave(t + 60) };
            decision = Step(workload, 5, Wave(t));
        }

        decision.Forecast.Replicas.Should().BeGreaterThan(decision.Forecast.ReactiveReplicas);
        decision.Forecast.Forecaster.Should().Be(Forecaster.Seasonal);
        var before = decision.Replicas;
        workload.Season = default;
        for (var gone = 0; gone < 295; gone += 5)
        {
            decision = Step(workload, 5, 1);
            decision.Replicas.Should().BeGreaterThanOrEqualTo(before);
        }

        decision.Reason.Should().Be(DecisionReason.SignalStale);
        DecisionText.Describe(decision, workload.Now).Should().Contain("the weeks before cannot be told now");
        for (var later = 0; later < 300; later += 5)
        {
            decision = Step(workload, 5, 1);
        }

        decision.Replicas.Should().BeLessThan(before);
    }

    [Fact]
    public void One_message_an_hour_lets_the_fleet_sleep_in_between()
    {
        var workload = new Workload { Policy = Minute with { ServiceTime = TimeSpan.FromMinutes(10) } };
        var awake = 0;
        for (var t = 0; t < 6 * 3600; t += 5)
        {
            // At work for ten minutes.
            var busy = t % 3600 < 600 ? 1 : 0;
            _arrived += t % 3600 == 0 ? 1 : 0;
            var decision = workload.After(5).Queue(0, busy, busy).Counters(busy, (long)_arrived - busy, (long)_arrived).Step();
            awake += decision.IsActive && busy == 0 ? 5 : 0;
        }

        awake.Should().Be(0);
    }

    [Theory]
    [InlineData(0, 900, 1700)] // nothing was missed of a slow ramp
    [InlineData(15, 100, 1275)] // the newest is from fifteen seconds ago, and a fifth of what comes now has been added since
    [InlineData(60, 900, 1700)]
    public void Restarted_with_what_is_remembered_it_answers_as_if_it_had_never_stopped(int missed, double rise, int stop)
    {
        double Ramp(double t) => 10 * (t < 1200 ? 1 : 1 + (3 * Math.Min(1, (t - 1200) / rise)));
        var undisturbed = new Workload { Policy = Minute with { ColdStart = TimeSpan.FromSeconds(180) } };
        List<(DateTimeOffset, double)> seen = [];
        var before = Run(undisturbed, stop, Ramp, d =>
        {
            if (d.ArrivalsPerSecond is { } arrivals && d.DecidedAt.Second % 5 == 0 && d.DecidedAt <= Workload.Start.AddSeconds(stop - missed))
            {
                seen.Add((d.DecidedAt, arrivals));
            }

            return false;
        });
        var restarted = new WorkloadState();
        restarted.History.Fill(new PastArrivals { Arrivals = seen, ServiceTimeSeconds = before.ServiceTimeSeconds });
        var running = undisturbed.State;

        for (var second = 0; second < 60; second += 5)
        {
            undisturbed.State = running;
            var one = Step(undisturbed, 5, Ramp(stop + second));
            undisturbed.State = restarted;

            // Its first look is one at a moment at which a fifth fewer are at work than on average.
            var queue = undisturbed.Readings()[0];
            var other = undisturbed.Step([second == 0 ? queue with { Unacked = queue.Unacked * 4 / 5 } : queue]);

            other.Replicas.Should().BeApproximately(one.Replicas, 0.1 * one.Replicas, "at {0} s", second);
            other.Forecast.Forecaster.Should().NotBe(Forecaster.None);
        }
    }

    [Fact]
    public void The_ledger_counts_what_a_forecast_costs_and_avoids()
    {
        static double Waves(double t) => t % 900 < 450 ? 30 : 3;
        var policy = Minute with { ColdStart = TimeSpan.FromSeconds(180), MaxReplicas = 200 };
        var with = Run(new Workload { Policy = policy }, 4 * 3600, Waves).Forecast;
        _arrived = 0;
        var flat = Run(new Workload { Policy = policy }, 4 * 3600, static _ => 20).Forecast;
        _arrived = 0;
        var random = new Random(3);
        var noise = Run(new Workload { Policy = policy }, 4 * 3600, _ => 20 + (10 * (random.NextDouble() - 0.5))).Forecast;
        _arrived = 0;
        var off = Run(new Workload { Policy = policy with { Forecast = ForecastMode.Off } }, 3600, Waves).Forecast;

        with.WaitSecondsAvoided.Should().BePositive("replicas are there when the wave comes");
        with.ReplicaSecondsAdded.Should().BeNegative("whoever waits for the backlog buys for its peak");
        Math.Abs(flat.WaitSecondsAvoided).Should().BeLessThan(1);
        Math.Abs(flat.ReplicaSecondsAdded).Should().BeLessThan(0.05 * 4 * 3600 * 30);
        noise.ReplicaSecondsAdded.Should().BePositive("an upper quantile has its price");
        (off.WaitSecondsAvoided, off.ReplicaSecondsAdded).Should().Be((0, 0));
    }

    [Fact]
    public void Minutes_of_arrivals_are_minutes_of_slots_where_work_takes_ten()
    {
        // 100 jobs of ten minutes come within a minute to a sleeping fleet: 100 slots, not the 1,000 that such a rate would keep busy.
        var workload = new Workload { Policy = Minute with { ServiceTime = TimeSpan.FromMinutes(10) } };
        Run(workload, 120, static _ => 0);
        double most = 0;
        for (var t = 0; t < 120; t += 5)
        {
            _arrived += t < 60 ? 100.0 / 12 : 0;
            var decision = workload.After(5).Queue((long)_arrived, 0, 0).Counters((long)_arrived, 0, (long)_arrived).Step();
            most = Math.Max(most, decision.Replicas);
        }

        most.Should().BeInRange(100, 300);
    }

    [Fact]
    public void Replicas_on_their_way_keep_a_backlog_from_growing_the_answer()
    {
        static double Run(bool asksEarlier)
        {
            // 600 messages of 1 s wait, ten more arrive each second, ten replicas work; cold starts of a minute.
            var workload = new Workload { Policy = Minute };
            long completed = 0;
            ScalingDecision decision = default;
            for (var t = 0; t < 50; t += 5)
            {
                completed += 50;
                decision = workload.After(5).Queue(asksEarlier || t >= 40 ? 600 + (40 * t / 5) : 0, 10, 10).Counters(610, completed, completed + 610).Step();
            }

            return decision.Forecast.PendingReplicas;
        }

        Run(asksEarlier: true).Should().BeGreaterThan(Run(asksEarlier: false) + 5);
    }

    [Theory]
    [InlineData(66)]
    [InlineData(48)]
    public void Replicas_on_their_way_are_not_forgotten_when_the_first_of_them_shows_another_cold_start(double measured)
    {
        static ForecastFigures Run(double measured)
        {
            var workload = new Workload { Policy = Minute with { MeasuresColdStart = true } };
            long completed = 0;
            ScalingDecision decision = default;
            for (var t = 0; t < 50; t += 5)
            {
                if (t == 40)
                {
                    workload.State.History.ColdStarts.Fill(measured);
                }

                completed += 50;
                decision = workload.After(5).Queue(600 + (40 * t / 5), 10, 10).Counters(610, completed, completed + 610).Step();
            }

            return decision.Forecast;
        }

        Run(60).PendingReplicas.Should().BeGreaterThan(5);
        Run(measured).PendingReplicas.Should().BeApproximately(Run(60).PendingReplicas, 1);
    }

    private ScalingDecision Run(Workload workload, double seconds, Func<double, double> rate, Func<ScalingDecision, bool>? until = null)
    {
        var began = (workload.Now - Workload.Start).TotalSeconds;
        ScalingDecision decision = default;
        for (var t = 0; t < seconds; t += 5)
        {
            decision = Step(workload, 5, rate(began + t));
            if (until?.Invoke(decision) ?? false)
            {
                break;
            }
        }

        return decision;
    }

    /// <summary>Time passes with so many arrivals a second, each of them worked on for a second.</summary>
    private ScalingDecision Step(Workload workload, double seconds, double rate)
    {
        _arrived += seconds * rate;
        var busy = (long)Math.Round(rate);
        return workload.After(seconds).Queue(0, busy, busy).Counters(busy, (long)_arrived, (long)_arrived + busy).Step();
    }
}
