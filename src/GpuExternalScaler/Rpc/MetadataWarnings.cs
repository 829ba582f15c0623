using System.Collections.Concurrent;
using GpuExternalScaler.Observability;

namespace GpuExternalScaler.Rpc;

/// <summary>Names keys that mean nothing, once for each trigger (K9, K11). Bounded: names come from outside.</summary>
internal sealed class MetadataWarnings(ILogger<MetadataWarnings> logger)
{
    private const int Remembered = 10_000;
    private const int LongestKey = 64;
    private const int MostKeys = 16;
    private readonly ConcurrentDictionary<(string Namespace, string Name, string Keys), bool> _reported = new();

    /// <summary>Logs what is odd about a trigger's metadata, if it was not logged before.</summary>
    public void Report(TriggerMetadata trigger)
    {
        if (trigger.UnknownKeys.Count == 0)
        {
            return;
        }

        var keys = string.Join(", ", trigger.UnknownKeys.Take(MostKeys).Select(Printable));
        if (_reported.Count >= Remembered || !_reported.TryAdd((trigger.Namespace, trigger.Name, keys), true))
        {
            return;
        }

        if (trigger.UnknownKeys.Contains("metricType", StringComparer.Ordinal))
        {
            logger.MetricTypeInMetadata(trigger.Namespace, trigger.Name);
        }

        logger.UnknownKeys(trigger.Namespace, trigger.Name, keys);
    }

    // A key is not a value, but it comes from outside all the same: no control characters, no novels.
    private static string Printable(string key) =>
        string.Concat(key.Take(LongestKey).Select(static c => char.IsControl(c) ? '?' : c));
}
