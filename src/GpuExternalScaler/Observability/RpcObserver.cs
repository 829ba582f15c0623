using System.Collections.Concurrent;
using GpuExternalScaler.GrpcTransport;
using Grpc.Core;

namespace GpuExternalScaler.Observability;

/// <summary>Feeds the transport's calls into metrics.</summary>
internal sealed class RpcObserver(ScalerMetrics metrics) : IGrpcCallObserver
{
    // A handful of methods and seventeen codes: their names are made once, not per call.
    private static readonly string[] Codes = [.. Enum.GetValues<StatusCode>().Select(static code => code.ToString())];
    private readonly ConcurrentDictionary<string, string> _names = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public void CallStarted(string method, MethodType kind)
    {
        if (kind != MethodType.Unary)
        {
            metrics.StreamCount(Name(method), 1);
        }
    }

    /// <inheritdoc/>
    public void CallFinished(string method, MethodType kind, StatusCode statusCode, TimeSpan elapsed)
    {
        var name = Name(method);
        metrics.RpcFinished(name, Codes[(int)statusCode], kind == MethodType.Unary ? elapsed : null);
        if (kind != MethodType.Unary)
        {
            metrics.StreamCount(name, -1);
        }
    }

    /// <summary>The last part of the path: <c>/externalscaler.ExternalScaler/IsActive</c> is <c>IsActive</c>.</summary>
    private string Name(string method) => _names.GetOrAdd(method, static path => path[(path.LastIndexOf('/') + 1)..]);
}
