using System.Globalization;
using System.Net;
using System.Text.Json;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>Something to scrape. Targets of one job have its path and its honouring of labels in common.</summary>
public sealed record ScrapeTarget(string Job, string Address)
{
    public string Path { get; init; } = "/metrics";

    public bool HonorLabels { get; init; }

    /// <summary>Labels of the target, as Kubernetes' service discovery would give it: the exporter's own pod and namespace.</summary>
    public IReadOnlyList<(string Name, string Value)> Labels { get; init; } = [];
}

/// <summary>One series of the answer to an instant query.</summary>
public sealed record PrometheusSample(IReadOnlyDictionary<string, string> Labels, double Value);

/// <summary>Debian's Prometheus on a port and with data of its own.</summary>
public sealed class PrometheusServer : IAsyncDisposable
{
    private readonly TemporaryFolder _folder;
    private readonly ChildProcess _process;

    private PrometheusServer(TemporaryFolder folder, ChildProcess process, int port)
    {
        _folder = folder;
        _process = process;
        Port = port;
        Http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromSeconds(10) };
    }

    public int Port { get; }

    public int ProcessId => _process.Id;

    public Uri Uri => Http.BaseAddress!;

    public HttpClient Http { get; }

    /// <summary>Starts one that scrapes every second.</summary>
    public static Task<PrometheusServer> StartAsync(params ScrapeTarget[] targets) => StartAsync(TimeSpan.FromSeconds(1), targets);

    /// <summary>Starts one that scrapes as often as it is told to.</summary>
    public static async Task<PrometheusServer> StartAsync(TimeSpan interval, IReadOnlyCollection<ScrapeTarget> targets)
    {
        var program = Prerequisite.File("/usr/bin/prometheus", "Prometheus");
        var folder = new TemporaryFolder("prometheus");
        var configuration = folder.Write("prometheus.yml", Configure(interval, targets));
        var port = LoopbackPorts.Reserve();
        var process = ChildProcess.Start(
            program,
            [
                $"--config.file={configuration}",
                $"--storage.tsdb.path={Path.Combine(folder.Path, "data")}",
                $"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            folder: folder.Path);
        var server = new PrometheusServer(folder, process, port);
        try
        {
            await Eventually.SeesAsync(
                server.IsReadyAsync, ready => ready, "Prometheus to be ready", context: () => process.Tail());
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>An instant query: a vector, or a scalar as one sample without labels.</summary>
    public async Task<IReadOnlyList<PrometheusSample>> QueryAsync(string query)
    {
        using var response = await Http.GetAsync(
            new Uri($"api/v1/query?query={Uri.EscapeDataString(query)}", UriKind.Relative));
        var body = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
        {
            throw new InvalidOperationException($"Prometheus refused the query {query}: {body}");
        }

        using var json = JsonDocument.Parse(body);
        var data = json.RootElement.GetProperty("data");
        var result = data.GetProperty("result");
        return data.GetProperty("resultType").GetString() switch
        {
            "vector" => [.. result.EnumerateArray().Select(s => new PrometheusSample(
                s.GetProperty("metric").EnumerateObject().ToDictionary(l => l.Name, l => l.Value.GetString()!),
                Number(s.GetProperty("value"))))],
            "scalar" => [new PrometheusSample(new Dictionary<string, string>(), Number(result))],
            var other => throw new NotSupportedException($"The answer to {query} is a {other}."),
        };
    }

    /// <summary>Asks until the answer is accepted; by default until there is one.</summary>
    public Task<IReadOnlyList<PrometheusSample>> WaitForAsync(
        string query, Func<IReadOnlyList<PrometheusSample>, bool>? accept = null, TimeSpan? limit = null) =>
        Eventually.SeesAsync(() => QueryAsync(query), accept ?? (samples => samples.Count > 0), query, limit);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _process.DisposeAsync();
        _folder.Dispose();
    }

    private static string Configure(TimeSpan interval, IEnumerable<ScrapeTarget> targets) => string.Join('\n', [
        "global:",
        $"  scrape_interval: {interval.TotalSeconds}s",
        $"  scrape_timeout: {interval.TotalSeconds}s",
        $"  evaluation_interval: {interval.TotalSeconds}s",
        "scrape_configs:",
        .. targets.GroupBy(static target => target.Job).SelectMany(static job => (string[])
        [
            $"  - job_name: '{job.Key}'",
            $"    metrics_path: '{job.First().Path}'",
            $"    honor_labels: {(job.First().HonorLabels ? "true" : "false")}",
            "    static_configs:",
            .. job.SelectMany(static target => (string[])
            [
                $"      - targets: ['{target.Address}']",
                .. target.Labels.Count == 0 ? (string[])[] : ["        labels:", .. target.Labels.Select(static label => $"          {label.Name}: '{label.Value}'")],
            ]),
        ]),
        "",
    ]);

    private static double Number(JsonElement sample) => sample[1].GetString() switch
    {
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        var text => double.Parse(text!, CultureInfo.InvariantCulture),
    };

    private async Task<bool> IsReadyAsync()
    {
        if (_process.HasExited)
        {
            throw new InvalidOperationException($"Prometheus did not start. {_process.Tail()}");
        }

        using var response = await Http.GetAsync(new Uri("-/ready", UriKind.Relative));
        return response.StatusCode == HttpStatusCode.OK;
    }
}
