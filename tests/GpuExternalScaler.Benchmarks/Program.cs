using GpuExternalScaler.Benchmarks;

// Each benchmark compares with a baseline of the same run. None of them passes or fails: figures are for people.
(string Name, string About, Func<Arguments, Task> Run)[] benchmarks =
[
    ("rpc", "unary calls beside a grpc-go server [--rounds 5 --seconds 5 --streams 1000 --concurrency 64 --method GetMetrics --warmup 30 --against FOLDER-OF-ANOTHER-BUILD --variant VARIABLE=VALUE]", RpcBenchmark.RunAsync),
    ("scale", "reading a RabbitMQ with many queues, beside one request for each [--queues 1200 --seconds 30]", ScaleBenchmark.RunAsync),
    ("many", "evaluation and memory with very many workloads [--workloads 10000 --queues 2000 --seconds 240 --against FOLDER-OF-ANOTHER-BUILD]", ManyWorkloadsBenchmark.RunAsync),
    ("tick", "processor time, allocations and bytes held of the evaluation loop and the page alone [--workloads 10000 --queues 2000 --sweeps 150]", TickBenchmark.RunAsync),
    ("step", "the decision alone, by BenchmarkDotNet and for thousands of workloads", StepBenchmark.RunAsync),
    ("recording", "the evaluation loop with and without recording, bytes on disk, and replay [--sweeps 60]", RecordingBenchmark.RunAsync),
    ("simulate", "a simulated day, one message at a time and by the second [--messages 5000000]", SimulateBenchmark.RunAsync),
    ("freshness", "time from a burst until KEDA can know [--runs 30 --connection 'amqp: { url: {amqp}, username: {user}, passwordFile: {passwordFile} }']", FreshnessBenchmark.RunAsync),
    ("gpu", "reading the exporters of many GPUs, directly and through Prometheus, beside the bytes alone and one query a workload [--exporters 250 --gpus 8 --workloads 1200 --namespaces 4 --sweeps 15]", GpuBenchmark.RunAsync),
    ("vram", "evaluation of many workloads by the memory of their pods [--workloads 1200 --exporters 250 --gpus 8 --sweeps 30]", VramBenchmark.RunAsync),
    ("models", "reading many model servers, directly and through Prometheus, beside the bytes alone and one query a workload [--servers 400 --workloads 200 --sweeps 15]", ModelServerBenchmark.RunAsync),
    ("fuzz", "pages and answers that no server sends: speed, memory, exceptions [--megabytes 100 --seed 1]", FuzzBenchmark.RunAsync),
    ("hostile", "peers that mean ill [--count 1000000 --streams 100000 --halves 2000 --connections 10000 --only workloads|metadata|streams|unread|halves|connections --program FOLDER-OF-ANOTHER-BUILD]", HostileBenchmark.RunAsync),
];

if (args is [PageServer.Command, ..])
{
    // Started by a benchmark.
    await PageServer.ServeAsync(new Arguments(args[1..]));
    return 0;
}

if (args.Length == 0 || Array.Find(benchmarks, benchmark => benchmark.Name == args[0]) is not { Run: not null } chosen)
{
    await Console.Error.WriteLineAsync("usage: tests/bench BENCHMARK [--out FOLDER] [options]");
    foreach (var benchmark in benchmarks)
    {
        await Console.Error.WriteLineAsync($"  {benchmark.Name,-10} {benchmark.About}");
    }

    return 2;
}

await chosen.Run(new Arguments(args[1..]));
return 0;
