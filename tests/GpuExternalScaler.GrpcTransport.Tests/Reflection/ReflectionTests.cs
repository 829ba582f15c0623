using Google.Protobuf.Reflection;
using GpuExternalScaler.GrpcTransport.Health;
using GpuExternalScaler.GrpcTransport.Reflection;
using GpuExternalScaler.GrpcTransport.Reflection.V1;
using GpuExternalScaler.GrpcTransport.Tests.Server;
using Grpc.Core;
using V1Alpha = GpuExternalScaler.GrpcTransport.Reflection.V1Alpha;

namespace GpuExternalScaler.GrpcTransport.Tests.Reflection;

/// <summary>The questions grpcurl asks for <c>list</c> and <c>describe</c>.</summary>
public sealed class ReflectionTests : IAsyncLifetime
{
    private EchoServer _server = null!;

    public async Task InitializeAsync() => _server = await EchoServer.StartAsync(
        services: services => services.AddGrpcHealth().AddGrpcReflection(),
        map: app =>
        {
            app.MapGrpcHealth();
            app.MapGrpcReflection();
        });

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task Services_are_those_that_are_mapped()
    {
        var response = await AskAsync(new ServerReflectionRequest { ListServices = "*", Host = "h" });

        response.ListServicesResponse.Service.Select(service => service.Name).Should().Equal(
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "test.echo.v1.Echo");
        response.ValidHost.Should().Be("h");
        response.OriginalRequest.ListServices.Should().Be("*");
    }

    [Theory]
    [InlineData("test.echo.v1.Echo", "echo.proto")]
    [InlineData("test.echo.v1.Echo.Unary", "echo.proto")]
    [InlineData("test.echo.v1.EchoRequest", "echo.proto")]
    [InlineData("test.echo.v1.EchoRequest.text", "echo.proto")]
    [InlineData("test.echo.v1.EchoReply.Detail", "echo.proto")]
    [InlineData("test.echo.v1.EchoReply.Detail.tags", "echo.proto")]
    [InlineData("test.echo.v1.Mood", "echo.proto")]
    [InlineData("test.echo.v1.MOOD_FINE", "echo.proto")]
    [InlineData("grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto")]
    [InlineData("grpc.health.v1.HealthCheckResponse.SERVING", "health.proto")]
    [InlineData("grpc.reflection.v1.ServerReflectionRequest.message_request", "reflection_v1.proto")]
    public async Task A_symbol_is_found_in_its_file(string symbol, string fileName)
    {
        var response = await AskAsync(new ServerReflectionRequest { FileContainingSymbol = symbol });

        FilesOf(response)[0].Name.Should().Be(fileName);
    }

    [Fact]
    public async Task A_file_is_found_by_its_name_and_rebuilds()
    {
        var response = await AskAsync(new ServerReflectionRequest { FileByFilename = "echo.proto" });

        var rebuilt = FileDescriptor.BuildFromByteStrings(response.FileDescriptorResponse.FileDescriptorProto);
        rebuilt.Single().Services.Select(service => service.Name).Should().Equal("Echo", "Other");
    }

    [Fact]
    public void A_file_comes_with_all_it_imports_itself_first()
    {
        var descriptor = Google.Protobuf.WellKnownTypes.ApiReflection.Descriptor;

        var names = DescriptorIndex.WithDependencies(descriptor)
            .Select(bytes => FileDescriptorProto.Parser.ParseFrom(bytes).Name).ToArray();

        names[0].Should().Be("google/protobuf/api.proto");
        names.Should().OnlyHaveUniqueItems().And.Contain("google/protobuf/any.proto");
    }

    [Fact]
    public async Task Unknown_names_are_errors_within_a_stream_that_goes_on()
    {
        using var call = new ServerReflection.ServerReflectionClient(_server.Channel).ServerReflectionInfo();
        ServerReflectionRequest[] unknown =
        [
            new() { FileByFilename = "missing.proto" },
            new() { FileContainingSymbol = "no.such.Thing" },
            new() { AllExtensionNumbersOfType = "no.such.Type" },
            new() { FileContainingExtension = new ExtensionRequest { ContainingType = "a.B", ExtensionNumber = 1 } },
        ];
        foreach (var request in unknown)
        {
            await call.RequestStream.WriteAsync(request);
            (await call.ResponseStream.MoveNext().Soon()).Should().BeTrue();
            call.ResponseStream.Current.ErrorResponse.ErrorCode.Should().Be((int)StatusCode.NotFound);
            call.ResponseStream.Current.OriginalRequest.Should().Be(request);
        }

        await call.RequestStream.WriteAsync(new ServerReflectionRequest());
        await call.ResponseStream.MoveNext().Soon();
        call.ResponseStream.Current.ErrorResponse.ErrorCode.Should().Be((int)StatusCode.InvalidArgument);

        await call.RequestStream.CompleteAsync();
        (await call.ResponseStream.MoveNext().Soon()).Should().BeFalse();
        call.GetStatus().StatusCode.Should().Be(StatusCode.OK);
    }

    [Fact]
    public async Task A_known_message_has_no_extensions()
    {
        var response = await AskAsync(new ServerReflectionRequest { AllExtensionNumbersOfType = "test.echo.v1.EchoReply" });

        response.AllExtensionNumbersResponse.BaseTypeName.Should().Be("test.echo.v1.EchoReply");
        response.AllExtensionNumbersResponse.ExtensionNumber.Should().BeEmpty();
    }

    [Fact]
    public async Task V1alpha_answers_the_same()
    {
        using var call = new V1Alpha.ServerReflection.ServerReflectionClient(_server.Channel).ServerReflectionInfo();
        await call.RequestStream.WriteAsync(
            new V1Alpha.ServerReflectionRequest { FileContainingSymbol = "test.echo.v1.Echo" });
        await call.ResponseStream.MoveNext().Soon();

        call.ResponseStream.Current.FileDescriptorResponse.FileDescriptorProto.Should().Equal(
            (await AskAsync(new ServerReflectionRequest { FileContainingSymbol = "test.echo.v1.Echo" }))
            .FileDescriptorResponse.FileDescriptorProto);
    }

    private static List<FileDescriptorProto> FilesOf(ServerReflectionResponse response) =>
        [.. response.FileDescriptorResponse.FileDescriptorProto.Select(FileDescriptorProto.Parser.ParseFrom)];

    private async Task<ServerReflectionResponse> AskAsync(ServerReflectionRequest request)
    {
        using var call = new ServerReflection.ServerReflectionClient(_server.Channel).ServerReflectionInfo();
        await call.RequestStream.WriteAsync(request);
        (await call.ResponseStream.MoveNext().Soon()).Should().BeTrue();
        return call.ResponseStream.Current;
    }
}
