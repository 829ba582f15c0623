using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Benchmarks;

/// <summary>The same of model servers.</summary>
internal static class ModelServerBenchmark
{
    public static async Task RunAsync(Arguments arguments)
    {
        var (servers, workloads, sweeps) = (arguments.Number("servers", 400), arguments.Number("workloads", 200), arguments.Number("sweeps", 15));
        var shape = new FleetShape(servers, 1, workloads, arguments.Number("namespaces", 4), Churn: 0);
        var report = new FleetReport("models", arguments.Folder);
        await using var pages = await PageServer.StartAsync("vllm", shape);
        var clock = new MonotonicClock(TimeProvider.System);
        await report.BytesAsync(pages.Urls, sweeps);
        using (var source = new ModelServerSource(new ModelServerConnectionOptions { Name = "main", Urls = pages.Urls }, clock, prometheus: null))
        {
            await report.SourceAsync("ModelServerSource, servers", sweeps, source.SweepAsync, prometheus: null);
        }

        await using var prometheus = await PrometheusServer.StartAsync(FleetReport.ScrapeInterval, [.. pages.Urls.Select((url, server) => Target(shape, url, server))]);
        await prometheus.WaitForAsync(
            "count(vllm:num_requests_waiting)", samples => samples is [var count] && count.Value == servers, TimeSpan.FromMinutes(2));
        await report.ScrapingAsync(prometheus);
        await report.QueriesAsync(
            "a query a workload",
            prometheus,
            Enumerable.Range(0, workloads).Select(static workload => $"sum(vllm:num_requests_waiting{{pod=~\"{FleetShape.NameOf(workload)}-.*\"}})"));
        using (var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = prometheus.Uri }, clock))
        using (var source = new ModelServerSource(new ModelServerConnectionOptions { Name = "main", Prometheus = "main" }, clock, client))
        {
            await report.SourceAsync("ModelServerSource, Prometheus", sweeps, source.SweepAsync, prometheus);
        }

        report.Finish($"{servers} servers of {workloads} workloads, each with a page of vLLM");
    }

    private static ScrapeTarget Target(FleetShape shape, Uri url, int server) => new("vllm", url.Authority)
    {
        Labels = [("namespace", shape.NamespaceOf(server % shape.Workloads)), ("pod", string.Create(CultureInfo.InvariantCulture, $"{FleetShape.NameOf(server % shape.Workloads)}-7d4b9c6f5d-{server:x5}"))],
    };
}
