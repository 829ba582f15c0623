using GpuExternalScaler.Configuration;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Evaluation;

/// <summary>Runs the sweeps of every source in force while the server runs, and of no other.</summary>
internal sealed class SourceRunner(CurrentConfiguration configuration) : IHostedService, IDisposable
{
    private readonly Dictionary<ISource, Run> _running = [];
    private readonly Lock _gate = new();
    private bool _isStopped;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        Follow();
        return Task.CompletedTask;
    }

    /// <summary>
    /// Starts the sources of the configuration in force that do not run, and ends those that are no longer part of it. The
    /// others notice nothing.
    /// </summary>
    public void Follow()
    {
        lock (_gate)
        {
            if (_isStopped)
            {
                return;
            }

            var wanted = configuration.Current.Sources.ToHashSet();
            foreach (var (source, run) in _running)
            {
                if (!wanted.Contains(source))
                {
                    _running.Remove(source);
                    _ = run.DisposeAsync().AsTask();
                }
            }

            foreach (var source in wanted)
            {
                if (!_running.ContainsKey(source))
                {
                    _running.Add(source, new Run(source));
                }
            }
        }
    }

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            _isStopped = true;
            return Task.WhenAll(_running.Values.Select(static run => run.DisposeAsync().AsTask())).WaitAsync(cancellationToken);
        }
    }

    /// <summary>Disposes of sources that were never run.</summary>
    public void Dispose()
    {
        foreach (var source in configuration.Current.Sources)
        {
            source.Dispose();
        }
    }

    /// <summary>One source's sweeps.</summary>
    private sealed class Run : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _sweeping;

        public Run(ISource source) => _sweeping = Task.Run(() => SweepAsync(source, _stop.Token));

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _sweeping;
            _stop.Dispose();
        }

        private static async Task SweepAsync(ISource source, CancellationToken stop)
        {
            using (source)
            {
                try
                {
                    await source.RunAsync(stop);
                }
                catch (OperationCanceledException) when (stop.IsCancellationRequested)
                {
                    // Being ended is no failure.
                }
            }
        }
    }
}
