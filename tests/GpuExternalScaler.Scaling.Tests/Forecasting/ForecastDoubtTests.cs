using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Tests.Deciding;

namespace GpuExternalScaler.Scaling.Tests.Forecasting;

/// <summary>Forecasts from figures that are late, few or nonsense.</summary>
public class ForecastDoubtTests
{
    private long _arrived;

    [Theory]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.MaxValue)]
    [InlineData(1e300)]
    [InlineData(double.NaN)]
    [InlineData(-1)]
    public void A_season_that_is_no_number_counts_as_none_and_spoils_no_score(double garbage)
    {
        var workload = new Workload { Policy = ScalingPolicy.Default with { Forecast = ForecastMode.Seasonal } };
        ScalingDecision decision = default;
        for (var i = 0; i < 600; i++)
        {
            var season = i is > 300 and < 305 ? garbage : Rate((i * 5) + 60);
            workload.Season = new SeasonalReading { IsKnown = true, WeekAgo = Rate(i * 5), WeekAgoAhead = season, TwoWeeksAgoAhead = season };
            decision = Step(workload, 5, Rate(i * 5));

            decision.Replicas.Should().BeInRange(0, 1000);
            if (i == 300)
            {
                decision.Forecast.Forecaster.Should().Be(Forecaster.Seasonal);
            }
        }

        decision.Forecast.Forecaster.Should().Be(Forecaster.Seasonal);

        static double Rate(double seconds) => 20 + (15 * Math.Sin(seconds / 60));
    }

    [Fact]
    public void What_is_remembered_of_the_future_does_not_stop_forecasts()
    {
        var workload = new Workload();
        workload.State.History.Fill(new PastArrivals { Arrivals = [(Workload.Start.AddDays(400), 1000.0)] });
        Step(workload, 5, 5).ArrivalsPerSecond.Should().BeNull();
        ScalingDecision decision = default;
        for (var i = 0; i < 100; i++)
        {
            decision = Step(workload, 5, 5);
        }

        decision.Forecast.Forecaster.Should().NotBe(Forecaster.None);
        decision.Forecast.ArrivalsPerSecond.Should().BeInRange(4, 8);
    }

    /// <summary>Time passes with so many arrivals a second, each of them worked on for a second.</summary>
    private ScalingDecision Step(Workload workload, double seconds, double rate)
    {
        _arrived += (long)Math.Round(seconds * rate);
        workload.After(seconds).Queue(0, (long)rate, 60).Counters((long)rate, _arrived, _arrived + (long)rate);
        return workload.Known(static q => q with { Counters = q.Counters with { StaleAfter = TimeSpan.FromSeconds(240) } }).Step();
    }
}
