using System.Globalization;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Scaling.Deciding;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// Time from a burst of messages until KEDA can know: until GetMetrics answers otherwise, and until the stream pushes.
/// Each run has a queue and a workload of its own; bursts come at random moments, so that no phase of a sweep, a tick or
/// the broker's statistics is favoured.
/// </summary>
internal static class FreshnessBenchmark
{
    private const int Workers = 10;
    private const int BusyWorkers = 3;
    private const int Burst = 40;
    private const string Amqp = """amqp: { url: "{amqp}", username: {user}, passwordFile: "{passwordFile}" }""";
    private static readonly TimeSpan AskEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan GiveUp = TimeSpan.FromSeconds(60);

    public static async Task RunAsync(Arguments arguments)
    {
        var runs = arguments.Number("runs", 30);
        var report = new Report("freshness", arguments.Folder);
        var extras = new[] { ("metrics and list", ""), ("and AMQP", Amqp) }.Concat(arguments.All("connection").Select(static extra => ("with " + extra.Split(':')[0], extra))).ToList();
        foreach (var seconds in (int[])[5, 1])
        {
            var interval = TimeSpan.FromSeconds(seconds);
            await using var broker = await RabbitMqBroker.StartNewAsync(RabbitMqInstallation.Packaged, new RabbitMqBrokerOptions
            {
                StatisticsInterval = interval,
                QuorumTick = interval,
                SampleInterval = interval,
            });
            foreach (var (name, extra) in extras)
            {
                await using var server = await PinnedProgram.StartAsync(Configuration(broker, extra));
                foreach (var kind in (QueueKind[])[QueueKind.Classic, QueueKind.Quorum])
                {
                    foreach (var busy in (bool[])[false, true])
                    {
                        var batch = await RunBatchAsync(broker, server, kind, busy, runs, string.Create(CultureInfo.InvariantCulture, $"{name.GetHashCode(StringComparison.Ordinal):x}"));
                        Add(report, seconds, name, kind, busy, "GetMetrics", batch.Select(static run => run.Polled));
                        if (!busy)
                        {
                            Add(report, seconds, name, kind, busy, "stream", batch.Select(static run => run.Pushed));
                        }
                    }
                }
            }
        }

        report.Note($"{runs} runs each: a burst of {Burst} messages at a random moment; idle: no consumers; busy: {Workers} workers of which {BusyWorkers} hold a message; GetMetrics every {AskEvery.TotalMilliseconds} ms until it asks for a replica more; seconds; metrics every 2 s, list every 10 s, evaluation every 1 s");
        report.Finish();
    }

    private static string Configuration(RabbitMqBroker broker, string extra) =>
        $$"""
        rabbitmq:
          main:
            metrics: { urls: ["{{broker.MetricsUri.ToString().TrimEnd('/')}}"] }
            management: { url: "{{broker.ManagementUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{broker.ScalerPasswordFile}}" }
            {{extra.Replace("{amqp}", $"amqp://127.0.0.1:{broker.AmqpPort}", StringComparison.Ordinal).Replace("{user}", RabbitMqBroker.ScalerUser, StringComparison.Ordinal).Replace("{passwordFile}", broker.ScalerPasswordFile, StringComparison.Ordinal)}}
        log: { level: warning }

        """;

    private static void Add(Report report, int seconds, string name, QueueKind kind, bool busy, string seen, IEnumerable<double?> measured)
    {
        var (all, known) = (measured.ToList(), new List<double>());
        known.AddRange(all.OfType<double>());
        report.Row(
            ("broker s", seconds), ("connection", name), ("queue", kind.ToString()), ("load", busy ? "busy" : "idle"), ("seen by", seen), ("runs", known.Count),
            ("min", Spread.At(known, 0)), ("P50", Spread.Median(known)), ("P90", Spread.At(known, 0.9)), ("max", Spread.At(known, 1)), ("never", all.Count - known.Count));
    }

    private static async Task<IReadOnlyList<Run>> RunBatchAsync(
        RabbitMqBroker broker, PinnedProgram server, QueueKind kind, bool busy, int runs, string mark)
    {
        await using var driver = await QueueDriver.ConnectAsync(broker);
        await using var keda = new Keda(server.GrpcAddress);
        var workers = new List<RabbitMqWorkers>();
        try
        {
            var queues = Enumerable.Range(0, runs).Select(run => string.Create(CultureInfo.InvariantCulture, $"{kind}-{(busy ? "busy" : "idle")}-{mark}-{run}")).ToList();
            foreach (var queue in queues)
            {
                await driver.DeclareQueueAsync(queue, kind);
                if (busy)
                {
                    workers.Add(await driver.StartWorkersAsync(queue, Workers, WorkStyle.Hold));
                    await driver.PublishAsync(queue, BusyWorkers);
                }
            }

            foreach (var queue in queues)
            {
                await driver.WaitForGaugesAsync(queue, ready: 0, unacked: busy ? BusyWorkers : 0, consumers: busy ? Workers : 0);
            }

            var workloads = queues.ConvertAll(static queue => Keda.Workload(queue.ToLowerInvariant(), queue));
            await keda.RegisterAsync(workloads);

            // Past the arrivals that set it up.
            await Task.Delay(TimeSpan.FromSeconds(15), TimeProvider.System);

            // Bursts keep apart, so that one does not slow down another.
            var order = queues.Select((queue, i) => RunOneAsync(driver, keda, queue, workloads[i], TimeSpan.FromSeconds(i + Random.Shared.NextDouble())));
            return await Task.WhenAll(order);
        }
        finally
        {
            foreach (var some in workers)
            {
                await some.DisposeAsync();
            }

            await CleanAsync(driver, kind, busy, mark, runs);
        }
    }

    private static async Task CleanAsync(QueueDriver driver, QueueKind kind, bool busy, string mark, int runs)
    {
        for (var run = 0; run < runs; run++)
        {
            await driver.DeleteQueueAsync(string.Create(CultureInfo.InvariantCulture, $"{kind}-{(busy ? "busy" : "idle")}-{mark}-{run}"));
        }
    }

    private static async Task<Run> RunOneAsync(QueueDriver driver, Keda keda, string queue, ScaledObjectRef workload, TimeSpan delay)
    {
        await Task.Delay(delay, TimeProvider.System);
        var pushed = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
        var bursting = false;
        keda.Listen(workload, active =>
        {
            if (active && Volatile.Read(ref bursting))
            {
                pushed.TrySetResult(TimeProvider.System.GetTimestamp());
            }
        });
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
        var before = (await keda.ValueAsync(workload)).Value ?? 0;

        Volatile.Write(ref bursting, true);
        var began = TimeProvider.System.GetTimestamp();
        var publishing = driver.PublishAsync(queue, Burst);
        double? polled = null;
        using var timer = new PeriodicTimer(AskEvery, TimeProvider.System);
        while (polled is null && TimeProvider.System.GetElapsedTime(began) < GiveUp && await timer.WaitForNextTickAsync())
        {
            if ((await keda.ValueAsync(workload)).Value >= before + ScalingDecision.Target)
            {
                polled = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            }
        }

        await publishing;
        double? heard = null;
        try
        {
            heard = TimeProvider.System.GetElapsedTime(began, await pushed.Task.WaitAsync(TimeSpan.FromSeconds(2), TimeProvider.System)).TotalSeconds;
        }
        catch (TimeoutException)
        {
            // A busy workload was active all along.
        }

        return new Run(polled, heard);
    }

    /// <summary>Seconds until each way of asking told; null when it never did.</summary>
    private sealed record Run(double? Polled, double? Pushed);
}
