using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Exposition;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>One node's <c>/metrics/detailed</c> page, read into rows (T1, T4). Reused from sweep to sweep.</summary>
internal sealed class NodePage
{
    // Larger values would be defects of the broker, and adding them up could overflow.
    private const double LargestValue = 1e15;

    // Names are at most 255 bytes; every byte may be escaped.
    private const int LongestName = 512;

    private enum Family : byte
    {
        None,
        Ready,
        Unacked,
        Consumers,
        Info,
        Completed,
        CompletedAndDelivered,
        Delivered,
        Redelivered,
        Published,
        Identity,
    }

    public QueueRows Rows { get; } = new();

    /// <summary>The node's Erlang name, which outlives its address; empty if the page does not tell.</summary>
    public string Node { get; private set; } = "";

    /// <summary>Lines that were no sample: such a page cannot prove that something is absent.</summary>
    public int BadLines { get; private set; }

    /// <summary>Samples whose value could not be used: NaN, infinite, negative (T16).</summary>
    public int BadValues { get; private set; }

    /// <summary>Whether any sample bears a name of the RabbitMQ plugin.</summary>
    public bool IsRabbitMq { get; private set; }

    /// <summary>
    /// Whether this broker has per-queue delivery counters. 4.x declares the family even when no queue has been used yet;
    /// 3.10 does not know it (T4).
    /// </summary>
    public bool HasDeliveryFamily { get; private set; }

    /// <summary>Whether this broker has per-queue publish counters.</summary>
    public bool HasPublishFamily { get; private set; }

    /// <summary>
    /// Whether the page names every queue with its kind, whether or not the queue has figures yet (4.1 and later).
    /// </summary>
    public bool HasInfoFamily { get; private set; }

    /// <summary>Reads a page; queues not yet known are added to the table.</summary>
    public void Read(ReadOnlySpan<byte> page, QueueTable table, DateTimeOffset now)
    {
        Rows.Clear();
        Node = "";
        BadValues = 0;
        IsRabbitMq = false;
        HasDeliveryFamily = page.IndexOf("# TYPE rabbitmq_detailed_queue_messages_acked_total "u8) >= 0;
        HasPublishFamily = page.IndexOf("# TYPE rabbitmq_detailed_queue_exchange_messages_published_total "u8) >= 0;
        HasInfoFamily = page.IndexOf("# TYPE rabbitmq_detailed_queue_info "u8) >= 0;

        var reader = new ExpositionReader(page);
        var familyName = default(ReadOnlySpan<byte>);
        var family = Family.None;
        Span<byte> vhostBuffer = stackalloc byte[LongestName];
        Span<byte> queueBuffer = stackalloc byte[LongestName];
        while (reader.Read())
        {
            if (!reader.Name.SequenceEqual(familyName))
            {
                familyName = reader.Name;
                family = FamilyOf(familyName);
                IsRabbitMq |= familyName.StartsWith("rabbitmq_"u8);
            }

            if (family == Family.None)
            {
                continue;
            }

            if (family == Family.Identity)
            {
                Node = reader.Labels.TryGet("rabbitmq_node"u8, out var node) ? node.ToString() : Node;
                continue;
            }

            if (!TryReadNames(reader.Labels, vhostBuffer, queueBuffer, out var vhost, out var queue)
                || !(reader.Value is >= 0 and <= LargestValue))
            {
                BadValues++;
                continue;
            }

            Take(ref Rows[table.Intern(vhost, queue, now)], family, (long)reader.Value, reader.Labels);
        }

        BadLines = reader.BadLines;
    }

    private static Family FamilyOf(ReadOnlySpan<byte> name)
    {
        var prefix = "rabbitmq_detailed_queue_"u8;
        if (!name.StartsWith(prefix))
        {
            return name.SequenceEqual("rabbitmq_identity_info"u8) ? Family.Identity : Family.None;
        }

        // Deliveries and gets in automatic acknowledgement mode are done with the delivery.
        var rest = name[prefix.Length..];
        return rest.SequenceEqual("messages_ready"u8) ? Family.Ready
            : rest.SequenceEqual("messages_unacked"u8) ? Family.Unacked
            : rest.SequenceEqual("consumers"u8) ? Family.Consumers
            : rest.SequenceEqual("info"u8) ? Family.Info
            : rest.SequenceEqual("messages_acked_total"u8) ? Family.Completed
            : rest.SequenceEqual("messages_delivered_total"u8) ? Family.CompletedAndDelivered
            : rest.SequenceEqual("get_total"u8) ? Family.CompletedAndDelivered
            : rest.SequenceEqual("messages_delivered_ack_total"u8) ? Family.Delivered
            : rest.SequenceEqual("get_ack_total"u8) ? Family.Delivered
            : rest.SequenceEqual("messages_redelivered_total"u8) ? Family.Redelivered
            : rest.SequenceEqual("exchange_messages_published_total"u8) ? Family.Published
            : Family.None;
    }

    private static bool TryReadNames(
        ExpositionLabels labels,
        Span<byte> vhostBuffer,
        Span<byte> queueBuffer,
        out ReadOnlySpan<byte> vhost,
        out ReadOnlySpan<byte> queue)
    {
        queue = default;
        return TryReadName(labels, "vhost"u8, vhostBuffer, out vhost) && TryReadName(labels, "queue"u8, queueBuffer, out queue);
    }

    private static bool TryReadName(
        ExpositionLabels labels, ReadOnlySpan<byte> label, Span<byte> buffer, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (!labels.TryGet(label, out var text) || text.Raw.Length > LongestName)
        {
            return false;
        }

        if (!text.HasEscapes)
        {
            name = text.Raw;
            return true;
        }

        _ = text.Unescape(buffer, out var length);
        name = buffer[..length];
        return true;
    }

    private static QueueKind KindOf(ExpositionLabels labels)
    {
        if (!labels.TryGet("queue_type"u8, out var type))
        {
            return QueueKind.Unknown;
        }

        return type.Equals("rabbit_classic_queue"u8) ? QueueKind.Classic
            : type.Equals("rabbit_quorum_queue"u8) ? QueueKind.Quorum
            : type.Equals("rabbit_stream_queue"u8) ? QueueKind.Stream
            : QueueKind.Unknown;
    }

    private void Take(ref QueueRow row, Family family, long value, ExpositionLabels labels)
    {
        switch (family)
        {
            case Family.Ready:
                row.Ready = value;
                row.Fields |= RowFields.Ready | RowFields.Exists;
                break;
            case Family.Unacked:
                row.Unacked = value;
                row.Fields |= RowFields.Unacked | RowFields.Exists;
                break;
            case Family.Consumers:
                row.Consumers = value;
                row.Fields |= RowFields.Consumers;
                break;
            case Family.Info:
                HasInfoFamily = true;
                row.Kind = KindOf(labels);
                row.Fields |= RowFields.Exists;
                if (labels.TryGet("membership"u8, out var membership) && membership.Equals("leader"u8))
                {
                    row.Fields |= RowFields.Leader;
                }

                break;
            case Family.Completed:
                HasDeliveryFamily = true;
                row.Counters.Completed += value;
                row.Fields |= RowFields.Counters;
                break;
            case Family.CompletedAndDelivered:
                row.Counters.Completed += value;
                row.Counters.AutoAcked += value;
                row.Counters.Delivered += value;
                row.Fields |= RowFields.Counters;
                break;
            case Family.Delivered:
                row.Counters.Delivered += value;
                row.Fields |= RowFields.Counters;
                break;
            case Family.Redelivered:
                row.Counters.Redelivered += value;
                row.Fields |= RowFields.Counters;
                break;
            case Family.Published:
                HasPublishFamily = true;
                row.Counters.Published += value;
                row.Fields |= RowFields.Counters;
                break;
            default:
                break;
        }
    }
}
