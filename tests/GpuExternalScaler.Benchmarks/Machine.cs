using System.Globalization;
using System.Runtime.InteropServices;

namespace GpuExternalScaler.Benchmarks;

/// <summary>What Linux says about processes and about the machine.</summary>
internal static class Machine
{
    private const int TicksPerSecond = 100;

    /// <summary>The load average of the last minute.</summary>
    public static double LoadAverage() =>
        double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);

    /// <summary>Processor time of a process and its threads, user and system.</summary>
    public static TimeSpan Cpu(int processId)
    {
        var stat = File.ReadAllText($"/proc/{processId}/stat");

        // The name in parentheses may hold spaces.
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        var ticks = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        return TimeSpan.FromSeconds((double)ticks / TicksPerSecond);
    }

    /// <summary>Processor time of the calling thread.</summary>
    public static TimeSpan ThreadCpu()
    {
        const int ThreadCpuClock = 3;
        _ = GetTime(ThreadCpuClock, out var time);
        return TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000.0);
    }

    /// <summary>What something takes of the calling thread, which a busy machine does not change.</summary>
    public static (TimeSpan Cpu, long Bytes) OnThisThread(Action action)
    {
        var (bytes, cpu) = (GC.GetAllocatedBytesForCurrentThread(), ThreadCpu());
        action();
        return (ThreadCpu() - cpu, GC.GetAllocatedBytesForCurrentThread() - bytes);
    }

    /// <summary>Bytes of the heap that are in use.</summary>
    public static long Held()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    /// <summary>Bytes of a field of /proc/PID/status, such as VmRSS or VmHWM.</summary>
    public static long Memory(int processId, string field = "VmRSS")
    {
        var line = File.ReadLines($"/proc/{processId}/status").First(l => l.StartsWith(field + ":", StringComparison.Ordinal));
        return long.Parse(line.AsSpan()[(field.Length + 1)..^2].Trim(), CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>From now on, VmHWM of this process is the peak since now.</summary>
    public static Task ForgetPeakAsync() => File.WriteAllTextAsync("/proc/self/clear_refs", "5");

    /// <summary>Waits until others leave the processors alone, or until the patience is over; says whether they did.</summary>
    public static async Task<bool> CalmAsync(TimeSpan patience)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (true)
        {
            var (busy, total) = Busy();
            await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
            var (busyNow, totalNow) = Busy();
            if (busyNow - busy < 0.15 * (totalNow - total))
            {
                return true;
            }

            if (TimeProvider.System.GetElapsedTime(began) > patience)
            {
                return false;
            }
        }
    }

    /// <summary>Binds the calling process, and every process it starts from now on, to some processors.</summary>
    public static void Pin(ulong mask)
    {
        foreach (var thread in Directory.EnumerateDirectories("/proc/self/task"))
        {
            _ = SetAffinity(int.Parse(Path.GetFileName(thread), CultureInfo.InvariantCulture), sizeof(ulong), ref mask);
        }
    }

    private static (long Busy, long Total) Busy()
    {
        var fields = File.ReadLines("/proc/stat").First().Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1)
            .Select(static field => long.Parse(field, CultureInfo.InvariantCulture)).ToArray();
        var total = fields.Take(8).Sum();
        return (total - fields[3] - fields[4], total);
    }

    [DllImport("libc", EntryPoint = "sched_setaffinity")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetAffinity(int processId, nint size, ref ulong mask);

    [DllImport("libc", EntryPoint = "clock_gettime")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int GetTime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        public readonly long Seconds;
        public readonly long Nanoseconds;
    }
}
