using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>Reads the servers of a connection through Prometheus (T17 to T20): a handful of queries, whatever their number.</summary>
internal sealed class ModelServerQueries(ModelServerConnectionOptions options, MonotonicClock clock, PrometheusClient client)
{
    // Beyond these, discovery is asked about all namespaces at once: names of namespaces that are gone must not pile up.
    private const int MostNamespaces = 1000;

    private static readonly string[] Labels = [.. ModelServerLabels.Names.Select(static label => label.Name)];

    private readonly ModelServerSampleReader _reader = new(options.StaleAfter);
    private readonly ModelServerFaultSentences _sentences = new(options);
    private readonly PrometheusFaultSentences _prometheusSentences = new(client.Options);
    private readonly HashSet<string> _namespaces = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ModelServerMetric> _metrics = ModelServerMetric.All
        .Where(metric => metric.Kind == options.Kind)
        .ToDictionary(static metric => metric.Name, StringComparer.Ordinal);

    public async Task<(ModelServerFleet Fleet, FleetSweep Sweep)> SweepAsync(ModelServerFleet before, CancellationToken cancellationToken)
    {
        var startedAt = clock.Now;
        var queries = new MetricSweep(client);
        var isRead = await queries.ReadAsync(
            [.. _metrics.Keys],
            Labels,
            _reader.Begin,
            (metric, labels, value, sampledAt) => _reader.Take(_metrics[metric], labels.Pairs, value, sampledAt),
            cancellationToken);
        if (!isRead)
        {
            return Failed(before, startedAt, queries);
        }

        var reading = _reader.Finish();
        _namespaces.UnionWith(reading.Pods
            .Select(static pod => pod.Namespace)
            .Where(static name => name.Length > 0)
            .Distinct()
            .Take(MostNamespaces + 1 - _namespaces.Count));
        var discovered = new List<DiscoveredServer>();
        if (_namespaces.Count > 0)
        {
            if (await queries.AskAsync(Up().MaxBy("namespace", "pod", "job"), cancellationToken) is not { } up)
            {
                return Failed(before, startedAt, queries);
            }

            discovered.AddRange(up.Series.Where(static series => series.Labels["pod"].Length > 0).Select(static series =>
                new DiscoveredServer(series.Labels["namespace"], series.Labels["pod"], series.Labels["job"], series.Value > 0)));
        }

        var isPartial = reading.IsOverfull || queries.IsPartial;
        var fleet = new ModelServerFleet(reading.Pods, discovered)
        {
            HasSwept = true,
            Succeeded = true,
            SweptAt = queries.SentAt,
            IsPartial = isPartial,
            Version = before.Version + 1,
        };
        return (fleet, Outcome(startedAt, queries) with
        {
            Rows = reading.Pods.Count,
            Refused = reading.Refused,
            Succeeded = true,
            IsPartial = isPartial,
        });
    }

    // With the job: a scrape configuration that is removed takes its pods' series with it, and others of the namespace stay.
    private PromQl Up() => _namespaces.Count <= MostNamespaces
        ? PromQl.Metric("up", LabelMatcher.In("namespace", _namespaces))
        : PromQl.Metric("up", LabelMatcher.IsNot("pod", ""));

    private (ModelServerFleet Fleet, FleetSweep Sweep) Failed(ModelServerFleet before, DateTimeOffset startedAt, MetricSweep queries)
    {
        var answer = queries.Failed!;
        var fault = FaultRuns.Continue(
            before.Fault,
            new SourceFault(answer.Reason, _prometheusSentences.Endpoint, _sentences.Describe(_prometheusSentences, answer), clock.Now));
        return (before.After(fault), Outcome(startedAt, queries) with { Faults = [fault] });
    }

    private FleetSweep Outcome(DateTimeOffset startedAt, MetricSweep queries) => new()
    {
        Connection = options.Name,
        Source = FleetSource.ModelServers,
        StartedAt = startedAt,
        Duration = clock.Now - startedAt,
        Bytes = queries.Bytes,
        Asked = queries.Asked,
        Answered = queries.Answered,
    };
}
