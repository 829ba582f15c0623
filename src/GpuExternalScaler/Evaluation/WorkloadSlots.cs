using System.Security.Cryptography;
using System.Text;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Evaluation;

/// <summary>What a workload's history belongs to, and the short name of that in its series. Never changes.</summary>
internal sealed class WorkloadSlots
{
    /// <param name="key">Its queues, and what counts as a busy slot of theirs.</param>
    public WorkloadSlots(HistoryKey key)
    {
        Key = key;

        // Lengths keep "a" + "bc" apart from "ab" + "c".
        var text = $"{key.Connection.Length}:{key.Connection}{key.Vhost.Length}:{key.Vhost}{key.Queues.Length}:{key.Queues}{key.Concurrency}";
        Id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)).AsSpan(0, 6));
        Labels = LabelSet.Of((OwnSeries.Slots, Id));
    }

    /// <summary>Its queues, and what counts as a busy slot of theirs.</summary>
    public HistoryKey Key { get; }

    /// <summary>The same for the same queues and slots, in every run of the program.</summary>
    public string Id { get; }

    /// <summary>The label with it.</summary>
    public LabelSet Labels { get; }
}
