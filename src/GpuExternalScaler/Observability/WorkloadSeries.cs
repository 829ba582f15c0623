using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Forecasting;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Observability;

/// <summary>
/// The series of workloads and connections, written from what is published. A figure that is not known has no sample:
/// missing is not zero.
/// </summary>
internal sealed class WorkloadSeries(WorkloadRegistry registry, CurrentConfiguration configuration, EvaluationLoop evaluation, MonotonicClock clock)
{
    private static readonly MetricFamily Workloads = MetricFamily.Gauge("gpu_scaler_workloads", "Workloads registered.");
    private static readonly MetricFamily EvaluationAge = MetricFamily.Gauge("gpu_scaler_evaluation_age_seconds", "Time since every workload was last evaluated.", "seconds");
    private static readonly MetricFamily EvaluationDuration = MetricFamily.Gauge("gpu_scaler_evaluation_duration_seconds", "Time the newest evaluation of every workload took.", "seconds");
    private static readonly MetricFamily SourceUp = MetricFamily.Gauge("gpu_scaler_source_up", "1 if the connection's newest sweeps were without fault, else 0.");
    private static readonly MetricFamily SourceAge = MetricFamily.Gauge("gpu_scaler_source_age_seconds", "Time since a sweep of the connection last succeeded.", "seconds");
    private static readonly MetricFamily SourceEndpoint = MetricFamily.Gauge("gpu_scaler_source_endpoint", "1 for the endpoint that serves a kind of figure now; none where nobody does.");
    private static readonly MetricFamily SourceQueues = MetricFamily.Gauge("gpu_scaler_source_queues", "Queues known on the connection.");

    private static readonly MetricFamily FleetSourceUp = MetricFamily.Gauge("gpu_scaler_fleet_source_up", "1 if the newest sweep of exporters or model servers was without fault, else 0.");
    private static readonly MetricFamily FleetSourceAge = MetricFamily.Gauge("gpu_scaler_fleet_source_age_seconds", "Time since such a sweep last succeeded.", "seconds");
    private static readonly MetricFamily FleetSourceRows = MetricFamily.Gauge("gpu_scaler_fleet_source_rows", "Accelerators, or pods of model servers, that it found.");

    private static readonly MetricFamily Forecasting = MetricFamily.Gauge("gpu_scaler_workload_forecaster", "1 for whose forecast is used; no sample while nothing is forecast.");

    private static readonly MetricFamily Reason = MetricFamily.Gauge("gpu_scaler_workload_reason", "1 for the reason of the newest decision.");

    // Families outside, workloads inside: a family's samples must stay together.
    private static readonly (MetricFamily Family, Figure Value)[] OfDecisions =
    [
        (MetricFamily.Gauge("gpu_scaler_workload_decided", "1 if there is an answer, 0 if it is Unavailable."), static (in d, _) => d.IsDecided ? 1 : 0),
        (MetricFamily.Gauge("gpu_scaler_workload_decision_age_seconds", "Time since the newest decision.", "seconds"), static (in d, now) => (now - d.DecidedAt).TotalSeconds),
    ];

    private static readonly (MetricFamily Family, Figure Value)[] OfAnswers =
    [
        (MetricFamily.Gauge("gpu_scaler_workload_replicas_needed", "Replicas needed, as a real number; KEDA is told 100 times this."), static (in d, _) => d.Replicas),
        (MetricFamily.Gauge("gpu_scaler_workload_active", "1 if the workload is active, else 0."), static (in d, _) => d.IsActive ? 1 : 0),
        (MetricFamily.Gauge("gpu_scaler_workload_saturation_replicas", "Replicas asked for by busy consumers."), static (in d, _) => OfQueues(in d, d.SaturationReplicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_load_replicas", "Replicas asked for by arrivals times service time."), static (in d, _) => OfQueues(in d, d.LoadReplicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_backlog_replicas", "Replicas asked for by what waits."), static (in d, _) => OfQueues(in d, d.BacklogReplicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_messages_ready", "Messages ready, over all queues of the workload."), static (in d, _) => OfQueues(in d, d.Ready)),
        (MetricFamily.Gauge("gpu_scaler_workload_messages_unacked", "Messages unacknowledged, likewise."), static (in d, _) => Known(in d, QueueGauges.Unacked, d.Unacked)),
        (MetricFamily.Gauge("gpu_scaler_workload_consumers", "Consumers, likewise."), static (in d, _) => Known(in d, QueueGauges.Consumers, d.Consumers)),
        (MetricFamily.Gauge("gpu_scaler_workload_saturation_ratio", "Busy slots divided by slots.", "ratio"), static (in d, _) => Known(in d, QueueGauges.Unacked | QueueGauges.Consumers, d.Saturation)),
        (MetricFamily.Gauge(OwnSeries.Arrivals, "Messages arriving; no sample when not known."), static (in d, _) => d.ArrivalsPerSecond),
        (MetricFamily.Gauge("gpu_scaler_workload_completions_per_second", "Messages done; no sample when not known."), static (in d, _) => d.CompletionsPerSecond),
        (MetricFamily.Gauge("gpu_scaler_workload_service_time_seconds", "Work in one message; no sample when not known.", "seconds"), static (in d, _) => d.ServiceTimeSeconds),
        (MetricFamily.Gauge("gpu_scaler_workload_cold_start_seconds", "Time from asking for a replica to its first message that is reckoned with.", "seconds"), static (in d, _) => OfQueues(in d, d.ColdStart.TotalSeconds)),
        (MetricFamily.Gauge(OwnSeries.MeasuredColdStart, "The same as it was measured (P90 of the newest watches); read again after a restart.", "seconds"), static (in d, _) => d.Forecast.MeasuredColdStartSeconds > 0 ? d.Forecast.MeasuredColdStartSeconds : null),
        (MetricFamily.Gauge("gpu_scaler_workload_cold_start_watches", "Watches behind that measure."), static (in d, _) => d.Forecast.ColdStartWatches > 0 ? d.Forecast.ColdStartWatches : null),
        (MetricFamily.Gauge("gpu_scaler_workload_reactive_replicas", "Replicas asked for by its queues without any forecast."), static (in d, _) => OfQueues(in d, d.Forecast.ReactiveReplicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_forecast_arrivals_per_second", "Messages arriving at the end of the cold start that are not exceeded with the policy's probability; no sample while nothing is forecast."), static (in d, _) => OfForecast(in d, d.Forecast.ArrivalsPerSecond)),
        (MetricFamily.Gauge("gpu_scaler_workload_forecast_replicas", "Replicas asked for by offered load and backlog then."), static (in d, _) => OfForecast(in d, d.Forecast.Replicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_forecast_coverage_ratio", "Share of the time in which what arrived stayed at or under what had been forecast.", "ratio"), static (in d, _) => d.Forecast.Scored > 0 ? d.Forecast.Coverage : null),
        (MetricFamily.Gauge("gpu_scaler_workload_forecasts_scored", "Forecasts that have been held against what came."), static (in d, _) => d.Forecast.Scored > 0 ? d.Forecast.Scored : null),
        (MetricFamily.Gauge("gpu_scaler_workload_pending_replicas", "Replicas asked for that are not there yet and are counted on."), static (in d, _) => OfQueues(in d, d.Forecast.PendingReplicas)),
        (MetricFamily.Gauge("gpu_scaler_workload_without_capacity", "1 if more was asked for than came within three cold starts and no maximum is known to be the cause, else 0."), static (in d, _) => d.Forecast.IsWithoutCapacity ? 1 : 0),
        (MetricFamily.Gauge("gpu_scaler_workload_scheduled_replicas", "Replicas its schedule demands; no sample while it demands none."), static (in d, _) => d.Forecast.ScheduledReplicas > 0 ? d.Forecast.ScheduledReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_warm_replicas", "Spare replicas in the answer; no sample for none."), static (in d, _) => d.Forecast.WarmReplicas > 0 ? d.Forecast.WarmReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_ledger_replica_seconds", "Time of replicas that forecasts have cost so far, in a model of the HPA and the cold start; below zero: saved. Begins anew at a start.", "seconds"), static (in d, _) => OfLedger(in d, d.Forecast.ReplicaSecondsAdded)),
        (MetricFamily.Gauge("gpu_scaler_workload_ledger_wait_avoided_seconds", "Time of waiting, added up over messages, that they have avoided there.", "seconds"), static (in d, _) => OfLedger(in d, d.Forecast.WaitSecondsAvoided)),
        (MetricFamily.Gauge("gpu_scaler_workload_replicas", "Replicas there are, as far as known: of kube-state-metrics, pods seen, or consumers; for workloads with signals besides queues."), static (in d, _) => d.Fleet.ExistingSource == ReplicaSource.Unknown ? null : d.Fleet.Existing),
        (MetricFamily.Gauge("gpu_scaler_workload_replicas_maximum", "Most replicas its ScaledObject allows; no sample when not known."), static (in d, _) => d.Fleet.Maximum > 0 ? d.Fleet.Maximum : null),
        (MetricFamily.Gauge("gpu_scaler_workload_vram_replicas", "Replicas asked for by VRAM headroom; no sample while VRAM does not count."), static (in d, _) => d.Fleet.Vram == VramStanding.Counts ? d.Fleet.VramReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_vram_used_ratio", "Share of the VRAM of its accelerators that is in use.", "ratio"), static (in d, _) => d.Fleet.Pods > 0 ? d.Fleet.VramUsed : null),
        (MetricFamily.Gauge("gpu_scaler_workload_vram_fullest_ratio", "The same of its fullest accelerator.", "ratio"), static (in d, _) => d.Fleet.Pods > 0 ? d.Fleet.VramFullest : null),
        (MetricFamily.Gauge("gpu_scaler_workload_vram_base_ratio", "Share of VRAM that is held without load; no sample while not known.", "ratio"), static (in d, _) => d.Fleet.VramBase > 0 ? d.Fleet.VramBase : null),
        (MetricFamily.Gauge("gpu_scaler_workload_vram_pods", "Pods seen with accelerators."), static (in d, _) => d.Fleet.Pods > 0 ? d.Fleet.Pods : null),
        (MetricFamily.Gauge("gpu_scaler_workload_requests_waiting", "Requests waiting in its model servers."), static (in d, _) => d.Fleet.HasRequests ? d.Fleet.RequestsWaiting : null),
        (MetricFamily.Gauge("gpu_scaler_workload_requests_running", "Requests running in its model servers."), static (in d, _) => d.Fleet.HasRequests ? d.Fleet.RequestsRunning : null),
        (MetricFamily.Gauge("gpu_scaler_workload_request_replicas", "Replicas asked for by requests in its model servers."), static (in d, _) => d.Fleet.HasRequests ? d.Fleet.RequestReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_cache_fill_ratio", "Mean fill of the key-value caches of its model servers.", "ratio"), static (in d, _) => d.Fleet.HasCache ? d.Fleet.CacheFill : null),
        (MetricFamily.Gauge("gpu_scaler_workload_cache_replicas", "Replicas asked for by that fill."), static (in d, _) => d.Fleet.HasCache ? d.Fleet.CacheReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_latency_seconds", "What its latencyQuery gives; no sample without traffic.", "seconds"), static (in d, _) => d.Fleet.LatencySeconds > 0 ? d.Fleet.LatencySeconds : null),
        (MetricFamily.Gauge("gpu_scaler_workload_latency_replicas", "Replicas asked for by that latency."), static (in d, _) => d.Fleet.LatencySeconds > 0 ? d.Fleet.LatencyReplicas : null),
        (MetricFamily.Gauge("gpu_scaler_workload_query_replicas", "Replicas its query asks for."), static (in d, _) => d.Fleet.HasQuery ? d.Fleet.QueryReplicas : null),
    ];

    private static readonly MetricFamily MeasuredServiceTime = MetricFamily.Gauge(OwnSeries.MeasuredServiceTime, "Work in one message where it was measured, for the queues and concurrency that slots stands for; read again after a restart.", "seconds");

    private static readonly MetricFamily Shares = MetricFamily.Gauge("gpu_scaler_workload_queue_shares", "Sum of the shares of all workloads on its most shared queue; above 1 counts demand more than once.");

    private static readonly MetricFamily Shadow = MetricFamily.Gauge("gpu_scaler_workload_shadow", "1 for a workload that is evaluated because the configuration names its queue, and that no ScaledObject asks about.");

    /// <summary>Writes all of it.</summary>
    public void WriteTo(PrometheusTextWriter writer)
    {
        var now = clock.Now;
        writer.Begin(Workloads);
        writer.Sample(registry.Count);
        if (evaluation.LastTickAt != default)
        {
            writer.Begin(EvaluationAge);
            writer.Sample(Math.Max(0, (now - evaluation.LastTickAt).TotalSeconds));
            writer.Begin(EvaluationDuration);
            writer.Sample(evaluation.LastTickDuration.TotalSeconds);
        }

        WriteConnections(writer, now);
        WriteFleetSources(writer, now);

        var published = new List<(Workload Workload, PublishedDecision Decision)>(registry.Count);
        foreach (var workload in registry.All)
        {
            if (workload is { Published: { } newest, Problem: null })
            {
                published.Add((workload, newest));
            }
        }

        foreach (var (family, value) in OfDecisions)
        {
            Write(writer, family, value, published, now);
        }

        var answers = published.FindAll(static item => item.Decision.Decision.IsDecided);
        foreach (var (family, value) in OfAnswers)
        {
            Write(writer, family, value, answers, now);
        }

        writer.Begin(MeasuredServiceTime);
        foreach (var (workload, decision) in answers)
        {
            if (workload.Slots is { } slots && decision.Decision is { ServiceTimeSource: ServiceTimeSource.Measured, ServiceTimeSeconds: { } measured })
            {
                writer.Sample(measured, workload.Labels, slots.Labels);
            }
        }

        writer.Begin(Shares);
        foreach (var (workload, _) in published)
        {
            if (workload.Evaluation is { QueueShares: > 0 and var shares })
            {
                writer.Sample(shares, workload.Labels);
            }
        }

        writer.Begin(Shadow);
        foreach (var (workload, _) in published)
        {
            if (workload.IsShadow)
            {
                writer.Sample(1, workload.Labels);
            }
        }

        writer.Begin(Forecasting);
        foreach (var (workload, decision) in answers)
        {
            if (decision.Decision.Forecast.Forecaster is not Forecaster.None and var forecaster)
            {
                writer.Sample(1, workload.Labels, ForecasterLabels[(int)forecaster]);
            }
        }

        writer.Begin(Reason);
        foreach (var (workload, decision) in published)
        {
            writer.Sample(1, workload.Labels, ReasonLabels[(int)decision.Decision.Reason]);
        }
    }

    private static readonly LabelSet[] ReasonLabels =
        [.. DecisionReasons.All.Select(static reason => LabelSet.Of(new MetricLabel("reason", reason.Code())))];

    private static readonly LabelSet[] ForecasterLabels =
        [.. Enum.GetValues<Forecaster>().Select(static forecaster => LabelSet.Of(new MetricLabel("forecaster", forecaster.Code())))];

    private static void Write(
        PrometheusTextWriter writer, MetricFamily family, Figure value, List<(Workload Workload, PublishedDecision Decision)> published, DateTimeOffset now)
    {
        writer.Begin(family);
        foreach (var (workload, decision) in published)
        {
            if (value(in decision.Decision, now) is { } known)
            {
                writer.Sample(known, workload.Labels);
            }
        }
    }

    private void WriteConnections(PrometheusTextWriter writer, DateTimeOffset now)
    {
        var all = configuration.Current.Brokers.All.Select(static connection => (connection.Source.Current, Label: new MetricLabel("connection", connection.Name))).ToList();
        writer.Begin(SourceUp);
        foreach (var (current, label) in all)
        {
            writer.Sample(current.HasSwept && current.Fault is null ? 1 : 0, label);
        }

        writer.Begin(SourceAge);
        foreach (var (current, label) in all)
        {
            if (current.HasSwept)
            {
                writer.Sample((now - current.LastSuccessAt).TotalSeconds, label);
            }
        }

        writer.Begin(SourceEndpoint);
        foreach (var (current, label) in all)
        {
            var choice = current.Choice;
            writer.Sample(1, label, ("what", "gauges"), ("endpoint", ScalerMetrics.EndpointName(choice.Gauges)));
            writer.Sample(1, label, ("what", "consumers"), ("endpoint", ScalerMetrics.EndpointName(choice.Consumers)));
            writer.Sample(1, label, ("what", "counters"), ("endpoint", ScalerMetrics.EndpointName(choice.Counters)));
            writer.Sample(1, label, ("what", "prefetch"), ("endpoint", ScalerMetrics.EndpointName(choice.Prefetch)));
        }

        writer.Begin(SourceQueues);
        foreach (var (current, label) in all)
        {
            writer.Sample(current.Count, label);
        }
    }

    private void WriteFleetSources(PrometheusTextWriter writer, DateTimeOffset now)
    {
        var connections = configuration.Current.Fleet;
        List<FleetRow> all =
        [
            .. connections.Gpus.Select(static named => Of(named.Name, named.Source.Current)),
            .. connections.ModelServers.Select(static named => Of(named.Name, named.Source.Current)),
        ];
        if (all.Count == 0)
        {
            return;
        }

        writer.Begin(FleetSourceUp);
        foreach (var source in all)
        {
            writer.Sample(source is { HasSwept: true, Fault: null } ? 1 : 0, source.Connection, source.Source);
        }

        writer.Begin(FleetSourceAge);
        foreach (var source in all.Where(static source => source.HasSwept))
        {
            writer.Sample((now - source.SweptAt).TotalSeconds, source.Connection, source.Source);
        }

        writer.Begin(FleetSourceRows);
        foreach (var source in all.Where(static source => source.HasSwept))
        {
            writer.Sample(source.Rows, source.Connection, source.Source);
        }
    }

    private static FleetRow Of(string connection, AcceleratorFleet current) =>
        new(new("connection", connection), new("source", "gpu"), current.HasSwept, current.SweptAt, current.Fault, current.Devices);

    private static FleetRow Of(string connection, ModelServerFleet current) =>
        new(new("connection", connection), new("source", "model_servers"), current.HasSwept, current.SweptAt, current.Fault, current.Pods.Length);

    private static double? Known(in ScalingDecision decision, QueueGauges gauges, double value) =>
        decision.Queues > 0 && (decision.Missing & gauges) == QueueGauges.None ? value : null;

    private static double? OfQueues(in ScalingDecision decision, double value) => decision.Queues > 0 ? value : null;

    // Of one reading, which the next sweep may replace meanwhile.
    private readonly record struct FleetRow(MetricLabel Connection, MetricLabel Source, bool HasSwept, DateTimeOffset SweptAt, SourceFault? Fault, int Rows);

    private static double? OfForecast(in ScalingDecision decision, double value) => decision.Forecast.Forecaster == Forecaster.None ? null : value;

    // Where nothing was ever forecast there is no account of it.
    private static double? OfLedger(in ScalingDecision decision, double value) => decision.Forecast.Scored > 0 || value != 0 ? value : null;

    private delegate double? Figure(in ScalingDecision decision, DateTimeOffset now);
}
