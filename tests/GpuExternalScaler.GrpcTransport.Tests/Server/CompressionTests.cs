using Google.Protobuf;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

public sealed class CompressionTests : IAsyncLifetime
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private static readonly byte[] Payload = new EchoRequest { Text = "compress me" }.ToByteArray();

    private EchoServer _server = null!;

    public async Task InitializeAsync() => _server = await EchoServer.StartAsync();

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task Gzip_is_understood()
    {
        var reply = await _server.PostAsync(Unary, Frames.Of(Frames.Gzip(Payload), flag: 1), ("grpc-encoding", "gzip"));

        reply.GrpcStatus.Should().Be(0);
        reply.Body.Should().Equal(Frames.Of(new EchoReply { Text = "compress me" }));
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("identity")]
    public async Task A_message_may_be_left_uncompressed(string encoding)
    {
        var reply = await _server.PostAsync(Unary, Frames.Of(Payload), ("grpc-encoding", encoding));

        reply.GrpcStatus.Should().Be(0);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1F8B0800000000000003030000000000" + "00000000")]
    public async Task An_empty_message_may_be_compressed(string hex)
    {
        // .NET makes no bytes at all of it, others a header and a trailer.
        var payload = Convert.FromHexString(hex);

        var reply = await _server.PostAsync(Unary, Frames.Of(payload, flag: 1), ("grpc-encoding", "gzip"));

        reply.GrpcStatus.Should().Be(0);
    }

    [Theory]
    [InlineData("deflate")]
    [InlineData("snappy")]
    [InlineData("gzip, identity")]
    public async Task Unknown_encoding_is_UNIMPLEMENTED_and_told_what_is_known(string encoding)
    {
        var reply = await _server.PostAsync(Unary, Frames.Of(Payload), ("grpc-encoding", encoding));

        reply.GrpcStatus.Should().Be((int)StatusCode.Unimplemented);
        reply.Headers["grpc-accept-encoding"].Should().Equal("identity,gzip");
        reply.IsTrailersOnly.Should().BeTrue();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("identity")]
    public async Task Compressed_flag_without_an_encoding_is_INTERNAL(string? encoding)
    {
        (string, string)[] headers = encoding is null ? [] : [("grpc-encoding", encoding)];

        var reply = await _server.PostAsync(Unary, Frames.Of(Frames.Gzip(Payload), flag: 1), headers);

        reply.GrpcStatus.Should().Be((int)StatusCode.Internal);
        reply.GrpcMessage.Should().Contain("grpc-encoding");
    }

    [Fact]
    public async Task What_is_no_gzip_is_INTERNAL()
    {
        var reply = await _server.PostAsync(Unary, Frames.Of(Payload, flag: 1), ("grpc-encoding", "gzip"));

        reply.GrpcStatus.Should().Be((int)StatusCode.Internal);
    }

    [Fact]
    public async Task Gzip_that_breaks_off_is_INTERNAL()
    {
        // Random, so that there is enough of it to break off in the middle.
        var random = new byte[5000];
        new Random(1).NextBytes(random);
        var payload = new EchoRequest { Text = Convert.ToHexString(random) }.ToByteArray();

        var reply = await _server.PostAsync(Unary, Frames.Of(Frames.Gzip(payload)[..2000], flag: 1), ("grpc-encoding", "gzip"));

        reply.GrpcStatus.Should().Be((int)StatusCode.Internal);
    }

    [Fact]
    public async Task Gzip_bomb_is_RESOURCE_EXHAUSTED()
    {
        // 256 MiB in about 1 MiB: within the limit as received, 64 times over it decompressed.
        var reply = await _server.PostAsync(Unary, Frames.Of(Frames.GzipBomb(256), flag: 1), ("grpc-encoding", "gzip"));

        reply.GrpcStatus.Should().Be((int)StatusCode.ResourceExhausted);
        (await _server.Client.UnaryAsync(new EchoRequest { Text = "x" })).Text.Should().Be("x");
    }
}
