using System.Net;
using System.Text.Json.Nodes;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Configuration;

/// <summary>Reads a text; false when it is not allowed.</summary>
internal delegate bool SettingReader<T>(string text, out T value);

/// <summary>A kind of value: how it is read and written, what is allowed, and how a JSON schema says so.</summary>
/// <param name="Allowed">What is allowed, to stand after "must be".</param>
/// <param name="TryRead">Reads trimmed text.</param>
/// <param name="Write">Text that reads as the same value, as people write it.</param>
/// <param name="InYaml">Schema of it as YAML or JSON, where a number is no string.</param>
/// <param name="InText">Schema of it as trigger metadata, where all is text.</param>
internal sealed record SettingType<T>(string Allowed, SettingReader<T> TryRead, Func<T, string> Write, Func<JsonObject> InYaml, Func<JsonObject> InText)
{
    /// <summary>A better sentence than what is allowed about some texts, or null for the others.</summary>
    public Func<string, string?> Hint { get; init; } = static _ => null;

    /// <summary>What is wrong with a text that is not allowed; without the text.</summary>
    public string Problem(string text) => Hint(text) ?? "must be " + Allowed;
}

/// <summary>The kinds of values there are.</summary>
internal static class SettingTypes
{
    private const string NumberPattern = @"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$";
    private const string DurationPattern = @"^(\d+|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)$";
    private const string ColdStartPattern = @"^(auto$|(auto\s+)?(\d+|((\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h))+)$)";
    private const string WaitObjectivePattern = @"^\d*\.?\d*\s*%\s*within\s*\S+$";
    private const string SchedulePattern = @"^[\s;]*\S+(\s+\S+){4}\s*/\s*[^\s/:;]+\s*:\s*\d+";
    private const string TimeZonePattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$";
    private const string Credentials = "must not hold credentials; ";
    private const string QuantityPattern = @"^\d+(\.\d*)?([KMGTP]i|[kMGTP]|[eE][+-]?\d+)?$";

    /// <summary>Any text.</summary>
    public static SettingType<string> Text { get; } = new(
        "text",
        static (string text, out string value) => (value = text).Length > 0,
        static value => value,
        static () => new JsonObject { ["type"] = "string", ["minLength"] = 1 },
        static () => new JsonObject { ["type"] = "string" });

    /// <summary>Namespaces of Kubernetes: a name, or several by a star.</summary>
    public static SettingType<string> Namespaces { get; } = new(
        "a namespace, with * for any characters",
        static (string text, out string value) => WorkloadPattern.IsPart(value = text),
        static value => value,
        static () => new JsonObject { ["type"] = "string", ["pattern"] = "^[a-z0-9.*-]+$" },
        static () => new JsonObject { ["type"] = "string" });

    /// <summary>An address and a port to listen on.</summary>
    public static SettingType<IPEndPoint> EndPoint { get; } = new(
        "an address and a port, such as 0.0.0.0:9090",
        static (string text, out IPEndPoint value) =>
            IPEndPoint.TryParse(text, out value!) && text.Contains(':', StringComparison.Ordinal) && (value.Port != 0 || text.EndsWith(":0", StringComparison.Ordinal)),
        static value => value.ToString(),
        static () => new JsonObject { ["type"] = "string", ["pattern"] = @":\d+$" },
        static () => new JsonObject { ["type"] = "string" });

    /// <summary>An http or https URL. Credentials in it are refused: they would end up in messages.</summary>
    public static SettingType<Uri> HttpUrl { get; } = Http("use username and passwordFile");

    /// <summary>The same of Prometheus, where credentials have keys of other names.</summary>
    public static SettingType<Uri> PrometheusUrl { get; } = Http("use basic or bearerTokenFile");

    /// <summary>The same of a metrics page, which is read without any.</summary>
    public static SettingType<Uri> PageUrl { get; } = Http("the page is read without any");

    /// <summary>An amqp or amqps URL of host and port alone.</summary>
    public static SettingType<Uri> AmqpUrl { get; } = Url(
        "an amqp or amqps URL of host and port alone; virtual hosts come from vhosts and triggers",
        static url => url.Scheme is "amqp" or "amqps" && url.Host.Length > 0 && url.PathAndQuery is "" or "/" && url.Fragment.Length == 0,
        "^amqps?://[^@/?#]+/?$",
        "use username and passwordFile");

    /// <summary>A name all of whose addresses are meant.</summary>
    public static SettingType<HostAndPort?> HostAndPort { get; } = Optional<HostAndPort>(new(
        "a host name and a port, such as rabbitmq-nodes.mq.svc:15692",
        Sources.HostAndPort.TryParse,
        static value => value.ToString(),
        static () => new JsonObject { ["type"] = "string", ["pattern"] = @"^.+:\d+$" },
        static () => new JsonObject { ["type"] = "string" }));

    /// <summary>True or false, spelt as KEDA allows it.</summary>
    public static SettingType<bool> Flag { get; } = new(
        "true or false",
        SettingText.TryBoolean,
        static value => value ? "true" : "false",
        static () => new JsonObject { ["type"] = "boolean" },
        static () => new JsonObject { ["enum"] = new JsonArray("true", "false") });

    /// <summary>A number of bytes, as Kubernetes writes quantities of memory.</summary>
    public static SettingType<long> Bytes { get; } = new(
        "a number of bytes such as 40Gi, 512Mi or 40G",
        SettingText.TryBytes,
        SettingText.ReadableBytes,
        static () => new JsonObject { ["anyOf"] = new JsonArray(Pattern(QuantityPattern), new JsonObject { ["type"] = "integer", ["minimum"] = 0 }) },
        static () => Pattern(QuantityPattern));

    /// <summary>A cold start, given or measured.</summary>
    public static SettingType<ColdStartSetting> ColdStart { get; } = new(
        "a duration such as 90s or 1m30s, from 0s to 24h; or auto, or auto and a duration from 1s, such as auto 30s",
        static (string text, out ColdStartSetting value) => ColdStartSetting.TryRead(text, TimeSpan.FromDays(1), out value),
        static value => value.ToString(),
        static () => new JsonObject { ["anyOf"] = new JsonArray(Pattern(ColdStartPattern), new JsonObject { ["type"] = "integer", ["minimum"] = 0 }) },
        static () => Pattern(ColdStartPattern));

    /// <summary>A share of the messages that wait no longer than a time.</summary>
    public static SettingType<WaitObjective> WaitObjective { get; } = new(
        "a share of the messages and a time, such as 99% within 5s",
        WaitObjectiveText.TryRead,
        WaitObjectiveText.Write,
        static () => Pattern(WaitObjectivePattern),
        static () => Pattern(WaitObjectivePattern))
    {
        Hint = WaitObjectiveText.Hint,
    };

    /// <summary>Windows by the clock, in canonical text.</summary>
    public static SettingType<string> Schedule { get; } = new(
        "windows such as 0 8 * * 1-5 / 10h: 4 (five fields of cron, a slash, how long, a colon, replicas), with semicolons or line ends between",
        static (string text, out string value) =>
        {
            var valid = Evaluation.Schedule.TryParse(text, out var schedule, out _);
            value = valid ? schedule!.ToString() : "";
            return valid;
        },
        static value => value,
        static () => Pattern(SchedulePattern),
        static () => Pattern(SchedulePattern))
    {
        Hint = static text => Evaluation.Schedule.TryParse(text, out _, out var problem) ? null : problem,
    };

    /// <summary>A time zone that this machine knows, by its name there.</summary>
    public static SettingType<string> TimeZone { get; } = new(
        "an IANA time zone that the scaler's machine has data of, such as UTC or Europe/Berlin",
        static (string text, out string value) =>
        {
            var zone = TimeZones.Find(text);
            value = zone?.Id ?? "";
            return zone is not null;
        },
        static value => value,
        static () => Pattern(TimeZonePattern),
        static () => Pattern(TimeZonePattern))
    {
        Hint = TimeZones.Hint,
    };

    /// <summary>PromQL of somebody's own. Whether it is PromQL the server says.</summary>
    public static SettingType<string> Query { get; } = new(
        $"PromQL of at most {SuppliedQuery.LongestText} characters, none of them invisible",
        static (string text, out string value) => SuppliedQuery.IsAllowed(value = text.Trim()),
        static value => value,
        static () => new JsonObject { ["type"] = "string", ["minLength"] = 1, ["maxLength"] = SuppliedQuery.LongestText },
        static () => new JsonObject { ["type"] = "string", ["pattern"] = "\\S", ["maxLength"] = SuppliedQuery.LongestText });

    /// <summary>The same, where nothing given is null.</summary>
    public static SettingType<T?> Optional<T>(SettingType<T> type)
        where T : struct => new(
        type.Allowed,
        (string text, out T? value) =>
        {
            var valid = type.TryRead(text, out var read);
            value = valid ? read : null;
            return valid;
        },
        value => value is { } given ? type.Write(given) : "",
        type.InYaml,
        type.InText)
        {
            Hint = type.Hint,
        };

    /// <summary>A number; without an upper bound any finite one.</summary>
    public static SettingType<double> Number(double from, double? to = null) => new(
        to is null ? $"a number, {from} or more" : $"a number from {from} to {to}",
        (string text, out double value) => SettingText.TryNumber(text, out value) && value >= from && !(value > to),
        SettingText.Canonical,
        () => Bounded("number", from, to),
        static () => Pattern(NumberPattern));

    /// <summary>A whole number.</summary>
    public static SettingType<int> Whole(int from, int to) => new(
        $"a whole number from {from} to {to}",
        (string text, out int value) => TryWhole(text, from, to, out value),
        static value => SettingText.Canonical(value),
        () => Bounded("integer", from, to),
        static () => Pattern(NumberPattern));

    /// <summary>A whole number or a word for leaving it open, which reads as null.</summary>
    public static SettingType<int?> WholeOr(string word, int from, int to, string? meaningOfFrom = null) => new(
        $"{word}, or a whole number from {from}{(meaningOfFrom is null ? "" : $" ({meaningOfFrom})")} to {to}",
        (string text, out int? value) =>
        {
            var valid = TryWhole(text, from, to, out var number);
            value = valid ? number : null;
            return valid || text == word;
        },
        value => value is { } number ? SettingText.Canonical(number) : word,
        () => new JsonObject { ["anyOf"] = new JsonArray(new JsonObject { ["const"] = word }, Bounded("integer", from, to)) },
        () => Pattern($"^{word}$|{NumberPattern}"));

    /// <summary>A length of time.</summary>
    public static SettingType<TimeSpan> Duration(TimeSpan from, TimeSpan to) => new(
        $"a duration such as 90s or 1m30s, from {SettingText.Readable(from)} to {SettingText.Readable(to)}",
        (string text, out TimeSpan value) => SettingText.TryDuration(text, out value) && value >= from && value <= to,
        SettingText.Readable,
        static () => new JsonObject { ["anyOf"] = new JsonArray(Pattern(DurationPattern), new JsonObject { ["type"] = "integer", ["minimum"] = 0 }) },
        static () => Pattern(DurationPattern));

    /// <summary>One of a few words.</summary>
    /// <param name="exact">Whether the case of letters counts, as it does for KEDA.</param>
    public static SettingType<T> Choice<T>(bool exact = false)
        where T : struct, Enum
    {
        var words = Enum.GetNames<T>().Select(static name => name.ToLowerInvariant()).ToArray();
        var comparison = exact ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase;
        return new(
            words is [var one, var other] ? $"{one} or {other}" : "one of " + string.Join(", ", words),
            (string text, out T value) =>
            {
                var index = Array.FindIndex(words, word => string.Equals(word, text, comparison));
                value = index < 0 ? default : Enum.GetValues<T>()[index];
                return index >= 0;
            },
            static value => value.ToString().ToLowerInvariant(),
            Words,
            Words);

        JsonObject Words() => new() { ["enum"] = new JsonArray([.. words.Select(static word => (JsonNode)word)]) };
    }

    private static SettingType<Uri> Http(string credentials) => Url(
        "an http or https URL without query",
        static url => url.Scheme is "http" or "https" && url.Query.Length == 0 && url.Fragment.Length == 0,
        "^https?://[^@?#]+$",
        credentials);

    private static SettingType<Uri> Url(string allowed, Func<Uri, bool> valid, string pattern, string credentials) => new(
        allowed,
        (string text, out Uri value) => Uri.TryCreate(text, UriKind.Absolute, out value!) && valid(value) && value.UserInfo.Length == 0,
        static value => value.OriginalString,
        () => Pattern(pattern),
        () => Pattern(pattern))
    {
        Hint = text => Uri.TryCreate(text, UriKind.Absolute, out var url) && valid(url) ? Credentials + credentials : null,
    };

    private static bool TryWhole(string text, int from, int to, out int value)
    {
        var valid = SettingText.TryWhole(text, out var number) && number >= from && number <= to;
        value = valid ? (int)number : 0;
        return valid;
    }

    private static JsonObject Pattern(string pattern) => new() { ["type"] = "string", ["pattern"] = pattern };

    private static JsonObject Bounded(string type, double from, double? to)
    {
        var schema = new JsonObject { ["type"] = type, ["minimum"] = from };
        if (to is { } most)
        {
            schema["maximum"] = most;
        }

        return schema;
    }
}
