using System.Text.Json;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>The management API's consumer list (T5).</summary>
internal static class ConsumerList
{
    /// <summary>The columns asked for; the whole list is ten times as much.</summary>
    public const string Query = "columns=queue.name,queue.vhost,prefetch_count,ack_required";

    // Names are at most 255 bytes; JSON may write each as \u00XX.
    private const int LongestName = 6 * 255;

    /// <summary>
    /// Hands the consumers of known queues on. False if the answer is no such list; what was handed on is then part of one.
    /// </summary>
    /// <param name="json">The answer.</param>
    /// <param name="table">The queues that are known.</param>
    /// <param name="take">Called with slot, prefetch and whether messages are acknowledged on delivery.</param>
    /// <param name="count">Consumers in the list that are not <see cref="IsOwn">ours</see>.</param>
    public static bool Read(ReadOnlySpan<byte> json, QueueTable table, Action<int, int, bool> take, out int count)
    {
        count = 0;
        var reader = new Utf8JsonReader(json);
        Span<byte> vhost = stackalloc byte[LongestName];
        Span<byte> name = stackalloc byte[LongestName];
        try
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartArray)
            {
                return false;
            }

            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (reader.TokenType != JsonTokenType.StartObject)
                {
                    reader.Skip();
                    continue;
                }

                count += ReadConsumer(ref reader, vhost, name, table, take) ? 0 : 1;
            }

            return !reader.Read();
        }
        catch (JsonException)
        {
            return false;
        }
        catch (InvalidOperationException)
        {
            // Text that is not UTF-8.
            return false;
        }
    }

    /// <summary>
    /// Whether a queue may be the one that consumer events come in by: a user who is shown none but its own consumers is
    /// shown that. Nobody scales on a queue that the broker has named.
    /// </summary>
    public static bool IsOwn(string queue) => queue.StartsWith("amq.gen-", StringComparison.Ordinal);

    /// <summary>Reads one consumer; whether it may be ours.</summary>
    private static bool ReadConsumer(
        ref Utf8JsonReader reader, scoped Span<byte> vhost, scoped Span<byte> name, QueueTable table, Action<int, int, bool> take)
    {
        var vhostLength = -1;
        var nameLength = -1;
        var prefetch = -1;
        bool? acks = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("queue"u8))
            {
                reader.Read();
                while (reader.TokenType == JsonTokenType.StartObject && reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
                {
                    ReadNames(ref reader, vhost, name, ref vhostLength, ref nameLength);
                }

                reader.Skip();
            }
            else if (reader.ValueTextEquals("prefetch_count"u8))
            {
                reader.Read();
                prefetch = reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number) && number >= 0 ? number : -1;
                reader.Skip();
            }
            else if (reader.ValueTextEquals("ack_required"u8))
            {
                reader.Read();
                acks = reader.TokenType is JsonTokenType.True or JsonTokenType.False ? reader.TokenType == JsonTokenType.True : null;
                reader.Skip();
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }

        if (vhostLength >= 0 && nameLength > 0 && prefetch >= 0 && acks is { } required
            && table.TryFind(vhost[..vhostLength], name[..nameLength], out var slot))
        {
            take(slot, prefetch, !required);
        }

        return nameLength > 0 && name[..nameLength].StartsWith("amq.gen-"u8);
    }

    private static void ReadNames(
        ref Utf8JsonReader reader, scoped Span<byte> vhost, scoped Span<byte> name, ref int vhostLength, ref int nameLength)
    {
        do
        {
            var isVhost = reader.ValueTextEquals("vhost"u8);
            var isName = reader.ValueTextEquals("name"u8);
            reader.Read();
            if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= LongestName && (isVhost || isName))
            {
                var length = reader.CopyString(isVhost ? vhost : name);
                vhostLength = isVhost ? length : vhostLength;
                nameLength = isName ? length : nameLength;
            }
            else
            {
                reader.Skip();
            }
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName);
    }
}
