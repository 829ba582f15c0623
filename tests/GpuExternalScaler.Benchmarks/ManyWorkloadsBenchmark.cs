using System.Diagnostics;
using System.Globalization;

namespace GpuExternalScaler.Benchmarks;

/// <summary>Evaluation time and memory with very many workloads on queues whose figures change, scraped and polled.</summary>
internal static class ManyWorkloadsBenchmark
{
    public static async Task RunAsync(Arguments arguments)
    {
        var (workloads, queues, seconds) = (arguments.Number("workloads", 10_000), arguments.Number("queues", 2_000), arguments.Number("seconds", 240));
        var report = new Report("many", arguments.Folder);
        await using var broker = await StandInQueues.StartAsync(queues);
        var builds = new[] { "this build" }.Concat(arguments.All("against"));
        foreach (var build in builds)
        {
            await using var server = await PinnedProgram.StartAsync(
                broker.Connection() + "log: { level: warning }\n", build == "this build" ? null : Path.Combine(build, "gpu-external-scaler.dll"));
            await MeasureAsync(report, build, server, workloads: 0, queues, TimeSpan.FromSeconds(20));
            await MeasureAsync(report, build, server, workloads, queues, TimeSpan.FromSeconds(seconds));
        }

        report.Note($"{queues} queues of a stand-in broker, swept every 2 s, figures changing at each sweep; evaluation every 1 s; KEDA asks each workload twice every 30 s; Prometheus scrapes every 15 s; memory and evaluations from the window's second half");
        report.Finish();
    }

    private static async Task MeasureAsync(Report report, string build, PinnedProgram server, int workloads, int queues, TimeSpan window)
    {
        await using var keda = new Keda(server.GrpcAddress);
        var asked = Enumerable.Range(0, workloads)
            .Select(i => Keda.Workload(string.Create(CultureInfo.InvariantCulture, $"workers-{i}"), StandInQueues.Name(i % queues), ("share", "0.2"), ("coldStart", "90s")))
            .ToList();
        var began = TimeProvider.System.GetTimestamp();
        await keda.RegisterAsync(asked);
        var registered = TimeProvider.System.GetElapsedTime(began);
        keda.Poll(asked, TimeSpan.FromSeconds(30));

        List<double> ticks = [], scrapes = [], resident = [], managed = [];
        var (cpu, half, cpuAtHalf) = (Machine.Cpu(server.ProcessId), false, TimeSpan.Zero);
        var (start, page) = (TimeProvider.System.GetTimestamp(), "");
        var allocatedAtHalf = 0.0;
        while (TimeProvider.System.GetElapsedTime(start) is var elapsed && elapsed < window)
        {
            if (!half && elapsed > window / 2)
            {
                (half, cpuAtHalf) = (true, Machine.Cpu(server.ProcessId));
                allocatedAtHalf = await server.SumAsync("dotnet_gc_heap_total_allocated_bytes_total");
            }

            var scrape = Stopwatch.StartNew();
            page = await server.ReadMetricsAsync();
            if (half)
            {
                scrapes.Add(scrape.Elapsed.TotalMilliseconds);
                ticks.Add(PinnedProgram.Sum(page, "gpu_scaler_evaluation_duration_seconds") * 1000);
                resident.Add(Machine.Memory(server.ProcessId) / 1024.0 / 1024);
                managed.Add(PinnedProgram.Sum(page, "dotnet_gc_last_collection_heap_size_bytes") / 1024 / 1024);
            }

            await Task.Delay(TimeSpan.FromSeconds(window.TotalSeconds > 60 ? 15 : 4), TimeProvider.System);
        }

        var rest = (window / 2).TotalSeconds;
        report.Row(
            ("build", build), ("workloads", workloads), ("registered s", registered.TotalSeconds),
            ("tick ms P50", Spread.Median(ticks)), ("tick ms max", ticks.Max()),
            ("resident MB P50", Spread.Median(resident)), ("resident MB max", resident.Max()), ("peak MB", Machine.Memory(server.ProcessId, "VmHWM") / 1024.0 / 1024),
            ("managed MB max", managed.Max()),
            ("allocated MB/s", (PinnedProgram.Sum(page, "dotnet_gc_heap_total_allocated_bytes_total") - allocatedAtHalf) / 1024 / 1024 / rest),
            ("CPU ms/s", (Machine.Cpu(server.ProcessId) - cpuAtHalf).TotalMilliseconds / rest),
            ("scrape ms", Spread.Median(scrapes)), ("page MB", page.Length / 1024.0 / 1024), ("CPU s in all", (Machine.Cpu(server.ProcessId) - cpu).TotalSeconds));
    }
}
