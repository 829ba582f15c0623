using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>Makes sources, which contact nobody before <see cref="SourceRunner"/> runs them.</summary>
internal sealed class SourceFactory(MonotonicClock clock, Action<SweepOutcome> onSweep, Action<FleetSweep> onFleetSweep)
{
    /// <summary>A source of its own for a connection.</summary>
    public RabbitMqSource Open(RabbitMqConnectionOptions connection) => new(connection, clock, onSweep);

    /// <summary>The same of a Prometheus.</summary>
    public PrometheusSource Open(PrometheusConnectionOptions connection) => new(connection, clock, onFleetSweep);

    /// <summary>The same of this program's own past, read through a Prometheus.</summary>
    public HistorySource OpenHistory(PrometheusClient through) => new(through, clock, onFleetSweep);

    /// <summary>The same of accelerator exporters, read through a Prometheus where one is given.</summary>
    public GpuSource Open(GpuConnectionOptions connection, PrometheusClient? through) => new(connection, clock, through, onFleetSweep);

    /// <summary>The same of model servers, read through a Prometheus where one is given.</summary>
    public ModelServerSource Open(ModelServerConnectionOptions connection, PrometheusClient? through) => new(connection, clock, through, onFleetSweep);
}
