using GpuExternalScaler.Configuration;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Reload;

/// <summary>Something that follows files while the server runs.</summary>
internal interface IReloadable
{
    /// <summary>Looks at the files once and takes over what has settled. Reports what is wrong with them, and does not throw.</summary>
    Task LookAsync(CancellationToken cancellation);
}

/// <summary>
/// Has every follower of files look twice in a reload interval: a change is seen by the first look and has settled by the
/// second.
/// </summary>
internal sealed class ReloadLoop(CurrentConfiguration configuration, IEnumerable<IReloadable> followers, MonotonicClock clock, ILogger<ReloadLoop> logger) : BackgroundService
{
    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(configuration.Options.ReloadInterval / 2, clock.TimeProvider, stoppingToken);
                foreach (var follower in followers)
                {
                    await LookAsync(follower, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Being stopped is no failure.
        }
    }

    private async Task LookAsync(IReloadable follower, CancellationToken cancellation)
    {
#pragma warning disable CA1031 // A defect of one must not keep the others from following their files, nor end the server.
        try
        {
            await follower.LookAsync(cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception exception)
        {
            logger.ReloadFailed(exception, follower.GetType().Name);
        }
#pragma warning restore CA1031
    }
}
