using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Benchmarks;

/// <summary>The decision alone: one workload by BenchmarkDotNet, and thousands of them, whose states no processor's cache holds.</summary>
internal static class StepBenchmark
{
    public static Task RunAsync(Arguments arguments)
    {
        _ = BenchmarkRunner.Run<StepOfOneWorkload>(DefaultConfig.Instance
            .AddJob(Job.ShortRun.WithToolchain(InProcessNoEmitToolchain.Instance))
            .WithArtifactsPath(Path.Combine(arguments.Folder, "step")));
        var report = new Report("step", arguments.Folder);
        foreach (var workloads in (int[])[1_000, 10_000])
        {
            foreach (var policy in (SteppedPolicy[])[SteppedPolicy.ForecastOff, SteppedPolicy.Default, SteppedPolicy.WaitObjective])
            {
                Measure(report, workloads, policy);
            }
        }

        report.Note("one thread; a simulated hour of noisy arrivals, gauges every 2 s, counters every 5 s; processor time of one step of every workload, median and longest of the last ten minutes; states with all their histories");
        report.Finish();
        return Task.CompletedTask;
    }

    private static void Measure(Report report, int workloads, SteppedPolicy policy)
    {
        var before = Machine.Held();
        var all = new SteppedWorkload[workloads];
        for (var i = 0; i < workloads; i++)
        {
            all[i] = new SteppedWorkload(policy, slots: 20, coldStart: 60, seed: i);
        }

        List<double> rounds = [];
        long allocated = 0;
        for (var second = 0; second < 3600; second++)
        {
            var (cpu, bytes) = Machine.OnThisThread(() =>
            {
                foreach (var workload in all)
                {
                    workload.Step();
                }
            });
            if (second >= 3000)
            {
                rounds.Add(cpu.TotalMilliseconds);
                allocated += bytes;
            }
        }

        var held = Machine.Held() - before;
        rounds.Sort();
        GC.KeepAlive(all);
        report.Row(
            ("workloads", workloads),
            ("policy", policy.ToString()),
            ("ms for all, median", Math.Round(rounds[rounds.Count / 2], 2)),
            ("longest", Math.Round(rounds[^1], 2)),
            ("us each", Math.Round(rounds.Average() * 1000 / workloads, 2)),
            ("bytes each held", held / workloads),
            ("bytes each allocated a step", Math.Round(allocated / 600.0 / workloads, 3)));
    }
}

/// <summary>What a stepped workload is decided by.</summary>
public enum SteppedPolicy
{
    /// <summary>The threshold, and what arrives now.</summary>
    ForecastOff,

    /// <summary>The defaults.</summary>
    Default,

    /// <summary>Erlang's formula in place of the threshold.</summary>
    WaitObjective,
}

/// <summary>A workload in an endless noisy afternoon.</summary>
internal sealed class SteppedWorkload
{
    private static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);
    private readonly WorkloadState _state = new();
    private readonly ScalingPolicy _policy;
    private readonly QueueReading[] _queues = new QueueReading[1];
    private readonly int _slots;
    private readonly Random _random;
    private DateTimeOffset _now = Start;
    private long _second;
    private double _arrived;

    public SteppedWorkload(SteppedPolicy policy, int slots, double coldStart, int seed)
    {
        _slots = slots;
        _random = new Random(seed);
        _policy = ScalingPolicy.Default with
        {
            ColdStart = TimeSpan.FromSeconds(coldStart),
            Forecast = policy == SteppedPolicy.ForecastOff ? ForecastMode.Off : ForecastMode.Auto,
            WaitObjective = policy == SteppedPolicy.WaitObjective ? new WaitObjective(0.99, TimeSpan.FromSeconds(5)) : null,
        };
    }

    public ScalingDecision Step()
    {
        _now += TimeSpan.FromSeconds(1);
        _second++;
        _arrived += _slots / 8.0 * (0.7 + (0.2 * Math.Sin(_second / 300.0)));
        ref var queue = ref _queues[0];
        if (_second % 2 == 0)
        {
            queue = queue with
            {
                Presence = QueuePresence.Present,
                Unacked = (long)(_slots * (0.6 + (0.3 * _random.NextDouble()))),
                Ready = _random.Next(_slots),
                Consumers = _slots,
                ObservedAt = _now,
                LastPresentAt = _now,
                FreshFor = TimeSpan.FromSeconds(4),
                StaleAfter = TimeSpan.FromSeconds(20),
            };
        }

        if (_second % 5 == 0)
        {
            queue = queue with
            {
                Counters = new QueueCounters
                {
                    ObservedAt = _now,
                    StaleAfter = TimeSpan.FromSeconds(30),
                    Messages = queue.Ready + queue.Unacked,
                    Unacked = queue.Unacked,
                    Completed = (long)_arrived,
                    Published = (long)_arrived + queue.Ready,
                    Delivered = (long)_arrived + queue.Unacked,
                    Redelivered = 0,
                    AutoAcked = 0,
                },
            };
        }

        return DecisionFold.Step(_state, new WorkloadSnapshot { Queues = _queues }, _policy, _now);
    }
}

/// <summary>One workload, in steady state.</summary>
[MemoryDiagnoser]
public class StepOfOneWorkload
{
    private SteppedWorkload _workload = null!;

    /// <summary>Slots.</summary>
    [Params(10, 200)]
    public int Slots { get; set; }

    /// <summary>Seconds of cold start.</summary>
    [Params(60, 300)]
    public int ColdStart { get; set; }

    /// <summary>What it is decided by.</summary>
    [ParamsAllValues]
    public SteppedPolicy Policy { get; set; }

    /// <summary>An hour goes by, so that every ring is full.</summary>
    [GlobalSetup]
    public void Settle()
    {
        _workload = new SteppedWorkload(Policy, Slots, ColdStart, seed: 1);
        for (var second = 0; second < 3600; second++)
        {
            _workload.Step();
        }
    }

    /// <summary>Ten seconds, so that each step has its part of new gauges and counters.</summary>
    [Benchmark(OperationsPerInvoke = 10)]
    public double Step()
    {
        double sum = 0;
        for (var i = 0; i < 10; i++)
        {
            sum += _workload.Step().Replicas;
        }

        return sum;
    }
}
