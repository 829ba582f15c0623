using System.Buffers;
using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Benchmarks;

/// <summary>What ways of reading a fleet cost, each beside its baseline.</summary>
internal sealed class FleetReport(string name, string folder)
{
    /// <summary>How often Prometheus scrapes.</summary>
    public static readonly TimeSpan ScrapeInterval = TimeSpan.FromSeconds(10);

    // As GpuSource does.
    private const int RequestsAtOnce = 64;

    // Enough for both processors; more wait for one another.
    private const int QueriesAtOnce = 8;

    private readonly Report _report = new(name, folder);
    private Costs? _baseline;
    private double _scrapingCpu;
    private bool _baselineIsDirect = true;

    /// <summary>The baseline of direct reading: the same pages, and nobody looks at them.</summary>
    public async Task BytesAsync(IReadOnlyList<Uri> urls, int sweeps)
    {
        using var client = new HttpClient();
        long bytes = 0;
        _baseline = await Costs.OfAsync(sweeps, async () =>
        {
            bytes = 0;
            await Parallel.ForEachAsync(urls, new ParallelOptions { MaxDegreeOfParallelism = RequestsAtOnce }, async (url, token) =>
            {
                await using var page = await client.GetStreamAsync(url, token);
                var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
                for (int read; (read = await page.ReadAsync(buffer, token)) > 0;)
                {
                    Interlocked.Add(ref bytes, read);
                }

                ArrayPool<byte>.Shared.Return(buffer);
            });
        });
        Row("bytes alone", _baseline, urls.Count, bytes, null, isThroughPrometheus: false);
    }

    /// <summary>What Prometheus uses while nobody asks it: to be taken off.</summary>
    public async Task ScrapingAsync(PrometheusServer prometheus)
    {
        var window = ScrapeInterval * 2;
        var before = Machine.Cpu(prometheus.ProcessId);
        await Task.Delay(window, TimeProvider.System);
        _scrapingCpu = (Machine.Cpu(prometheus.ProcessId) - before) / window;
        _report.Note($"Prometheus scrapes every {ScrapeInterval.TotalSeconds:0} s; while nobody asks it uses {_scrapingCpu * 1000:0} ms of CPU a second, which is subtracted");
    }

    /// <summary>The baseline of Prometheus: a query for each workload.</summary>
    public async Task QueriesAsync(string reader, PrometheusServer prometheus, IEnumerable<string> queries)
    {
        var urls = queries.Select(query => new Uri(prometheus.Uri, $"/api/v1/query?query={Uri.EscapeDataString(query)}")).ToList();
        using var client = new HttpClient();
        long bytes = 0, series = 0;
        var costs = await Costs.OfAsync(
            sweeps: 3,
            async () =>
            {
                (bytes, series) = (0, 0);
                await Parallel.ForEachAsync(urls, new ParallelOptions { MaxDegreeOfParallelism = QueriesAtOnce }, async (url, token) =>
                {
                    var body = await client.GetByteArrayAsync(url, token);
                    using var json = JsonDocument.Parse(body);
                    Interlocked.Add(ref bytes, body.Length);
                    Interlocked.Add(ref series, json.RootElement.GetProperty("data").GetProperty("result").GetArrayLength());
                });
            },
            prometheus.ProcessId,
            warmth: 1);

        // The first kind is what the others are compared with.
        _baseline = _baselineIsDirect ? costs : _baseline;
        _baselineIsDirect = false;
        Row(reader, costs, urls.Count, bytes, series, isThroughPrometheus: true);
    }

    public async Task SourceAsync(string reader, int sweeps, Func<CancellationToken, Task<FleetSweep>> sweep, PrometheusServer? prometheus)
    {
        FleetSweep? last = null;
        var costs = await Costs.OfAsync(
            sweeps,
            async () =>
            {
                last = await sweep(CancellationToken.None);
                if (!last.Succeeded || last.Faults.Count > 0)
                {
                    throw new InvalidOperationException(last.Faults[0].Sentence);
                }
            },
            prometheus?.ProcessId);
        Row(reader, costs, last!.Asked, last.Bytes, last.Rows, prometheus is not null);
    }

    public void Finish(string about)
    {
        _report.Note(about);
        _report.Note("medians of sweeps, Prometheus' CPU the mean; held is what the heap is larger by afterwards, peak what resident memory was larger by at most; a ratio is to the baseline above");
        _report.Finish();
    }

    private void Row(string reader, Costs costs, int requests, long bytes, long? rows, bool isThroughPrometheus) => _report.Row(
        ("reader", reader), ("requests", requests), ("MB", bytes / 1024.0 / 1024), ("rows", rows), ("sweeps", costs.Each.Count),
        ("wall ms", costs.Wall), ("CPU ms", costs.Cpu),
        ("Prometheus CPU ms", isThroughPrometheus ? OtherCpu(costs) : null),
        ("allocated MB", costs.Allocated), ("held MB", costs.HeldMegabytes), ("peak MB", costs.PeakMegabytes),
        ("wall ratio", costs.Wall / _baseline!.Wall), ("CPU ratio", costs.Cpu / _baseline.Cpu),
        ("Prometheus ratio", isThroughPrometheus ? OtherCpu(costs) / OtherCpu(_baseline) : null));

    private double OtherCpu(Costs costs) => costs.OtherCpu - (_scrapingCpu * costs.Each.Average(static cost => cost.Milliseconds));
}
