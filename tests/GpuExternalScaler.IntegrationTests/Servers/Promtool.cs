using System.Diagnostics;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>What promtool thinks of a page: <see cref="Output"/> is empty when it has nothing to say.</summary>
public sealed record PromtoolVerdict(bool Ok, string Output);

/// <summary>Prometheus' own judge of metrics pages.</summary>
public static class Promtool
{
    /// <summary>Parses and lints a text exposition.</summary>
    public static async Task<PromtoolVerdict> CheckMetricsAsync(string page)
    {
        using var process = Process.Start(
            new ProcessStartInfo(Prerequisite.File("/usr/bin/promtool", "promtool"), ["check", "metrics"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                UseShellExecute = false,
            })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.StandardInput.WriteAsync(page);
        process.StandardInput.Close();
        await process.WaitForExitAsync();
        return new PromtoolVerdict(process.ExitCode == 0, (await output + await error).Trim());
    }
}
