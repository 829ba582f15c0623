using Cronos;
using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Evaluation;

/// <summary>A window of a schedule: from each moment that an expression of cron names, for a length of time.</summary>
/// <param name="Cron">When it begins.</param>
/// <param name="CronText">The same, as it is written.</param>
/// <param name="Length">How long it lasts, in time that passes: over a change of clocks as long as ever.</param>
/// <param name="Replicas">Least replicas in it.</param>
internal sealed record ScheduleWindow(CronExpression Cron, string CronText, TimeSpan Length, int Replicas)
{
    /// <inheritdoc/>
    public override string ToString() => $"{CronText} / {SettingText.Readable(Length)}: {Replicas}";
}

/// <summary>Least replicas by the clock. Immutable.</summary>
internal sealed class Schedule
{
    /// <summary>Most characters of one.</summary>
    public const int LongestText = 4096;

    /// <summary>Most windows of one.</summary>
    public const int MostWindows = 100;

    /// <summary>Most replicas of a window.</summary>
    public const int MostReplicas = 1_000_000;

    private static readonly TimeSpan Shortest = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan Longest = TimeSpan.FromDays(366);
    private static readonly string[] Fields = ["minute", "hour", "day of the month", "month", "day of the week"];

    // An expression that names no moment of 400 years names none: the calendar begins anew.
    private static readonly DateTime AnyTime = new(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private readonly ScheduleWindow[] _windows;

    private Schedule(ScheduleWindow[] windows) => _windows = windows;

    /// <summary>Most replicas that any window demands.</summary>
    public int Most => _windows.Max(static window => window.Replicas);

    /// <summary>Reads windows such as <c>0 8 * * 1-5 / 10h: 4</c> with semicolons or line ends between.</summary>
    /// <param name="text">The windows.</param>
    /// <param name="schedule">The schedule.</param>
    /// <param name="problem">Otherwise what is wrong, without the text.</param>
    public static bool TryParse(string text, out Schedule? schedule, out string? problem)
    {
        schedule = null;
        problem = null;
        var parts = text.Length > LongestText ? [] : text.Split([';', '\n', '\r'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length is 0 or > MostWindows)
        {
            problem = text.Length > LongestText ? $"must have at most {LongestText} characters"
                : parts.Length == 0 ? "must have a window, such as 0 8 * * 1-5 / 10h: 4"
                : $"must have at most {MostWindows} windows";
            return false;
        }

        var windows = new ScheduleWindow[parts.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            if (ReadWindow(parts[i], out var why) is not { } window)
            {
                problem = (parts.Length == 1 ? "" : $"has a mistake in its window {i + 1}: it ") + why;
                return false;
            }

            windows[i] = window;
        }

        schedule = new Schedule(windows);
        return true;
    }

    /// <summary>The most that any window demands at some time from now on for so long, and until when that answer stays the same.</summary>
    /// <param name="now">Now.</param>
    /// <param name="ahead">How far to look, so that replicas are ready when a window begins.</param>
    /// <param name="zone">Whose clocks cron goes by.</param>
    public (int Replicas, DateTimeOffset Until) Demand(DateTimeOffset now, TimeSpan ahead, TimeZoneInfo zone)
    {
        var (replicas, until) = (0, DateTimeOffset.MaxValue);
        foreach (var window in _windows)
        {
            // The first beginning whose window has not ended. As a window demands the same each time, of several that overlap
            // any one will do.
            var begins = window.Cron.GetNextOccurrence(now - window.Length, zone)?.ToUniversalTime();
            var counts = begins is { } at && at - now <= ahead;
            replicas = counts ? Math.Max(replicas, window.Replicas) : replicas;
            var changes = begins is not { } beginning ? DateTimeOffset.MaxValue : counts ? beginning + window.Length : beginning - ahead;
            until = changes < until ? changes : until;
        }

        return (replicas, until);
    }

    /// <summary>The windows as they are written, the same for the same ones.</summary>
    public override string ToString() => string.Join("; ", (IEnumerable<ScheduleWindow>)_windows);

    private static ScheduleWindow? ReadWindow(string text, out string? problem)
    {
        // Cron has slashes of its own.
        var slash = text.LastIndexOf('/');
        var colon = text.LastIndexOf(':');
        if (slash < 0 || colon < slash)
        {
            problem = "must be five fields of cron, a slash, a duration, a colon and a number of replicas, such as 0 8 * * 1-5 / 10h: 4";
            return null;
        }

        var fields = text[..slash].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        var cron = string.Join(' ', fields).ToUpperInvariant();
        problem = fields.Length != Fields.Length
            ? $"must have five fields of cron before the slash (minute, hour, day of the month, month, day of the week); it has {fields.Length}"
            : WrongField(fields) is { } wrong
            ? $"must have before the slash what cron allows; the field that is wrong is the {wrong}"
            : null;
        if (problem is not null)
        {
            return null;
        }

        if (Parse(cron) is not { } expression || expression.GetNextOccurrence(AnyTime) is null)
        {
            problem = "must name a moment that comes: no month has such a day";
            return null;
        }

        if (!SettingText.TryDuration(text[(slash + 1)..colon].Trim(), out var length) || length < Shortest || length > Longest)
        {
            problem = $"must have a duration such as 10h or 1h30m between slash and colon, from {SettingText.Readable(Shortest)} to {SettingText.Readable(Longest)}";
            return null;
        }

        if (!SettingText.TryWhole(text[(colon + 1)..].Trim(), out var replicas) || replicas is < 1 or > MostReplicas)
        {
            problem = $"must have a whole number of replicas after the colon, from 1 to {MostReplicas}";
            return null;
        }

        return new ScheduleWindow(expression, cron, length, (int)replicas);
    }

    private static string? WrongField(string[] fields)
    {
        for (var i = 0; i < fields.Length; i++)
        {
            var field = i;
            if (Parse(string.Join(' ', Fields.Select((_, j) => j == field ? fields[field].ToUpperInvariant() : "*"))) is null)
            {
                return Fields[i];
            }
        }

        return null;
    }

    private static CronExpression? Parse(string text)
    {
        try
        {
            return CronExpression.Parse(text);
        }
        catch (Exception exception) when (exception is CronFormatException or MissingSeedException)
        {
            // TryParse throws about what needs a seed.
            return null;
        }
    }
}
