using GpuExternalScaler.GrpcTransport.Health;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Observability;

/// <summary>Tells the gRPC health service what the HTTP probes say.</summary>
internal sealed class HealthPublisher(ServerHealth health, HealthStatusBoard board, MonotonicClock clock) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock.TimeProvider);
        do
        {
            board.Set("liveness", State(health.IsLive));
            board.Set("readiness", State(health.IsReady));
            board.Set(HealthStatusBoard.WholeServer, State(health.IsReady));
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private static ServingState State(bool healthy) => healthy ? ServingState.Serving : ServingState.NotServing;
}
