using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>What kube-state-metrics said of every workload in one sweep. Never changes.</summary>
internal sealed class ReplicaTable
{
    private const string Existing = "status_replicas";
    private const string Ready = "status_replicas_ready";
    private const string Maximum = "spec_max_replicas";
    private const double MostReplicas = 1e6;

    /// <summary>The metrics, and the label that has the object's name.</summary>
    public static readonly IReadOnlyList<(string Metric, string Label, string Figure)> Metrics =
    [
        ("kube_deployment_status_replicas", "deployment", Existing),
        ("kube_deployment_status_replicas_ready", "deployment", Ready),
        ("kube_statefulset_status_replicas", "statefulset", Existing),
        ("kube_statefulset_status_replicas_ready", "statefulset", Ready),
        ("kube_horizontalpodautoscaler_spec_max_replicas", "horizontalpodautoscaler", Maximum),
    ];

    private readonly Dictionary<(string Kind, string Figure, string Namespace, string Name), int> _figures = [];
    private readonly DateTimeOffset _sweptAt;
    private readonly TimeSpan _staleAfter;
    private readonly bool _isPartial;

    /// <param name="answers">One for each of <see cref="Metrics"/>.</param>
    /// <param name="staleAfter">Age past which the figures are not believed.</param>
    public ReplicaTable(IReadOnlyList<PrometheusAnswer> answers, TimeSpan staleAfter)
    {
        _staleAfter = staleAfter;
        _sweptAt = answers.Min(static answer => answer.SentAt);
        _isPartial = answers.Any(static answer => answer.Result!.IsPartial);
        foreach (var ((_, label, figure), answer) in Metrics.Zip(answers))
        {
            foreach (var series in answer.Result!.Series)
            {
                // Where Prometheus keeps its own labels, "namespace" is that of kube-state-metrics.
                var @namespace = series.Labels["exported_namespace"] is { Length: > 0 } exported ? exported : series.Labels["namespace"];
                if (series.Labels[label] is { Length: > 0 } name && series.Value is >= 0 and <= MostReplicas)
                {
                    // Two kube-state-metrics may watch one cluster while one replaces the other.
                    var key = (label, figure, @namespace, name);
                    _figures[key] = Math.Max((int)series.Value.Value, _figures.GetValueOrDefault(key));
                }
            }
        }
    }

    /// <summary>Figures there are.</summary>
    public int Count => _figures.Count;

    /// <summary>Whether an answer may have been partial (T19).</summary>
    public bool IsPartial => _isPartial;

    /// <summary>The query for one of <see cref="Metrics"/>, for all workloads at once (T18).</summary>
    public static PromQl QueryOf(string metric, string label) => PromQl.Metric(metric).MaxBy("namespace", label, "exported_namespace");

    /// <summary>The figures of a Deployment, or else of a StatefulSet, and of the HPA that KEDA made for it.</summary>
    public ReplicaReading Of(string @namespace, string target, string scaledObject)
    {
        var kind = Figure("deployment", Existing) is null && Figure("deployment", Ready) is null ? "statefulset" : "deployment";
        var reading = new ReplicaReading
        {
            Existing = Figure(kind, Existing),
            Ready = Figure(kind, Ready),
            Maximum = Find("horizontalpodautoscaler", Maximum, $"keda-hpa-{scaledObject}"),
        };
        var isKnown = reading.Existing is not null || reading.Ready is not null || reading.Maximum is not null;
        return reading with
        {
            Reading = new FleetReading
            {
                Presence = isKnown ? FleetPresence.Present : FleetPresence.NeverSeen,
                ObservedAt = isKnown ? _sweptAt : default,
                StaleAfter = _staleAfter,
                IsPartial = _isPartial,
            },
        };

        int? Figure(string kind, string figure) => Find(kind, figure, target);
        int? Find(string kind, string figure, string name) => _figures.TryGetValue((kind, figure, @namespace, name), out var value) ? value : null;
    }
}
