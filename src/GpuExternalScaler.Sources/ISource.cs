namespace GpuExternalScaler.Sources;

/// <summary>Something that is read by sweeps: a broker, exporters, model servers, a Prometheus.</summary>
public interface ISource : IDisposable
{
    /// <summary>Sweeps until cancelled, at once and then at fixed intervals. No fault of what is read ends it.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task RunAsync(CancellationToken cancellationToken);
}
