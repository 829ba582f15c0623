using System.Buffers;

namespace Grpc.Core;

/// <summary>Where a marshaller puts a serialised message.</summary>
public abstract class SerializationContext
{
    /// <summary>Hands over a whole message, instead of writing to <see cref="GetBufferWriter"/>.</summary>
    public virtual void Complete(byte[] payload) => throw new NotSupportedException();

    /// <summary>Where the message may be written piece by piece; ended by <see cref="Complete()"/>.</summary>
    public virtual IBufferWriter<byte> GetBufferWriter() => throw new NotSupportedException();

    /// <summary>Announces the message's size in bytes, so that it can be written in one piece.</summary>
    public virtual void SetPayloadLength(int payloadLength) => throw new NotSupportedException();

    /// <summary>Says that everything has been written to <see cref="GetBufferWriter"/>.</summary>
    public virtual void Complete() => throw new NotSupportedException();
}
