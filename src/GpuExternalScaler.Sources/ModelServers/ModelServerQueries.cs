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
    private readonly string[] _names =
        [.. ModelServerMetric.All.Where(metric => metric.Kind == options.Kind).Select(static metric => metric.Name)];

    public async Task<(ModelServerFleet Fleet, FleetSweep Sweep)> SweepAsync(ModelServerFleet before, CancellationToken cancellationToken)
    {
        var startedAt = clock.Now;
        var answers = new List<PrometheusAnswer>();
        async Task<PrometheusResult?> AskAsync(PromQl query, DateTimeOffset? at)
        {
            var answer = await client.QueryAsync(query.ToQuery(), at, cancellationToken);
            lock (answers)
            {
                answers.Add(answer);
            }

            return answer.Result;
        }

        var names = await AskAsync(PromQl.AnyOf(_names).CountBy("__name__"), null);
        if (names is null)
        {
            return Failed(before, startedAt, answers);
        }

        // One instant for all of them, on the server's clock. Ages count from there, which was not before the first was sent.
        var at = names.EvaluatedAt;
        var sentAt = answers[0].SentAt;
        var metrics = names.Series.Select(static series => series.Labels["__name__"]).Intersect(_names, StringComparer.Ordinal).ToArray();
        var results = await Task.WhenAll(metrics.Select(name => AskAsync(
            SampleAges.Ask(PromQl.Metric(name), static metric => metric.MaxBy(Labels), Labels), at)));
        if (Array.Exists(results, static result => result is null))
        {
            return Failed(before, startedAt, answers);
        }

        _reader.Begin(sentAt);
        foreach (var (name, result) in metrics.Zip(results))
        {
            Take(name, result!, sentAt);
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
            var up = await AskAsync(Up().MaxBy("namespace", "pod", "job"), at);
            if (up is null)
            {
                return Failed(before, startedAt, answers);
            }

            discovered.AddRange(up.Series.Where(static series => series.Labels["pod"].Length > 0).Select(static series =>
                new DiscoveredServer(series.Labels["namespace"], series.Labels["pod"], series.Labels["job"], series.Value > 0)));
        }

        var isPartial = reading.IsOverfull || answers.Exists(static answer => answer.Result!.IsPartial);
        var fleet = new ModelServerFleet(reading.Pods, discovered)
        {
            HasSwept = true,
            Succeeded = true,
            SweptAt = sentAt,
            IsPartial = isPartial,
            Version = before.Version + 1,
        };
        return (fleet, Outcome(startedAt, answers) with
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

    private void Take(string name, PrometheusResult result, DateTimeOffset sentAt)
    {
        var metric = ModelServerMetric.All.First(metric => metric.Name == name);
        foreach (var (labels, value, age) in SampleAges.Join(result))
        {
            // An age that is not known is too great, and a value that was lost is none.
            _reader.Take(metric, labels.Pairs, value ?? double.NaN, age is { } known ? sentAt - known : DateTimeOffset.UnixEpoch);
        }
    }

    private (ModelServerFleet Fleet, FleetSweep Sweep) Failed(ModelServerFleet before, DateTimeOffset startedAt, List<PrometheusAnswer> answers)
    {
        var answer = answers.First(static answer => !answer.Succeeded);
        var fault = FaultRuns.Continue(
            before.Fault,
            new SourceFault(answer.Reason, _prometheusSentences.Endpoint, _sentences.Describe(_prometheusSentences, answer), clock.Now));
        return (before.After(fault), Outcome(startedAt, answers) with { Faults = [fault] });
    }

    private FleetSweep Outcome(DateTimeOffset startedAt, List<PrometheusAnswer> answers) => new()
    {
        Connection = options.Name,
        Source = FleetSource.ModelServers,
        StartedAt = startedAt,
        Duration = clock.Now - startedAt,
        Bytes = answers.Sum(static answer => answer.Bytes),
        Asked = answers.Count,
        Answered = answers.Count(static answer => answer.Succeeded),
    };
}
