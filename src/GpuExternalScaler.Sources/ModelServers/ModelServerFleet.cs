namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>What service discovery says of a server, whether or not there are figures of it.</summary>
public enum Discovery : byte
{
    /// <summary>It is not among those that discovery knows.</summary>
    Unknown,

    /// <summary>It is known and could not be read: <c>up</c> is 0, or its page was not to be had.</summary>
    Down,

    /// <summary>It is known and was read.</summary>
    Up,
}

/// <summary>A server that service discovery knows: a series of <c>up</c>, or an endpoint that is configured or in DNS.</summary>
/// <param name="Namespace">The pod's namespace; empty when read directly.</param>
/// <param name="Pod">The pod; <c>host:port</c> when read directly.</param>
/// <param name="Job">The scrape configuration that knows it; empty when read directly.</param>
/// <param name="IsUp">Whether it could be read.</param>
public sealed record DiscoveredServer(string Namespace, string Pod, string Job, bool IsUp);

/// <summary>What is known of the servers of one connection. Never changes; each sweep makes another.</summary>
public sealed class ModelServerFleet
{
    private readonly ModelServerPod[] _pods;
    private readonly DiscoveredServer[] _discovered;
    private readonly HashSet<(string Namespace, string Job)> _jobs;

    internal ModelServerFleet(IEnumerable<ModelServerPod> pods, IEnumerable<DiscoveredServer> discovered)
    {
        _pods = [.. pods.OrderBy(static pod => pod.Namespace, StringComparer.Ordinal).ThenBy(static pod => pod.Pod, StringComparer.Ordinal)];
        _discovered =
        [
            .. discovered.OrderBy(static server => server.Namespace, StringComparer.Ordinal)
                .ThenBy(static server => server.Pod, StringComparer.Ordinal)
                .ThenBy(static server => server.Job, StringComparer.Ordinal),
        ];
        _jobs = [.. _discovered.Select(static server => (server.Namespace, server.Job))];
    }

    private ModelServerFleet(ModelServerFleet previous)
    {
        _pods = previous._pods;
        _discovered = previous._discovered;
        _jobs = previous._jobs;
        IsDirect = previous.IsDirect;
        HasSwept = previous.HasSwept;
        SweptAt = previous.SweptAt;
        IsPartial = previous.IsPartial;
    }

    /// <summary>Whether any sweep has succeeded yet.</summary>
    public bool HasSwept { get; internal init; }

    /// <summary>When the sweep asked that <see cref="Pods"/> come from.</summary>
    public DateTimeOffset SweptAt { get; internal init; }

    /// <summary>Whether the newest sweep succeeded. If not, the pods are of an earlier one, or those of servers that still answered.</summary>
    public bool Succeeded { get; internal init; }

    /// <summary>Whether pods may be missing from that sweep (T19).</summary>
    public bool IsPartial { get; internal init; }

    /// <summary>What was wrong with the newest sweep, or the first of it; null if nothing was.</summary>
    public SourceFault? Fault { get; internal init; }

    /// <summary>Counts sweeps.</summary>
    public long Version { get; internal init; }

    /// <summary>Whether servers are read directly. Then they have no namespaces, and all of them belong to each workload.</summary>
    public bool IsDirect { get; internal init; }

    /// <summary>The pods with figures, by namespace and name.</summary>
    public ReadOnlySpan<ModelServerPod> Pods => _pods;

    /// <summary>What service discovery knows, by namespace and pod.</summary>
    public ReadOnlySpan<DiscoveredServer> Discovered => _discovered;

    /// <summary>The pods of a namespace whose names begin with a prefix.</summary>
    public ReadOnlySpan<ModelServerPod> PodsOf(string @namespace, string prefix) =>
        Slice(_pods, static pod => (pod.Namespace, pod.Pod), @namespace, prefix);

    /// <summary>The same of what service discovery knows.</summary>
    public ReadOnlySpan<DiscoveredServer> DiscoveredOf(string @namespace, string prefix) =>
        Slice(_discovered, static server => (server.Namespace, server.Pod), @namespace, prefix);

    /// <summary>What service discovery says of one pod; up if any of its servers is.</summary>
    public Discovery StateOf(string @namespace, string pod)
    {
        var state = Discovery.Unknown;
        foreach (var server in DiscoveredOf(@namespace, pod))
        {
            // Longer names sort behind.
            if (server.Pod != pod)
            {
                break;
            }

            state = server.IsUp ? Discovery.Up : state == Discovery.Up ? state : Discovery.Down;
        }

        return state;
    }

    /// <summary>Whether a scrape configuration still knows any pod of a namespace.</summary>
    internal bool KnowsJob(string @namespace, string job) => _jobs.Contains((@namespace, job));

    /// <summary>The same readings after a sweep that failed; they grow old.</summary>
    internal ModelServerFleet After(SourceFault fault) => new(this) { Fault = fault, Version = Version + 1 };

    private static ReadOnlySpan<T> Slice<T>(T[] sorted, Func<T, (string Namespace, string Pod)> key, string @namespace, string prefix)
    {
        var start = 0;
        var end = sorted.Length;
        while (start < end)
        {
            var middle = start + ((end - start) / 2);
            var (ofNamespace, ofPod) = key(sorted[middle]);
            var order = string.CompareOrdinal(ofNamespace, @namespace);
            if (order < 0 || (order == 0 && string.CompareOrdinal(ofPod, prefix) < 0))
            {
                start = middle + 1;
            }
            else
            {
                end = middle;
            }
        }

        while (end < sorted.Length && key(sorted[end]) is var (ns, pod) && ns == @namespace && pod.StartsWith(prefix, StringComparison.Ordinal))
        {
            end++;
        }

        return sorted.AsSpan(start, end - start);
    }
}
