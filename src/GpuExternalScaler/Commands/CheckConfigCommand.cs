using System.CommandLine;
using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Commands;

/// <summary><c>check-config</c>: says whether the server would start with a file, without a broker or a cluster.</summary>
internal static class CheckConfigCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "The configuration file." };
        var command = new Command("check-config", "Check a configuration file: every error and warning with its place. Exit code 2 if the server would refuse it.") { file };
        command.SetAction((result, cancellation) => RunAsync(result.GetValue(file)!, ConfigurationInput.Environment(), Console.Out, Console.Error, cancellation));
        return command;
    }

    /// <summary>Checks it. Findings go to <paramref name="error"/>, what the file amounts to goes to <paramref name="output"/>.</summary>
    public static async Task<int> RunAsync(FileInfo file, IReadOnlyCollection<KeyValuePair<string, string>> environment, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        if (await ConfigurationInput.ReadAsync(file, environment, error, cancellation) is not { } reading)
        {
            return ExitCode.InvalidInput;
        }

        var errors = reading.Errors.Count();
        var counted = $"{Count(errors, "error")}, {Count(reading.Findings.Count - errors, "warning")}";
        if (reading.Options is not { } options)
        {
            await error.WriteLineAsync($"{file}: refused: {counted}");
            return ExitCode.InvalidInput;
        }

        await output.WriteLineAsync(
            $"{file}: valid: {counted}; {Count(options.RabbitMq.Count, "RabbitMQ connection")}, {Others(options)}{Count(options.Policies.Defaults.Count, "default")}, {Count(options.Policies.Workloads.Count, "workload entry", "workload entries")}");
        return ExitCode.Done;
    }

    private static string Others(ScalerOptions options) => string.Concat(new (int Count, string Kind)[]
    {
        (options.Prometheus.Count, "Prometheus connection"), (options.Gpu.Count, "GPU connection"), (options.ModelServers.Count, "model server connection"),
    }.Where(static of => of.Count > 0).Select(static of => Count(of.Count, of.Kind) + ", "));

    private static string Count(int count, string one, string? many = null) => count == 1 ? $"1 {one}" : $"{count} {many ?? one + "s"}";
}
