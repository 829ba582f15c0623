using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.Demo;

/// <summary>What KEDA was told.</summary>
/// <param name="Value">The metric's value, or null when the call failed.</param>
/// <param name="Active">Whether the workload is active; null when nobody asked, or the call failed.</param>
/// <param name="Error">Status and message of the call that failed, or null.</param>
internal sealed record KedaAnswer(double? Value, bool? Active, string? Error);

/// <summary>Asks the server what KEDA asks, over gRPC and one connection, for one trigger of type <c>external-push</c>.</summary>
internal sealed class KedaPoller : IAsyncDisposable
{
    private readonly GrpcChannel _channel;
    private readonly ExternalScaler.ExternalScalerClient _client;
    private readonly ScaledObjectRef _trigger;
    private readonly CancellationTokenSource _closing = new();
    private Task _listening = Task.CompletedTask;
    private string _metricName = "";
    private int _pushed;

    public KedaPoller(Uri server, ScaledObjectRef trigger)
    {
        _channel = GrpcChannel.ForAddress(server);
        _client = new ExternalScaler.ExternalScalerClient(_channel);
        _trigger = trigger;
    }

    /// <summary>The value one replica is worth, from the metric's specification.</summary>
    public double Target { get; private set; }

    /// <summary>Whether a <c>true</c> was pushed since this was last asked.</summary>
    public bool TakePushed() => Interlocked.Exchange(ref _pushed, 0) != 0;

    /// <summary>What KEDA does when a ScaledObject appears: asks for the metric's specification, opens the stream.</summary>
    public async Task BeginAsync(CancellationToken cancellation)
    {
        await AskAsync(
            async () =>
            {
                await ReadSpecAsync(cancellation);
                return new KedaAnswer(null, null, null);
            },
            cancellation);
        _listening = ListenAsync(_closing.Token);
    }

    /// <summary>One turn of KEDA's poll: the value, then whether it is active.</summary>
    public Task<KedaAnswer> PollAsync(CancellationToken cancellation) => AskAsync(
        async () =>
        {
            await ReadSpecAsync(cancellation);
            var value = await ReadValueAsync(cancellation);
            var active = await _client.IsActiveAsync(_trigger, cancellationToken: cancellation);
            return new KedaAnswer(value, active.Result, null);
        },
        cancellation);

    /// <summary>What reaches the server when the HPA asks KEDA for the metric: the specification again, then the value.</summary>
    public Task<KedaAnswer> ReadMetricAsync(CancellationToken cancellation) => AskAsync(
        async () =>
        {
            await ReadSpecAsync(cancellation);
            return new KedaAnswer(await ReadValueAsync(cancellation), null, null);
        },
        cancellation);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _listening;
        _closing.Dispose();
        _channel.Dispose();
    }

    /// <summary>An error is an answer too: KEDA then changes nothing.</summary>
    private static async Task<KedaAnswer> AskAsync(Func<Task<KedaAnswer>> ask, CancellationToken cancellation)
    {
        try
        {
            return await ask();
        }
        catch (RpcException exception)
        {
            // gRPC reports a call that was cancelled as a call that failed.
            cancellation.ThrowIfCancellationRequested();
            return new KedaAnswer(null, null, $"{exception.StatusCode}: {exception.Status.Detail}");
        }
    }

    private async Task ReadSpecAsync(CancellationToken cancellation)
    {
        var spec = (await _client.GetMetricSpecAsync(_trigger, cancellationToken: cancellation)).MetricSpecs.Single();
        _metricName = spec.MetricName;
        Target = spec.TargetSizeFloat > 0 ? spec.TargetSizeFloat : spec.TargetSize;
    }

    private async Task<double> ReadValueAsync(CancellationToken cancellation)
    {
        var request = new GetMetricsRequest { ScaledObjectRef = _trigger, MetricName = _metricName };
        var answer = await _client.GetMetricsAsync(request, cancellationToken: cancellation);

        // As KEDA does: all values are added up, and a float above zero wins over the integer.
        return answer.MetricValues.Sum(static value => value.MetricValueFloat > 0 ? value.MetricValueFloat : value.MetricValue_);
    }

    private async Task ListenAsync(CancellationToken closing)
    {
        try
        {
            using var stream = _client.StreamIsActive(_trigger, cancellationToken: closing);
            while (await stream.ResponseStream.MoveNext(closing))
            {
                if (stream.ResponseStream.Current.Result)
                {
                    Interlocked.Exchange(ref _pushed, 1);
                }
            }
        }
        catch (RpcException)
        {
            // Cancelled at the end, or the server went away: the polls tell.
        }
        catch (OperationCanceledException)
        {
        }
    }
}
