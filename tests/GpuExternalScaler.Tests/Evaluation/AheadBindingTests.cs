using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Tests.Evaluation;

public class AheadBindingTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);
    private static readonly ScalingPolicy Office = new() { Schedule = "0 8 * * 1-5 / 10h: 4", TimeZone = "Europe/Berlin" };

    [Fact]
    public void A_schedule_follows_time_policy_zone_and_cold_start()
    {
        var binding = new ScheduleBinding();
        var seven = At("2026-11-23 06:58");

        binding.Replicas(Office, Minute, seven).Should().Be(0);
        binding.Replicas(Office, 2 * Minute, seven).Should().Be(4, "the cold start has grown");
        binding.Replicas(Office, Minute, seven).Should().Be(0);
        binding.Replicas(Office, Minute, seven + Minute).Should().Be(4, "its time has come");
        binding.Replicas(Office with { TimeZone = "America/New_York" }, Minute, seven + Minute).Should().Be(0);
        binding.Replicas(Office with { Schedule = "* * * * * / 1h: 2" }, Minute, seven).Should().Be(2);
        binding.Replicas(Office with { Schedule = null }, Minute, seven).Should().Be(0);
        binding.Replicas(Office, Minute, seven + Minute).Should().Be(4);
        binding.Replicas(Office, Minute, At("2026-11-23 17:00")).Should().Be(0, "it is over");
    }

    [Theory]
    [InlineData("2026-11-25 12:02", "UTC", 0)]
    [InlineData("2026-11-25 12:02", "Europe/Berlin", 0)]
    [InlineData("2026-10-27 12:02", "UTC", 0)]
    [InlineData("2026-10-27 12:02", "Europe/Berlin", -60)] // twelve in Berlin was an hour earlier in summer
    [InlineData("2026-03-31 12:02", "Europe/Berlin", 60)]
    [InlineData("2026-11-03 12:02", "America/New_York", -60)]
    [InlineData("2026-03-10 12:02", "America/New_York", 60)]
    [InlineData("2026-10-27 12:02", "America/New_York", 0)] // a week later than Berlin
    public async Task The_weeks_before_are_those_of_the_same_local_time(string utc, string zone, int shift)
    {
        var now = At(utc);
        var coldStart = TimeSpan.FromMinutes(12);
        await using var stub = await StubHistory.StartAsync(() => now);
        foreach (var weeks in (int[])[1, 2])
        {
            // Minutes of each moment before or after this one, in that week.
            var thatWeek = (now - (7 * weeks * TimeSpan.FromDays(1))).ToUnixTimeSeconds();
            var other = stub.Arrivals;
            stub.Arrivals = at => Math.Abs(at - thatWeek) < 86_400 ? 1000 + Math.Round((at - thatWeek) / 60) + (weeks * 10_000) : other(at);
        }

        var reading = await ReadAsync(stub, now, new ScalingPolicy { TimeZone = zone }, coldStart);

        reading.IsKnown.Should().BeTrue();
        (reading.WeekAgo - 11_000).Should().BeInRange(shift, shift + 5);
        (reading.WeekAgoAhead - 11_000).Should().BeInRange(shift + 12, shift + 17, "it grows, so that the end is the most");
        (reading.TwoWeeksAgoAhead - 21_000).Should().BeInRange(shift + 12, shift + 17);
    }

    [Theory]
    [InlineData(ForecastMode.Auto, WorkloadMode.Deployment, true)]
    [InlineData(ForecastMode.Seasonal, WorkloadMode.Deployment, true)]
    [InlineData(ForecastMode.Trend, WorkloadMode.Deployment, false)]
    [InlineData(ForecastMode.Off, WorkloadMode.Deployment, false)]
    [InlineData(ForecastMode.Auto, WorkloadMode.Job, false)]
    public async Task The_weeks_before_are_for_policies_that_go_by_them(ForecastMode forecast, WorkloadMode mode, bool isKnown)
    {
        var now = At("2026-11-25 12:02");
        await using var stub = await StubHistory.StartAsync(() => now);
        stub.Arrivals = static _ => 2;

        (await ReadAsync(stub, now, new ScalingPolicy { Forecast = forecast, Mode = mode }, Minute)).Should().Be(
            isKnown ? new SeasonalReading { IsKnown = true, WeekAgo = 2, WeekAgoAhead = 2, TwoWeeksAgoAhead = 2 } : default);
    }

    [Fact]
    public async Task Without_two_weeks_nothing_is_known()
    {
        var now = At("2026-11-25 12:02");
        await using var stub = await StubHistory.StartAsync(() => now);
        var tenDaysAgo = (now - TimeSpan.FromDays(10)).ToUnixTimeSeconds();
        stub.Arrivals = at => at > tenDaysAgo ? 2 : null;

        (await ReadAsync(stub, now, new ScalingPolicy(), Minute)).Should().Be(default(SeasonalReading));
    }

    [Fact]
    public async Task An_edited_trigger_has_the_weeks_before_as_soon_as_the_old_one_is_forgotten()
    {
        var now = At("2026-11-25 12:02");
        var isForgotten = false;
        await using var stub = await StubHistory.StartAsync(() => now);
        stub.Arrivals = static _ => 2;
        var source = await AskedAsync(stub, now, Minute);
        var binding = new SeasonalBinding(new SeriesOwner("genai", "workers", "edited"), _ => !isForgotten);

        binding.Read(source, new ScalingPolicy(), Minute, now).IsKnown.Should().BeFalse("the other may be about other queues");
        isForgotten = true;

        // The table is the same for half an hour.
        binding.Read(source, new ScalingPolicy(), Minute, now + TimeSpan.FromSeconds(15)).IsKnown.Should().BeTrue();
    }

    private static async Task<SeasonalReading> ReadAsync(StubHistory stub, DateTimeOffset now, ScalingPolicy policy, TimeSpan coldStart) =>
        new SeasonalBinding(new SeriesOwner("genai", "workers", "t1"), static _ => false).Read(await AskedAsync(stub, now, coldStart), policy, coldStart, now);

    /// <summary>A source that has been answered, and asks no more.</summary>
    private static async Task<HistorySource> AskedAsync(StubHistory stub, DateTimeOffset now, TimeSpan coldStart)
    {
        using var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = stub.Url }, new MonotonicClock(new StoppedTime(now)));
        var source = new HistorySource(client, new MonotonicClock(new StoppedTime(now))) { WantsSeasonal = true, ColdStart = coldStart };
        using var stop = new CancellationTokenSource();
        var running = source.RunAsync(stop.Token);
        for (var i = 0; i < 400 && source.Seasonal is null; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System);
        }

        source.Seasonal.Should().NotBeNull();
        await stop.CancelAsync();
        await running.ContinueWith(static _ => { }, TaskScheduler.Default);
        return source;
    }

    private static DateTimeOffset At(string utc) => DateTimeOffset.Parse(utc + "Z", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>A wall clock that stands still; timers run.</summary>
    private sealed class StoppedTime(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;

        public override long GetTimestamp() => 1;
    }
}
