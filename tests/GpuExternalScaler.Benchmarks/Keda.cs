using System.Collections.Concurrent;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.Benchmarks;

/// <summary>What KEDA asks, over one connection, for any number of workloads.</summary>
internal sealed class Keda(string address) : IAsyncDisposable
{
    private readonly GrpcChannel _channel = GrpcChannel.ForAddress($"http://{address}");
    private readonly CancellationTokenSource _closing = new();
    private readonly ConcurrentBag<Task> _background = [];

    private ExternalScaler.ExternalScalerClient Client => field ??= new(_channel);

    public static ScaledObjectRef Workload(string name, string queue, params (string Key, string Value)[] metadata)
    {
        var workload = new ScaledObjectRef
        {
            Namespace = "genai",
            Name = name,
            ScalerMetadata = { ["scalerAddress"] = "gpu-external-scaler.gpu-scaler:9090", ["queue"] = queue },
        };
        foreach (var (key, value) in metadata)
        {
            workload.ScalerMetadata[key] = value;
        }

        return workload;
    }

    /// <summary>The value, or null with the status while there is none.</summary>
    public async Task<(double? Value, StatusCode Status)> ValueAsync(ScaledObjectRef workload)
    {
        try
        {
            var response = await Client.GetMetricsAsync(new GetMetricsRequest { MetricName = "gpu-demand", ScaledObjectRef = workload });
            return (response.MetricValues[0].MetricValueFloat, StatusCode.OK);
        }
        catch (RpcException error)
        {
            return (null, error.StatusCode);
        }
    }

    /// <summary>Asks for each until it has an answer.</summary>
    public async Task RegisterAsync(IReadOnlyCollection<ScaledObjectRef> workloads)
    {
        // All at once first: each has to wait for the same tick.
        var left = workloads;
        while (left.Count > 0)
        {
            var undecided = new ConcurrentBag<ScaledObjectRef>();
            await Parallel.ForEachAsync(left, new ParallelOptions { MaxDegreeOfParallelism = 32 }, async (workload, _) =>
            {
                if ((await ValueAsync(workload)).Value is null)
                {
                    undecided.Add(workload);
                }
            });
            left = undecided;
            await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System);
        }
    }

    /// <summary>From now on: the value and the activity of each once in a polling interval, evenly spread.</summary>
    public void Poll(IReadOnlyList<ScaledObjectRef> workloads, TimeSpan interval)
    {
        if (workloads.Count > 0)
        {
            _background.Add(PollAsync(workloads, interval));
        }
    }

    /// <summary>From now on: calls back at each message of the workload's stream.</summary>
    public void Listen(ScaledObjectRef workload, Action<bool> heard) => _background.Add(ListenAsync(workload, heard));

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await Task.WhenAll(_background);
        _channel.Dispose();
        _closing.Dispose();
    }

    private async Task PollAsync(IReadOnlyList<ScaledObjectRef> workloads, TimeSpan interval)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        var (began, asked) = (TimeProvider.System.GetTimestamp(), 0L);
        try
        {
            while (await timer.WaitForNextTickAsync(_closing.Token))
            {
                var due = (long)(TimeProvider.System.GetElapsedTime(began) / interval * workloads.Count);
                var calls = new List<Task>();
                for (; asked < due; asked++)
                {
                    var workload = workloads[(int)(asked % workloads.Count)];
                    calls.Add(ValueAsync(workload));
                    calls.Add(IgnoreStatusAsync(Client.IsActiveAsync(workload).ResponseAsync));
                }

                await Task.WhenAll(calls);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task ListenAsync(ScaledObjectRef workload, Action<bool> heard)
    {
        try
        {
            using var call = Client.StreamIsActive(workload, cancellationToken: _closing.Token);
            while (await call.ResponseStream.MoveNext(_closing.Token))
            {
                heard(call.ResponseStream.Current.Result);
            }
        }
        catch (Exception error) when (error is RpcException or OperationCanceledException)
        {
        }
    }

    private static async Task IgnoreStatusAsync(Task call)
    {
        try
        {
            await call;
        }
        catch (RpcException)
        {
        }
    }
}
