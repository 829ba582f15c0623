using System.Globalization;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Configuration;

/// <summary>Reads and writes <c>99% within 5s</c>.</summary>
internal static class WaitObjectiveText
{
    private const string Within = "within";

    // Of a percentage: finer than any number of messages can tell, and exact in a double.
    private const int MostDecimals = 6;
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>A share of messages and a time.</summary>
    public static bool TryRead(string text, out WaitObjective value)
    {
        value = default;
        var percent = text.IndexOf('%', StringComparison.Ordinal);
        if (percent <= 0 || !TryPercent(text.AsSpan(0, percent), out var share))
        {
            return false;
        }

        var rest = text.AsSpan(percent + 1).Trim();
        if (!rest.StartsWith(Within, StringComparison.Ordinal)
            || !SettingText.TryDuration(rest[Within.Length..].Trim().ToString(), out var time)
            || time < Shortest || time > Longest)
        {
            return false;
        }

        value = new WaitObjective(share, time);
        return true;
    }

    /// <summary>As people write it; equal for equal objectives.</summary>
    public static string Write(WaitObjective value) =>
        string.Create(CultureInfo.InvariantCulture, $"{Math.Round((decimal)value.Share * 100, MostDecimals):0.######}% within {SettingText.Readable(value.Within)}");

    /// <summary>A better sentence about what is nearly right.</summary>
    public static string? Hint(string text)
    {
        var percent = text.IndexOf('%', StringComparison.Ordinal);
        return percent < 0 ? "must begin with a share of the messages in percent, such as 99% within 5s"
            : !TryPercent(text.AsSpan(0, percent), out _) ? $"must begin with a share above 0% and below 100%, with at most {MostDecimals} decimals, such as 99.9%: that every message is served at once, no number of replicas can promise"
            : !text.AsSpan(percent + 1).Trim().StartsWith(Within, StringComparison.Ordinal) ? "must say within which time, such as 99% within 5s"
            : $"must end with a duration such as 500ms or 5s, from {SettingText.Readable(Shortest)} to {SettingText.Readable(Longest)}";
    }

    private static bool TryPercent(ReadOnlySpan<char> text, out double share)
    {
        var valid = decimal.TryParse(text.Trim(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var percent)
            && percent is > 0 and < 100
            && decimal.Round(percent, MostDecimals) == percent;
        share = valid ? (double)(percent / 100) : 0;
        return valid;
    }
}
