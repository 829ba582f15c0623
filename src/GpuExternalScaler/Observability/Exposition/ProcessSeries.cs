using System.Diagnostics;
using System.IO.Enumeration;
using System.Reflection;
using System.Runtime.InteropServices;

namespace GpuExternalScaler.Observability.Exposition;

/// <summary>
/// The build and the process, under the names every Prometheus client library gives them, so that stock dashboards work.
/// </summary>
internal sealed class ProcessSeries
{
    private const string OpenFiles = "/proc/self/fd";

    private static readonly MetricFamily BuildInfo = MetricFamily.Gauge(
        "gpu_scaler_build_info", "Always 1; the labels tell which build runs on which runtime.");

    private static readonly MetricFamily CpuSeconds = MetricFamily.Counter(
        "process_cpu_seconds_total", "User and system CPU time spent by the process.", "seconds");

    private static readonly MetricFamily OpenFileDescriptors = MetricFamily.Gauge(
        "process_open_fds", "Open file descriptors.");

    private static readonly MetricFamily ResidentMemory = MetricFamily.Gauge(
        "process_resident_memory_bytes", "Physical memory held by the process.", "bytes");

    private static readonly MetricFamily StartTime = MetricFamily.Gauge(
        "process_start_time_seconds", "When the process started, in seconds since the Unix epoch.", "seconds");

    private readonly LabelSet _build = BuildLabels();
    private readonly double _startedAt = StartedAt();

    /// <summary>The version this program was built as, without the source revision.</summary>
    public static string Version => InformationalVersion().Split('+')[0];

    /// <summary>Writes the series; open descriptors only where the system lists them.</summary>
    public void WriteTo(PrometheusTextWriter writer)
    {
        writer.Begin(BuildInfo);
        writer.Sample(1, _build);
        writer.Begin(CpuSeconds);
        writer.Sample(Environment.CpuUsage.TotalTime.TotalSeconds);
        if (Directory.Exists(OpenFiles))
        {
            writer.Begin(OpenFileDescriptors);
            writer.Sample(CountOpenFiles());
        }

        writer.Begin(ResidentMemory);
        writer.Sample(Environment.WorkingSet);
        writer.Begin(StartTime);
        writer.Sample(_startedAt);
    }

    private static int CountOpenFiles()
    {
        var entries = new FileSystemEnumerable<bool>(OpenFiles, static (ref FileSystemEntry _) => true);
        // Listing the folder holds one descriptor open itself.
        return entries.Count() - 1;
    }

    private static double StartedAt()
    {
        using var process = Process.GetCurrentProcess();
        return new DateTimeOffset(process.StartTime).ToUnixTimeMilliseconds() / 1000.0;
    }

    private static LabelSet BuildLabels()
    {
        var parts = InformationalVersion().Split('+', 2);
        return LabelSet.Of(
            ("version", parts[0]),
            ("revision", parts.Length > 1 ? parts[1] : "unknown"),
            ("dotnet_version", Environment.Version.ToString()),
            ("architecture", RuntimeInformation.ProcessArchitecture.ToString()));
    }

    private static string InformationalVersion() =>
        typeof(ProcessSeries).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
