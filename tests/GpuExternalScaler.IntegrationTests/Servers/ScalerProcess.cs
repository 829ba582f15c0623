using System.Net;
using GpuExternalScaler.IntegrationTests.GrpcGo;

namespace GpuExternalScaler.IntegrationTests.Servers;

/// <summary>How far a start has to have come before the test goes on.</summary>
public enum ScalerState
{
    /// <summary>The process runs.</summary>
    Started,

    /// <summary>/healthz answers 200.</summary>
    Live,

    /// <summary>/readyz answers 200: configuration loaded, every source swept or found broken.</summary>
    Ready,
}

/// <summary>How the program ended.</summary>
public sealed record ScalerExit(int Code, TimeSpan After, string Output, string Error);

/// <summary>
/// The built program as a process of its own, with a configuration file of its own. In the file's text
/// <c>{grpc}</c> and <c>{http}</c> stand for its addresses and <c>{folder}</c> for the folder the file is in; a
/// <c>listen</c> section is put in front where there is none.
/// </summary>
public sealed class ScalerProcess : IAsyncDisposable
{
    private static readonly TimeSpan RunLimit = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder _folder;
    private readonly IReadOnlyDictionary<string, string?>? _environment;
    private ChildProcess _process;
    private readonly int _grpcPort;
    private readonly int _httpPort;

    private ScalerProcess(
        TemporaryFolder folder,
        int grpcPort,
        int httpPort,
        string configuration,
        IReadOnlyDictionary<string, string?>? environment,
        IEnumerable<string> more)
    {
        _folder = folder;
        _grpcPort = grpcPort;
        _httpPort = httpPort;
        _environment = environment;
        ConfigurationFile = folder.Write("scaler.yaml", Fill(configuration));
        Http = new HttpClient { BaseAddress = new Uri($"http://{HttpAddress}"), Timeout = TimeSpan.FromSeconds(10) };
        Grpc = new GrpcGoClient(GrpcAddress);
        _process = Launch(["serve", "--config", ConfigurationFile, .. more], environment, folder.Path);
    }

    public string GrpcAddress => $"127.0.0.1:{_grpcPort}";

    public string HttpAddress => $"127.0.0.1:{_httpPort}";

    /// <summary>KEDA's end of the wire.</summary>
    public GrpcGoClient Grpc { get; }

    /// <summary>Probes, metrics and pages.</summary>
    public HttpClient Http { get; }

    public string ConfigurationFile { get; }

    /// <summary>Where a test may put what the configuration refers to.</summary>
    public string Folder => _folder.Path;

    public int ProcessId => _process.Id;

    public bool HasExited => _process.HasExited;

    public long ResidentBytes => _process.ResidentBytes;

    public IReadOnlyList<string> StandardOutput => _process.StandardOutput;

    public IReadOnlyList<string> StandardError => _process.StandardError;

    /// <summary>Both outputs, where the logs are.</summary>
    public IEnumerable<string> Log => StandardOutput.Concat(StandardError);

    /// <summary>Starts <c>serve</c>, with <paramref name="more"/> arguments, and waits; what the program said is in the exception if it does not get there.</summary>
    public static async Task<ScalerProcess> StartAsync(
        string configuration,
        ScalerState until = ScalerState.Ready,
        IReadOnlyDictionary<string, string?>? environment = null,
        TimeSpan? limit = null,
        params IEnumerable<string> more)
    {
        var scaler = new ScalerProcess(
            new TemporaryFolder("server"), LoopbackPorts.Reserve(), LoopbackPorts.Reserve(), configuration, environment, more);
        try
        {
            if (until != ScalerState.Started)
            {
                await scaler.WaitForAsync(until, limit);
            }

            return scaler;
        }
        catch
        {
            await scaler.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a command that ends by itself, such as <c>check-config FILE</c>.</summary>
    public static async Task<ScalerExit> RunAsync(
        IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null, TimeSpan? limit = null)
    {
        var start = TimeProvider.System.GetTimestamp();
        await using var process = Launch(arguments, environment, folder: null);
        return await EndAsync(process, start, limit ?? RunLimit);
    }

    public async Task WaitForAsync(ScalerState state, TimeSpan? limit = null)
    {
        var path = new Uri(state == ScalerState.Ready ? "readyz" : "healthz", UriKind.Relative);
        await Eventually.SeesAsync(
            async () =>
            {
                if (HasExited)
                {
                    throw new InvalidOperationException($"The program did not get to {state}. {_process.Tail()}");
                }

                using var response = await Http.GetAsync(path);
                return response.StatusCode;
            },
            status => status == HttpStatusCode.OK,
            $"/{path} to answer 200",
            limit,
            () => _process.Tail());
    }

    /// <summary>The page of /metrics.</summary>
    public Task<string> ReadMetricsAsync() => Http.GetStringAsync(new Uri("metrics", UriKind.Relative));

    public Task WaitForLogAsync(string text, TimeSpan? limit = null) =>
        Eventually.SeesAsync(
            () => Task.FromResult(Log.Any(line => line.Contains(text, StringComparison.Ordinal))),
            found => found,
            $"the log to say \"{text}\"",
            limit,
            () => _process.Tail());

    /// <summary>Replaces the configuration in one step, as a ConfigMap mount does.</summary>
    public void Reconfigure(string configuration)
    {
        var next = _folder.Write("scaler.yaml.next", Fill(configuration));
        File.Move(next, ConfigurationFile, overwrite: true);
    }

    /// <summary>SIGTERM, and how the program then ended and after how long.</summary>
    public Task<ScalerExit> TerminateAsync(TimeSpan? limit = null)
    {
        var start = TimeProvider.System.GetTimestamp();
        _process.Signal(ProcessSignal.Terminate);
        return EndAsync(_process, start, limit ?? RunLimit);
    }

    /// <summary>SIGTERM, and the same program once more, with the same file at the same addresses.</summary>
    public async Task RestartAsync(ScalerState until = ScalerState.Live)
    {
        await TerminateAsync();
        await _process.DisposeAsync();
        _process = Launch(["serve", "--config", ConfigurationFile], _environment, _folder.Path);
        await WaitForAsync(until);
    }

    /// <summary>Waits for the program to exit by itself.</summary>
    public Task<ScalerExit> WaitForExitAsync(TimeSpan? limit = null) =>
        EndAsync(_process, TimeProvider.System.GetTimestamp(), limit ?? RunLimit);

    /// <summary>SIGKILL.</summary>
    public Task KillAsync() => _process.KillTreeAsync();

    /// <summary>SIGSTOP: connections stay open and nothing answers.</summary>
    public void Pause() => _process.Signal(ProcessSignal.Stop);

    public void Resume() => _process.Signal(ProcessSignal.Continue);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _process.DisposeAsync();
        _folder.Dispose();
    }

    private static ChildProcess Launch(
        IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment, string? folder)
    {
        // The host that runs this test can run the program too, wherever it is installed.
        var dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        return ChildProcess.Start(dotnet, [Repository.ProgramPath, .. arguments], environment, folder);
    }

    private static async Task<ScalerExit> EndAsync(ChildProcess process, long start, TimeSpan limit)
    {
        try
        {
            var code = await process.WaitForExitAsync(limit);
            var after = TimeProvider.System.GetElapsedTime(start);
            await process.DrainAsync();
            return new ScalerExit(
                code, after, string.Join('\n', process.StandardOutput), string.Join('\n', process.StandardError));
        }
        catch (TimeoutException error)
        {
            throw new TimeoutException($"{error.Message} {process.Tail()}", error);
        }
    }

    /// <summary>The file's text for a configuration with placeholders.</summary>
    public string Fill(string configuration)
    {
        var text = configuration.Split('\n').Any(line => line.StartsWith("listen:", StringComparison.Ordinal))
            ? configuration
            : $"listen:\n  grpc: {{grpc}}\n  http: {{http}}\n{configuration}";
        return text
            .Replace("{grpc}", GrpcAddress, StringComparison.Ordinal)
            .Replace("{http}", HttpAddress, StringComparison.Ordinal)
            .Replace("{folder}", _folder.Path, StringComparison.Ordinal);
    }
}
