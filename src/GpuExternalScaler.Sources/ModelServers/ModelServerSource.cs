using System.Net;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>
/// Reads the model servers of one connection for every workload at once (T14), through Prometheus or directly. Run
/// <see cref="RunAsync"/> once; read <see cref="Current"/> from anywhere.
/// </summary>
public sealed class ModelServerSource : ISource
{
    private readonly MonotonicClock _clock;
    private readonly Action<FleetSweep>? _onSweep;
    private readonly ModelServerPages? _pages;
    private readonly TimeSpan _interval;
    private readonly Func<ModelServerFleet, CancellationToken, Task<(ModelServerFleet Fleet, FleetSweep Sweep)>> _sweep;
    private volatile ModelServerFleet _current;

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="options">The connection.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="prometheus">The Prometheus that the connection names, whose interval then counts; null when read directly.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    /// <exception cref="ArgumentException">The connection names a Prometheus and there is none, or the other way round.</exception>
    public ModelServerSource(
        ModelServerConnectionOptions options, MonotonicClock clock, PrometheusClient? prometheus, Action<FleetSweep>? onSweep = null)
        : this(options, clock, prometheus, onSweep, Dns.GetHostAddressesAsync)
    {
    }

    internal ModelServerSource(
        ModelServerConnectionOptions options,
        MonotonicClock clock,
        PrometheusClient? prometheus,
        Action<FleetSweep>? onSweep,
        Func<string, CancellationToken, Task<IPAddress[]>> resolve)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        if (options.Prometheus is null != prometheus is null)
        {
            throw new ArgumentException("A connection is read either through a Prometheus or directly.", nameof(prometheus));
        }

        Options = options;
        _clock = clock;
        _onSweep = onSweep;
        if (prometheus is null)
        {
            _pages = new ModelServerPages(options, clock, resolve);
            _sweep = _pages.SweepAsync;
        }
        else
        {
            _sweep = new ModelServerQueries(options, clock, prometheus).SweepAsync;
        }

        _interval = prometheus?.Options.Interval ?? options.Interval;
        _current = new ModelServerFleet([], []) { IsDirect = prometheus is null };
    }

    /// <summary>The connection this source reads.</summary>
    public ModelServerConnectionOptions Options { get; }

    /// <summary>The newest readings; replaced as a whole by each sweep, never null.</summary>
    public ModelServerFleet Current => _current;

    /// <summary>
    /// Sweeps until cancelled, at once and then at fixed intervals. Faults end up in <see cref="Current"/> and never end the loop.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(_interval, _clock.TimeProvider);
        do
        {
            var sweep = await SweepAsync(cancellationToken);
#pragma warning disable CA1031 // A listener's defect must not blind the source.
            try
            {
                _onSweep?.Invoke(sweep);
            }
            catch (Exception e)
            {
                _ = Defect(_clock.Now, e);
            }
#pragma warning restore CA1031
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <inheritdoc/>
    public void Dispose() => _pages?.Dispose();

    /// <summary>Reads everything once. Defects of this program become faults too.</summary>
    internal async Task<FleetSweep> SweepAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        try
        {
            var (fleet, sweep) = await _sweep(_current, cancellationToken);
            _current = fleet;
            return sweep;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // A source that stops reading would never tell why.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return Defect(startedAt, e);
        }
    }

    private FleetSweep Defect(DateTimeOffset startedAt, Exception exception)
    {
        var before = _current.Fault;
        var fault = new SourceFault(SourceReason.Unexpected, "", new ModelServerFaultSentences(Options).DescribeDefect(exception), _clock.Now);
        _current = _current.After(FaultRuns.Continue(before, fault));
        return new FleetSweep
        {
            Connection = Options.Name,
            Source = FleetSource.ModelServers,
            StartedAt = startedAt,
            Duration = _clock.Now - startedAt,
            Faults = [_current.Fault!],
        };
    }
}
