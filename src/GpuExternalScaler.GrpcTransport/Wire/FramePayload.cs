using System.Buffers;
using Google.Protobuf;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>Hands the payload of a frame to a deserialiser where it lies, decompressing it first if need be.</summary>
internal sealed class FramePayload : DeserializationContext
{
    // Deserialising is synchronous, so one context a thread is enough; null while it is in use.
    [ThreadStatic]
    private static FramePayload? _idle;

    private ReadOnlySequence<byte> _payload;

    public override int PayloadLength => (int)_payload.Length;

    /// <exception cref="RpcException">The payload cannot be decompressed or is no message of the type.</exception>
    public static T Read<T>(Frame frame, Marshaller<T> marshaller, MessageFormat format)
    {
        if (!frame.IsCompressed)
        {
            return Deserialise(frame.Payload, marshaller);
        }

        using var decompressed = GzipPayload.Decompress(frame.Payload, format.MaxMessageBytes);
        return Deserialise(new ReadOnlySequence<byte>(decompressed.Memory), marshaller);
    }

    public override byte[] PayloadAsNewBuffer() => _payload.ToArray();

    public override ReadOnlySequence<byte> PayloadAsReadOnlySequence() => _payload;

    private static T Deserialise<T>(ReadOnlySequence<byte> payload, Marshaller<T> marshaller)
    {
        var context = _idle ?? new FramePayload();
        _idle = null;
        context._payload = payload;
        try
        {
            return marshaller.ContextualDeserializer(context);
        }
        catch (InvalidProtocolBufferException exception)
        {
            throw WireStatus.Unparsable(exception);
        }
        finally
        {
            context._payload = default;
            _idle = context;
        }
    }
}
