using System.Net;
using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>What is a gRPC call, and what becomes of everything else.</summary>
public class AdmissionTests
{
    private const string Unary = "/test.echo.v1.Echo/Unary";
    private static readonly byte[] Request = Frames.Of(new EchoRequest { Text = "hi" });

    [Theory]
    [InlineData("application/grpc")]
    [InlineData("application/grpc+proto")]
    [InlineData("application/grpc; charset=utf-8")]
    [InlineData("application/grpc+proto;a=b")]
    [InlineData("Application/GRPC")]
    public async Task Content_types_of_gRPC_are_accepted(string contentType)
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(Unary, Request, ("content-type", contentType));

        reply.GrpcStatus.Should().Be(0);
        reply.Headers["content-type"].Should().Equal("application/grpc");
    }

    [Theory]
    [InlineData("application/json")]
    [InlineData("application/grpc-web")]
    [InlineData("application/grpc-web+proto")]
    [InlineData("application/grpc+json")]
    [InlineData("application/grpcfoo")]
    [InlineData("text/plain")]
    public async Task Any_other_content_type_is_HTTP_415(string contentType)
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(Unary, Request, ("content-type", contentType));

        reply.HttpStatus.Should().Be(HttpStatusCode.UnsupportedMediaType);
        server.Observer.Started.Should().Be(0, "it is no gRPC call");
    }

    [Fact]
    public async Task No_content_type_is_HTTP_415()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(Unary, (HttpContent?)null);

        reply.HttpStatus.Should().Be(HttpStatusCode.UnsupportedMediaType);
    }

    [Theory]
    [InlineData("GET")]
    [InlineData("PUT")]
    [InlineData("OPTIONS")]
    public async Task Any_other_method_than_POST_is_HTTP_405(string verb)
    {
        await using var server = await EchoServer.StartAsync();
        using var request = server.NewRequest(new HttpMethod(verb), Unary, new ByteArrayContent(Request));

        var reply = await server.SendAsync(request);

        reply.HttpStatus.Should().Be(HttpStatusCode.MethodNotAllowed);
        reply.Headers["allow"].Should().Equal("POST");
    }

    [Fact]
    public async Task HTTP_1_is_told_to_upgrade()
    {
        await using var server = await EchoServer.StartAsync(protocols: HttpProtocols.Http1);
        using var request = server.NewRequest(HttpMethod.Post, Unary, new ByteArrayContent(Request));
        request.Version = HttpVersion.Version11;

        var reply = await server.SendAsync(request);

        reply.HttpStatus.Should().Be(HttpStatusCode.UpgradeRequired);
    }

    [Theory]
    [InlineData("/test.echo.v1.Echo/Missing")]
    [InlineData("/no.such.Service/Unary")]
    [InlineData("/one")]
    [InlineData("/a/b/c")]
    public async Task Unknown_method_is_UNIMPLEMENTED_by_name(string path)
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync(path, Request);

        reply.HttpStatus.Should().Be(HttpStatusCode.OK);
        reply.IsTrailersOnly.Should().BeTrue();
        reply.GrpcStatus.Should().Be((int)StatusCode.Unimplemented);
        reply.GrpcMessage.Should().Contain(path);
    }

    [Fact]
    public async Task Unknown_methods_share_one_name_in_metrics()
    {
        // Else a caller could make a series for each name it can think of.
        await using var server = await EchoServer.StartAsync();

        await server.PostAsync("/a.B/C", Request);
        await server.PostAsync("/d.E/F", Request);

        await Eventually.BecomesTrue(() => server.Observer.Finished.Count == 2, "both calls are over");
        server.Observer.Finished.Should().OnlyContain(call =>
            call.Method == IGrpcCallObserver.UnknownMethod && call.StatusCode == StatusCode.Unimplemented);
    }

    [Fact]
    public async Task A_path_that_needs_escapes_is_named_in_a_valid_header()
    {
        await using var server = await EchoServer.StartAsync();

        var reply = await server.PostAsync("/gr%C3%BC%0A%25/x", Request);

        reply.GrpcStatus.Should().Be((int)StatusCode.Unimplemented);
        reply.GrpcMessage.Should().Contain("/grü\n%/x");
    }

    [Fact]
    public async Task Pages_on_the_same_port_keep_their_own_answers()
    {
        await using var server = await EchoServer.StartAsync(map: app => app.MapGet("/page", () => "text"));

        using var page = server.NewRequest(HttpMethod.Get, "/page", null);
        using var missing = server.NewRequest(HttpMethod.Get, "/missing", null);

        (await server.SendAsync(page)).Body.Should().Equal("text"u8.ToArray());
        (await server.SendAsync(missing)).HttpStatus.Should().Be(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task Client_sees_UNIMPLEMENTED_for_a_method_the_service_does_not_override()
    {
        await using var server = await EchoServer.StartAsync(map: app => app.MapGrpcService<NothingOverridden>());
        var client = new Other.OtherClient(server.Channel);

        var act = async () => await client.CallAsync(new EchoRequest());

        (await act.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.Unimplemented);
    }

    private sealed class NothingOverridden : Other.OtherBase;
}
