using System.Globalization;
using System.Text;
using GpuExternalScaler.Sources.Gpu;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>One sweep over pages, and its outcome in lines that a test can show.</summary>
internal static class GpuSweep
{
    public const long MiB = 1 << 20;

    public static readonly DateTimeOffset Now = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    public static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(60);

    public static byte[] Capture(string name) => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Gpu", "Data", name));

    public static AcceleratorReading Of(params string[] pages)
    {
        var reader = new GpuSampleReader(StaleAfter);
        reader.Begin(Now);
        for (var i = 0; i < pages.Length; i++)
        {
            reader.TakePage(Encoding.UTF8.GetBytes(pages[i].ReplaceLineEndings("\n") + "\n"), $"exporter-{i}:9400");
        }

        return reader.Finish();
    }

    /// <summary><c>namespace/pod[container] device#instance used/usable busy</c>, in MiB; a dash is not known.</summary>
    public static IReadOnlyList<string> Lines(this AcceleratorReading reading) =>
        [.. reading.Shares.Select(Line), .. reading.Unallocated.Select(Line)];

    public static IReadOnlyList<string> RefusedLines(this AcceleratorReading reading) =>
        [.. reading.Refused.Select(static refused => $"{refused.Reason} {refused.Count} {refused.Example}".TrimEnd())];

    private static string Line(AcceleratorShare share)
    {
        var pod = share.Pod is null ? "free" : $"{share.Namespace}/{share.Pod}";
        var container = share.Container is null ? "" : $"[{share.Container}]";
        var instance = share.Instance.Length == 0 ? "" : "#" + share.Instance;
        var busy = share.Utilisation is { } utilisation ? " " + Math.Round(utilisation, 6).ToString(CultureInfo.InvariantCulture) : "";
        return $"{pod}{container} {share.Device}{instance} {Mebibytes(share.UsedBytes)}/{Mebibytes(share.UsableBytes)}{busy}";
    }

    private static string Mebibytes(long? bytes) =>
        bytes is { } known ? ((double)known / MiB).ToString(CultureInfo.InvariantCulture) : "-";
}
