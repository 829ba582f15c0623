using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using GpuExternalScaler.Rpc.Protocol;

namespace GpuExternalScaler.Rpc;

/// <summary>
/// What the requests of registered workloads mean: KEDA sends the same ones for ever, and parsing and hashing one cost a
/// sixth of a call. Recognised by content, since grpc-go writes a map in another order each time. A hit is equal to what
/// parsing would say, so an answer still depends on the request alone (K12).
/// </summary>
/// <remarks>
/// Bounded in number and in the size of each: names and metadata come from outside. When full it forgets all: only
/// somebody who invents requests fills it, and a forgotten request is parsed again.
/// </remarks>
internal sealed class KnownTriggers
{
    private const int MostKeys = 32;
    private const int LongestText = 2048;

    private readonly ConcurrentDictionary<Request, TriggerMetadata> _known = new(RequestComparer.Instance);
    private readonly ConcurrentDictionary<Request, TriggerMetadata>.AlternateLookup<ScaledObjectRef> _lookup;
    private readonly int _capacity;
    private int _count;

    /// <param name="capacity">Most requests kept.</param>
    public KnownTriggers(int capacity)
    {
        _capacity = capacity;
        _lookup = _known.GetAlternateLookup<ScaledObjectRef>();
    }

    /// <summary>The trigger of a request that was kept; false for any other.</summary>
    public bool TryFind(ScaledObjectRef request, [NotNullWhen(true)] out TriggerMetadata? trigger) =>
        _lookup.TryGetValue(request, out trigger);

    /// <summary>Keeps the trigger of a registered workload, if the request is no larger than honest ones are.</summary>
    public void Keep(ScaledObjectRef request, TriggerMetadata trigger)
    {
        if (request.ScalerMetadata.Count > MostKeys || request.ScalerMetadata.Sum(static pair => pair.Key.Length + pair.Value.Length) > LongestText)
        {
            return;
        }

        if (Volatile.Read(ref _count) >= _capacity)
        {
            _known.Clear();
            Volatile.Write(ref _count, 0);
        }

        if (_lookup.TryAdd(request, trigger))
        {
            Interlocked.Increment(ref _count);
        }
    }

    /// <summary>A request as it is kept: an array holds a tenth of what the message's map does.</summary>
    private sealed record Request(string Namespace, string Name, KeyValuePair<string, string>[] Metadata);

    private sealed class RequestComparer : IEqualityComparer<Request>, IAlternateEqualityComparer<ScaledObjectRef, Request>
    {
        public static RequestComparer Instance { get; } = new();

        public Request Create(ScaledObjectRef alternate) =>
            new(alternate.Namespace, alternate.Name, [.. alternate.ScalerMetadata]);

        public bool Equals(ScaledObjectRef alternate, Request other)
        {
            if (alternate.Name != other.Name || alternate.Namespace != other.Namespace || alternate.ScalerMetadata.Count != other.Metadata.Length)
            {
                return false;
            }

            foreach (var (key, value) in other.Metadata)
            {
                if (!alternate.ScalerMetadata.TryGetValue(key, out var given) || given != value)
                {
                    return false;
                }
            }

            return true;
        }

        public bool Equals(Request? x, Request? y) =>
            ReferenceEquals(x, y) ||
            (x is not null && y is not null && x.Name == y.Name && x.Namespace == y.Namespace && x.Metadata.Length == y.Metadata.Length && x.Metadata.All(y.Metadata.Contains));

        public int GetHashCode(ScaledObjectRef alternate)
        {
            var sum = 0;
            foreach (var (key, value) in alternate.ScalerMetadata)
            {
                sum += HashCode.Combine(key, value);
            }

            return HashCode.Combine(alternate.Namespace, alternate.Name, sum);
        }

        public int GetHashCode(Request obj)
        {
            var sum = 0;
            foreach (var (key, value) in obj.Metadata)
            {
                sum += HashCode.Combine(key, value);
            }

            return HashCode.Combine(obj.Namespace, obj.Name, sum);
        }
    }
}
