using System.Buffers;

namespace GpuExternalScaler.Configuration;

/// <summary>Time zones by their IANA names.</summary>
internal static class TimeZones
{
    private const int LongestName = 64;
    private static readonly SearchValues<char> OfNames = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/");

    /// <summary>The zone of a name; null for one of which this machine has no data.</summary>
    /// <remarks>The name becomes the path of a file, so what is no name is not looked for.</remarks>
    public static TimeZoneInfo? Find(string name) =>
        IsName(name) && TimeZoneInfo.TryFindSystemTimeZoneById(name, out var zone) ? zone : null;

    /// <summary>A better sentence about some names.</summary>
    public static string? Hint(string text) =>
        !IsName(text) ? "must be the IANA name of a time zone, such as Europe/Berlin: neither an offset nor the name that Windows has for it"
        : TimeZoneInfo.TryFindSystemTimeZoneById("Europe/Berlin", out _) ? null
        : "must be UTC: the scaler's machine has no data of other time zones (tzdata)";

    // With a letter first, "+02:00" and "-5" are none.
    private static bool IsName(string text) =>
        text.Length is > 0 and <= LongestName && char.IsAsciiLetter(text[0]) && !text.AsSpan().ContainsAnyExcept(OfNames);
}
