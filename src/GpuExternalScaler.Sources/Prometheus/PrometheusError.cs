using System.Buffers.Text;
using System.Text.Json;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>The kinds of error that Prometheus and its relatives name in <c>errorType</c>.</summary>
internal enum PrometheusErrorType : byte
{
    /// <summary>The answer is no error of Prometheus.</summary>
    None,

    /// <summary>One that is not known here.</summary>
    Other,
    BadData,
    Execution,
    Timeout,
    Canceled,
    Internal,
    Unavailable,
    NotFound,
    NotAcceptable,
    TooManyRequests,
}

/// <summary>What an error is about, where its message is one of the well-known ones.</summary>
internal enum PrometheusComplaint : byte
{
    Unknown,
    Syntax,
    ManyToMany,
    DuplicateSeries,
    TooManySamples,
    TooManyPoints,
    TooManySeries,
    BadRegex,
    BadParameter,
    TooLongRange,
    QueryTimedOut,
}

/// <summary>
/// An error as far as it can be repeated. The message itself cannot: it quotes the query, and with it what somebody wrote into a
/// trigger; and what only looks like a Prometheus could quote the token it was sent.
/// </summary>
/// <param name="Type">The kind.</param>
/// <param name="Complaint">What it is about.</param>
/// <param name="Line">Line of the query, from 1; 0 where none is given.</param>
/// <param name="Column">Character in that line, from 1.</param>
internal readonly record struct PrometheusError(PrometheusErrorType Type, PrometheusComplaint Complaint, int Line, int Column)
{
    /// <summary>Longest body read for the sake of an error.</summary>
    public const int LargestBytes = 64 * 1024;

    private const int LongestMessage = 4096;

    /// <summary>Reads the body of an error; <see cref="PrometheusErrorType.None"/> if it is none.</summary>
    public static PrometheusError Read(ReadOnlySpan<byte> body)
    {
        if (body.Length > LargestBytes)
        {
            return default;
        }

        try
        {
            return ReadJson(body);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return default;
        }
    }

    private static PrometheusError ReadJson(ReadOnlySpan<byte> body)
    {
        var json = new Utf8JsonReader(body);
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
        {
            return default;
        }

        var isError = false;
        var type = PrometheusErrorType.Other;
        var message = new PrometheusError();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("status"u8))
            {
                json.Read();
                isError = json.TokenType == JsonTokenType.String && json.ValueTextEquals("error"u8);
            }
            else if (json.ValueTextEquals("errorType"u8))
            {
                json.Read();
                type = json.TokenType == JsonTokenType.String ? TypeOf(json) : PrometheusErrorType.Other;
            }
            else if (json.ValueTextEquals("error"u8))
            {
                json.Read();
                message = json.TokenType == JsonTokenType.String ? ReadMessage(json) : default;
            }
            else
            {
                json.Read();
            }

            json.Skip();
        }

        return isError ? message with { Type = type } : default;
    }

    private static PrometheusErrorType TypeOf(Utf8JsonReader json) =>
        json.ValueTextEquals("bad_data"u8) ? PrometheusErrorType.BadData
        : json.ValueTextEquals("execution"u8) ? PrometheusErrorType.Execution
        : json.ValueTextEquals("timeout"u8) ? PrometheusErrorType.Timeout
        : json.ValueTextEquals("canceled"u8) ? PrometheusErrorType.Canceled
        : json.ValueTextEquals("internal"u8) ? PrometheusErrorType.Internal
        : json.ValueTextEquals("unavailable"u8) ? PrometheusErrorType.Unavailable
        : json.ValueTextEquals("not_found"u8) ? PrometheusErrorType.NotFound
        : json.ValueTextEquals("not_acceptable"u8) ? PrometheusErrorType.NotAcceptable
        : json.ValueTextEquals("too_many_requests"u8) ? PrometheusErrorType.TooManyRequests
        : PrometheusErrorType.Other;

    private static PrometheusError ReadMessage(Utf8JsonReader json)
    {
        if (json.ValueSpan.Length > LongestMessage)
        {
            return default;
        }

        Span<byte> buffer = stackalloc byte[LongestMessage];
        ReadOnlySpan<byte> text = buffer[..json.CopyString(buffer)];
        var (line, column) = PositionIn(text);
        return new PrometheusError(PrometheusErrorType.None, ComplaintOf(text), line, column);
    }

    private static PrometheusComplaint ComplaintOf(ReadOnlySpan<byte> text) =>
        Has(text, "parse error"u8) ? PrometheusComplaint.Syntax
        : Has(text, "many-to-many matching not allowed"u8) || Has(text, "multiple matches for labels"u8) ? PrometheusComplaint.ManyToMany
        : Has(text, "duplicate series"u8) || Has(text, "same labelset"u8) ? PrometheusComplaint.DuplicateSeries
        : Has(text, "too many samples"u8) ? PrometheusComplaint.TooManySamples
        : Has(text, "exceeded maximum resolution"u8) ? PrometheusComplaint.TooManyPoints
        : Has(text, "max-series"u8) || Has(text, "maximum number of series"u8) || Has(text, "max-fetched"u8) ? PrometheusComplaint.TooManySeries
        : Has(text, "invalid regular expression"u8) || Has(text, "error parsing regexp"u8) ? PrometheusComplaint.BadRegex
        : Has(text, "query timed out"u8) ? PrometheusComplaint.QueryTimedOut
        : Has(text, "query time range exceeds"u8) ? PrometheusComplaint.TooLongRange
        : Has(text, "invalid parameter"u8) ? PrometheusComplaint.BadParameter
        : PrometheusComplaint.Unknown;

    private static bool Has(ReadOnlySpan<byte> text, ReadOnlySpan<byte> phrase) => text.IndexOf(phrase) >= 0;

    /// <summary>The position in <c>… 1:16: parse error: …</c>.</summary>
    private static (int Line, int Column) PositionIn(ReadOnlySpan<byte> text)
    {
        var end = text.IndexOf(": parse error"u8);
        if (end < 0)
        {
            return default;
        }

        var start = end;
        while (start > 0 && end - start < 12 && (char.IsAsciiDigit((char)text[start - 1]) || text[start - 1] == ':'))
        {
            start--;
        }

        var position = text[start..end];
        var colon = position.IndexOf((byte)':');
        return colon > 0
            && Utf8Parser.TryParse(position[..colon], out int line, out var used) && used == colon
            && Utf8Parser.TryParse(position[(colon + 1)..], out int column, out used) && used == position.Length - colon - 1
            ? (line, column)
            : default;
    }
}
