using System.Diagnostics;
using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.GrpcGo;

/// <summary>
/// KEDA's end of the wire: a program built on grpc-go with KEDA's dial options (tests/grpc-go-client, whose --help
/// describes its commands). Every method is one process and so one connection. Two addresses separated by a comma are
/// balanced round robin.
/// </summary>
public sealed class GrpcGoClient(string address, GoTls? tls = null)
{
    private const string ProgramVariable = "GPU_SCALER_TEST_GRPC_CLIENT";

    // For a command that ends by itself. Without a deadline of its own a call may hang, and that is for the test to see.
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(120);

    public string Address { get; } = address;

    /// <summary>The built client. <c>tests/run</c> says where it is; a test run by hand finds the one built last.</summary>
    public static string ProgramPath => Prerequisite.File(
        Environment.GetEnvironmentVariable(ProgramVariable) is { Length: > 0 } path
            ? path
            : Path.Combine(Repository.Root, "artifacts", "grpc-go-client", "bin", "grpc-go-client"),
        "The grpc-go client");

    public async Task<GoCall> IsActiveAsync(GoWorkload workload, GoCallOptions? options = null) =>
        (await CallAsync("IsActive", workload, options))[0];

    public async Task<GoCall> GetMetricSpecAsync(GoWorkload workload, GoCallOptions? options = null) =>
        (await CallAsync("GetMetricSpec", workload, options))[0];

    public async Task<GoCall> GetMetricsAsync(GoWorkload workload, GoCallOptions? options = null) =>
        (await CallAsync("GetMetrics", workload, options))[0];

    /// <summary>
    /// Calls a method of the service, or any <c>/package.Service/Method</c>, as often as the options say, in order of
    /// the calls' numbers.
    /// </summary>
    public async Task<IReadOnlyList<GoCall>> CallAsync(string method, GoWorkload workload, GoCallOptions? options = null)
    {
        options ??= new GoCallOptions();
        List<string> arguments =
        [
            "call", "--method", method, .. Describe(workload),
            "--metric", options.Metric, "--count", $"{options.Count}", "--concurrency", $"{options.Concurrency}",
        ];
        if (options.Deadline is { } deadline)
        {
            arguments.AddRange(["--deadline", Duration(deadline)]);
        }

        if (options.Gzip)
        {
            arguments.Add("--gzip");
        }

        if (options.NoReference)
        {
            arguments.Add("--no-ref");
        }

        if (!options.Payload.IsEmpty)
        {
            arguments.AddRange(["--payload", Convert.ToHexString(options.Payload.Span)]);
        }

        foreach (var (key, value) in options.Headers)
        {
            arguments.AddRange(["--header", $"{key}={value}"]);
        }

        var lines = await RunAsync(arguments);
        return [.. lines.Select(GoJson.Parse<GoCall>).OrderBy(call => call.Call)];
    }

    /// <summary>Pairs of GetMetrics and IsActive, all at once or evenly over a time.</summary>
    public async Task<IReadOnlyList<GoPair>> PairsAsync(
        GoWorkload workload, int count, TimeSpan spread = default, string metric = "gpu-demand")
    {
        var lines = await RunAsync(
            ["pairs", .. Describe(workload), "--count", $"{count}", "--spread", Duration(spread), "--metric", metric]);
        return [.. lines.Select(GoJson.Parse<GoPair>).OrderBy(pair => pair.Pair)];
    }

    /// <summary>Makes such pairs one after the other (event <c>pair</c>) until disposed or finished.</summary>
    public GoSession Poll(GoWorkload workload, TimeSpan every) =>
        Start(["poll", .. Describe(workload), "--every", Duration(every)]);

    /// <summary>
    /// Opens streams on one connection (event <c>opened</c>), then makes unary calls beside them (event <c>unary</c>), and
    /// holds the streams until disposed, finished, or ended by the server (event <c>closed</c>).
    /// </summary>
    public GoSession OpenStreams(
        GoWorkload workload,
        int count,
        string method = "StreamIsActive",
        TimeSpan? firstWithin = null,
        int unaryCalls = 0,
        string unaryMethod = "IsActive",
        int unaryConcurrency = 1) =>
        Start([
            "streams", "--method", method, .. Describe(workload), "--count", $"{count}",
            "--first-within", Duration(firstWithin ?? TimeSpan.FromSeconds(1)),
            "--unary", $"{unaryCalls}", "--unary-method", unaryMethod, "--concurrency", $"{unaryConcurrency}",
        ]);

    /// <summary>Opens one stream and reports every message (events <c>headers</c>, <c>message</c>, <c>end</c>).</summary>
    public GoSession Watch(GoWorkload workload, string method = "StreamIsActive") =>
        Start(["watch", "--method", method, .. Describe(workload)]);

    /// <summary>Opens streams and never reads from them (event <c>opened</c>).</summary>
    public GoSession OpenStuckStreams(GoWorkload workload, int count, string method = "StreamIsActive") =>
        Start(["stuck", "--method", method, .. Describe(workload), "--count", $"{count}"]);

    /// <summary>Check of grpc.health.v1: status and code.</summary>
    public async Task<GoEvent> CheckHealthAsync(string service = "") =>
        GoJson.Parse<GoEvent>((await RunAsync(["health", "--service", service, "--deadline", "10s"]))[0]);

    /// <summary>Watch of grpc.health.v1 (events <c>status</c>, <c>end</c>).</summary>
    public GoSession WatchHealth(string service = "") => Start(["health", "--watch", "--service", service]);

    /// <summary>Server reflection: the services, or the files that declare a symbol.</summary>
    public async Task<GoEvent> ReflectAsync(string? symbol = null) =>
        GoJson.Parse<GoEvent>((await RunAsync(["reflect", "--deadline", "10s", "--symbol", symbol ?? ""]))[0]);

    private static string[] Describe(GoWorkload workload) =>
    [
        "--namespace", workload.Namespace, "--name", workload.Name,
        .. workload.Metadata.SelectMany(pair => new[] { "--meta", $"{pair.Key}={pair.Value}" }),
    ];

    private static string Duration(TimeSpan time) =>
        time.TotalMilliseconds.ToString("0.###", CultureInfo.InvariantCulture) + "ms";

    private async Task<IReadOnlyList<string>> RunAsync(IEnumerable<string> arguments)
    {
        using var process = Process.Start(StartInfo(arguments))!;
        var output = process.StandardOutput.ReadToEndAsync();
        var complaints = process.StandardError.ReadToEndAsync();
        using var limit = new CancellationTokenSource(CommandLimit, TimeProvider.System);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException error)
        {
            process.Kill();
            throw new TimeoutException(
                $"The grpc-go client was still waiting after {CommandLimit.TotalSeconds} s: {await output}", error);
        }

        return process.ExitCode == 0
            ? (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException($"The grpc-go client exited with {process.ExitCode}: {await complaints}");
    }

    private GoSession Start(IEnumerable<string> arguments) => new(StartInfo(arguments));

    private ProcessStartInfo StartInfo(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(ProgramPath)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var argument in (string[])["--address", Address, .. tls?.Arguments() ?? []])
        {
            start.ArgumentList.Add(argument);
        }

        return start;
    }
}
