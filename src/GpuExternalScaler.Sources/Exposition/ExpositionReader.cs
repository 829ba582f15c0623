using System.Buffers;
using System.Globalization;

namespace GpuExternalScaler.Sources.Exposition;

/// <summary>
/// Reads a page of the Prometheus text format 0.0.4 sample by sample, without allocating and without ever throwing.
/// </summary>
/// <remarks>
/// A line that is no sample is lost and counted in <see cref="BadLines"/>; the rest of the page is read on (T16). The
/// last line must end in a line feed: without one it may be half a number, so it is lost and counted too. Values that
/// are NaN or infinite are yielded as such. Metric names, labels and values are spans of the page.
/// </remarks>
public ref struct ExpositionReader
{
    private static readonly SearchValues<byte> NameBytes =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:"u8);

    private readonly ReadOnlySpan<byte> _page;
    private int _position;

    /// <summary>Prepares to read a page.</summary>
    /// <param name="page">The page, UTF-8. Bytes that are not UTF-8 are passed on as they are.</param>
    public ExpositionReader(ReadOnlySpan<byte> page)
    {
        // A byte order mark is no part of the format, but some static file servers add it.
        _page = page.StartsWith("\uFEFF"u8) ? page[3..] : page;
    }

    /// <summary>Metric name of the present sample.</summary>
    public ReadOnlySpan<byte> Name { get; private set; }

    /// <summary>Labels of the present sample; possibly none.</summary>
    public ExpositionLabels Labels { get; private set; }

    /// <summary>Value of the present sample; may be NaN or infinite.</summary>
    public double Value { get; private set; }

    /// <summary>The sample's own timestamp in milliseconds since 1970, where it has one.</summary>
    public long? TimestampMilliseconds { get; private set; }

    /// <summary>Samples yielded so far.</summary>
    public int Samples { get; private set; }

    /// <summary>Lines lost so far because they were no sample.</summary>
    public int BadLines { get; private set; }

    /// <summary>Goes to the next sample. False at the end of the page.</summary>
    public bool Read()
    {
        while (_position < _page.Length)
        {
            var rest = _page[_position..];
            var end = rest.IndexOf((byte)'\n');
            if (end < 0)
            {
                _position = _page.Length;
                if (!IsBlankOrComment(TrimBlanks(rest)))
                {
                    BadLines++;
                }

                return false;
            }

            _position += end + 1;
            var line = TrimBlanks(rest[..end]);
            if (IsBlankOrComment(line))
            {
                continue;
            }

            if (TryReadSample(line))
            {
                Samples++;
                return true;
            }

            BadLines++;
        }

        return false;
    }

    private static bool IsBlankOrComment(ReadOnlySpan<byte> line) => line.IsEmpty || line[0] == '#';

    private static ReadOnlySpan<byte> TrimBlanks(ReadOnlySpan<byte> text) => text.Trim(" \t\r"u8);

    private bool TryReadSample(ReadOnlySpan<byte> line)
    {
        var nameLength = line.IndexOfAnyExcept(NameBytes);
        if (nameLength <= 0 || char.IsAsciiDigit((char)line[0]))
        {
            return false;
        }

        var rest = line[nameLength..].TrimStart(" \t"u8);
        var labels = default(ExpositionLabels);
        if (!rest.IsEmpty && rest[0] == '{')
        {
            if (!ExpositionLabels.TryMeasure(rest[1..], out var length))
            {
                return false;
            }

            labels = new ExpositionLabels(rest.Slice(1, length));
            rest = rest[(length + 2)..].TrimStart(" \t"u8);
        }
        else if (rest.Length == line.Length - nameLength)
        {
            // Neither a brace nor a blank after the name.
            return false;
        }

        var valueLength = rest.IndexOfAny((byte)' ', (byte)'\t');
        var value = valueLength < 0 ? rest : rest[..valueLength];
        if (!TryParseValue(value, out var number)
            || !TryParseTimestamp(valueLength < 0 ? default : rest[valueLength..].TrimStart(" \t"u8), out var timestamp))
        {
            return false;
        }

        Name = line[..nameLength];
        Labels = labels;
        Value = number;
        TimestampMilliseconds = timestamp;
        return true;
    }

    private static bool TryParseValue(ReadOnlySpan<byte> text, out double value)
    {
        value = 0;
        if (text.IsEmpty)
        {
            return false;
        }

        // Nearly every value is a short whole number.
        if (text.Length <= 15 && text.IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0)
        {
            long whole = 0;
            foreach (var digit in text)
            {
                whole = (whole * 10) + (digit - '0');
            }

            value = whole;
            return true;
        }

        var unsigned = text[0] is (byte)'+' or (byte)'-' ? text[1..] : text;
        if (unsigned.IsEmpty)
        {
            return false;
        }

        if (char.IsAsciiDigit((char)unsigned[0]) || unsigned[0] == '.')
        {
            return double.TryParse(
                text,
                NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent,
                CultureInfo.InvariantCulture,
                out value);
        }

        if (System.Text.Ascii.EqualsIgnoreCase(unsigned, "inf"u8) || System.Text.Ascii.EqualsIgnoreCase(unsigned, "infinity"u8))
        {
            value = text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            return true;
        }

        value = double.NaN;
        return System.Text.Ascii.EqualsIgnoreCase(unsigned, "nan"u8);
    }

    private static bool TryParseTimestamp(ReadOnlySpan<byte> text, out long? timestamp)
    {
        timestamp = null;

        // An OpenMetrics exemplar follows a number sign; it says nothing we need.
        if (text.IsEmpty || text[0] == '#')
        {
            return true;
        }

        var end = text.IndexOfAny((byte)' ', (byte)'\t');
        if (end >= 0)
        {
            var tail = text[end..].TrimStart(" \t"u8);
            if (!tail.IsEmpty && tail[0] != '#')
            {
                return false;
            }

            text = text[..end];
        }

        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var milliseconds))
        {
            return false;
        }

        timestamp = milliseconds;
        return true;
    }
}
