using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>Reads the JSON of a query's answer (T17), within limits, straight from its bytes.</summary>
internal ref struct PrometheusResultReader
{
    private const int MostLabels = 128;

    // A real fleet has about ten for each series. As many as the series' own limits would allow could take half a gigabyte.
    private const int MostLabelsInAll = 1_000_000;
    private const int LongestName = 1024;
    private const int LongestValue = 16 * 1024;
    private const int LongestText = 64 * 1024;

    // The longest number that Go writes has fewer than 30 characters; JSON may write each as \u00XX.
    private const int LongestNumber = 200;

    private const NumberStyles Number = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;

    private readonly int _maxSeries;
    private readonly int _maxPoints;
    private readonly List<string> _names = [];
    private readonly List<KeyValuePair<string, string>> _pairs = [];
    private readonly List<PrometheusPoint> _points = [];
    private Utf8JsonReader _json;
    private int _pointsTaken;
    private int _labelsTaken;
    private int _lost;
    private int _histograms;
    private int _bad;
    private DateTimeOffset? _evaluatedAt;

    private PrometheusResultReader(ReadOnlySpan<byte> json, int maxSeries, int maxPoints)
    {
        // Not the final block: an end that comes early is then told from text that is no JSON.
        _json = new Utf8JsonReader(json, isFinalBlock: false, default);
        _maxSeries = maxSeries;
        _maxPoints = maxPoints;
    }

    /// <summary>Reads an answer with status 200.</summary>
    /// <param name="json">The body.</param>
    /// <param name="maxSeries">More are <see cref="SourceReason.TooLarge"/>.</param>
    /// <param name="maxPoints">More, over all series, are <see cref="SourceReason.TooLarge"/>.</param>
    /// <param name="result">The result, if the reason is none.</param>
    public static SourceReason Read(ReadOnlySpan<byte> json, int maxSeries, int maxPoints, out PrometheusResult? result)
    {
        result = null;
        var text = json.TrimStart(" \t\r\n"u8);
        if (text.IsEmpty || text[0] != '{')
        {
            // HTML, as a rule: a login page, or that of a proxy.
            return SourceReason.MalformedAnswer;
        }

        try
        {
            var reader = new PrometheusResultReader(text, maxSeries, maxPoints);
            result = reader.ReadAnswer();
            return result is null ? SourceReason.MalformedAnswer : SourceReason.None;
        }
        catch (EndOfStreamException)
        {
            return SourceReason.Truncated;
        }
        catch (LimitException)
        {
            return SourceReason.TooLarge;
        }
        catch (JsonException)
        {
            return SourceReason.MalformedAnswer;
        }
        catch (InvalidOperationException)
        {
            // Text that is not UTF-8, or half of a surrogate pair.
            return SourceReason.MalformedAnswer;
        }
    }

    private PrometheusResult? ReadAnswer()
    {
        var succeeded = false;
        var saysPartial = false;
        var warnings = 0;
        var infos = 0;
        PrometheusResult? data = null;
        Next();
        while (NextProperty())
        {
            if (_json.ValueTextEquals("status"u8))
            {
                Next();
                succeeded = _json.TokenType == JsonTokenType.String && _json.ValueTextEquals("success"u8);
                Skip();
            }
            else if (_json.ValueTextEquals("data"u8))
            {
                Next();
                data = ReadData();
            }
            else if (_json.ValueTextEquals("warnings"u8))
            {
                Next();
                warnings = CountElements();
            }
            else if (_json.ValueTextEquals("infos"u8))
            {
                Next();
                infos = CountElements();
            }
            else if (_json.ValueTextEquals("isPartial"u8))
            {
                Next();
                saysPartial = _json.TokenType == JsonTokenType.True;
                Skip();
            }
            else
            {
                Next();
                Skip();
            }
        }

        // Anything but blanks after the object makes this throw; blanks are the end.
        _ = _json.Read();
        return !succeeded || data is null ? null : data with
        {
            Warnings = warnings,
            Infos = infos,
            SaysPartial = saysPartial,
            LostSamples = _lost,
            SkippedHistograms = _histograms,
            BadSeries = _bad,
            EvaluatedAt = data.Type == PrometheusResultType.Matrix ? null : _evaluatedAt,
        };
    }

    private PrometheusResult? ReadData()
    {
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            Skip();
            return null;
        }

        PrometheusResultType? type = null;
        PrometheusResult? result = null;
        var here = default(Utf8JsonReader);
        var isPostponed = false;
        while (NextProperty())
        {
            if (_json.ValueTextEquals("resultType"u8))
            {
                Next();
                type = ReadType();
                Skip();
            }
            else if (_json.ValueTextEquals("result"u8))
            {
                Next();
                if (type is { } known)
                {
                    result = ReadResult(known);
                }
                else
                {
                    // JSON has no order: come back when it is known what this is.
                    here = _json;
                    isPostponed = true;
                    Skip();
                }
            }
            else
            {
                Next();
                Skip();
            }
        }

        if (result is null && isPostponed && type is { } late)
        {
            var end = _json;
            _json = here;
            result = ReadResult(late);
            _json = end;
        }

        return result;
    }

    private readonly PrometheusResultType? ReadType() =>
        _json.TokenType != JsonTokenType.String ? null
        : _json.ValueTextEquals("vector"u8) ? PrometheusResultType.Vector
        : _json.ValueTextEquals("matrix"u8) ? PrometheusResultType.Matrix
        : _json.ValueTextEquals("scalar"u8) ? PrometheusResultType.Scalar
        : _json.ValueTextEquals("string"u8) ? PrometheusResultType.String
        : null;

    private PrometheusResult? ReadResult(PrometheusResultType type)
    {
        if (_json.TokenType == JsonTokenType.Null && type is PrometheusResultType.Vector or PrometheusResultType.Matrix)
        {
            // An empty list of Go's, in some implementations.
            return new PrometheusResult { Type = type };
        }

        if (_json.TokenType != JsonTokenType.StartArray)
        {
            Skip();
            return null;
        }

        switch (type)
        {
            case PrometheusResultType.String:
                return ReadString() is { } text ? new PrometheusResult { Type = type, Text = text } : null;
            case PrometheusResultType.Scalar:
                _points.Clear();
                return ReadPoint() ? new PrometheusResult { Type = type, Series = [TakeSeries(PrometheusLabels.None)] } : null;
            default:
                return new PrometheusResult { Type = type, Series = ReadSeriesList(type) };
        }
    }

    private List<PrometheusSeries> ReadSeriesList(PrometheusResultType type)
    {
        var list = new List<PrometheusSeries>();
        var seen = 0;
        while (NextElement())
        {
            if (++seen > _maxSeries)
            {
                throw new LimitException();
            }

            if (_json.TokenType != JsonTokenType.StartObject)
            {
                _bad++;
                Skip();
            }
            else if (ReadSeries(type) is { } series)
            {
                list.Add(series);
            }
        }

        return list;
    }

    /// <summary>One series; null if it cannot be read or has nothing but native histograms.</summary>
    private PrometheusSeries? ReadSeries(PrometheusResultType type)
    {
        PrometheusLabels? labels = null;
        var hasSamples = false;
        var isGood = true;
        var isHistogram = false;
        _points.Clear();
        while (NextProperty())
        {
            if (_json.ValueTextEquals("metric"u8))
            {
                Next();
                labels = ReadLabels();
            }
            else if (type == PrometheusResultType.Vector && _json.ValueTextEquals("value"u8))
            {
                Next();
                hasSamples = true;
                _points.Clear();
                isGood &= IsArray() && ReadPoint();
            }
            else if (type == PrometheusResultType.Matrix && _json.ValueTextEquals("values"u8))
            {
                Next();
                hasSamples = true;
                isGood &= ReadPoints();
            }
            else if (type == PrometheusResultType.Vector && _json.ValueTextEquals("histogram"u8))
            {
                Next();
                isHistogram = true;
                _histograms++;
                Skip();
            }
            else if (type == PrometheusResultType.Matrix && _json.ValueTextEquals("histograms"u8))
            {
                Next();
                isHistogram = true;
                _histograms += CountElements();
            }
            else
            {
                Next();
                Skip();
            }
        }

        if (labels is null || !isGood || (!hasSamples && !isHistogram))
        {
            _bad++;
            return null;
        }

        return hasSamples ? TakeSeries(labels) : null;
    }

    private PrometheusSeries TakeSeries(PrometheusLabels labels)
    {
        _pointsTaken += _points.Count;
        return new PrometheusSeries(labels, _points.ToArray());
    }

    private PrometheusLabels? ReadLabels()
    {
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            Skip();
            return null;
        }

        _pairs.Clear();
        var isGood = true;
        for (var seen = 0; NextProperty(); seen++)
        {
            // Past the bound not even names are read: what a series without end consists of is not to be kept.
            var name = seen < MostLabels ? ReadName() : null;
            Next();
            if (name is null || _json.TokenType != JsonTokenType.String || _json.ValueSpan.Length > LongestValue || HasLabel(name))
            {
                isGood = false;
                Skip();
            }
            else
            {
                _pairs.Add(new(name, _json.GetString()!));
            }
        }

        _labelsTaken += _pairs.Count;
        if (_labelsTaken > MostLabelsInAll)
        {
            throw new LimitException();
        }

        return isGood ? new PrometheusLabels(CollectionsMarshal.AsSpan(_pairs)) : null;
    }

    // A loop: a lambda would be an object for each label.
    private readonly bool HasLabel(string name)
    {
        foreach (var pair in _pairs)
        {
            if (pair.Key == name)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A label's name: the series of one answer have the same few, so each is kept once.</summary>
    private readonly string? ReadName()
    {
        if (_json.ValueSpan.Length > LongestName)
        {
            return null;
        }

        foreach (var known in _names)
        {
            if (_json.ValueTextEquals(known))
            {
                return known;
            }
        }

        var name = _json.GetString()!;
        if (_names.Count < MostLabels)
        {
            _names.Add(name);
        }

        return name;
    }

    private bool ReadPoints()
    {
        if (!IsArray())
        {
            return false;
        }

        var isGood = true;
        while (NextElement())
        {
            isGood &= IsArray() && ReadPoint();
        }

        return isGood;
    }

    /// <summary>
    /// Reads <c>[time, "number"]</c> from its first bracket. True if that is what it is; a number that is not finite is lost all the
    /// same.
    /// </summary>
    private bool ReadPoint()
    {
        Next();
        var hasTime = TryReadTime(out var at);
        var hasValue = false;
        double value = 0;
        var elements = 0;
        while (_json.TokenType != JsonTokenType.EndArray)
        {
            if (++elements == 2)
            {
                hasValue = TryReadValue(out value);
            }

            Skip();
            Next();
        }

        if (!hasTime || elements != 2)
        {
            return false;
        }

        _evaluatedAt ??= at;
        if (!hasValue)
        {
            _lost++;
            return true;
        }

        if (_pointsTaken + _points.Count >= _maxPoints)
        {
            throw new LimitException();
        }

        _points.Add(new PrometheusPoint(at, value));
        return true;
    }

    private readonly bool TryReadTime(out DateTimeOffset at)
    {
        at = default;

        // From the year 1 to 9999 in whole milliseconds, which is what Prometheus counts in.
        if (_json.TokenType != JsonTokenType.Number || !_json.TryGetDouble(out var seconds) || seconds is not (> -62e9 and < 253e9))
        {
            return false;
        }

        at = DateTimeOffset.FromUnixTimeMilliseconds((long)Math.Round(seconds * 1000));
        return true;
    }

    private readonly bool TryReadValue(out double value)
    {
        value = 0;
        if (_json.TokenType != JsonTokenType.String || _json.ValueSpan.Length > LongestNumber)
        {
            return false;
        }

        Span<byte> text = stackalloc byte[LongestNumber];
        var length = _json.CopyString(text);
        return double.TryParse(text[..length], Number, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);
    }

    private string? ReadString()
    {
        string? text = null;
        Next();
        if (TryReadTime(out var at))
        {
            _evaluatedAt = at;
            Next();
            if (_json.TokenType == JsonTokenType.String)
            {
                text = _json.ValueSpan.Length <= LongestText ? _json.GetString() : throw new LimitException();
                Next();
            }
        }

        var isPair = _json.TokenType == JsonTokenType.EndArray;
        while (_json.TokenType != JsonTokenType.EndArray)
        {
            Skip();
            Next();
        }

        return isPair ? text : null;
    }

    private bool IsArray()
    {
        if (_json.TokenType == JsonTokenType.StartArray)
        {
            return true;
        }

        Skip();
        return false;
    }

    /// <summary>Elements of a list; 0 for anything else but a text, which counts as one.</summary>
    private int CountElements()
    {
        if (_json.TokenType != JsonTokenType.StartArray)
        {
            var count = _json.TokenType == JsonTokenType.String ? 1 : 0;
            Skip();
            return count;
        }

        var elements = 0;
        while (NextElement())
        {
            elements++;
            Skip();
        }

        return elements;
    }

    private bool NextProperty()
    {
        Next();
        return _json.TokenType == JsonTokenType.PropertyName;
    }

    private bool NextElement()
    {
        Next();
        return _json.TokenType != JsonTokenType.EndArray;
    }

    private void Next()
    {
        if (!_json.Read())
        {
            throw new EndOfStreamException();
        }
    }

    private void Skip()
    {
        if (!_json.TrySkip())
        {
            throw new EndOfStreamException();
        }
    }

    /// <summary>More than was allowed.</summary>
    private sealed class LimitException : Exception;
}
