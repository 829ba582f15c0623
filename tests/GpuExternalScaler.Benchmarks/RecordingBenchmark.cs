using System.Globalization;
using System.IO.Compression;
using Google.Protobuf;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Demo;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Scaling.Recording;
using GpuExternalScaler.Scaling.Tests.Recording;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;
using Microsoft.Extensions.Logging.Abstractions;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// What recording costs: the evaluation loop with and without it, bytes on disk for each step of a workload, and how fast that is
/// replayed. In this process, with a simulated clock, beside the same loop that does not record.
/// </summary>
internal static class RecordingBenchmark
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(2);

    public static async Task RunAsync(Arguments arguments)
    {
        var sweeps = arguments.Number("sweeps", 60);
        var report = new Report("recording", arguments.Folder);
        foreach (var workloads in (int[])[1_000, 10_000])
        {
            await MeasureAsync(report, workloads, busy: 100, sweeps);
            await MeasureAsync(report, workloads, busy: 10, sweeps);
        }

        report.Note($"a tick a second, a sweep every two, {sweeps} sweeps, a queue for each workload; lower quartile of the processor time of the tick's thread, and bytes of each step, are of the second half, when all states have been written");
        report.Note("busy: percent of the queues whose figures change at each sweep, the others' stand still");
        report.Finish();
    }

    private static async Task MeasureAsync(Report report, int workloads, int busy, int sweeps)
    {
        var file = Path.Combine(Path.GetTempPath(), $"recording-{Environment.ProcessId}.gsr");
        var plain = await RunAsync(workloads, busy, sweeps, null);
        var recorded = await RunAsync(workloads, busy, sweeps, new RecordingOptions(file, 4_000_000_000));
        try
        {
            using var recording = File.OpenRead(file);
            var start = Machine.ThreadCpu();
            var replay = Recordings.Replay(recording);
            var seconds = (Machine.ThreadCpu() - start).TotalSeconds;
            var pieces = Frames.Unpack(await File.ReadAllBytesAsync(file));
            var each = recorded.LateBytes / (double)recorded.LateSteps;
            report.Row(
                ("workloads", workloads), ("busy %", busy),
                ("tick CPU ms", Spread.At(plain.Ticks, 0.25)), ("recorded", Spread.At(recorded.Ticks, 0.25)), ("longest", plain.Longest), ("longest recorded", recorded.Longest),
                ("bytes/step", each), ("unpacked", pieces.Skip(pieces.Count / 2).Sum(static piece => (long)piece.Length) / (double)recorded.LateSteps), ("MB/h", 3600.0 * workloads * each / 1e6),
                ("steps not recorded", recorded.Dropped), ("replayed steps/s", replay.Steps / seconds), ("identical", replay.IsIdentical ? "yes" : "no"));
            foreach (var (name, packer) in new (string, Func<Stream, Stream>)[]
            {
                ("brotli 1", Brotli(1)), ("brotli 2", Brotli(2)), ("brotli 4", Brotli(4)), ("brotli 5", Brotli(5)), ("gzip fastest", static to => new GZipStream(to, CompressionLevel.Fastest)), ("gzip optimal", static to => new GZipStream(to, CompressionLevel.Optimal)),
            })
            {
                var cpu = Machine.ThreadCpu();
                var packed = Pack(pieces, packer);
                report.Note($"{workloads} workloads, {busy} % busy, {name}: {packed / (double)replay.Steps:0.00} bytes a step, states included, {(Machine.ThreadCpu() - cpu).TotalMilliseconds * 1e6 / replay.Steps:0} ns a step");
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static async Task<Run> RunAsync(int workloads, int busy, int sweeps, RecordingOptions? recording)
    {
        await using var broker = await StandInQueues.StartAsync(workloads, busy);
        var options = ConfigurationFile.Parse(broker.Connection(), out _)! with { MaximumWorkloads = workloads };
        var time = new DemoClock(TimeProvider.System.GetUtcNow());
        var clock = new MonotonicClock(time);
        var configuration = new CurrentConfiguration(ConfigurationSnapshot.Of(options, new SourceFactory(clock, static _ => { }, static _ => { }), reading: null));
        using var stopping = new CancellationTokenSource();
        using var source = configuration.Current.Brokers.All[0].Source;
        var reading = source.RunAsync(stopping.Token);
        await SweptAsync(source, default);
        time.Advance(SweepInterval / 2);
        var registry = new WorkloadRegistry(configuration, clock);
        for (var i = 0; i < workloads; i++)
        {
            var sent = Keda.Workload(string.Create(CultureInfo.InvariantCulture, $"workers-{i}"), StandInQueues.Name(i), ("coldStart", "90s"));
            var request = ScaledObjectRef.Parser.ParseFrom(sent.ToByteArray());
            registry.TryRegister(TriggerMetadata.Parse(request.Namespace, request.Name, request.ScalerMetadata, out _)!, out _);
        }

        var status = recording is null ? null : new RecordingStatus();
        var files = recording is null ? null : new RecordingFiles(recording, status!, NullLogger<RecordingFiles>.Instance);
        var recorder = files is null ? null : new Recorder(files, recording!, status!, NullLogger<Recorder>.Instance);
        await (files?.StartAsync(default) ?? Task.CompletedTask);
        using var loop = new EvaluationLoop(registry, configuration, clock, NullLogger<EvaluationLoop>.Instance, recorder);
        List<double> ticks = [];
        long bytes = 0, steps = 0;
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            if (sweep == sweeps / 2)
            {
                (bytes, steps) = (status?.Bytes ?? 0, status?.Steps ?? 0);
            }

            var last = source.Current.LastSuccessAt;
            time.Advance(SweepInterval / 2);
            await SweptAsync(source, last);
            for (var tick = 0; tick < 2; tick++)
            {
                foreach (var workload in registry.All)
                {
                    workload.Touch(clock.Now);
                }

                ticks.Add(Machine.OnThisThread(() => loop.Tick()).Cpu.TotalMilliseconds);
                time.Advance(tick == 0 ? SweepInterval / 2 : TimeSpan.Zero);

                // Real ones are a second apart.
                while (files?.Waiting > 0)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
                }
            }
        }

        recorder?.Flush(clock.Now);
        await (files?.StopAsync(default) ?? Task.CompletedTask);
        files?.Dispose();
        await stopping.CancelAsync();
        await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return new Run([.. ticks.Skip(ticks.Count / 2)], ticks.Skip(1).Max(), (status?.Bytes ?? 0) - bytes, (status?.Steps ?? 0) - steps, status?.DroppedSteps ?? 0);
    }

    private static Func<Stream, Stream> Brotli(int quality) => to => new BrotliStream(to, new BrotliCompressionOptions { Quality = quality }, leaveOpen: true);

    private static long Pack(List<byte[]> pieces, Func<Stream, Stream> packer)
    {
        using var to = new MemoryStream();
        using (var stream = packer(to))
        {
            foreach (var piece in pieces)
            {
                stream.Write(piece);
                stream.Flush();
            }

            return to.Length;
        }
    }

    private static async Task SweptAsync(RabbitMqSource source, DateTimeOffset last)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (source.Current.LastSuccessAt == last)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, patience.Token);
        }
    }

    private sealed record Run(List<double> Ticks, double Longest, long LateBytes, long LateSteps, long Dropped);
}
