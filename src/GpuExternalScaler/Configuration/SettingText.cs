using System.Buffers;
using System.Globalization;

namespace GpuExternalScaler.Configuration;

/// <summary>
/// Reads single values the way KEDA reads trigger metadata (K10), so that a value means the same in a ScaledObject
/// and in the operator's file. Text is trimmed; empty means absent and is the caller's business.
/// </summary>
internal static class SettingText
{
    private static readonly SearchValues<char> DigitsAndPoint = SearchValues.Create("0123456789.");

    // Kubernetes' suffixes of memory, largest first.
    private static readonly (string Suffix, long Bytes)[] Quantities =
    [
        ("Pi", 1L << 50), ("P", 1_000_000_000_000_000), ("Ti", 1L << 40), ("T", 1_000_000_000_000), ("Gi", 1L << 30), ("G", 1_000_000_000),
        ("Mi", 1L << 20), ("M", 1_000_000), ("Ki", 1L << 10), ("k", 1_000),
    ];

    // Go's units (time.ParseDuration), longest first where one begins with another.
    private static readonly (string Unit, double Seconds)[] Units =
    [
        ("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1), ("m", 60), ("h", 3600),
    ];

    /// <summary>A finite number as a JSON float: <c>1</c>, <c>0.7</c>, <c>1e2</c>.</summary>
    public static bool TryNumber(string text, out double value)
    {
        const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(text, style, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
    }

    /// <summary>A whole number; <c>1e2</c> and <c>3.0</c> are whole.</summary>
    public static bool TryWhole(string text, out long value)
    {
        value = 0;
        if (!TryNumber(text, out var number) || number != Math.Floor(number) || Math.Abs(number) > 1e15)
        {
            return false;
        }

        value = (long)number;
        return true;
    }

    /// <summary>Go's <c>strconv.ParseBool</c>: <c>1 t T TRUE true True 0 f F FALSE false False</c>.</summary>
    public static bool TryBoolean(string text, out bool value)
    {
        value = text is "1" or "t" or "T" or "TRUE" or "true" or "True";
        return value || text is "0" or "f" or "F" or "FALSE" or "false" or "False";
    }

    /// <summary>A duration: <c>1.5s</c>, <c>2m</c>, <c>1h30m</c>, or whole milliseconds without a unit. Negative is refused.</summary>
    public static bool TryDuration(string text, out TimeSpan value)
    {
        value = default;
        if (text.Length == 0 || text.Length > 64)
        {
            return false;
        }

        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var milliseconds))
        {
            return TryFromSeconds(milliseconds / 1000.0, out value);
        }

        var rest = text.AsSpan();
        double seconds = 0;
        while (rest.Length > 0)
        {
            var digits = rest.IndexOfAnyExcept(DigitsAndPoint);
            if (digits <= 0 || !double.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            {
                return false;
            }

            rest = rest[digits..];
            var found = false;
            foreach (var (unit, factor) in Units)
            {
                // "m" must not eat the beginning of "ms".
                if (rest.StartsWith(unit, StringComparison.Ordinal) && (rest.Length == unit.Length || char.IsAsciiDigit(rest[unit.Length]) || rest[unit.Length] == '.'))
                {
                    seconds += number * factor;
                    rest = rest[unit.Length..];
                    found = true;
                    break;
                }
            }

            if (!found)
            {
                return false;
            }
        }

        return TryFromSeconds(seconds, out value);
    }

    /// <summary>The canonical text of a duration, equal for <c>60s</c>, <c>1m</c> and <c>60000</c>.</summary>
    public static string Canonical(TimeSpan duration) =>
        duration.TotalMilliseconds.ToString("R", CultureInfo.InvariantCulture) + "ms";

    /// <summary>A duration as people write it: <c>500ms</c>, <c>90s</c> as <c>1m30s</c>, <c>24h</c>. Reads as the same duration.</summary>
    public static string Readable(TimeSpan duration)
    {
        if (duration < TimeSpan.FromSeconds(1) || duration.Ticks % TimeSpan.TicksPerSecond != 0)
        {
            return duration == TimeSpan.Zero ? "0s" : string.Create(CultureInfo.InvariantCulture, $"{(decimal)duration.Ticks / TimeSpan.TicksPerMillisecond}ms");
        }

        var (hours, minutes, seconds) = ((long)duration.TotalHours, duration.Minutes, duration.Seconds);
        return (hours > 0 ? $"{hours}h" : "") + (minutes > 0 ? $"{minutes}m" : "") + (seconds > 0 ? $"{seconds}s" : "");
    }

    /// <summary>Bytes as a quantity of Kubernetes: <c>40Gi</c>, <c>1.5G</c>, <c>4e10</c>, <c>512</c>; up to 1,000 Pi.</summary>
    public static bool TryBytes(string text, out long bytes)
    {
        const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        var (suffix, factor) = Array.Find(Quantities, quantity => text.EndsWith(quantity.Suffix, StringComparison.Ordinal));
        var number = text.AsSpan(0, text.Length - (suffix?.Length ?? 0));

        // Decimal: 1.1G is a whole number of bytes. An exponent and a suffix exclude each other, as for Kubernetes.
        var valid = decimal.TryParse(number, suffix is null ? style : NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
            && char.IsAsciiDigit(number[0])
            && value <= 1000m * (1L << 50) / Math.Max(1, factor);
        bytes = valid ? (long)Math.Ceiling(value * Math.Max(1, factor)) : 0;
        return valid;
    }

    /// <summary>Bytes as people write them, in the largest unit that gives a whole number: reads as the same bytes, and is equal for equal ones.</summary>
    public static string ReadableBytes(long bytes)
    {
        var (suffix, factor) = Array.Find(Quantities, quantity => bytes > 0 && bytes % quantity.Bytes == 0);
        return string.Create(CultureInfo.InvariantCulture, $"{bytes / Math.Max(1, factor)}{suffix}");
    }

    /// <summary>The canonical text of a number.</summary>
    public static string Canonical(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    private static bool TryFromSeconds(double seconds, out TimeSpan value)
    {
        // Ten years: longer is a typing error, and arithmetic on it would overflow.
        var valid = seconds <= 10 * 365 * 86400.0;
        value = valid ? TimeSpan.FromSeconds(seconds) : default;
        return valid;
    }
}
