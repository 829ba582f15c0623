using GpuExternalScaler.GrpcTransport.Health;
using GpuExternalScaler.GrpcTransport.Health.V1;
using GpuExternalScaler.GrpcTransport.Tests.Server;
using Grpc.Core;
using Microsoft.Extensions.DependencyInjection;
using static GpuExternalScaler.GrpcTransport.Health.V1.HealthCheckResponse.Types;
using HealthClient = GpuExternalScaler.GrpcTransport.Health.V1.Health.HealthClient;

namespace GpuExternalScaler.GrpcTransport.Tests.Health;

public sealed class HealthTests : IAsyncLifetime
{
    private const string Service = "externalscaler.ExternalScaler";

    private EchoServer _server = null!;
    private HealthStatusBoard _board = null!;
    private HealthClient _client = null!;

    public async Task InitializeAsync()
    {
        _server = await EchoServer.StartAsync(
            services: services => services.AddGrpcHealth(), map: app => app.MapGrpcHealth());
        _board = _server.Services.GetRequiredService<HealthStatusBoard>();
        _client = new(_server.Channel);
    }

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Theory]
    [InlineData(ServingState.Serving, ServingStatus.Serving)]
    [InlineData(ServingState.NotServing, ServingStatus.NotServing)]
    [InlineData(ServingState.Unknown, ServingStatus.Unknown)]
    public async Task Check_tells_the_state(ServingState state, ServingStatus expected)
    {
        _board.Set(Service, state);

        (await CheckAsync(Service)).Should().Be(expected);
    }

    [Fact]
    public async Task Whole_server_is_known_from_the_start_and_unknown_until_set()
    {
        (await CheckAsync("")).Should().Be(ServingStatus.Unknown);
        _board.Set(HealthStatusBoard.WholeServer, ServingState.Serving);
        (await CheckAsync("")).Should().Be(ServingStatus.Serving);
    }

    [Fact]
    public async Task Check_of_an_unknown_name_is_NOT_FOUND()
    {
        var act = () => CheckAsync("no.such.Service");

        (await act.Should().ThrowAsync<RpcException>()).Which.StatusCode.Should().Be(StatusCode.NotFound);
    }

    [Fact]
    public async Task All_services_can_be_set_at_once()
    {
        _board.Set(Service, ServingState.Serving);
        _board.SetAll(ServingState.NotServing);

        (await CheckAsync(Service)).Should().Be(ServingStatus.NotServing);
        (await CheckAsync("")).Should().Be(ServingStatus.NotServing);
    }

    [Fact]
    public async Task Watch_sends_the_state_at_once_and_each_change()
    {
        _board.Set(Service, ServingState.NotServing);
        using var watch = _client.Watch(new HealthCheckRequest { Service = Service });

        (await NextAsync(watch)).Should().Be(ServingStatus.NotServing);
        _board.Set(Service, ServingState.Serving);
        (await NextAsync(watch)).Should().Be(ServingStatus.Serving);
    }

    [Fact]
    public async Task Watch_of_an_unknown_name_says_so_and_stays_open()
    {
        using var watch = _client.Watch(new HealthCheckRequest { Service = Service });

        (await NextAsync(watch)).Should().Be(ServingStatus.ServiceUnknown);
        _board.Set(Service, ServingState.Serving);
        (await NextAsync(watch)).Should().Be(ServingStatus.Serving);
    }

    [Fact]
    public async Task Watch_is_silent_about_other_services_and_about_no_change()
    {
        _board.Set(Service, ServingState.Serving);
        using var watch = _client.Watch(new HealthCheckRequest { Service = Service });
        await NextAsync(watch);

        _board.Set("other", ServingState.Serving);
        _board.Set(Service, ServingState.Serving);
        _board.Set(Service, ServingState.NotServing);

        (await NextAsync(watch)).Should().Be(ServingStatus.NotServing);
    }

    [Fact]
    public async Task A_watcher_that_lags_gets_the_newest_state()
    {
        using var watch = _client.Watch(new HealthCheckRequest { Service = Service });
        await NextAsync(watch);
        for (var i = 0; i < 1000; i++)
        {
            _board.Set(Service, i % 2 == 0 ? ServingState.Serving : ServingState.NotServing);
        }

        var received = 0;
        var last = ServingStatus.Unknown;
        _board.Set(Service, ServingState.Unknown);
        do
        {
            last = await NextAsync(watch);
            received++;
        }
        while (last != ServingStatus.Unknown);

        received.Should().BeLessThanOrEqualTo(1001, "states may be skipped but never made up");
    }

    [Fact]
    public async Task K24_A_cancelled_watch_is_freed()
    {
        var watch = _client.Watch(new HealthCheckRequest());
        await NextAsync(watch);
        watch.Dispose();

        await Eventually.BecomesTrue(() => _server.Observer.Finished.Count == 1, "the call is over");
        _server.Observer.Finished.Single().StatusCode.Should().Be(StatusCode.Cancelled);
    }

    private async Task<ServingStatus> CheckAsync(string service) =>
        (await _client.CheckAsync(new HealthCheckRequest { Service = service })).Status;

    private static async Task<ServingStatus> NextAsync(AsyncServerStreamingCall<HealthCheckResponse> watch)
    {
        (await watch.ResponseStream.MoveNext().Soon()).Should().BeTrue();
        return watch.ResponseStream.Current.Status;
    }
}
