using System.Text;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Names and their slots as of one moment, safe to read while sweeps add more: the array is shared and only written
/// beyond <see cref="Count"/>, the dictionary is this instance's own.
/// </summary>
internal sealed class QueueNameIndex(
    QueueName[] names, int count, Dictionary<QueueKey, int> slots, int generation, long version)
{
    private readonly Dictionary<QueueKey, int>.AlternateLookup<QueueKeyBytes> _lookup =
        slots.GetAlternateLookup<QueueKeyBytes>();

    public int Generation => generation;

    public long Version => version;

    public int Count => count;

    public ReadOnlySpan<QueueName> Names => names.AsSpan(0, count);

    public bool TryFind(string vhost, string name, out int slot)
    {
        // Names are at most 255 bytes on the broker; longer ones cannot exist.
        const int Longest = 255;
        if (Encoding.UTF8.GetByteCount(vhost) > Longest || Encoding.UTF8.GetByteCount(name) > Longest)
        {
            slot = -1;
            return false;
        }

        Span<byte> buffer = stackalloc byte[2 * Longest];
        var vhostLength = Encoding.UTF8.GetBytes(vhost, buffer);
        var nameLength = Encoding.UTF8.GetBytes(name, buffer[vhostLength..]);
        if (_lookup.TryGetValue(new QueueKeyBytes(buffer[..vhostLength], buffer.Slice(vhostLength, nameLength)), out slot))
        {
            return true;
        }

        slot = -1;
        return false;
    }
}

/// <summary>A queue's identity as the bytes an endpoint sends: a known queue is found without making strings.</summary>
internal readonly struct QueueKey(byte[] bytes, int vhostLength)
{
    public ReadOnlySpan<byte> Vhost => bytes.AsSpan(0, vhostLength);

    public ReadOnlySpan<byte> Name => bytes.AsSpan(vhostLength);
}

/// <summary><see cref="QueueKey"/> over somebody else's bytes.</summary>
internal readonly ref struct QueueKeyBytes(ReadOnlySpan<byte> vhost, ReadOnlySpan<byte> name)
{
    public ReadOnlySpan<byte> Vhost { get; } = vhost;

    public ReadOnlySpan<byte> Name { get; } = name;
}

/// <summary>Compares keys by their bytes. The hash is seeded per process: queue names come from outside.</summary>
internal sealed class QueueKeyComparer : IEqualityComparer<QueueKey>, IAlternateEqualityComparer<QueueKeyBytes, QueueKey>
{
    public static readonly QueueKeyComparer Instance = new();

    public bool Equals(QueueKey x, QueueKey y) => x.Vhost.SequenceEqual(y.Vhost) && x.Name.SequenceEqual(y.Name);

    public int GetHashCode(QueueKey obj) => Hash(obj.Vhost, obj.Name);

    public bool Equals(QueueKeyBytes alternate, QueueKey other) =>
        alternate.Name.SequenceEqual(other.Name) && alternate.Vhost.SequenceEqual(other.Vhost);

    public int GetHashCode(QueueKeyBytes alternate) => Hash(alternate.Vhost, alternate.Name);

    public QueueKey Create(QueueKeyBytes alternate)
    {
        var bytes = new byte[alternate.Vhost.Length + alternate.Name.Length];
        alternate.Vhost.CopyTo(bytes);
        alternate.Name.CopyTo(bytes.AsSpan(alternate.Vhost.Length));
        return new QueueKey(bytes, alternate.Vhost.Length);
    }

    private static int Hash(ReadOnlySpan<byte> vhost, ReadOnlySpan<byte> name)
    {
        var hash = new HashCode();
        hash.AddBytes(vhost);
        hash.AddBytes(name);
        return hash.ToHashCode();
    }
}
