using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

public class RecentPeakTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 22, 10, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(7);

    [Theory]
    [InlineData("5", "5")]
    [InlineData("5 3 1", "5 5 5")]
    [InlineData("1 3 5", "1 3 5")]
    [InlineData("10 8 8 8 8 8 8 1 1", "10 10 10 10 10 10 10 10 8")]
    [InlineData("0 0 4 0 0 0 0 0 0 0 0", "0 0 4 4 4 4 4 4 4 4 0")]
    public void It_is_the_largest_of_the_last_seven_seconds(string seen, string expected)
    {
        var peak = default(RecentPeak);
        var values = new List<long>();
        foreach (var (value, i) in seen.Split(' ').Select(static (text, i) => (long.Parse(text, null), i)))
        {
            var now = Start.AddSeconds(i);
            peak.Add(value, now, Memory);
            values.Add(peak.Value(now, Memory));
        }

        string.Join(' ', values).Should().Be(expected);
    }

    [Fact]
    public void It_forgets_with_time_alone()
    {
        var peak = default(RecentPeak);
        peak.Add(5, Start, Memory);
        peak.Value(Start.AddSeconds(7), Memory).Should().Be(5);
        peak.Value(Start.AddSeconds(7.1), Memory).Should().Be(0);
        peak.IsSet.Should().BeFalse();
    }
}
