using System.CommandLine;
using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Commands;

/// <summary><c>serve</c>: the server itself, until SIGTERM or Ctrl-C.</summary>
internal static class ServeCommand
{
    private const string DefaultFile = "/etc/gpu-external-scaler/scaler.yaml";

    /// <summary>The command, and the option it shares with the program called without a command.</summary>
    public static Command Create(Option<FileInfo> file)
    {
        var command = new Command("serve", "Serve KEDA over gRPC, and probes and metrics over HTTP (the default command).") { file };
        command.SetAction((result, cancellation) => RunAsync(result.GetValue(file)!, cancellation));
        return command;
    }

    /// <summary>The option naming the configuration file.</summary>
    public static Option<FileInfo> FileOption() => new("--config")
    {
        Description = "The configuration file.",
        DefaultValueFactory = static _ => new FileInfo(DefaultFile),
    };

    /// <summary>Reads the file and serves. Exit code 2 for a file that is missing or wrong, with every error on stderr.</summary>
    public static async Task<int> RunAsync(FileInfo file, CancellationToken cancellation)
    {
        string yaml;
        try
        {
            yaml = await File.ReadAllTextAsync(file.FullName, cancellation);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"{file}: cannot be read ({(exception is FileNotFoundException or DirectoryNotFoundException ? "no such file" : exception.GetType().Name)})");
            return ExitCode.InvalidInput;
        }

        if (ConfigurationFile.Parse(yaml, out var errors) is not { } options)
        {
            foreach (var error in errors)
            {
                await Console.Error.WriteLineAsync($"{file}: {error}");
            }

            return ExitCode.InvalidInput;
        }

        await using var server = ScalerServer.Build(options);
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
}
