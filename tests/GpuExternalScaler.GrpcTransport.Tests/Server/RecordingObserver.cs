using System.Collections.Concurrent;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>Keeps what the transport reports of its calls.</summary>
internal sealed class RecordingObserver : IGrpcCallObserver
{
    private readonly ConcurrentQueue<FinishedCall> _finished = new();
    private int _started;

    public int Started => Volatile.Read(ref _started);

    public IReadOnlyCollection<FinishedCall> Finished => _finished;

    public void CallStarted(string method, MethodType kind) => Interlocked.Increment(ref _started);

    public void CallFinished(string method, MethodType kind, StatusCode statusCode, TimeSpan elapsed) =>
        _finished.Enqueue(new FinishedCall(method, kind, statusCode, elapsed));
}

internal sealed record FinishedCall(string Method, MethodType Kind, StatusCode StatusCode, TimeSpan Elapsed);
