using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Observability;

/// <summary>What the probes say.</summary>
internal sealed class ServerHealth(CurrentConfiguration configuration, EvaluationLoop evaluation, MonotonicClock clock, IHostApplicationLifetime lifetime)
{
    // A liveness failure restarts the pod and loses its history: only a loop that will not come back deserves it.
    private TimeSpan HungAfter => TimeSpan.FromSeconds(Math.Max(30, 30 * configuration.Options.EvaluationInterval.TotalSeconds));

    private readonly DateTimeOffset _startedAt = clock.Now;
    private volatile bool _wasSwept;

    /// <summary>
    /// Whether the process works: its evaluation loop ticks. A broken broker is no reason to restart a server that knows
    /// what was before it broke.
    /// </summary>
    public bool IsLive
    {
        get
        {
            var lastTick = evaluation.LastTickAt > _startedAt ? evaluation.LastTickAt : _startedAt;
            return clock.Now - lastTick <= HungAfter;
        }
    }

    /// <summary>
    /// Whether calls should be sent here: every source was swept once, or found broken and reported. One that is configured
    /// later is its workloads' business: the others must not lose their Service's only endpoint for it.
    /// </summary>
    public bool IsReady => IsLive && evaluation.LastTickAt != default && WasSwept && !lifetime.ApplicationStopping.IsCancellationRequested;

    private bool WasSwept => _wasSwept || (_wasSwept = configuration.Current.EachSweptOrReported);
}
