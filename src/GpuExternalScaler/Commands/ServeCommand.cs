using System.CommandLine;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Tls;

namespace GpuExternalScaler.Commands;

/// <summary><c>serve</c>: the server itself, until SIGTERM or Ctrl-C.</summary>
internal static class ServeCommand
{
    /// <summary>The command, and the options it shares with the program called without a command.</summary>
    public static Command Create(Option<FileInfo> file, RecordingInput recording)
    {
        var command = new Command("serve", "Serve KEDA over gRPC, and probes and metrics over HTTP (the default command).") { file, recording.File, recording.Limit };
        command.SetAction((result, cancellation) => RunAsync(result.GetValue(file)!, recording.Read(result), cancellation));
        return command;
    }

    /// <summary>Reads the file and serves. Exit code 2 for a file that is missing or wrong, with every error on stderr.</summary>
    public static async Task<int> RunAsync(FileInfo file, RecordingOptions? recording, CancellationToken cancellation)
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

        if (recording?.Problem() is { } problem)
        {
            await Console.Error.WriteLineAsync($"{recording.File}: cannot be recorded to ({problem})");
            return ExitCode.InvalidInput;
        }

        await using var server = ScalerServer.Build(options, origin: origin, tls: tls, recording: recording);
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
