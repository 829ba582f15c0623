using System.Diagnostics;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Simulation;
using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Benchmarks;

/// <summary>A simulated day of many messages: how long it takes and what it holds, ours beside a rule that costs nothing.</summary>
internal static class SimulateBenchmark
{
    private const double ServiceTime = 2;

    public static Task RunAsync(Arguments arguments)
    {
        var messages = arguments.Number("messages", 5_000_000);
        var report = new Report("simulate", arguments.Folder);
        var daily = Shapes.Create("daily");
        var trace = daily.ScaledTo(messages / (double)daily.PerSecond.Count * ServiceTime, ServiceTime);
        foreach (var fidelity in (Fidelity[])[Fidelity.Cohorts, Fidelity.Messages])
        {
            foreach (var (name, make) in new (string, Func<IScalingRule>)[]
            {
                ("keda-queue-length", static () => new QueueLengthRule(1, excludeUnacknowledged: false)),
                ("ahead", static () => new AheadRule(ScalingPolicy.Default with { ColdStart = TimeSpan.FromMinutes(3) })),
            })
            {
                foreach (var keepSeconds in (bool[])[false, true])
                {
                    Measure(report, Of(trace, fidelity), name, make(), keepSeconds);
                }
            }
        }

        report.Note($"the shape daily, {ServiceTime} s of work in a message, cold starts of 180 s; one thread; the draw of what arrives is in it");
        report.Note("held: what the garbage collector finds in use after the run, with its result and without the trace");
        report.Finish();
        return Task.CompletedTask;
    }

    private static void Measure(Report report, SimulationSetup setup, string rule, IScalingRule made, bool keepSeconds)
    {
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        var start = Stopwatch.GetTimestamp();
        var result = Simulator.Run(setup, made, keepSeconds);
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        var held = GC.GetTotalMemory(forceFullCollection: true) - before;
        report.Row(
            ("followed by", setup.Fidelity), ("rule", rule), ("every second kept", keepSeconds ? "yes" : "no"), ("messages", result.Messages), ("s", seconds),
            ("million messages/s", result.Messages / seconds / 1e6), ("allocated MB", allocated / 1e6), ("held MB", held / 1e6), ("late %", 100 * result.Late));
        GC.KeepAlive(made);
    }

    private static SimulationSetup Of(ArrivalTrace trace, Fidelity fidelity) => new()
    {
        Trace = trace,
        ServiceTime = ServiceTime,
        ColdStart = 180,
        Fidelity = fidelity,
        ScaledObject = new ScaledObjectSpec { IdleReplicas = null, Autoscaler = new AutoscalerSpec { MaxReplicas = 10_000 } },
    };
}
