using System.Net;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>Reads the servers of a connection directly, each from its own page.</summary>
internal sealed class ModelServerPages(
    ModelServerConnectionOptions options, MonotonicClock clock, Func<string, CancellationToken, Task<IPAddress[]>> resolve) : IDisposable
{
    // Pages are read one after another as they come, so this also bounds the memory they take.
    private const int MostAtOnce = 16;

    private readonly EndpointClient _client = new(options.CaFile, clock.TimeProvider);
    private readonly ModelServerSampleReader _reader = new(options.StaleAfter);
    private readonly ModelServerFaultSentences _sentences = new(options);
    private readonly NamedAddresses _servers = new(options.Dns, options.Timeout, clock.TimeProvider, resolve);
    private List<SourceFault> _faults = [];

    public void Dispose() => _client.Dispose();

    public async Task<(ModelServerFleet Fleet, FleetSweep Sweep)> SweepAsync(ModelServerFleet before, CancellationToken cancellationToken)
    {
        var startedAt = clock.Now;
        var reason = await _client.PrepareAsync(cancellationToken);
        if (reason != SourceReason.None)
        {
            _faults = FaultRuns.Continue(_faults, [Fault("", reason)]);
            return (before.After(_faults[0]), Outcome(startedAt) with { Faults = _faults });
        }

        var faults = new List<SourceFault>();
        var urls = new List<Uri>(options.Urls);
        var isResolved = await AddAddressesAsync(urls, faults, cancellationToken);
        var servers = urls.GroupBy(PodOf).Select(static same => (Pod: same.Key, Url: same.First())).ToArray();
        var discovered = new List<DiscoveredServer>();
        long bytes = 0;
        var sentAt = clock.Now;
        _reader.Begin(sentAt);
        await Parallel.ForEachAsync(
            servers,
            new ParallelOptions { MaxDegreeOfParallelism = MostAtOnce, CancellationToken = cancellationToken },
            async (server, token) =>
            {
                using var page = await _client.GetAsync(server.Url, null, options.Timeout, options.MaxResponseBytes, token);
                lock (discovered)
                {
                    bytes += page.Body.Length;
                    var outcome = page.Reason == SourceReason.None && _reader.TakePage(page.Body, "", server.Pod, server.Pod) == 0
                        ? SourceReason.NotExposition
                        : page.Reason;
                    discovered.Add(new DiscoveredServer("", server.Pod, "", IsUp: outcome == SourceReason.None));
                    if (outcome != SourceReason.None)
                    {
                        faults.Add(Fault(server.Pod, outcome, page.Status));
                    }
                }
            });

        var reading = _reader.Finish();
        var answered = discovered.Count(static server => server.IsUp);
        _faults = FaultRuns.Continue(_faults, faults.OrderBy(static fault => fault.Endpoint, StringComparer.Ordinal));
        var fleet = new ModelServerFleet(reading.Pods, discovered)
        {
            IsDirect = true,
            HasSwept = before.HasSwept || answered > 0,
            Succeeded = answered > 0,
            SweptAt = sentAt,
            IsPartial = !isResolved || reading.IsOverfull,
            Fault = _faults.FirstOrDefault(),
            Version = before.Version + 1,
        };
        return (fleet, Outcome(startedAt) with
        {
            Bytes = bytes,
            Rows = reading.Pods.Count,
            Asked = discovered.Count,
            Answered = answered,
            Refused = reading.Refused,
            Succeeded = answered > 0,
            IsPartial = !isResolved || reading.IsOverfull,
            Faults = [.. _faults.Take(FaultRuns.Most)],
        });
    }

    /// <summary><c>host:port</c>, and the path where it is not the usual one: several servers may stand behind one gateway.</summary>
    private static string PodOf(Uri url) => $"{url.Host}:{url.Port}{(url.AbsolutePath is "/" or "/metrics" ? "" : url.AbsolutePath)}";

    private SourceFault Fault(string endpoint, SourceReason reason, int status = 0) =>
        new(reason, endpoint, _sentences.Describe(endpoint, reason, status), clock.Now);

    private FleetSweep Outcome(DateTimeOffset startedAt) => new()
    {
        Connection = options.Name,
        Source = FleetSource.ModelServers,
        StartedAt = startedAt,
        Duration = clock.Now - startedAt,
    };

    /// <summary>
    /// Adds the present addresses of the name; false if it does not resolve now, when nothing counts as gone.
    /// </summary>
    private async Task<bool> AddAddressesAsync(List<Uri> urls, List<SourceFault> faults, CancellationToken cancellationToken)
    {
        var isResolved = await _servers.ResolveAsync(cancellationToken);
        if (!isResolved)
        {
            faults.Add(Fault(_servers.Name, SourceReason.Dns));
        }

        urls.AddRange(_servers.Urls("/metrics"));
        return isResolved;
    }
}
