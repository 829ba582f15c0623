using System.Text;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// The sweeps' own, mutable list of queues: names, slots, newest readings and counter totals. Guarded by the source's
/// lock; what leaves it are copies.
/// </summary>
internal sealed class QueueTable
{
    /// <summary>How long a queue may be gone before its slot is given up.</summary>
    internal static readonly TimeSpan KeepAbsentFor = TimeSpan.FromHours(24);

    /// <summary>Longest name of a queue or virtual host, in bytes; a broker allows no more.</summary>
    internal const int LongestName = 255;

    private static readonly TimeSpan CompactionInterval = TimeSpan.FromHours(1);

    private readonly int _absentLimit;
    private Dictionary<QueueKey, int> _slots = new(QueueKeyComparer.Instance);
    private Dictionary<QueueKey, int>.AlternateLookup<QueueKeyBytes> _lookup;
    private QueueKey[] _keys = [];
    private QueueName[] _names = [];
    private QueueEntry[] _entries = [];
    private int _generation;
    private long _version;
    private DateTimeOffset _compactedAt;
    private QueueNameIndex? _index;

    public QueueTable(int absentLimit = 10_000)
    {
        _absentLimit = absentLimit;
        _lookup = _slots.GetAlternateLookup<QueueKeyBytes>();
    }

    public int Count { get; private set; }

    public Span<QueueEntry> Entries => _entries.AsSpan(0, Count);

    public ReadOnlySpan<QueueName> Names => _names.AsSpan(0, Count);

    /// <summary>The slot of a queue that is known.</summary>
    public bool TryFind(ReadOnlySpan<byte> vhost, ReadOnlySpan<byte> name, out int slot) =>
        _lookup.TryGetValue(new QueueKeyBytes(vhost, name), out slot);

    /// <summary>The slot of a queue that is known.</summary>
    public bool TryFind(in QueueName queue, out int slot)
    {
        slot = -1;
        Span<byte> buffer = stackalloc byte[2 * LongestName];
        return TryEncode(in queue, buffer, out var vhost, out var name) && TryFind(vhost, name, out slot);
    }

    /// <summary>The slot of a queue, which is added if it is new; −1 for a name longer than a broker allows.</summary>
    public int Intern(in QueueName queue, DateTimeOffset now)
    {
        Span<byte> buffer = stackalloc byte[2 * LongestName];
        return TryEncode(in queue, buffer, out var vhost, out var name) ? Intern(vhost, name, now) : -1;
    }

    /// <summary>The slot of a queue, which is added if it is new.</summary>
    public int Intern(ReadOnlySpan<byte> vhost, ReadOnlySpan<byte> name, DateTimeOffset now)
    {
        var key = new QueueKeyBytes(vhost, name);
        if (_lookup.TryGetValue(key, out var slot))
        {
            return slot;
        }

        slot = Count;
        if (slot == _names.Length)
        {
            // Published indexes keep the old arrays; entries are never published.
            var capacity = Math.Max(64, slot * 2);
            Array.Resize(ref _keys, capacity);
            Array.Resize(ref _names, capacity);
            Array.Resize(ref _entries, capacity);
        }

        var owned = QueueKeyComparer.Instance.Create(key);
        _slots.Add(owned, slot);
        _keys[slot] = owned;
        _names[slot] = new QueueName(Encoding.UTF8.GetString(vhost), Encoding.UTF8.GetString(name));
        _entries[slot] = new QueueEntry { FirstSeenAt = now };
        Count++;
        _index = null;
        return slot;
    }

    /// <summary>The present names, for publication.</summary>
    public QueueNameIndex Index()
    {
        if (_index is null)
        {
            _version++;
            _index = new QueueNameIndex(
                _names, Count, new Dictionary<QueueKey, int>(_slots, QueueKeyComparer.Instance), _generation, _version);
        }

        return _index;
    }

    /// <summary>A copy of the present readings, for publication.</summary>
    public QueueReading[][] CopyReadings()
    {
        var chunks = new QueueReading[(Count + BrokerReadings.ChunkSize - 1) >> BrokerReadings.ChunkBits][];
        for (var chunk = 0; chunk < chunks.Length; chunk++)
        {
            var first = chunk << BrokerReadings.ChunkBits;
            var copy = new QueueReading[Math.Min(BrokerReadings.ChunkSize, Count - first)];
            for (var i = 0; i < copy.Length; i++)
            {
                copy[i] = _entries[first + i].Reading;
            }

            chunks[chunk] = copy;
        }

        return chunks;
    }

    /// <summary>
    /// Gives up slots of queues gone for a day, and the longer gone half of the absent ones when those are many and the
    /// majority (programs that declare a queue per reply leave thousands behind). Returns the new slot of each old one,
    /// −1 if it is no more, or null if nothing changed.
    /// </summary>
    public int[]? Compact(DateTimeOffset now)
    {
        var absent = 0;
        foreach (ref var entry in Entries)
        {
            absent += entry.Reading.Presence == QueuePresence.Absent ? 1 : 0;
        }

        var crowded = absent > _absentLimit && absent > Count / 2;
        if (!crowded && now - _compactedAt < CompactionInterval)
        {
            return null;
        }

        _compactedAt = now;
        var limit = now - KeepAbsentFor;
        if (crowded)
        {
            var instants = new List<DateTimeOffset>(absent);
            foreach (ref var entry in Entries)
            {
                if (entry.Reading.Presence == QueuePresence.Absent)
                {
                    instants.Add(entry.LastKnownAt);
                }
            }

            instants.Sort();
            var median = instants[instants.Count / 2];
            limit = median > limit ? median : limit;
        }

        var map = new int[Count];
        var kept = 0;
        for (var slot = 0; slot < Count; slot++)
        {
            ref var entry = ref _entries[slot];
            var gone = entry.Reading.Presence != QueuePresence.Present || entry.Reading.ObservedAt <= now - KeepAbsentFor;
            map[slot] = gone && entry.LastKnownAt <= limit ? -1 : kept++;
        }

        if (kept == Count)
        {
            return null;
        }

        Renumber(map, kept);
        return map;
    }

    private static bool TryEncode(
        in QueueName queue, Span<byte> buffer, out ReadOnlySpan<byte> vhost, out ReadOnlySpan<byte> name)
    {
        vhost = default;
        name = default;
        if (!Encoding.UTF8.TryGetBytes(queue.Vhost, buffer[..LongestName], out var vhostLength)
            || !Encoding.UTF8.TryGetBytes(queue.Name, buffer[LongestName..], out var nameLength))
        {
            return false;
        }

        vhost = buffer[..vhostLength];
        name = buffer.Slice(LongestName, nameLength);
        return true;
    }

    private void Renumber(int[] map, int kept)
    {
        var capacity = Math.Max(64, kept);
        var keys = new QueueKey[capacity];
        var names = new QueueName[capacity];
        var entries = new QueueEntry[capacity];
        var slots = new Dictionary<QueueKey, int>(kept, QueueKeyComparer.Instance);
        for (var slot = 0; slot < map.Length; slot++)
        {
            var target = map[slot];
            if (target >= 0)
            {
                keys[target] = _keys[slot];
                names[target] = _names[slot];
                entries[target] = _entries[slot];
                slots.Add(_keys[slot], target);
            }
        }

        _keys = keys;
        _names = names;
        _entries = entries;
        _slots = slots;
        _lookup = slots.GetAlternateLookup<QueueKeyBytes>();
        Count = kept;
        _generation++;
        _index = null;
    }
}

/// <summary>What the sweeps remember about one queue.</summary>
internal struct QueueEntry
{
    public QueueReading Reading;

    /// <summary>Cumulative totals over nodes, resets and sources; they never fall.</summary>
    public CounterSample Totals;

    public DateTimeOffset FirstSeenAt;

    /// <summary>Messages ready as the sweeps say; <see cref="QueueReading.Ready"/> may be more (T3).</summary>
    public long SweptReady;

    /// <summary>Messages ready as declares said lately.</summary>
    public RecentPeak LiveReady;

    /// <summary>What stands in for the metrics.</summary>
    public FallbackFigures Fallback;

    /// <summary>What is known of each consumer, or null.</summary>
    public QueueConsumers? Consumers;

    /// <summary>Which endpoint set the gauges of <see cref="Reading"/>.</summary>
    public RabbitMqEndpoint GaugesFrom;

    public readonly DateTimeOffset LastKnownAt =>
        Reading.LastPresentAt > FirstSeenAt ? Reading.LastPresentAt : FirstSeenAt;
}
