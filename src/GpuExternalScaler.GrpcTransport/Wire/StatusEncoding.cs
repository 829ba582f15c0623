using System.Buffers;
using System.Globalization;
using System.Text;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary><c>grpc-status</c> as decimal text and <c>grpc-message</c> as percent-encoded UTF-8.</summary>
internal static class StatusEncoding
{
    private static readonly string[] CodeTexts =
        [.. Enumerable.Range(0, 17).Select(code => code.ToString(CultureInfo.InvariantCulture))];

    // The specification's unescaped set: space to tilde without the percent sign.
    private static readonly SearchValues<char> Unescaped = SearchValues.Create(
        string.Concat(Enumerable.Range(' ', '~' - ' ' + 1).Select(c => (char)c).Where(c => c != '%')));

    public static string CodeText(StatusCode code) =>
        (uint)code < (uint)CodeTexts.Length ? CodeTexts[(int)code] : CodeTexts[(int)StatusCode.Unknown];

    public static StatusCode ParseCode(string? text) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var code) && code < CodeTexts.Length
            ? (StatusCode)code
            : StatusCode.Unknown;

    /// <summary>
    /// Encodes a message. Spaces at either end are escaped too: allowed by the specification, and HTTP libraries
    /// trim header values.
    /// </summary>
    public static string Encode(string message)
    {
        if (!message.AsSpan().ContainsAnyExcept(Unescaped) && message is not ([' ', ..] or [.., ' ']))
        {
            return message;
        }

        var utf8 = Encoding.UTF8.GetBytes(message);
        var encoded = new StringBuilder(utf8.Length + 16);
        for (var i = 0; i < utf8.Length; i++)
        {
            var b = utf8[i];
            var atEnd = i == 0 || i == utf8.Length - 1;
            if (b is >= (byte)' ' and <= (byte)'~' and not (byte)'%' && !(atEnd && b == ' '))
            {
                encoded.Append((char)b);
            }
            else
            {
                encoded.Append('%').Append(b.ToString("X2", CultureInfo.InvariantCulture));
            }
        }

        return encoded.ToString();
    }

    /// <summary>Decodes a message. What is not a valid escape stands for itself, as the specification asks.</summary>
    public static string Decode(string encoded)
    {
        if (!encoded.Contains('%', StringComparison.Ordinal))
        {
            return encoded;
        }

        var utf8 = new byte[Encoding.UTF8.GetMaxByteCount(encoded.Length)];
        var length = 0;
        for (var i = 0; i < encoded.Length; i++)
        {
            if (encoded[i] == '%' && i + 2 < encoded.Length &&
                char.IsAsciiHexDigit(encoded[i + 1]) && char.IsAsciiHexDigit(encoded[i + 2]))
            {
                utf8[length++] = byte.Parse(encoded.AsSpan(i + 1, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                i += 2;
            }
            else
            {
                length += Encoding.UTF8.GetBytes(encoded.AsSpan(i, 1), utf8.AsSpan(length));
            }
        }

        return Encoding.UTF8.GetString(utf8, 0, length);
    }
}
