namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>Which model server a pod runs.</summary>
public enum ModelServerKind : byte
{
    /// <summary>vLLM.</summary>
    Vllm,

    /// <summary>SGLang.</summary>
    SgLang,

    /// <summary>Hugging Face's Text Generation Inference.</summary>
    Tgi,

    /// <summary>NVIDIA Triton.</summary>
    Triton,
}

/// <summary>What the model server of one pod says of itself (T14). Missing is not zero.</summary>
public sealed record ModelServerPod
{
    /// <summary>The pod's namespace.</summary>
    public required string Namespace { get; init; }

    /// <summary>The pod.</summary>
    public required string Pod { get; init; }

    /// <summary>
    /// The server. Where one runs inside another (vLLM in Triton), the inner one: both would count the same requests.
    /// </summary>
    public ModelServerKind Kind { get; init; }

    /// <summary>Requests waiting, over all models and engines of the pod.</summary>
    public double? Waiting { get; init; }

    /// <summary>Requests being worked on, over all models and engines of the pod. Triton does not tell.</summary>
    public double? Running { get; init; }

    /// <summary>Fill of the key-value cache, 0 to 1: the fullest engine's. TGI and Triton do not tell.</summary>
    public double? CacheFill { get; init; }

    /// <summary>When the figures were sampled: the oldest of them.</summary>
    public DateTimeOffset SampledAt { get; init; }
}

/// <summary>What the model servers of one source said in one sweep.</summary>
public sealed record ModelServerSweep
{
    /// <summary>The pods, sorted by namespace and name.</summary>
    public IReadOnlyList<ModelServerPod> Pods { get; init; } = [];

    /// <summary>Whether there was more than a reader takes, so that pods may be missing.</summary>
    public bool IsOverfull { get; init; }

    /// <summary>What was left out, and why.</summary>
    public IReadOnlyList<RefusedSamples> Refused { get; init; } = [];
}
