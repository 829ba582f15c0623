using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>
/// Adds up what the servers of one workload say, and remembers those that are not seen any more until it is known that they are
/// gone (T21): missing is not zero. For one thread.
/// </summary>
/// <remarks>
/// <para>
/// A pod counts as gone when a whole sweep lacks it and service discovery does not know it any more, although the scrape
/// configuration that knew it still knows others of its namespace (or its address left DNS while others are there); or when as many
/// pods are seen as there are replicas. A scrape configuration that is removed takes all its pods with it, and proves nothing,
/// even while others still know other pods of the namespace.
/// </para>
/// <para>
/// The last pod counts as gone only if there are no replicas, or, where their number is not known, by discovery, if it knows no
/// other pod of the workload either. Its address leaving DNS is not enough: others that are there may not answer yet.
/// </para>
/// </remarks>
/// <param name="selector">
/// Which pods are the workload's; null for all of the connection, as always when it is read directly. Through Prometheus the last of
/// all is then gone by the number of replicas only: discovery knows pods of other kinds too.
/// </param>
public sealed class ModelServerTracker(PodSelector? selector)
{
    private readonly Dictionary<(string Namespace, string Pod), Server> _servers = [];
    private readonly Dictionary<(string Namespace, string Pod), DateTimeOffset> _silentSince = [];
    private ModelServerFleet? _fleet;
    private DateTimeOffset? _absentAt;

    /// <summary>The workload's figures as of the last <see cref="Follow"/>.</summary>
    public ModelServerReading Current { get; private set; } =
        new() { Reading = new FleetReading { Presence = FleetPresence.Unobserved } };

    /// <summary>Brings the figures up to date; any number of times for the same sweep.</summary>
    /// <param name="fleet">The newest sweep.</param>
    /// <param name="existingReplicas">Replicas of the workload, from a source that is fresh; null if not known.</param>
    /// <param name="now">The present instant.</param>
    /// <param name="staleAfter">Age past which figures are not believed.</param>
    /// <param name="holdFor">After this a pod that may be gone stops counting, if others are fresh.</param>
    /// <param name="budget">Time for patterns; null for any.</param>
    public void Follow(
        ModelServerFleet fleet, int? existingReplicas, DateTimeOffset now, TimeSpan staleAfter, TimeSpan holdFor, MatchingBudget? budget = null)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        if (!fleet.HasSwept)
        {
            // A connection that begins anew knows nothing of the pods that the one before has shown.
            var reading = Current.Reading;
            Current = Current with { Reading = reading with { StaleAfter = staleAfter, IsPartial = _servers.Count > 0 || reading.IsPartial } };
            return;
        }

        if (!ReferenceEquals(fleet, _fleet))
        {
            if (!TryJudge(fleet, budget))
            {
                // Some of the pods would look like all of them. The sweep is taken in once they are told apart.
                Current = Current with { Reading = Current.Reading with { StaleAfter = staleAfter, IsPartial = true } };
                return;
            }

            Take(fleet, now);
            _fleet = fleet;
        }

        var seen = _servers.Values.Count(static server => server.IsSeen);
        if (seen == 0 && _servers.Count > 0 && IsAbsenceProven(fleet, existingReplicas))
        {
            _absentAt = fleet.SweptAt;
        }
        else if (seen > 0)
        {
            if (_absentAt is not null)
            {
                // What was proven gone is not held on to again.
                Remove(static server => !server.IsSeen);
                _absentAt = null;
            }

            Forget(fleet, existingReplicas, seen, now, staleAfter, holdFor);
        }

        Current = Sum(now, staleAfter, holdFor);
    }

    private static bool CanProve(ModelServerFleet fleet) => fleet.Succeeded && !fleet.IsPartial;

    /// <summary>Whether discovery says that a pod that is not seen is gone.</summary>
    private static bool IsUndiscovered(ModelServerFleet fleet, Server server) =>
        fleet.StateOf(server.Namespace, server.Pod) == Discovery.Unknown
        && Array.Exists(server.Jobs, job => fleet.KnowsJob(server.Namespace, job));

    private static double? SumOf(IEnumerable<double?> figures)
    {
        double? sum = null;
        foreach (var figure in figures)
        {
            sum = figure is null ? sum : (sum ?? 0) + figure;
        }

        return sum;
    }

    private ReadOnlySpan<ModelServerPod> Candidates(ModelServerFleet fleet) =>
        TakesAll(fleet) ? fleet.Pods : fleet.PodsOf(selector!.Namespace, selector.Prefix);

    private ReadOnlySpan<DiscoveredServer> DiscoveredCandidates(ModelServerFleet fleet) =>
        TakesAll(fleet) ? fleet.Discovered : fleet.DiscoveredOf(selector!.Namespace, selector.Prefix);

    private bool TakesAll(ModelServerFleet fleet) => selector is null || fleet.IsDirect;

    private bool IsOurs(ModelServerFleet fleet, string @namespace, string pod) => TakesAll(fleet) || selector!.Matches(@namespace, pod);

    private bool TryJudge(ModelServerFleet fleet, MatchingBudget? budget)
    {
        if (TakesAll(fleet))
        {
            return true;
        }

        foreach (var pod in Candidates(fleet))
        {
            if (!selector!.TryJudge(pod.Pod, budget, out _))
            {
                return false;
            }
        }

        foreach (var found in DiscoveredCandidates(fleet))
        {
            if (!selector!.TryJudge(found.Pod, budget, out _))
            {
                return false;
            }
        }

        selector!.Settle(Candidates(fleet).Length + DiscoveredCandidates(fleet).Length);
        return true;
    }

    private void Take(ModelServerFleet fleet, DateTimeOffset now)
    {
        foreach (var server in _servers.Values)
        {
            server.IsSeen = false;
        }

        foreach (var pod in Candidates(fleet))
        {
            if (!IsOurs(fleet, pod.Namespace, pod.Pod))
            {
                continue;
            }

            var key = (pod.Namespace, pod.Pod);
            if (!_servers.TryGetValue(key, out var server))
            {
                _servers[key] = server = new Server(pod.Namespace, pod.Pod);
            }

            server.Take(pod);
        }

        foreach (var server in _servers.Values)
        {
            server.MissingSince = server.IsSeen ? null : server.MissingSince ?? now;
        }

        TakeDiscovered(fleet, now);
    }

    private void TakeDiscovered(ModelServerFleet fleet, DateTimeOffset now)
    {
        var jobs = new Dictionary<Server, List<string>>();
        var silent = new List<(string Namespace, string Pod)>();

        // By discovery alone, pods of other kinds cannot be told from servers.
        var canTellServers = selector is not null || fleet.IsDirect;
        foreach (var found in DiscoveredCandidates(fleet))
        {
            var key = (found.Namespace, found.Pod);
            if (_servers.TryGetValue(key, out var server))
            {
                if (!jobs.TryGetValue(server, out var known))
                {
                    jobs[server] = known = [];
                }

                known.Add(found.Job);
            }
            else if (canTellServers && !found.IsUp && IsOurs(fleet, found.Namespace, found.Pod))
            {
                silent.Add(key);
            }
        }

        foreach (var (server, known) in jobs)
        {
            server.Jobs = [.. known];
        }

        foreach (var key in _silentSince.Keys.Except(silent).ToArray())
        {
            _silentSince.Remove(key);
        }

        foreach (var key in silent)
        {
            _silentSince.TryAdd(key, now);
        }
    }

    private bool IsAbsenceProven(ModelServerFleet fleet, int? existingReplicas)
    {
        if (existingReplicas == 0)
        {
            // A headless Service without pods does not even resolve.
            return fleet.IsDirect || CanProve(fleet);
        }

        return existingReplicas is null && !fleet.IsDirect && CanProve(fleet)
            && _servers.Values.All(server => IsUndiscovered(fleet, server))
            && !IsAnyDiscovered(fleet);
    }

    private bool IsAnyDiscovered(ModelServerFleet fleet)
    {
        foreach (var found in DiscoveredCandidates(fleet))
        {
            if (IsOurs(fleet, found.Namespace, found.Pod))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Forgets pods that are gone; there are others that are seen.</summary>
    private void Forget(
        ModelServerFleet fleet, int? existingReplicas, int seen, DateTimeOffset now, TimeSpan staleAfter, TimeSpan holdFor)
    {
        var isAnyFresh = IsAnyFresh(now, staleAfter);
        Remove(server => server.MissingSince is { } since
            && ((CanProve(fleet) && (IsUndiscovered(fleet, server) || IsSurplus(server))) || (isAnyFresh && now - since > holdFor)));

        // A pod that discovery knows is there, whatever the number: pods that are being deleted are seen and are no replicas.
        bool IsSurplus(Server server) => existingReplicas == seen
            && (fleet.IsDirect || fleet.StateOf(server.Namespace, server.Pod) == Discovery.Unknown);
    }

    private void Remove(Predicate<Server> isGone)
    {
        foreach (var (key, server) in _servers)
        {
            if (isGone(server))
            {
                _servers.Remove(key);
            }
        }
    }

    private bool IsAnyFresh(DateTimeOffset now, TimeSpan staleAfter) =>
        _servers.Values.Any(server => server.IsSeen && now - server.SampledAt <= staleAfter);

    private ModelServerReading Sum(DateTimeOffset now, TimeSpan staleAfter, TimeSpan holdFor)
    {
        if (_absentAt is not null || _servers.Count == 0)
        {
            var presence = _absentAt is null ? FleetPresence.NeverSeen : FleetPresence.ProvenAbsent;
            return new ModelServerReading
            {
                Reading = new FleetReading { Presence = presence, ObservedAt = _absentAt ?? default, StaleAfter = staleAfter },
            };
        }

        var servers = _servers.Values;
        var isAnySeen = servers.Any(static server => server.IsSeen);
        var isAnyFresh = IsAnyFresh(now, staleAfter);
        return new ModelServerReading
        {
            Reading = new FleetReading
            {
                Presence = FleetPresence.Present,
                ObservedAt = servers.Where(server => server.IsSeen || !isAnySeen).Max(static server => server.SampledAt),
                StaleAfter = staleAfter,
                IsPartial = _fleet!.IsPartial
                    || servers.Any(static server => !server.IsSeen || server.LacksFigures)
                    || _silentSince.Values.Any(since => !isAnyFresh || now - since <= holdFor),
            },
            Pods = servers.Count,
            Waiting = SumOf(servers.Select(static server => server.Waiting)),
            Running = SumOf(servers.Select(static server => server.Running)),
            CacheFill = servers.All(static server => server.CacheFill is not null) ? servers.Sum(static server => server.CacheFill) : null,
            HighestCacheFill = servers.Max(static server => server.CacheFill),
        };
    }

    /// <summary>One pod with the last figures it gave.</summary>
    private sealed class Server(string @namespace, string pod)
    {
        public string Namespace => @namespace;

        public string Pod => pod;

        public double? Waiting { get; private set; }

        public double? Running { get; private set; }

        public double? CacheFill { get; private set; }

        public DateTimeOffset SampledAt { get; private set; }

        /// <summary>Whether some figure is one that the pod gave earlier and gives no more.</summary>
        public bool LacksFigures { get; private set; }

        public bool IsSeen { get; set; }

        public DateTimeOffset? MissingSince { get; set; }

        /// <summary>Scrape configurations that knew it when discovery last did.</summary>
        public string[] Jobs { get; set; } = [];

        public void Take(ModelServerPod pod)
        {
            LacksFigures = (pod.Waiting ?? Waiting) != pod.Waiting
                || (pod.Running ?? Running) != pod.Running
                || (pod.CacheFill ?? CacheFill) != pod.CacheFill;
            Waiting = pod.Waiting ?? Waiting;
            Running = pod.Running ?? Running;
            CacheFill = pod.CacheFill ?? CacheFill;
            SampledAt = pod.SampledAt;
            IsSeen = true;
        }
    }
}
