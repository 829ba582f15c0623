using System.Text.Json;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>The management API's queue list, read into rows (T2, T4). Reused from sweep to sweep.</summary>
internal sealed class ManagementList
{
    /// <summary>The columns asked for: everything else a broker would send is several times as much.</summary>
    public const string Columns =
        "vhost,name,type,arguments.x-single-active-consumer,messages_ready,messages_unacknowledged,consumers,message_stats.ack,"
        + "message_stats.deliver_get,message_stats.deliver_no_ack,message_stats.get_no_ack,message_stats.redeliver,message_stats.publish";

    /// <summary>
    /// The query of the list with totals alone. It has no consumers whatever is asked for, and for an argument of a queue
    /// it sends all of them (3.10).
    /// </summary>
    public const string TotalsQuery =
        "disable_stats=true&enable_queue_totals=true"
        + "&columns=vhost,name,type,arguments.x-single-active-consumer,messages_ready,messages_unacknowledged";

    // Names are at most 255 bytes; JSON may write each as \u00XX.
    private const int LongestName = 6 * 255;
    private const double LargestValue = 1e15;

    public QueueRows Rows { get; } = new();

    /// <summary>Queues in the list.</summary>
    public int Queues { get; private set; }

    /// <summary>Queues with all three gauges.</summary>
    public int QueuesWithGauges { get; private set; }

    /// <summary>Queues with ready and unacknowledged, whether or not with consumers.</summary>
    public int QueuesWithTotals { get; private set; }

    /// <summary>Entries without a usable name: a list with such cannot prove that something is absent.</summary>
    public int BadEntries { get; private set; }

    /// <summary>Values of the wrong type.</summary>
    public int BadValues { get; private set; }

    public void Clear()
    {
        Rows.Clear();
        Queues = 0;
        QueuesWithGauges = 0;
        QueuesWithTotals = 0;
        BadEntries = 0;
        BadValues = 0;
    }

    /// <summary>
    /// Adds one list's queues to the rows. False if the answer is no such list; the rows are then of no use.
    /// </summary>
    public bool Read(ReadOnlySpan<byte> json, QueueTable table, DateTimeOffset now)
    {
        var reader = new Utf8JsonReader(json);
        try
        {
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartArray)
            {
                return false;
            }

            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                if (reader.TokenType == JsonTokenType.StartObject)
                {
                    ReadQueue(ref reader, table, now);
                }
                else
                {
                    BadEntries++;
                    reader.Skip();
                }
            }

            // Anything but blanks after the list makes this throw.
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

    private void ReadQueue(ref Utf8JsonReader reader, QueueTable table, DateTimeOffset now)
    {
        Span<byte> vhost = stackalloc byte[LongestName];
        Span<byte> name = stackalloc byte[LongestName];
        var vhostLength = -1;
        var nameLength = -1;
        var row = new QueueRow { Fields = RowFields.Exists };
        var counters = default(CounterSample);
        var hasBadCounters = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("vhost"u8))
            {
                vhostLength = ReadName(ref reader, vhost);
            }
            else if (reader.ValueTextEquals("name"u8))
            {
                nameLength = ReadName(ref reader, name);
            }
            else if (reader.ValueTextEquals("type"u8))
            {
                row.Kind = ReadKind(ref reader);
            }
            else if (reader.ValueTextEquals("arguments"u8))
            {
                row.Fields |= RowFields.Arguments;
                row.IsSingleActive = ReadsSingleActive(ref reader);
            }
            else if (reader.ValueTextEquals("messages_ready"u8))
            {
                row.Fields |= ReadNumber(ref reader, out row.Ready) ? RowFields.Ready : RowFields.None;
            }
            else if (reader.ValueTextEquals("messages_unacknowledged"u8))
            {
                row.Fields |= ReadNumber(ref reader, out row.Unacked) ? RowFields.Unacked : RowFields.None;
            }
            else if (reader.ValueTextEquals("consumers"u8))
            {
                row.Fields |= ReadNumber(ref reader, out row.Consumers) ? RowFields.Consumers : RowFields.None;
            }
            else if (reader.ValueTextEquals("message_stats"u8))
            {
                hasBadCounters = !ReadCounters(ref reader, out counters);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }

        if (vhostLength < 0 || nameLength <= 0)
        {
            BadEntries++;
            return;
        }

        // A queue that was never used has no message_stats: zero so far. That holds only for a queue whose statistics
        // have arrived, which its gauges show; otherwise the counters are merely not there yet.
        if (row.Has(RowFields.Gauges) && !hasBadCounters)
        {
            row.Counters = counters;
            row.Fields |= RowFields.Counters;
        }

        Queues++;
        QueuesWithGauges += row.Has(RowFields.Gauges) ? 1 : 0;
        QueuesWithTotals += row.Has(RowFields.Coarse) ? 1 : 0;
        Rows[table.Intern(vhost[..vhostLength], name[..nameLength], now)] = row;
    }

    private bool ReadCounters(ref Utf8JsonReader reader, out CounterSample counters)
    {
        counters = default;
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            // An empty Erlang property list is written as an empty JSON list.
            var isEmpty = reader.TokenType == JsonTokenType.Null || IsEmptyArray(ref reader);
            BadValues += isEmpty ? 0 : 1;
            return isEmpty;
        }

        var good = true;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("ack"u8))
            {
                good &= ReadNumber(ref reader, out var value);
                counters.Completed += value;
            }
            else if (reader.ValueTextEquals("deliver_no_ack"u8) || reader.ValueTextEquals("get_no_ack"u8))
            {
                // Automatic acknowledgement: done with the delivery.
                good &= ReadNumber(ref reader, out var value);
                counters.Completed += value;
                counters.AutoAcked += value;
            }
            else if (reader.ValueTextEquals("deliver_get"u8))
            {
                good &= ReadNumber(ref reader, out counters.Delivered);
            }
            else if (reader.ValueTextEquals("redeliver"u8))
            {
                good &= ReadNumber(ref reader, out counters.Redelivered);
            }
            else if (reader.ValueTextEquals("publish"u8))
            {
                good &= ReadNumber(ref reader, out counters.Published);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }

        return good;
    }

    private static bool ReadsSingleActive(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            // No arguments at all may be an empty list.
            reader.Skip();
            return false;
        }

        var isSingleActive = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isKey = reader.ValueTextEquals("x-single-active-consumer"u8);
            reader.Read();
            isSingleActive |= isKey && reader.TokenType == JsonTokenType.True;
            reader.Skip();
        }

        return isSingleActive;
    }

    private static bool IsEmptyArray(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
        {
            return false;
        }

        var depth = reader.CurrentDepth;
        var isEmpty = true;
        while (reader.Read() && !(reader.TokenType == JsonTokenType.EndArray && reader.CurrentDepth == depth))
        {
            isEmpty = false;
        }

        return isEmpty;
    }

    private int ReadName(ref Utf8JsonReader reader, scoped Span<byte> destination)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= destination.Length)
        {
            return reader.CopyString(destination);
        }

        BadValues++;
        reader.Skip();
        return -1;
    }

    private static QueueKind ReadKind(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.String)
        {
            reader.Skip();
            return QueueKind.Unknown;
        }

        return reader.ValueTextEquals("classic"u8) ? QueueKind.Classic
            : reader.ValueTextEquals("quorum"u8) ? QueueKind.Quorum
            : reader.ValueTextEquals("stream"u8) ? QueueKind.Stream
            : QueueKind.Unknown;
    }

    private bool ReadNumber(ref Utf8JsonReader reader, out long value)
    {
        value = 0;
        reader.Read();
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out var number) && number is >= 0 and <= LargestValue)
        {
            value = (long)number;
            return true;
        }

        BadValues += reader.TokenType == JsonTokenType.Null ? 0 : 1;
        reader.Skip();
        return false;
    }
}
