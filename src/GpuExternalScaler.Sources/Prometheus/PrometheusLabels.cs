using System.Runtime.InteropServices;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>A series' labels: the same for the same names and values, whatever their order.</summary>
internal sealed class PrometheusLabels : IEquatable<PrometheusLabels>
{
    private readonly KeyValuePair<string, string>[] _pairs;
    private readonly int _hash;

    /// <param name="pairs">In any order; a name occurs once.</param>
    public PrometheusLabels(ReadOnlySpan<KeyValuePair<string, string>> pairs)
    {
        _pairs = pairs.ToArray();
        Array.Sort(_pairs, static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        var hash = new HashCode();
        foreach (var (name, value) in _pairs)
        {
            hash.Add(name, StringComparer.Ordinal);
            hash.Add(value, StringComparer.Ordinal);
        }

        _hash = hash.ToHashCode();
    }

    public static PrometheusLabels None { get; } = new([]);

    public int Count => _pairs.Length;

    /// <summary>By name, in ordinal order.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Pairs => _pairs;

    /// <summary>A label's value; empty where there is no such label, which is the same to Prometheus.</summary>
    public string this[string name]
    {
        get
        {
            foreach (var pair in _pairs)
            {
                if (pair.Key == name)
                {
                    return pair.Value;
                }
            }

            return "";
        }
    }

    /// <summary>The same labels but one.</summary>
    public PrometheusLabels Without(string name)
    {
        var pairs = new List<KeyValuePair<string, string>>(_pairs);
        return pairs.RemoveAll(pair => pair.Key == name) == 0 ? this : new PrometheusLabels(CollectionsMarshal.AsSpan(pairs));
    }

    public bool Equals(PrometheusLabels? other)
    {
        if (other is null || _hash != other._hash || _pairs.Length != other._pairs.Length)
        {
            return false;
        }

        for (var i = 0; i < _pairs.Length; i++)
        {
            if (_pairs[i].Key != other._pairs[i].Key || _pairs[i].Value != other._pairs[i].Value)
            {
                return false;
            }
        }

        return true;
    }

    public override bool Equals(object? obj) => Equals(obj as PrometheusLabels);

    public override int GetHashCode() => _hash;

    /// <summary>As Prometheus writes them.</summary>
    public override string ToString() =>
        $"{{{string.Join(',', _pairs.Select(pair => $"{pair.Key}={PromQl.Quote(pair.Value)}"))}}}";
}
