using System.Text;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>
/// Exporters that replay captures of real ones: what a real Prometheus makes of their pages, relabelled or not, comes to the same
/// bytes per pod as the pages themselves.
/// </summary>
public sealed class CaptureTests
{
    // Prometheus takes a page as a whole or not at all; read directly, these lose the bad lines only (T16).
    private static readonly string[] RefusedByPrometheus = ["dcgm_mig_a800_driver535.txt", "dcgm_viettel_1.35.txt", "hami_ge_2.9.txt"];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_capture_reads_the_same_through_Prometheus(bool honorLabels)
    {
        var captures = Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "GpuExternalScaler.Sources.Tests", "Gpu", "Data"), "*.txt")
            .Where(static file => !file.EndsWith("ascend_npu_exporter.txt", StringComparison.Ordinal)) // its one line is of 2022
            .Where(static file => !file.EndsWith("dcgm_relabelled.txt", StringComparison.Ordinal)) // what Prometheus makes of a page
            .Order(StringComparer.Ordinal)
            .ToDictionary(static file => Path.GetFileName(file), File.ReadAllText, StringComparer.Ordinal);
        captures.Should().HaveCountGreaterThan(10);
        var exporters = captures.Select(static capture => (Name: capture.Key, Exporter: new ScriptedExporter(capture.Value.TrimEnd('\n') + "\n"))).ToList();
        try
        {
            await using var prometheus = await PrometheusServer.StartAsync([.. exporters.Select(exporter => new ScrapeTarget(exporter.Name, exporter.Exporter.Address)
            {
                HonorLabels = honorLabels,
                Labels = [("namespace", "gpu-operator"), ("pod", "dcgm-exporter-" + exporter.Name.Replace('_', '-').Replace(".txt", "", StringComparison.Ordinal))],
            })]);
            await prometheus.WaitForAsync("sum(up)", samples => samples.Count == 1 && (int)samples[0].Value == captures.Count - RefusedByPrometheus.Length);

            foreach (var kind in (GpuKind[])[GpuKind.Dcgm, GpuKind.Hami])
            {
                var fleet = await SweepAsync(prometheus, kind);
                foreach (var (name, page) in captures)
                {
                    if (RefusedByPrometheus.Contains(name) || !name.StartsWith(kind.ToString(), StringComparison.OrdinalIgnoreCase))
                    {
                        continue;
                    }

                    var direct = Read(page);
                    direct.Should().NotBeEmpty(name);
                    foreach (var share in direct)
                    {
                        fleet.RowsOf(share.Device, share.Instance).ToArray().Select(Text).Should().Contain(Text(share), name);
                    }
                }
            }
        }
        finally
        {
            foreach (var (_, exporter) in exporters)
            {
                await exporter.DisposeAsync();
            }
        }
    }

    private static async Task<AcceleratorFleet> SweepAsync(PrometheusServer server, GpuKind kind)
    {
        var clock = new MonotonicClock(TimeProvider.System);
        using var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = server.Uri }, clock);
        using var source = new GpuSource(new GpuConnectionOptions { Name = "main", Kind = kind, Prometheus = "main" }, clock, client);
        var sweep = await source.SweepAsync(CancellationToken.None);
        sweep.Faults.Should().BeEmpty();
        sweep.IsPartial.Should().BeFalse();
        return source.Current;
    }

    private static List<AcceleratorShare> Read(string page)
    {
        var reader = new GpuSampleReader(TimeSpan.FromSeconds(90));
        reader.Begin(TimeProvider.System.GetUtcNow());
        reader.TakePage(Encoding.UTF8.GetBytes(page), "exporter:9400");
        var reading = reader.Finish();
        return [.. reading.Shares, .. reading.Unallocated];
    }

    private static string Text(AcceleratorShare share) =>
        $"{share.Namespace}/{share.Pod} {share.Device}#{share.Instance} {share.UsedBytes}/{share.UsableBytes} {share.Utilisation}";
}
