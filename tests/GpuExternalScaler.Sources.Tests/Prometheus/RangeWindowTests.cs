using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public class RangeWindowTests
{
    [Theory]
    [InlineData("up", 0)]
    [InlineData("", 0)]
    [InlineData("rate(x[5m])", 300)]
    [InlineData("rate(x[ 5m ])", 300)]
    [InlineData("rate(x[1h30m])", 5400)]
    [InlineData("rate(x[1y2w3d4h5m6s7ms])", 33_019_506.007)]
    [InlineData("rate(x[90])", 90)]
    [InlineData("rate(x[0.5])", 0.5)]
    [InlineData("max_over_time(rate(x[30s])[5m:30s])", 300)]
    [InlineData("max_over_time(rate(x[10m])[5m:])", 600)]
    [InlineData("max_over_time(x[ 2m : 10s ])", 120)]
    [InlineData("rate(x[1m]) / rate(y[2m])", 120)]
    [InlineData("x offset 1h", 0)]
    [InlineData("rate(x{a=\"[9h]\"}[5m])", 300)]
    [InlineData("rate(x{a='[9h]'}[5m])", 300)]
    [InlineData("rate(x{a=`[9h]`}[5m])", 300)]
    [InlineData("rate(x{a=\"\\\"[9h]\"}[5m])", 300)]
    [InlineData("rate(x{a='\\'[9h]'}[5m])", 300)]
    [InlineData("rate(x{a=`\\`}[5m])", 300)]
    [InlineData("rate(x{a=~\"[^'`#]+\"}[5m])", 300)]
    [InlineData("x # it's [9h]\n + rate(x[5m])", 300)]
    [InlineData("x # [9h]", 0)]
    [InlineData("x{a=\"[9h]", 0)]
    [InlineData("x{a=\"\\", 0)]
    [InlineData("rate(x[", 0)]
    [InlineData("rate(x[5m", 0)]
    [InlineData("rate(x[])", 0)]
    [InlineData("rate(x[5])", 5)]
    [InlineData("rate(x[5parsecs])", 0)]
    [InlineData("rate(x[m5])", 0)]
    [InlineData("rate(x[-5m])", 0)]
    [InlineData("rate(x[$__range])", 0)]
    [InlineData("rate(x[[5m]])", 300)]
    [InlineData("rate(x[5m # why\n])", 0)]
    public void The_longest_range_outside_of_strings_and_comments(string query, double seconds) =>
        RangeWindow.Of(query).Should().Be(TimeSpan.FromSeconds(seconds));

    [Theory]
    [InlineData("rate(x[999999999999y])")]
    [InlineData("rate(x[99999999999999999999999999999999999999999999999999])")]
    public void A_range_beyond_all_time_is_bounded(string query) => RangeWindow.Of(query).Should().Be(TimeSpan.FromDays(36_500));

    [Fact]
    public void Any_text_has_some_window() => Prop
        .ForAll(Gen.Elements("[", "]", "\"", "'", "`", "\\", "#", "\n", "5", "m", "ms", ":", "9".PadLeft(400, '9'), " ", "x", ".").ArrayOf().ToArbitrary(),
            static parts => RangeWindow.Of(string.Concat(parts)) >= TimeSpan.Zero)
        .Check(Config.QuickThrowOnFailure.WithMaxTest(500));
}
