using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.GrpcTransport.Wire;

namespace GpuExternalScaler.GrpcTransport.Tests.Wire;

public class GrpcTimeoutTests
{
    /// <summary>Of all magnitudes: an even choice would hardly ever be less than a year.</summary>
    private static readonly Gen<long> Ticks =
        from bits in Gen.Choose(0, 61)
        from fraction in Gen.Choose(0, int.MaxValue)
        select (long)(fraction / (double)int.MaxValue * (1L << bits));

    public static TheoryData<string, TimeSpan> Valid => new()
    {
        { "1H", TimeSpan.FromHours(1) },
        { "2M", TimeSpan.FromMinutes(2) },
        { "3S", TimeSpan.FromSeconds(3) },
        { "4m", TimeSpan.FromMilliseconds(4) },
        { "5u", TimeSpan.FromMicroseconds(5) },
        { "600n", TimeSpan.FromTicks(6) },
        { "601n", TimeSpan.FromTicks(7) },
        { "1n", TimeSpan.FromTicks(1) },
        { "0S", TimeSpan.Zero },
        { "00000001S", TimeSpan.FromSeconds(1) },
        { "99999999n", TimeSpan.FromTicks(1_000_000) },
        { "99999999H", TimeSpan.FromHours(99_999_999) },
    };

    [Theory]
    [MemberData(nameof(Valid))]
    public void Valid_timeouts(string text, TimeSpan expected)
    {
        GrpcTimeout.TryParse(text, out var timeout).Should().BeTrue();
        timeout.Should().Be(expected);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("S")]
    [InlineData("5")]
    [InlineData("123456789S")]
    [InlineData("-1S")]
    [InlineData("+1S")]
    [InlineData(" 1S")]
    [InlineData("1 S")]
    [InlineData("1.5S")]
    [InlineData("1e1S")]
    [InlineData("0x1S")]
    [InlineData("1s")]
    [InlineData("1h")]
    [InlineData("1SS")]
    [InlineData("١S")]
    public void Invalid_timeouts(string? text) => GrpcTimeout.TryParse(text, out _).Should().BeFalse();

    [Theory]
    [InlineData(-5, "0n")]
    [InlineData(0, "0n")]
    [InlineData(1, "100n")]
    [InlineData(TimeSpan.TicksPerSecond, "1000000u")]
    [InlineData(TimeSpan.TicksPerSecond * 200, "200000m")]
    public void Timeouts_are_written_in_the_finest_unit_that_fits(long ticks, string expected) =>
        GrpcTimeout.Format(new TimeSpan(ticks)).Should().Be(expected);

    [Fact]
    public void What_is_written_reads_back_no_shorter_and_at_most_a_hundred_thousandth_longer() =>
        Prop.ForAll(
            Ticks.ToArbitrary(),
            ticks =>
            {
                GrpcTimeout.TryParse(GrpcTimeout.Format(new TimeSpan(ticks)), out var back).Should().BeTrue();
                return back.Ticks >= ticks && back.Ticks - ticks <= ticks / 100_000.0;
            }).QuickCheckThrowOnFailure();
}
