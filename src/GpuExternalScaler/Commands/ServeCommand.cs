using System.CommandLine;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Tls;

namespace GpuExternalScaler.Commands;

/// <summary><c>serve</c>: the server itself, until SIGTERM or Ctrl-C.</summary>
internal static class ServeCommand
{
    /// <summary>The command, and the option it shares with the program called without a command.</summary>
    public static Command Create(Option<FileInfo> file)
    {
        var command = new Command("serve", "Serve KEDA over gRPC, and probes and metrics over HTTP (the default command).") { file };
        command.SetAction((result, cancellation) => RunAsync(result.GetValue(file)!, cancellation));
        return command;
    }

    /// <summary>Reads the file and serves. Exit code 2 for a file that is missing or wrong, with every error on stderr.</summary>
    public static async Task<int> RunAsync(FileInfo file, CancellationToken cancellation)
    {
        var origin = await ConfigurationInput.OpenAsync(file, ConfigurationInput.Environment(), Console.Error, cancellation);
        if (origin.Reading is not { Options: { } options } reading)
        {
            return ExitCode.InvalidInput;
        }

        TlsMaterial? tls = null;
        if (options.Tls is { } files && (tls = await ReadTlsAsync(file, reading, files, cancellation)) is null)
        {
            return ExitCode.InvalidInput;
        }

        await using var server = ScalerServer.Build(options, origin: origin, tls: tls);
        try
        {
            await server.RunAsync(cancellation);
        }
        catch (Exception exception) when (exception is IOException or System.Net.Sockets.SocketException)
        {
            // Kestrel's own words: which address is in use, or not this machine's.
            await Console.Error.WriteLineAsync(exception.Message);
            return ExitCode.Failed;
        }

        return ExitCode.Done;
    }

    // A server that cannot be reached is better not started: Kubernetes keeps the one from before.
    private static async Task<TlsMaterial?> ReadTlsAsync(FileInfo file, ConfigurationReading reading, TlsOptions files, CancellationToken cancellation)
    {
        var (material, problems) = await TlsMaterial.ReadAsync(files, cancellation);
        foreach (var (key, problem) in problems)
        {
            await ConfigurationInput.WriteAsync(file, reading.FindingAt(key, problem), Console.Error);
        }

        return material;
    }
}
