using System.Text;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>What a metric of a model server says.</summary>
internal enum ModelServerFigure : byte
{
    Waiting,
    Running,
    CacheFill,
}

/// <summary>One metric that is read, from the single table of them: pages and Prometheus results both come through here.</summary>
/// <param name="Name">Metric name.</param>
/// <param name="Kind">Whose it is.</param>
/// <param name="Figure">What it says.</param>
internal sealed record ModelServerMetric(string Name, ModelServerKind Kind, ModelServerFigure Figure)
{
    /// <summary>Every metric that is read (T14).</summary>
    public static IReadOnlyList<ModelServerMetric> All { get; } =
    [
        new("vllm:num_requests_waiting", ModelServerKind.Vllm, ModelServerFigure.Waiting),
        new("vllm:num_requests_running", ModelServerKind.Vllm, ModelServerFigure.Running),
        new("vllm:kv_cache_usage_perc", ModelServerKind.Vllm, ModelServerFigure.CacheFill),
        new("vllm:gpu_cache_usage_perc", ModelServerKind.Vllm, ModelServerFigure.CacheFill),
        new("sglang:num_queue_reqs", ModelServerKind.SgLang, ModelServerFigure.Waiting),
        new("sglang:num_running_reqs", ModelServerKind.SgLang, ModelServerFigure.Running),
        new("sglang:token_usage", ModelServerKind.SgLang, ModelServerFigure.CacheFill),
        new("tgi_queue_size", ModelServerKind.Tgi, ModelServerFigure.Waiting),
        new("tgi_batch_current_size", ModelServerKind.Tgi, ModelServerFigure.Running),
        new("nv_inference_pending_request_count", ModelServerKind.Triton, ModelServerFigure.Waiting),
    ];

    private static readonly (byte[] Name, ModelServerMetric Metric)[] ByName =
        [.. All.Select(static metric => (Encoding.UTF8.GetBytes(metric.Name), metric))];

    /// <summary>The metric of a name, or null if it is not read.</summary>
    public static ModelServerMetric? Find(ReadOnlySpan<byte> name)
    {
        foreach (var (known, metric) in ByName)
        {
            if (name.SequenceEqual(known))
            {
                return metric;
            }
        }

        return null;
    }
}

/// <summary>
/// Labels that tell one series of a pod from another. What is not among them repeats a figure: tensor- and
/// pipeline-parallel ranks of one engine, priorities beside their total (SGLang), a second scrape configuration.
/// </summary>
internal enum ModelServerLabel
{
    Namespace,
    Pod,
    Server,
    Model,
    Version,
    Engine,
    EngineType,
    DataParallelRank,
}

/// <summary>Names of <see cref="ModelServerLabel"/>.</summary>
internal static class ModelServerLabels
{
    /// <summary>
    /// Every label name that is read. <c>pod</c> and <c>namespace</c> are the server's own here: it exports none, so Prometheus
    /// renames nothing.
    /// </summary>
    public static readonly IReadOnlyList<(string Name, int Slot)> Names =
    [
        ("namespace", (int)ModelServerLabel.Namespace),
        ("pod", (int)ModelServerLabel.Pod),
        ("instance", (int)ModelServerLabel.Server),
        ("model_name", (int)ModelServerLabel.Model),
        ("model", (int)ModelServerLabel.Model),
        ("version", (int)ModelServerLabel.Version),
        ("engine", (int)ModelServerLabel.Engine),
        ("engine_type", (int)ModelServerLabel.EngineType),
        ("dp_rank", (int)ModelServerLabel.DataParallelRank),
    ];
}
