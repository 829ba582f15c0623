using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.Benchmarks;

/// <summary>The program as a process of its own, on one processor or on all.</summary>
internal sealed class PinnedProgram : IAsyncDisposable
{
    private readonly TemporaryFolder _folder = new("bench");
    private readonly ChildProcess _process;
    private readonly HttpClient _http;

    private PinnedProgram(string configuration, string? program, string? processors, IReadOnlyDictionary<string, string?>? environment)
    {
        var (grpc, http) = (LoopbackPorts.Reserve(), LoopbackPorts.Reserve());
        GrpcAddress = $"127.0.0.1:{grpc}";
        _http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{http}"), Timeout = TimeSpan.FromSeconds(30) };
        var file = _folder.Write("scaler.yaml", $"listen: {{ grpc: 127.0.0.1:{grpc}, http: 127.0.0.1:{http} }}\n{configuration}");
        var dotnet = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        string[] command = [dotnet, program ?? Repository.ProgramPath, "serve", "--config", file];
        _process = processors is null
            ? ChildProcess.Start(command[0], command[1..], environment, _folder.Path)
            : ChildProcess.Start("taskset", ["-c", processors, .. command], environment, _folder.Path);
    }

    public string GrpcAddress { get; }

    public int ProcessId => _process.Id;

    public IReadOnlyList<string> Output => _process.StandardOutput;

    /// <summary>Starts <c>serve</c> and waits until it is ready.</summary>
    public static async Task<PinnedProgram> StartAsync(
        string configuration,
        string? program = null,
        string? processors = null,
        IReadOnlyDictionary<string, string?>? environment = null)
    {
        var started = new PinnedProgram(configuration, program, processors, environment);
        try
        {
            await Eventually.SeesAsync(
                async () =>
                {
                    using var response = await started._http.GetAsync(new Uri("readyz", UriKind.Relative));
                    return response.IsSuccessStatusCode && !started._process.HasExited;
                },
                static ready => ready,
                "the program to be ready",
                context: () => started._process.Tail());
            return started;
        }
        catch
        {
            await started.DisposeAsync();
            throw;
        }
    }

    /// <summary>The page of /metrics.</summary>
    public Task<string> ReadMetricsAsync() => _http.GetStringAsync(new Uri("metrics", UriKind.Relative));

    /// <summary>The sum over a metric's series that have all these labels; 0 when there is none.</summary>
    public async Task<double> SumAsync(string metric, params string[] labels) => Sum(await ReadMetricsAsync(), metric, labels);

    /// <summary>The same from a page that was read before.</summary>
    public static double Sum(string page, string metric, params string[] labels) =>
        page.Split('\n')
            .Where(line => line.StartsWith(metric + "{", StringComparison.Ordinal) || line.StartsWith(metric + " ", StringComparison.Ordinal))
            .Where(line => labels.All(label => line.Contains(label, StringComparison.Ordinal)))
            .Sum(static line => double.Parse(line.AsSpan(line.LastIndexOf(' ') + 1), CultureInfo.InvariantCulture));

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _process.DisposeAsync();
        _folder.Dispose();
    }
}
