using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>Metadata entries as HTTP headers: text as it is, bytes in base64.</summary>
internal static class MetadataEncoding
{
    /// <summary>
    /// Adds one HTTP header to metadata. Left out are a name that metadata does not allow though HTTP does, and a value
    /// under a binary name that is not base64.
    /// </summary>
    public static void AddTo(Metadata metadata, string name, string value)
    {
        if (!Metadata.Entry.IsValidKey(name))
        {
            return;
        }

        if (!name.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.OrdinalIgnoreCase))
        {
            metadata.Add(name, value);
            return;
        }

        // A proxy may have joined several values by commas; base64 has none.
        foreach (var part in value.Split(',', StringSplitOptions.TrimEntries))
        {
            if (TryDecodeBase64(part, out var bytes))
            {
                metadata.Add(name, bytes);
            }
        }
    }

    /// <summary>The entry's value on the wire. Senders leave the padding of base64 out.</summary>
    public static string ValueText(Metadata.Entry entry) =>
        entry.IsBinary ? Convert.ToBase64String(entry.ValueBytes).TrimEnd('=') : entry.Value;

    /// <summary>Whether an entry may be sent; a control character would be refused by HTTP, or split a header.</summary>
    public static bool IsSendable(Metadata.Entry entry) =>
        entry.IsBinary || !entry.Value.AsSpan().ContainsAnyExceptInRange(' ', '~');

    /// <summary>Whether a name belongs to the protocol, so that metadata may not carry it.</summary>
    public static bool IsReserved(string name) =>
        name.StartsWith(':') ||
        name.Equals("content-type", StringComparison.OrdinalIgnoreCase) ||
        name.Equals("te", StringComparison.OrdinalIgnoreCase) ||
        name.Equals("host", StringComparison.OrdinalIgnoreCase) ||
        name.Equals("content-length", StringComparison.OrdinalIgnoreCase) ||
        name.Equals("accept-encoding", StringComparison.OrdinalIgnoreCase) ||
        // grpc-status-details-bin is the one name with this prefix that belongs to applications.
        (name.StartsWith("grpc-", StringComparison.OrdinalIgnoreCase) &&
            !name.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.OrdinalIgnoreCase));

    private static bool TryDecodeBase64(string text, out byte[] bytes)
    {
        var padded = (text.Length % 4) switch
        {
            2 => text + "==",
            3 => text + "=",
            _ => text,
        };
        bytes = new byte[padded.Length / 4 * 3];
        var valid = Convert.TryFromBase64String(padded, bytes, out var length);
        Array.Resize(ref bytes, length);
        return valid;
    }
}
