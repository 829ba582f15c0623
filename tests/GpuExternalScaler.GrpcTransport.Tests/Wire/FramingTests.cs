using System.Buffers;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.GrpcTransport.Tests.Server;
using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Wire;

public class FramingTests
{
    private static readonly MessageFormat Identity = new(IsGzip: false, MaxMessageBytes: 1 << 20);

    [Fact]
    public void Messages_are_found_however_their_bytes_are_cut_up() =>
        Prop.ForAll(
            ArbMap.Default.ArbFor<byte[][]>(),
            Gen.Choose(1, 7).ToArbitrary(),
            (messages, chunk) =>
            {
                var buffer = InChunks([.. messages.SelectMany(message => Frames.Of(message))], chunk);
                foreach (var message in messages)
                {
                    if (!Framing.TryRead(ref buffer, Identity, out var frame) ||
                        !frame.Payload.ToArray().SequenceEqual(message))
                    {
                        return false;
                    }
                }

                return buffer.IsEmpty && !Framing.TryRead(ref buffer, Identity, out _);
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_message_that_is_not_there_whole_is_waited_for()
    {
        var whole = Frames.Of([1, 2, 3]);
        for (var length = 0; length < whole.Length; length++)
        {
            var buffer = new ReadOnlySequence<byte>(whole, 0, length);
            Framing.TryRead(ref buffer, Identity, out _).Should().BeFalse();
            buffer.Length.Should().Be(length, "nothing was taken");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_written_is_framed_whether_the_length_is_announced_or_not(bool announced)
    {
        var payload = Enumerable.Range(0, 10_000).Select(i => (byte)i).ToArray();
        var marshaller = new Marshaller<byte[]>(
            (bytes, context) =>
            {
                if (announced)
                {
                    context.SetPayloadLength(bytes.Length);
                }

                foreach (var part in bytes.Chunk(99))
                {
                    context.GetBufferWriter().Write(part);
                }

                context.Complete();
            },
            context => context.PayloadAsNewBuffer());
        var target = new ArrayBufferWriter<byte>();

        FrameWriter.Write(target, payload, marshaller);
        FrameWriter.Write(target, [], marshaller);

        target.WrittenSpan.ToArray().Should().Equal([.. Frames.Of(payload), .. Frames.Of([])]);
    }

    [Fact]
    public void Marshallers_of_arrays_work_too()
    {
        var marshaller = Marshallers.Create<byte[]>(bytes => bytes, bytes => bytes);
        var target = new ArrayBufferWriter<byte>();

        FrameWriter.Write(target, [1, 2, 3], marshaller);
        var buffer = new ReadOnlySequence<byte>(target.WrittenMemory);
        Framing.TryRead(ref buffer, Identity, out var frame).Should().BeTrue();

        FramePayload.Read(frame, marshaller, Identity).Should().Equal(1, 2, 3);
    }

    [Fact]
    public void A_gzip_bomb_is_given_up_before_it_fills_memory()
    {
        var bomb = new ReadOnlySequence<byte>(Frames.GzipBomb(megabytes: 512));
        var before = GC.GetAllocatedBytesForCurrentThread();

        var act = () => GzipPayload.Decompress(bomb, maxBytes: 4 << 20);

        act.Should().Throw<RpcException>().Which.StatusCode.Should().Be(StatusCode.ResourceExhausted);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(32 << 20);
    }

    private static ReadOnlySequence<byte> InChunks(byte[] bytes, int size)
    {
        if (bytes.Length == 0)
        {
            return ReadOnlySequence<byte>.Empty;
        }

        Segment? first = null, last = null;
        foreach (var chunk in bytes.Chunk(size))
        {
            last = new Segment(chunk, last);
            first ??= last;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(byte[] bytes, Segment? previous)
        {
            Memory = bytes;
            if (previous is not null)
            {
                RunningIndex = previous.RunningIndex + previous.Memory.Length;
                previous.Next = this;
            }
        }
    }
}
