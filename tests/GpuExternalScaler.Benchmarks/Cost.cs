namespace GpuExternalScaler.Benchmarks;

/// <summary>What something took of this process, and of another that it asked.</summary>
internal sealed record Cost(double Milliseconds, double CpuMilliseconds, double OtherCpuMilliseconds, double AllocatedMegabytes)
{
    public static async Task<Cost> OfAsync(Func<Task> action, int? other = null)
    {
        var (allocated, cpu, otherCpu, start) = (GC.GetTotalAllocatedBytes(precise: true), Environment.CpuUsage.TotalTime, CpuOf(other), TimeProvider.System.GetTimestamp());
        await action();
        return new Cost(
            TimeProvider.System.GetElapsedTime(start).TotalMilliseconds,
            (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds,
            (CpuOf(other) - otherCpu).TotalMilliseconds,
            (GC.GetTotalAllocatedBytes(precise: true) - allocated) / 1024.0 / 1024);
    }

    private static TimeSpan CpuOf(int? process) => process is { } id ? Machine.Cpu(id) : TimeSpan.Zero;
}

/// <summary>The same of a reader, over several sweeps: medians, and the memory it came to hold.</summary>
/// <param name="Each">Of each sweep.</param>
/// <param name="HeldMegabytes">Of the heap, afterwards.</param>
/// <param name="PeakMegabytes">Of resident memory, meanwhile, on top of what there was before.</param>
internal sealed record Costs(IReadOnlyList<Cost> Each, double HeldMegabytes, double PeakMegabytes)
{
    public double Wall => Spread.Median(Each.Select(static cost => cost.Milliseconds));

    public double Cpu => Spread.Median(Each.Select(static cost => cost.CpuMilliseconds));

    /// <summary>The mean: the kernel counts another process' time in hundredths of a second.</summary>
    public double OtherCpu => Each.Average(static cost => cost.OtherCpuMilliseconds);

    public double Allocated => Spread.Median(Each.Select(static cost => cost.AllocatedMegabytes));

    /// <summary>Sweeps some times, the first two for warmth.</summary>
    public static async Task<Costs> OfAsync(int sweeps, Func<Task> sweep, int? other = null, int warmth = 2)
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var (held, resident) = (GC.GetTotalMemory(forceFullCollection: true), Machine.Memory(Environment.ProcessId));
        await Machine.ForgetPeakAsync();
        for (var i = 0; i < warmth; i++)
        {
            await sweep();
        }

        var costs = new List<Cost>();
        for (var i = 0; i < sweeps; i++)
        {
            costs.Add(await Cost.OfAsync(sweep, other));
        }

        var peak = Machine.Memory(Environment.ProcessId, "VmHWM") - resident;
        return new Costs(costs, (GC.GetTotalMemory(forceFullCollection: true) - held) / 1024.0 / 1024, peak / 1024.0 / 1024);
    }
}
