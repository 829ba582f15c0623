namespace GpuExternalScaler.Evaluation;

/// <summary>Runs every source's sweeps while the server runs.</summary>
internal sealed class SourceRunner(BrokerConnections connections) : BackgroundService
{
    /// <inheritdoc/>
    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(connections.All.Select(connection => Task.Run(() => connection.Source.RunAsync(stoppingToken), stoppingToken)));
}
