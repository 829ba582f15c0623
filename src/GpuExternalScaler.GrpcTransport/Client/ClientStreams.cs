using System.Buffers;
using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>The responses of a call, as its caller reads them.</summary>
internal sealed class ClientStreamReader<TRequest, TResponse>(ClientCall<TRequest, TResponse> call)
    : IAsyncStreamReader<TResponse>
    where TRequest : class
    where TResponse : class
{
    private TResponse? _current;

    public TResponse Current => _current ?? throw new InvalidOperationException("There is no current message.");

    public async Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        using var registration = call.CancelWith(cancellationToken);
        _current = await call.ReadNextAsync();
        return _current is not null;
    }
}

/// <summary>The requests of a call, as its caller writes them.</summary>
internal sealed class ClientStreamWriter<TRequest, TResponse>(
    ClientCall<TRequest, TResponse> call,
    Marshaller<TRequest> marshaller,
    StreamedRequestContent content)
    : IClientStreamWriter<TRequest>
    where TRequest : class
    where TResponse : class
{
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private int _pending;

    public WriteOptions? WriteOptions { get; set; }

    public Task WriteAsync(TRequest message) => WriteAsync(message, CancellationToken.None);

    public async Task WriteAsync(TRequest message, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _pending, 1) == 1)
        {
            throw new InvalidOperationException("A write is pending; only one may be.");
        }

        using var registration = call.CancelWith(cancellationToken);
        try
        {
            _buffer.ResetWrittenCount();
            FrameWriter.Write(_buffer, message, marshaller);
            var stream = await content.Opened.WaitAsync(call.CancellationToken);
            await stream.WriteAsync(_buffer.WrittenMemory, call.CancellationToken);
            await stream.FlushAsync(call.CancellationToken);
        }
        catch (Exception exception) when (exception is not InvalidOperationException)
        {
            throw call.WriteFailed(exception);
        }
        finally
        {
            Volatile.Write(ref _pending, 0);
        }
    }

    public Task CompleteAsync()
    {
        content.Complete();
        return Task.CompletedTask;
    }
}
