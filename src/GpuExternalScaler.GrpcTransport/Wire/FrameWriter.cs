using System.Buffers;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Wire;

/// <summary>
/// Serialises a message, behind its length prefix, straight into memory of the target. The target is advanced only
/// when the message is complete, so a message that fails to serialise leaves no half of itself on the wire and its
/// call can still end with a status.
/// </summary>
internal sealed class FrameWriter : SerializationContext, IBufferWriter<byte>
{
    private const int UnknownLengthHint = 512;

    // Serialising is synchronous, so one writer a thread is enough; null while it is in use.
    [ThreadStatic]
    private static FrameWriter? _idle;

    private IBufferWriter<byte>? _target;
    private Memory<byte> _memory;
    private byte[]? _rented;
    private int _position;
    private bool _completed;

    public static void Write<T>(IBufferWriter<byte> target, T message, Marshaller<T> marshaller)
    {
        var writer = _idle ?? new FrameWriter();
        _idle = null;
        writer._target = target;
        try
        {
            marshaller.ContextualSerializer(message, writer);
            if (!writer._completed)
            {
                throw new InvalidOperationException("The serialiser did not complete its message.");
            }
        }
        finally
        {
            writer.Reset();
            _idle = writer;
        }
    }

    public override void SetPayloadLength(int payloadLength)
    {
        if (_position == 0)
        {
            Start(payloadLength);
        }
    }

    public override IBufferWriter<byte> GetBufferWriter()
    {
        if (_position == 0)
        {
            Start(UnknownLengthHint);
        }

        return this;
    }

    public override void Complete(byte[] payload)
    {
        ArgumentNullException.ThrowIfNull(payload);
        SetPayloadLength(payload.Length);
        this.Write(payload.AsSpan());
        Complete();
    }

    public override void Complete()
    {
        if (_completed)
        {
            throw new InvalidOperationException("The message is complete already.");
        }

        GetBufferWriter();
        Framing.WritePrefix(_memory.Span, _position - Framing.PrefixBytes);
        if (_rented is null)
        {
            _target!.Advance(_position);
        }
        else
        {
            _target!.Write(_memory.Span[.._position]);
        }

        _completed = true;
    }

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _memory.Length - _position);
        _position += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        var needed = Math.Max(sizeHint, 1);
        if (_memory.Length - _position < needed)
        {
            Grow(needed);
        }

        return _memory[_position..];
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    private void Start(int payloadBytes)
    {
        _memory = _target!.GetMemory(Framing.PrefixBytes + payloadBytes);
        _position = Framing.PrefixBytes;
    }

    // Only a marshaller that does not announce the length, or announces too little, gets here.
    private void Grow(int needed)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_memory.Length * 2, _position + needed));
        _memory.Span[.._position].CopyTo(larger);
        ReturnRented();
        _rented = larger;
        _memory = larger;
    }

    private void Reset()
    {
        ReturnRented();
        _target = null;
        _memory = default;
        _position = 0;
        _completed = false;
    }

    private void ReturnRented()
    {
        if (_rented is not null)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = null;
        }
    }
}
