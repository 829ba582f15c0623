using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>Makes sources, which contact nobody before <see cref="SourceRunner"/> runs them.</summary>
internal sealed class SourceFactory(MonotonicClock clock, Action<SweepOutcome> onSweep)
{
    /// <summary>A source of its own for a connection.</summary>
    public RabbitMqSource Open(RabbitMqConnectionOptions connection) => new(connection, clock, onSweep);
}
