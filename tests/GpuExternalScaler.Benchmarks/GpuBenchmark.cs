using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// What a sweep over all GPUs costs: of the exporters' pages beside reading their bytes alone, and through Prometheus beside one query
/// for each workload, which is how KEDA's own scaler reads.
/// </summary>
internal static class GpuBenchmark
{
    public static async Task RunAsync(Arguments arguments)
    {
        var (shape, sweeps) = (FleetShape.Of(arguments), arguments.Number("sweeps", 15));
        var report = new FleetReport("gpu", arguments.Folder);
        await using var pages = await PageServer.StartAsync("gpu", shape);
        var clock = new MonotonicClock(TimeProvider.System);
        await report.BytesAsync(pages.Urls, sweeps);
        using (var source = new GpuSource(new GpuConnectionOptions { Name = "main", Exporters = pages.Urls }, clock, prometheus: null))
        {
            await report.SourceAsync("GpuSource, exporters", sweeps, source.SweepAsync, prometheus: null);
        }

        await using var prometheus = await PrometheusServer.StartAsync(FleetReport.ScrapeInterval, [.. pages.Urls.Select(static (url, exporter) => Target(url, exporter))]);
        await prometheus.WaitForAsync(
            "count(DCGM_FI_DEV_FB_USED)", samples => samples is [var count] && count.Value == shape.Gpus, TimeSpan.FromMinutes(2));
        await report.ScrapingAsync(prometheus);

        // Used memory alone, and what it takes to know the share in use; ours reads what is reserved and the utilisation too.
        await report.QueriesAsync("a query a workload", prometheus, Queries(shape, "DCGM_FI_DEV_FB_USED"));
        await report.QueriesAsync("two queries a workload", prometheus, [.. Queries(shape, "DCGM_FI_DEV_FB_USED"), .. Queries(shape, "DCGM_FI_DEV_FB_FREE")]);
        using (var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = prometheus.Uri }, clock))
        using (var source = new GpuSource(new GpuConnectionOptions { Name = "main", Prometheus = "main" }, clock, client))
        {
            await report.SourceAsync("GpuSource, Prometheus", sweeps, source.SweepAsync, prometheus);
        }

        report.Finish($"{shape.Gpus} GPUs, {shape.PerPage} on each of {shape.Exporters} pages of dcgm-exporter; pods of {shape.Workloads} Deployments in {shape.Namespaces} namespaces");
    }

    private static IEnumerable<string> Queries(FleetShape shape, string metric) => Enumerable.Range(0, shape.Workloads)
        .Select(workload => $"max by (exported_pod) ({metric}{{exported_pod=~\"{FleetShape.NameOf(workload)}-.*\"}})");

    // The labels that service discovery would give: the exporter's own pod, so that Prometheus renames the others.
    private static ScrapeTarget Target(Uri url, int exporter) => new("dcgm", url.Authority)
    {
        Labels = [("namespace", "gpu-operator"), ("pod", string.Create(CultureInfo.InvariantCulture, $"dcgm-exporter-{exporter:x5}")), ("container", "dcgm-exporter")],
    };
}
