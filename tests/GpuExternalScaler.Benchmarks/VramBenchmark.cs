using System.Globalization;
using Google.Protobuf;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Demo;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Sources;
using Microsoft.Extensions.Logging.Abstractions;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// The evaluation of many workloads by the memory of their pods, whose names tell whose they are or which a pattern finds. Sweeps are
/// real ones of the exporters' pages; the clock is a simulated one.
/// </summary>
internal static class VramBenchmark
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(10);

    public static async Task RunAsync(Arguments arguments)
    {
        var (shape, sweeps) = (FleetShape.Of(arguments), arguments.Number("sweeps", 30));
        var report = new Report("vram", arguments.Folder);
        foreach (var churn in (int[])[0, 2])
        {
            await MeasureAsync(report, shape with { Churn = churn }, "target", "", sweeps);
            await MeasureAsync(report, shape with { Churn = churn }, "podRegex", "{0}-[a-z0-9]+-[a-z0-9]{{5}}", sweeps);
            await MeasureAsync(report, shape with { Churn = churn, Namespaces = 1 }, "podRegex", "{0}-[a-z0-9]+-[a-z0-9]{{5}}", sweeps);

            // Nothing tells before the match what its names begin with.
            await MeasureAsync(report, shape with { Churn = churn, Namespaces = 1 }, "podRegex in parentheses", "({0})-[a-z0-9]+-[a-z0-9]{{5}}", sweeps);
        }

        report.Note($"{shape.Gpus} GPUs read every {SweepInterval.TotalSeconds:0} s simulated; ticks of one second, of which the first two after a sweep are measured; processor time of the tick's thread, medians of the second half of {sweeps} sweeps");
        report.Note("pods changed: percent that have other names in every other sweep; decided: workloads with a decision at the end");
        report.Finish();
    }

    private static async Task MeasureAsync(Report report, FleetShape shape, string by, string pattern, int sweeps)
    {
        await using var pages = await PageServer.StartAsync("gpu", shape);
        var options = ConfigurationFile.Parse($"gpu: {{ main: {{ kind: dcgm, exporters: [{string.Join(", ", pages.Urls)}] }} }}\n", out var errors)
            ?? throw new InvalidOperationException(string.Join('\n', errors));
        var time = new DemoClock(TimeProvider.System.GetUtcNow());
        var clock = new MonotonicClock(time);
        var configuration = new CurrentConfiguration(ConfigurationSnapshot.Of(
            options with { MaximumWorkloads = shape.Workloads }, new SourceFactory(clock, static _ => { }, static _ => { }), reading: null));
        using var source = configuration.Current.Fleet.Gpus.Single().Source;
        await source.SweepAsync(CancellationToken.None);

        var before = Machine.Held();
        var registry = new WorkloadRegistry(configuration, clock);
        for (var i = 0; i < shape.Workloads; i++)
        {
            Register(registry, shape, i, pattern);
        }

        using var loop = new EvaluationLoop(registry, configuration, clock, NullLogger<EvaluationLoop>.Instance);
        List<double> first = [], second = [], firstAllocated = [], secondAllocated = [];
        List<double> all = [];
        var ticksToDecide = 1;
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            await source.SweepAsync(CancellationToken.None);
            foreach (var (cpus, allocated) in ((List<double>, List<double>)[])[(first, firstAllocated), (second, secondAllocated)])
            {
                time.Advance(TimeSpan.FromSeconds(1));
                foreach (var workload in registry.All)
                {
                    workload.Touch(clock.Now);
                }

                var (cpu, bytes) = Machine.OnThisThread(() => loop.Tick());
                cpus.Add(cpu.TotalMilliseconds);
                allocated.Add(bytes / 1024.0 / 1024);
                all.Add(cpu.TotalMilliseconds);
                ticksToDecide += IsAllDecided(registry) ? 0 : 1;
            }

            for (var rest = TimeSpan.FromSeconds(2); rest < SweepInterval; rest += TimeSpan.FromSeconds(1))
            {
                time.Advance(TimeSpan.FromSeconds(1));
                all.Add(Machine.OnThisThread(() => loop.Tick()).Cpu.TotalMilliseconds);
                ticksToDecide += IsAllDecided(registry) ? 0 : 1;
            }
        }

        report.Row(
            ("pods by", by), ("namespaces", shape.Namespaces), ("pods changed %", shape.Churn),
            ("workloads", shape.Workloads), ("pods", source.Current.Pods), ("decided", registry.All.Count(IsDecided)), ("ticks until all decided", ticksToDecide),
            ("longest tick CPU ms", all.Max()),
            ("new sweep CPU ms", Median(first)), ("max", Late(first).Max()), ("same sweep CPU ms", Median(second)),
            ("new sweep allocated MB", Median(firstAllocated)), ("same sweep allocated MB", Median(secondAllocated)),
            ("bytes/workload", (Machine.Held() - before) / shape.Workloads));
        GC.KeepAlive(loop);
    }

    private static bool IsDecided(Workload workload) => workload.Published is { Decision.IsDecided: true };

    private static bool IsAllDecided(WorkloadRegistry registry) => registry.All.All(IsDecided);

    private static double Median(List<double> values) => Spread.Median(Late(values));

    private static IEnumerable<double> Late(List<double> values) => values.Skip(values.Count / 2);

    private static void Register(WorkloadRegistry registry, FleetShape shape, int number, string pattern)
    {
        var name = FleetShape.NameOf(number);
        var sent = new ScaledObjectRef
        {
            Namespace = shape.NamespaceOf(number),
            Name = name,
            ScalerMetadata = { ["scalerAddress"] = "gpu-external-scaler.gpu-scaler:9090", ["vramThreshold"] = "0.85" },
        };
        if (pattern.Length > 0)
        {
            sent.ScalerMetadata["podRegex"] = string.Format(CultureInfo.InvariantCulture, pattern, name);
        }

        // Through the wire: strings that nobody shares, as in the server.
        var request = ScaledObjectRef.Parser.ParseFrom(sent.ToByteArray());
        var trigger = TriggerMetadata.Parse(request.Namespace, request.Name, request.ScalerMetadata, out var problems)
            ?? throw new InvalidOperationException(string.Join('\n', problems));
        registry.TryRegister(trigger, out _);
    }
}
