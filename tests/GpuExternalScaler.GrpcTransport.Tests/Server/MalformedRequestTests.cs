using System.Net;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>Each kind of broken request gets a clear status, and the connection lives on.</summary>
public sealed class MalformedRequestTests : IAsyncLifetime
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private const string ServerStream = "/test.echo.v1.Echo/ServerStream";
    private const string Duplex = "/test.echo.v1.Echo/Duplex";

    private EchoServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await EchoServer.StartAsync(options: options => options.MaxReceiveMessageSize = 1000);

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Theory]
    [InlineData(Unary)]
    [InlineData(ServerStream)]
    public async Task Empty_body_is_INTERNAL(string method) =>
        await ExpectAsync(method, [], StatusCode.Internal, "missing");

    [Fact]
    public async Task Empty_body_of_a_stream_of_requests_is_an_empty_stream() =>
        (await _server.PostAsync(Duplex, [])).GrpcStatus.Should().Be(0);

    [Theory]
    [InlineData(Unary, 1)]
    [InlineData(Unary, 4)]
    [InlineData(Unary, 6)]
    [InlineData(ServerStream, 6)]
    [InlineData(Duplex, 6)]
    public async Task Truncated_message_is_INTERNAL(string method, int bytes) =>
        await ExpectAsync(
            method, Frames.Of(new EchoRequest { Text = "hello" })[..bytes], StatusCode.Internal, "incomplete");

    [Theory]
    [InlineData(Unary)]
    [InlineData(ServerStream)]
    public async Task Second_message_where_one_is_expected_is_INTERNAL(string method)
    {
        var frame = Frames.Of(new EchoRequest { Text = "hello" });

        await ExpectAsync(method, [.. frame, .. frame], StatusCode.Internal, "more than one");
    }

    [Theory]
    [InlineData(Unary)]
    [InlineData(ServerStream)]
    [InlineData(Duplex)]
    public async Task Bytes_that_are_no_message_are_INTERNAL_as_in_grpc_go(string method) =>
        await ExpectAsync(method, Frames.Of([0xFF, 0xFF, 0xFF, 0xFF]), StatusCode.Internal, "parsed");

    [Fact]
    public async Task Text_that_is_no_UTF8_does_no_harm()
    {
        var reply = await _server.PostAsync(Unary, Frames.Of([0x0A, 0x02, 0xC3, 0x28]));

        reply.GrpcStatus.Should().BeOneOf((int)StatusCode.OK, (int)StatusCode.Internal);
        await ServerLivesOnAsync();
    }

    [Theory]
    [InlineData(1001u)]
    [InlineData(0x7FFFFFFFu)]
    [InlineData(0x80000000u)]
    [InlineData(0xFFFFFFFFu)]
    public async Task Length_over_the_limit_is_refused_from_the_prefix_alone(uint length)
    {
        // The body stays open: nothing but the five bytes of the prefix ever arrives.
        var body = new StreamedRequestContent();
        var reply = _server.PostAsync(Unary, body);
        var stream = await body.Opened.Soon();
        await stream.WriteAsync(Frames.Prefix(0, length));
        await stream.FlushAsync();

        var refused = await reply.Soon();
        body.Complete();

        refused.GrpcStatus.Should().Be((int)StatusCode.ResourceExhausted);
        refused.GrpcMessage.Should().Contain("1000");
        refused.IsTrailersOnly.Should().BeTrue();
        await ServerLivesOnAsync();
    }

    [Fact]
    public async Task Message_of_exactly_the_limit_is_accepted()
    {
        var request = new EchoRequest { Text = new string('x', 997) };
        request.CalculateSize().Should().Be(1000);

        (await _server.Client.UnaryAsync(request)).Text.Should().Be(request.Text);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0xFF)]
    public async Task Unknown_compression_flag_is_INTERNAL(byte flag) =>
        await ExpectAsync(Unary, Frames.Of([], flag), StatusCode.Internal, "flag");

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("S")]
    [InlineData("-1S")]
    [InlineData("+1S")]
    [InlineData("1.5S")]
    [InlineData("1s")]
    [InlineData("123456789S")]
    [InlineData("1 S")]
    public async Task Malformed_timeout_is_INTERNAL_as_in_grpc_go(string timeout) =>
        await ExpectAsync(
            Unary, Frames.Of(new EchoRequest()), StatusCode.Internal, "grpc-timeout", ("grpc-timeout", timeout));

    [Fact]
    public async Task Message_of_a_stream_after_good_ones_may_be_broken()
    {
        var reply = await _server.PostAsync(
            Duplex, [.. Frames.Of(new EchoRequest { Text = "good" }), .. Frames.Prefix(0, uint.MaxValue)]);

        reply.Body.Should().Equal(Frames.Of(new EchoReply { Text = "good" }), "the good one was answered");
        reply.Trailers["grpc-status"].Should().Equal("8");
        await ServerLivesOnAsync();
    }

    private async Task ExpectAsync(
        string method, byte[] body, StatusCode status, string message, params (string, string)[] headers)
    {
        var reply = await _server.PostAsync(method, body, headers);

        reply.HttpStatus.Should().Be(HttpStatusCode.OK);
        reply.GrpcStatus.Should().Be((int)status);
        reply.GrpcMessage.Should().Contain(message);
        reply.IsTrailersOnly.Should().BeTrue();
        _server.Log.Errors.Should().BeEmpty("a caller's mistake is no error of the server's");
        await ServerLivesOnAsync();
    }

    private async Task ServerLivesOnAsync()
    {
        var reply = await _server.PostAsync(Unary, Frames.Of(new EchoRequest { Text = "still there" }));
        reply.Body.Should().Equal(Frames.Of(new EchoReply { Text = "still there" }));
        reply.Trailers["grpc-status"].Should().Equal("0");
    }
}
