using System.Globalization;
using GpuExternalScaler.IntegrationTests.Brokers;
using RabbitMQ.Client;

namespace GpuExternalScaler.Benchmarks;

/// <summary>
/// What reading a broker with many queues costs the broker and us, with no workload, a few, and one for each queue;
/// beside one request for each queue, which is how KEDA's own scaler reads.
/// </summary>
internal static class ScaleBenchmark
{
    private static readonly TimeSpan KedaPoll = TimeSpan.FromSeconds(15);

    public static async Task RunAsync(Arguments arguments)
    {
        var (queues, seconds) = (arguments.Number("queues", 1200), arguments.Number("seconds", 30));
        var report = new Report("scale", arguments.Folder);
        await using var broker = await RabbitMqBroker.StartNewAsync(RabbitMqInstallation.Packaged, new RabbitMqBrokerOptions
        {
            StatisticsInterval = TimeSpan.FromSeconds(5),
            QuorumTick = TimeSpan.FromSeconds(5),
            SampleInterval = TimeSpan.FromSeconds(5),
        });
        await FillAsync(broker, queues);
        await Task.Delay(TimeSpan.FromSeconds(15), TimeProvider.System);

        var window = TimeSpan.FromSeconds(seconds);
        report.Note($"RabbitMQ 3.10 with {queues} classic queues, a message in each, statistics every 5 s; windows of {seconds} s; the broker's own CPU without anybody reading is subtracted");
        var idle = await IdleAsync(broker, window);
        report.Note($"nobody reads: the broker uses {idle * 1000:0} ms of CPU a second");

        var listCpu = await ListCpuAsync(broker);
        await PerQueueAsync(report, broker, queues, idle);
        await WithAsync(report, "metrics only", broker, queues, queues, management: false, window, idle, listCpu);
        foreach (var workloads in (int[])[0, 12, queues])
        {
            await WithAsync(report, "metrics and list", broker, queues, workloads, management: true, window, idle, listCpu);
        }

        await PerQueueAsync(report, broker, queues, idle);
        idle = await IdleAsync(broker, window);
        report.Note($"nobody reads, at the end: {idle * 1000:0} ms of CPU a second");
        report.Finish();
    }

    private static async Task FillAsync(RabbitMqBroker broker, int queues)
    {
        await using var connection = await broker.CreateConnectionFactory().CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        for (var queue = 0; queue < queues; queue++)
        {
            await channel.QueueDeclareAsync(StandInQueues.Name(queue), durable: true, exclusive: false, autoDelete: false);
            await channel.BasicPublishAsync("", StandInQueues.Name(queue), "work"u8.ToArray());
        }
    }

    /// <summary>Broker CPU a second while nobody reads.</summary>
    private static async Task<double> IdleAsync(RabbitMqBroker broker, TimeSpan window)
    {
        await Machine.CalmAsync(TimeSpan.FromSeconds(20));
        var (cpu, began) = (Machine.Cpu(broker.ProcessId), TimeProvider.System.GetTimestamp());
        await Task.Delay(window, TimeProvider.System);
        return (Machine.Cpu(broker.ProcessId) - cpu) / TimeProvider.System.GetElapsedTime(began);
    }

    private static async Task PerQueueAsync(Report report, RabbitMqBroker broker, int queues, double idle)
    {
        const int Rounds = 3;
        using var client = new HttpClient { BaseAddress = broker.ManagementUri };
        client.DefaultRequestHeaders.Authorization = broker.ManagementAsScaler.DefaultRequestHeaders.Authorization;
        long bytes = 0;
        var (cpu, own, began) = (Machine.Cpu(broker.ProcessId), Machine.Cpu(Environment.ProcessId), TimeProvider.System.GetTimestamp());
        for (var round = 0; round < Rounds; round++)
        {
            await Parallel.ForEachAsync(Enumerable.Range(0, queues), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (queue, cancellation) =>
            {
                var body = await client.GetByteArrayAsync(new Uri($"api/queues/%2F/{StandInQueues.Name(queue)}", UriKind.Relative), cancellation);
                Interlocked.Add(ref bytes, body.Length);
            });
        }

        var took = TimeProvider.System.GetElapsedTime(began);
        var brokerCpu = (Machine.Cpu(broker.ProcessId) - cpu).TotalSeconds - (idle * took.TotalSeconds);
        report.Row(
            ("how", "one GET a queue, as KEDA's own"), ("workloads", queues), ("requests a poll", queues),
            ("broker CPU ms a sweep", brokerCpu * 1000 / Rounds), ("sweep ms", took.TotalMilliseconds / Rounds), ("KB a sweep", bytes / 1024.0 / Rounds),
            ("list broker CPU ms", null), ("list ms", null), ("list KB", null),
            ("broker CPU ms/s", brokerCpu * 1000 / Rounds / KedaPoll.TotalSeconds), ("scaler CPU ms/s", (Machine.Cpu(Environment.ProcessId) - own).TotalMilliseconds / Rounds / KedaPoll.TotalSeconds),
            ("scaler MB", null));
    }

    private static async Task WithAsync(
        Report report, string how, RabbitMqBroker broker, int queues, int workloads, bool management, TimeSpan window, double idle, double listCpu)
    {
        var list = management
            ? $"management: {{ url: \"{broker.ManagementUri.ToString().TrimEnd('/')}\", username: {RabbitMqBroker.ScalerUser}, passwordFile: \"{broker.ScalerPasswordFile}\" }},"
            : "";
        await using var server = await PinnedProgram.StartAsync(
            $"rabbitmq: {{ main: {{ metrics: {{ urls: [\"{broker.MetricsUri.ToString().TrimEnd('/')}\"] }}, {list} interval: 2s }} }}\nlog: {{ level: warning }}\n");
        await using var keda = new Keda(server.GrpcAddress);
        var asked = Enumerable.Range(0, workloads).Select(i => Keda.Workload($"workers-{i}", StandInQueues.Name(i % queues))).ToList();
        await keda.RegisterAsync(asked);
        keda.Poll(asked, KedaPoll);
        await Task.Delay(TimeSpan.FromSeconds(10), TimeProvider.System);
        await Machine.CalmAsync(TimeSpan.FromSeconds(20));

        var before = await server.ReadMetricsAsync();
        var (brokerCpu, own, began) = (Machine.Cpu(broker.ProcessId), Machine.Cpu(server.ProcessId), TimeProvider.System.GetTimestamp());
        await Task.Delay(window, TimeProvider.System);
        var took = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        var used = (Machine.Cpu(broker.ProcessId) - brokerCpu).TotalSeconds - (idle * took);
        var scaler = (Machine.Cpu(server.ProcessId) - own).TotalSeconds;
        var after = await server.ReadMetricsAsync();

        double Since(string metric, string endpoint) =>
            PinnedProgram.Sum(after, metric, $"endpoint=\"{endpoint}\"") - PinnedProgram.Sum(before, metric, $"endpoint=\"{endpoint}\"");
        var (sweeps, lists) = (Since("gpu_scaler_source_sweep_duration_seconds_count", "metrics"), Since("gpu_scaler_source_sweep_duration_seconds_count", "management"));
        report.Row(
            ("how", how), ("workloads", workloads), ("requests a poll", (sweeps + lists) / took * KedaPoll.TotalSeconds),
            ("broker CPU ms a sweep", (used - (lists * listCpu)) * 1000 / sweeps),
            ("sweep ms", Since("gpu_scaler_source_sweep_duration_seconds_sum", "metrics") * 1000 / sweeps),
            ("KB a sweep", Since("gpu_scaler_source_read_bytes_total", "metrics") / 1024 / sweeps),
            ("list broker CPU ms", management ? listCpu * 1000 : null),
            ("list ms", management ? Since("gpu_scaler_source_sweep_duration_seconds_sum", "management") * 1000 / lists : null),
            ("list KB", management ? Since("gpu_scaler_source_read_bytes_total", "management") / 1024 / lists : null),
            ("broker CPU ms/s", used * 1000 / took), ("scaler CPU ms/s", scaler * 1000 / took),
            ("scaler MB", Machine.Memory(server.ProcessId) / 1024.0 / 1024));
    }

    /// <summary>
    /// Broker CPU of one read of the list, in seconds, from several reads in a row while nobody else reads. It is
    /// subtracted where the metrics' share is wanted.
    /// </summary>
    private static async Task<double> ListCpuAsync(RabbitMqBroker broker)
    {
        const int Reads = 10;
        const string Columns = "vhost,name,type,messages_ready,messages_unacknowledged,consumers,message_stats.ack,message_stats.deliver_get,message_stats.deliver_no_ack,message_stats.get_no_ack,message_stats.redeliver,message_stats.publish";
        var cpu = Machine.Cpu(broker.ProcessId);
        for (var read = 0; read < Reads; read++)
        {
            await broker.ManagementAsScaler.GetByteArrayAsync(new Uri(string.Create(CultureInfo.InvariantCulture, $"api/queues?columns={Columns}"), UriKind.Relative));
        }

        return (Machine.Cpu(broker.ProcessId) - cpu).TotalSeconds / Reads;
    }
}
