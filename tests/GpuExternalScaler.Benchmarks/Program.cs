using GpuExternalScaler.Benchmarks;

// Each benchmark compares with a baseline of the same run. None of them passes or fails: figures are for people.
(string Name, string About, Func<Arguments, Task> Run)[] benchmarks =
[
    ("rpc", "unary calls beside a grpc-go server [--rounds 5 --seconds 5 --streams 1000 --concurrency 64 --method GetMetrics --against FOLDER-OF-ANOTHER-BUILD]", RpcBenchmark.RunAsync),
];

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
