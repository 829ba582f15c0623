using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Tests.Configuration;

/// <summary>K10: values are read the way KEDA reads trigger metadata.</summary>
public class SettingTextTests
{
    [Theory]
    [InlineData("1.5s", 1500)]
    [InlineData("2m", 120_000)]
    [InlineData("1h30m", 5_400_000)]
    [InlineData("1500", 1500)] // whole milliseconds
    [InlineData("0", 0)]
    [InlineData("250ms", 250)]
    [InlineData("1m30.5s", 90_500)]
    [InlineData("1000us", 1)]
    [InlineData("1000µs", 1)]
    [InlineData(".5s", 500)]
    public void A_duration(string text, double milliseconds)
    {
        SettingText.TryDuration(text, out var duration).Should().BeTrue();
        duration.TotalMilliseconds.Should().BeApproximately(milliseconds, 1e-6);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1s")]
    [InlineData("-5")]
    [InlineData("1.5")]
    [InlineData("1d")]
    [InlineData("s")]
    [InlineData("1 s")]
    [InlineData("1..5s")]
    [InlineData("auto")]
    [InlineData("1e3s")]
    [InlineData("99999999999999999999h")]
    [InlineData("9223372036854775807")]
    public void No_duration(string text)
    {
        SettingText.TryDuration(text, out _).Should().BeFalse();
    }

    [Theory]
    [InlineData("1e2", 100)]
    [InlineData("0.7", 0.7)]
    [InlineData("-3", -3)]
    [InlineData(".5", 0.5)]
    public void A_number(string text, double value)
    {
        SettingText.TryNumber(text, out var number).Should().BeTrue();
        number.Should().Be(value);
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("1e999")]
    [InlineData("1,5")]
    [InlineData("0x10")]
    [InlineData("seven")]
    [InlineData("")]
    public void No_number(string text)
    {
        SettingText.TryNumber(text, out _).Should().BeFalse();
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("t", true)]
    [InlineData("T", true)]
    [InlineData("TRUE", true)]
    [InlineData("true", true)]
    [InlineData("True", true)]
    [InlineData("0", false)]
    [InlineData("f", false)]
    [InlineData("F", false)]
    [InlineData("FALSE", false)]
    [InlineData("false", false)]
    [InlineData("False", false)]
    public void A_boolean(string text, bool value)
    {
        SettingText.TryBoolean(text, out var boolean).Should().BeTrue();
        boolean.Should().Be(value);
    }

    [Theory]
    [InlineData("yes")]
    [InlineData("tRUE")]
    [InlineData("")]
    public void No_boolean(string text) => SettingText.TryBoolean(text, out _).Should().BeFalse();

    [Theory]
    [InlineData("40Gi", 42_949_672_960, "40Gi")]
    [InlineData("40960Mi", 42_949_672_960, "40Gi")]
    [InlineData("42949672960", 42_949_672_960, "40Gi")]
    [InlineData("40G", 40_000_000_000, "40G")]
    [InlineData("4e10", 40_000_000_000, "40G")]
    [InlineData("1.5Gi", 1_610_612_736, "1536Mi")]
    [InlineData("1.1G", 1_100_000_000, "1100M")]
    [InlineData("0.1Ki", 103, "103")] // rounded up
    [InlineData("0", 0, "0")]
    [InlineData("1Pi", 1_125_899_906_842_624, "1Pi")]
    public void A_number_of_bytes(string text, long value, string readable)
    {
        SettingText.TryBytes(text, out var bytes).Should().BeTrue();
        bytes.Should().Be(value);
        SettingText.ReadableBytes(bytes).Should().Be(readable);
    }

    [Theory]
    [InlineData("")]
    [InlineData("Gi")]
    [InlineData("40GB")]
    [InlineData("40gi")]
    [InlineData("40 Gi")]
    [InlineData("-1")]
    [InlineData("1e3Gi")]
    [InlineData("1,5Gi")]
    [InlineData("1001Pi")]
    [InlineData("99999999999999999999999999999999999")]
    public void No_number_of_bytes(string text) => SettingText.TryBytes(text, out _).Should().BeFalse();

    [Fact]
    public void Bytes_are_written_as_what_reads_as_the_same()
    {
        var numbers = Gen.Choose(0, 2000).Zip(Gen.Elements(1L, 1000, 1024, 1_000_000, 1 << 20, 1_000_000_000, 1 << 30, 1L << 40)).Select(static pair => pair.Item1 * pair.Item2);

        Prop.ForAll(numbers.ToArbitrary(), static bytes =>
        {
            SettingText.TryBytes(SettingText.ReadableBytes(bytes), out var again).Should().BeTrue();
            again.Should().Be(bytes);
        }).QuickCheckThrowOnFailure();
    }
}
