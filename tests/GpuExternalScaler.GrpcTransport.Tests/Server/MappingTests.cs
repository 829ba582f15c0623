using GpuExternalScaler.GrpcTransport.Tests.Protocol;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Options;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

public class MappingTests
{
    [Fact]
    public void Mapping_without_registration_says_what_to_call()
    {
        var app = WebApplication.CreateSlimBuilder().Build();

        var act = () => app.MapGrpcService<ScriptedEcho>();

        act.Should().Throw<InvalidOperationException>().WithMessage("*AddGrpcTransport*");
    }

    [Fact]
    public void A_type_without_a_generated_base_is_refused()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddGrpcTransport();
        var app = builder.Build();

        var act = () => app.MapGrpcService<MappingTests>();

        act.Should().Throw<InvalidOperationException>().WithMessage("*protoc*");
    }

    [Fact]
    public void A_service_needs_no_registration_of_its_own()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddGrpcTransport();
        var app = builder.Build();

        app.MapGrpcService<ScriptedEcho>().Should().NotBeNull();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_limit_that_lets_nothing_in_is_refused(int limit)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddGrpcTransport(options => options.MaxReceiveMessageSize = limit);
        var app = builder.Build();

        var act = () => app.MapGrpcService<ScriptedEcho>();

        act.Should().Throw<OptionsValidationException>();
    }

    [Fact]
    public async Task Generated_service_definitions_bind_the_same_methods()
    {
        await using var server = await EchoServer.StartAsync();
        var binder = new CountingBinder();

        Echo.BindService(new ScriptedEcho()).BindService(binder);

        binder.Methods.Should().Equal(
            "/test.echo.v1.Echo/Unary",
            "/test.echo.v1.Echo/ServerStream",
            "/test.echo.v1.Echo/ClientStream",
            "/test.echo.v1.Echo/Duplex");
    }
}
