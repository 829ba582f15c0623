using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace GpuExternalScaler.Sources.Exposition;

/// <summary>
/// The few labels of a sample that mean something to a reader, copied into slots. Reused from sample to sample; several
/// names may share a slot, where exporters call one thing by different names.
/// </summary>
internal sealed class PickedLabels
{
    /// <summary>Longest value taken, in bytes; names of Kubernetes objects have at most 253.</summary>
    public const int LongestValue = 512;

    private const int HeaderLength = 3;

    private readonly (byte[] Name, int Slot)[] _names;
    private readonly byte[] _values;
    private readonly int[] _lengths;
    private readonly byte[] _key;

    /// <param name="names">Label names and the slots their values go to, numbered from 0.</param>
    public PickedLabels(IReadOnlyCollection<(string Name, int Slot)> names)
    {
        _names = [.. names.Select(static name => (Encoding.UTF8.GetBytes(name.Name), name.Slot))];
        _lengths = new int[names.Max(static name => name.Slot) + 1];
        _values = new byte[_lengths.Length * LongestValue];
        _key = new byte[1 + (_lengths.Length * (HeaderLength + LongestValue))];
    }

    /// <summary>A slot's value, UTF-8; empty if the sample has no such label, which in Prometheus is the same as an empty one.</summary>
    public ReadOnlySpan<byte> this[int slot] => _values.AsSpan(slot * LongestValue, _lengths[slot]);

    /// <summary>Whether a slot holds anything.</summary>
    public bool Has(int slot) => _lengths[slot] > 0;

    /// <summary>A slot's value; bytes that are not UTF-8 become replacement characters.</summary>
    public string Text(int slot) => Encoding.UTF8.GetString(this[slot]);

    /// <summary>Takes a page's labels. False if one that matters is too long to be what it should be.</summary>
    public bool Take(ExpositionLabels labels)
    {
        Array.Clear(_lengths);
        foreach (var label in labels)
        {
            var slot = SlotOf(label.Name);
            if (slot < 0 || _lengths[slot] > 0)
            {
                continue;
            }

            if (label.Value.Raw.Length > LongestValue)
            {
                return false;
            }

            _ = label.Value.Unescape(_values.AsSpan(slot * LongestValue, LongestValue), out _lengths[slot]);
        }

        return true;
    }

    /// <summary>Takes the labels of a query's result. False if one that matters is too long to be what it should be.</summary>
    public bool Take(IEnumerable<KeyValuePair<string, string>> labels)
    {
        Array.Clear(_lengths);
        Span<byte> nameBuffer = stackalloc byte[64];
        foreach (var (name, value) in labels)
        {
            // A name that does not fit is longer than any that matters.
            var slot = Encoding.UTF8.TryGetBytes(name, nameBuffer, out var length) ? SlotOf(nameBuffer[..length]) : -1;
            if (slot < 0 || _lengths[slot] > 0)
            {
                continue;
            }

            if (!Encoding.UTF8.TryGetBytes(value, _values.AsSpan(slot * LongestValue, LongestValue), out var written))
            {
                return false;
            }

            _lengths[slot] = written;
        }

        return true;
    }

    /// <summary>Fills a slot that the sample left empty; a value that is too long leaves it so.</summary>
    public void Default(int slot, string value)
    {
        if (_lengths[slot] == 0 && Encoding.UTF8.TryGetBytes(value, _values.AsSpan(slot * LongestValue, LongestValue), out var written))
        {
            _lengths[slot] = written;
        }
    }

    /// <summary>Fills a slot whatever the sample says.</summary>
    public void Set(int slot, string value)
    {
        _lengths[slot] = 0;
        Default(slot, value);
    }

    /// <summary>Bytes that are equal for samples with the same kind and the same picked labels, and for no others.</summary>
    public ReadOnlySpan<byte> Key(byte kind)
    {
        _key[0] = kind;
        var position = 1;
        for (var slot = 0; slot < _lengths.Length; slot++)
        {
            var length = _lengths[slot];
            if (length == 0)
            {
                continue;
            }

            _key[position] = (byte)slot;
            BinaryPrimitives.WriteUInt16LittleEndian(_key.AsSpan(position + 1), (ushort)length);
            this[slot].CopyTo(_key.AsSpan(position + HeaderLength));
            position += HeaderLength + length;
        }

        return _key.AsSpan(0, position);
    }

    private int SlotOf(ReadOnlySpan<byte> name)
    {
        foreach (var (known, slot) in _names)
        {
            if (name.SequenceEqual(known))
            {
                return slot;
            }
        }

        return -1;
    }
}

/// <summary>Compares byte strings by content, so that a dictionary can be asked with a span.</summary>
internal sealed class ByteStringComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    public static readonly ByteStringComparer Instance = new();

    private ByteStringComparer()
    {
    }

    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

    public int GetHashCode([DisallowNull] byte[] obj) => GetHashCode(obj.AsSpan());

    public int GetHashCode(ReadOnlySpan<byte> alternate)
    {
        var hash = default(HashCode);
        hash.AddBytes(alternate);
        return hash.ToHashCode();
    }

    public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
}
