using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Observability;

/// <summary>What the probes say.</summary>
internal sealed class ServerHealth(BrokerConnections connections, EvaluationLoop evaluation, ScalerOptions options, MonotonicClock clock, IHostApplicationLifetime lifetime)
{
    // A liveness failure restarts the pod and loses its history: only a loop that will not come back deserves it.
    private TimeSpan HungAfter => TimeSpan.FromSeconds(Math.Max(30, 30 * options.EvaluationInterval.TotalSeconds));

    private readonly DateTimeOffset _startedAt = clock.Now;

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

    /// <summary>Whether calls should be sent here: every broker was swept, or found broken and reported.</summary>
    public bool IsReady => IsLive && evaluation.LastTickAt != default && connections.EachSweptOrReported && !lifetime.ApplicationStopping.IsCancellationRequested;
}
