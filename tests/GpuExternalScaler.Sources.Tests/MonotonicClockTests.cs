namespace GpuExternalScaler.Sources.Tests;

public class MonotonicClockTests
{
    [Fact]
    public void Starts_at_the_wall_time_and_moves_with_the_monotonic_clock()
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var start = clock.Now;
        start.Should().Be(time.GetUtcNow());

        time.Advance(TimeSpan.FromSeconds(90));

        clock.Now.Should().BeCloseTo(start.AddSeconds(90), TimeSpan.FromMilliseconds(1));
    }

    [Theory]
    [InlineData(-3600)]
    [InlineData(3600)]
    public void A_step_of_the_wall_clock_changes_nothing(int seconds)
    {
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        var before = clock.Now;

        time.StepWallClock(TimeSpan.FromSeconds(seconds));

        clock.Now.Should().Be(before);
    }
}
