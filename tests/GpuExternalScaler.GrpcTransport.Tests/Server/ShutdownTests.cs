using GpuExternalScaler.GrpcTransport.Health;
using GpuExternalScaler.GrpcTransport.Health.V1;
using GpuExternalScaler.GrpcTransport.Reflection;
using GpuExternalScaler.GrpcTransport.Reflection.V1;
using Grpc.Core;
using HealthClient = GpuExternalScaler.GrpcTransport.Health.V1.Health.HealthClient;

namespace GpuExternalScaler.GrpcTransport.Tests.Server;

/// <summary>K6: KEDA resets its back-off only on a clean end.</summary>
public class ShutdownTests
{
    [Fact]
    public async Task K6_Open_Watch_and_reflection_streams_end_with_OK_and_the_server_stops()
    {
        await using var server = await EchoServer.StartAsync(
            services: services => services.AddGrpcHealth().AddGrpcReflection(),
            map: app =>
            {
                app.MapGrpcHealth();
                app.MapGrpcReflection();
            });
        using var watch = new HealthClient(server.Channel).Watch(new HealthCheckRequest());
        using var reflection = new ServerReflection.ServerReflectionClient(server.Channel).ServerReflectionInfo();
        await watch.ResponseStream.MoveNext().Soon();
        await reflection.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" });
        await reflection.ResponseStream.MoveNext().Soon();

        var stopped = server.StopAsync();

        (await watch.ResponseStream.MoveNext().Soon()).Should().BeFalse();
        watch.GetStatus().StatusCode.Should().Be(StatusCode.OK);
        (await reflection.ResponseStream.MoveNext().Soon()).Should().BeFalse();
        reflection.GetStatus().StatusCode.Should().Be(StatusCode.OK);
        await stopped.Soon();
        server.Log.Errors.Should().BeEmpty();
    }
}
