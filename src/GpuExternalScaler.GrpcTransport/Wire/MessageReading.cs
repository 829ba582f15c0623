using System.IO.Pipelines;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>Reads messages off a pipe.</summary>
internal static class MessageReading
{
    /// <summary>
    /// Reads the one message a body must consist of, up to the end of the body. What follows it is refused when its
    /// first byte arrives, so at most one message is ever held.
    /// </summary>
    /// <exception cref="RpcException">No message, more than one, or a malformed one.</exception>
    public static async ValueTask<T> ReadSingleAsync<T>(
        PipeReader pipe,
        Marshaller<T> marshaller,
        MessageFormat format,
        CancellationToken cancellationToken)
        where T : class
    {
        T? message = null;
        while (true)
        {
            var result = await ReadAsync(pipe, cancellationToken);
            var buffer = result.Buffer;
            if (message is null && Framing.TryRead(ref buffer, format, out var frame))
            {
                message = FramePayload.Read(frame, marshaller, format);
            }

            if (message is not null && !buffer.IsEmpty)
            {
                throw WireStatus.SecondMessage();
            }

            if (result.IsCompleted)
            {
                var truncated = !buffer.IsEmpty;
                pipe.AdvanceTo(buffer.End);
                return message ?? throw (truncated ? WireStatus.Truncated() : WireStatus.NoMessage());
            }

            pipe.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    /// <summary>Reads the next message of a stream; null at its end.</summary>
    /// <exception cref="RpcException">The message is malformed.</exception>
    public static async ValueTask<T?> ReadNextAsync<T>(
        PipeReader pipe,
        Marshaller<T> marshaller,
        MessageFormat format,
        CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            var result = await ReadAsync(pipe, cancellationToken);
            var buffer = result.Buffer;
            if (Framing.TryRead(ref buffer, format, out var frame))
            {
                var message = FramePayload.Read(frame, marshaller, format);

                // Examined no further than consumed: the next message may be in the buffer already.
                pipe.AdvanceTo(buffer.Start);
                return message;
            }

            var truncated = !buffer.IsEmpty;
            pipe.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
            {
                return truncated ? throw WireStatus.Truncated() : null;
            }
        }
    }

    private static async ValueTask<ReadResult> ReadAsync(PipeReader pipe, CancellationToken cancellationToken)
    {
        try
        {
            return await pipe.ReadAsync(cancellationToken);
        }
        catch (IOException exception)
        {
            // The body fails a moment before the call's own token fires; both mean that the other side is gone.
            throw WireStatus.PeerReset(exception);
        }
    }
}
