using GpuExternalScaler.Demo;

namespace GpuExternalScaler.Tests.Demo;

public class HorizontalPodAutoscalerTests
{
    private const double Target = 100;
    private static readonly HorizontalPodAutoscalerOptions Options = new() { ScaleDownStabilization = TimeSpan.FromSeconds(60) };

    [Theory]
    [InlineData(10, 1000, 10)] // on target
    [InlineData(10, 1100, 10)] // the tolerance's upper edge belongs to it
    [InlineData(10, 1101, 12)] // past it: rounded up
    [InlineData(10, 900, 10)] // its lower edge
    [InlineData(10, 899, 9)]
    [InlineData(3, 325, 3)] // 1.083 is inside although 3.25 replicas are needed
    [InlineData(3, 331, 4)]
    [InlineData(10, 0, 1)] // KEDA's HPA has a minimum of one
    [InlineData(1, 100_000, 5)] // growing: four more, if that is more than double
    [InlineData(4, 100_000, 8)]
    [InlineData(10, 100_000, 20)] // or double
    [InlineData(30, 100_000, 40)] // never past the maximum
    [InlineData(0, 500, 0)] // at zero it is switched off
    [InlineData(1, 0.01, 1)]
    public void One_sync_follows_the_controller(int current, double total, int expected) =>
        new HorizontalPodAutoscaler(Options).Sync(TimeSpan.Zero, current, total, Target).Should().Be(expected);

    [Fact]
    public void Growth_is_limited_per_period_whatever_the_number_of_syncs()
    {
        var hpa = new HorizontalPodAutoscaler(Options);
        Sync(hpa, 0, 1, 10_000).Should().Be(5);
        Sync(hpa, 5, 5, 10_000).Should().Be(5, "the four of this period are used up");
        Sync(hpa, 14.9, 5, 10_000).Should().Be(5);
        Sync(hpa, 15, 5, 10_000).Should().Be(10);
        Sync(hpa, 30, 10, 10_000).Should().Be(20);
        Sync(hpa, 45, 20, 10_000).Should().Be(40);
    }

    [Fact]
    public void A_limit_below_what_there_is_takes_nothing_away()
    {
        var hpa = new HorizontalPodAutoscaler(Options);
        Sync(hpa, 0, 10, 2000).Should().Be(20);

        // Somebody made it 12 by hand. Less the 10 of this period that is 2, and the limit 6.
        Sync(hpa, 5, 12, 5000).Should().Be(12);
    }

    [Fact]
    public void Shrinking_waits_until_every_recommendation_of_the_window_agrees()
    {
        var hpa = new HorizontalPodAutoscaler(Options);
        Sync(hpa, 0, 20, 2000).Should().Be(20);
        Sync(hpa, 15, 20, 500).Should().Be(20);
        Sync(hpa, 30, 20, 1200).Should().Be(20);
        Sync(hpa, 45, 20, 500).Should().Be(20);
        Sync(hpa, 60, 20, 500).Should().Be(12, "the recommendation of 20 is a full window old, that of 12 is not");
        Sync(hpa, 75, 12, 500).Should().Be(12);
        Sync(hpa, 90, 12, 500).Should().Be(5);
    }

    [Fact]
    public void Without_recommendations_the_next_low_one_is_followed_at_once()
    {
        var hpa = new HorizontalPodAutoscaler(Options);
        Sync(hpa, 0, 20, 2000).Should().Be(20);
        Sync(hpa, 61, 20, 300).Should().Be(3);
    }

    [Fact]
    public void Growing_needs_only_the_newest_recommendation()
    {
        var hpa = new HorizontalPodAutoscaler(Options);
        Sync(hpa, 0, 4, 100).Should().Be(1);
        Sync(hpa, 15, 1, 300).Should().Be(3);
    }

    private static int Sync(HorizontalPodAutoscaler hpa, double second, int current, double total) =>
        hpa.Sync(TimeSpan.FromSeconds(second), current, total, Target);
}
