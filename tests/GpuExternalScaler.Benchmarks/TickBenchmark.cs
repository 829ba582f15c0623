using System.Globalization;
using Google.Protobuf;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Demo;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;
using Microsoft.Extensions.Logging.Abstractions;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// The evaluation loop and the page by themselves, in this process: processor time and allocations of the one thread they
/// run on, which a busy machine does not change, and what each workload holds. The clock is a simulated one, so that the
/// rings of the histories fill within seconds.
/// </summary>
internal static class TickBenchmark
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(2);

    public static async Task RunAsync(Arguments arguments)
    {
        var (workloads, queues, sweeps) = (arguments.Number("workloads", 10_000), arguments.Number("queues", 2_000), arguments.Number("sweeps", 150));
        var report = new Report("tick", arguments.Folder);
        await using var broker = await StandInQueues.StartAsync(queues);
        var options = ConfigurationFile.Parse(broker.Connection(), out _)! with { MaximumWorkloads = workloads };
        var time = new DemoClock(TimeProvider.System.GetUtcNow());
        var clock = new MonotonicClock(time);
        var configuration = new CurrentConfiguration(ConfigurationSnapshot.Of(options, new SourceFactory(clock, static _ => { }, static _ => { }), reading: null));
        using var stopping = new CancellationTokenSource();
        using var source = configuration.Current.Brokers.All[0].Source;
        var reading = source.RunAsync(stopping.Token);
        await SweptAsync(source, default);
        time.Advance(SweepInterval / 2);

        var before = Machine.Held();
        var registry = new WorkloadRegistry(configuration, clock);
        var known = new KnownTriggers(workloads);
        for (var i = 0; i < workloads; i++)
        {
            Register(registry, known, i, queues);
        }

        using var loop = new EvaluationLoop(registry, configuration, clock, NullLogger<EvaluationLoop>.Instance);
        var registered = Machine.Held();
        List<double> ticks = [], allocated = [];
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            var last = source.Current.LastSuccessAt;
            time.Advance(SweepInterval / 2);
            await SweptAsync(source, last);
            for (var tick = 0; tick < 2; tick++)
            {
                foreach (var workload in registry.All)
                {
                    workload.Touch(clock.Now);
                }

                var (cpu, bytes) = Machine.OnThisThread(() => loop.Tick());
                ticks.Add(cpu.TotalMilliseconds);
                allocated.Add(bytes / 1024.0 / 1024);
                time.Advance(tick == 0 ? SweepInterval / 2 : TimeSpan.Zero);
            }
        }

        var settled = Machine.Held();
        var series = new WorkloadSeries(registry, configuration, loop, clock);
        List<double> scrapes = [], scraped = [];
        long length = 0;
        for (var scrape = 0; scrape < 12; scrape++)
        {
            var (cpu, bytes) = Machine.OnThisThread(() =>
            {
                using var page = new Observability.Exposition.PageBuffer();
                series.WriteTo(new PrometheusTextWriter(page));
                length = page.Length;
            });
            scrapes.Add(cpu.TotalMilliseconds);
            scraped.Add(bytes / 1024.0 / 1024);
        }

        var (late, lateAllocated) = (ticks.Skip(ticks.Count / 2).ToList(), allocated.Skip(allocated.Count / 2).ToList());
        var (even, odd) = (late.Where(static (_, i) => i % 2 == 0), late.Where(static (_, i) => i % 2 == 1));
        report.Row(
            ("workloads", workloads), ("queues", queues),
            ("tick CPU ms P50", Spread.Median(late)), ("with new figures", Spread.Median(even)), ("without", Spread.Median(odd)), ("P99", Spread.At(late, 0.99)),
            ("allocated MB/tick P50", Spread.Median(lateAllocated)), ("allocated MB/tick max", lateAllocated.Max()),
            ("bytes/workload registered", (registered - before) / workloads), ("bytes/workload settled", (settled - before) / workloads),
            ("scrape CPU ms", Spread.Median(scrapes.Skip(2))), ("allocated MB/scrape", Spread.Median(scraped.Skip(2))), ("series MB", length / 1024.0 / 1024),
            ("bytes/workload after scrapes", (Machine.Held() - before) / workloads));
        report.Note($"{sweeps} sweeps of 2 s simulated, two ticks each; times and allocations of the second half; figures change at each sweep");
        report.Finish();
        GC.KeepAlive(known);

        await stopping.CancelAsync();
        try
        {
            await reading;
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static void Register(WorkloadRegistry registry, KnownTriggers known, int number, int queues)
    {
        // Through the wire: strings that nobody shares, as in the server.
        var sent = Keda.Workload(string.Create(CultureInfo.InvariantCulture, $"workers-{number}"), StandInQueues.Name(number % queues), ("share", "0.2"), ("coldStart", "90s"));
        var request = ScaledObjectRef.Parser.ParseFrom(sent.ToByteArray());
        var trigger = TriggerMetadata.Parse(request.Namespace, request.Name, request.ScalerMetadata, out _)!;
        registry.TryRegister(trigger, out _);
        known.Keep(request, trigger);
    }

    private static async Task SweptAsync(RabbitMqSource source, DateTimeOffset last)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (source.Current.LastSuccessAt == last)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, patience.Token);
        }
    }
}
