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
}
