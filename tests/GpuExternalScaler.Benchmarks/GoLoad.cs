using System.Globalization;
using System.Text.Json;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.Benchmarks;

/// <summary>The grpc-go program under tests/grpc-go-load: the load, and the server that answers a constant.</summary>
internal static class GoLoad
{
    public static string Path => Prerequisite.File(
        System.IO.Path.Combine(Repository.Root, "artifacts", "grpc-go-load", "bin", "grpc-go-load"), "grpc-go-load (tests/bench builds it)");

    /// <summary>Starts it with a command, on some processors or on all.</summary>
    public static ChildProcess Start(string? processors, params string[] arguments) => processors is null
        ? ChildProcess.Start(Path, arguments)
        : ChildProcess.Start("taskset", ["-c", processors, Path, .. arguments]);

    /// <summary>Runs a command that ends by itself; its last line.</summary>
    public static async Task<JsonElement> RunAsync(string? processors, TimeSpan limit, params string[] arguments)
    {
        await using var process = Start(processors, arguments);
        var code = await process.WaitForExitAsync(limit);
        await process.DrainAsync();
        return code == 0
            ? JsonDocument.Parse(process.StandardOutput[^1]).RootElement.Clone()
            : throw new InvalidOperationException($"grpc-go-load failed. {process.Tail()}");
    }

    /// <summary>Names a workload.</summary>
    public static string[] Workload(string name, string queue) =>
        ["--namespace", "genai", "--name", name, .. KedaMetadata(queue)];

    /// <summary>What KEDA sends for a trigger with a few settings.</summary>
    private static string[] KedaMetadata(string queue) =>
    [
        "--meta", "scalerAddress=gpu-external-scaler.gpu-scaler:9090", "--meta", $"queue={queue}",
        "--meta", "saturationThreshold=0.8", "--meta", "coldStart=90s",
    ];

    public static double Number(this JsonElement line, string name) => line.GetProperty(name).GetDouble();

    public static string Invariant(double value) => value.ToString(CultureInfo.InvariantCulture);
}
