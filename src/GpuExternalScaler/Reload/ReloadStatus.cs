using System.Globalization;
using System.Security.Cryptography;
using GpuExternalScaler.Observability.Exposition;

namespace GpuExternalScaler.Reload;

/// <summary>How following the configuration file goes, as metrics tell it.</summary>
internal sealed class ReloadStatus(long hash, DateTimeOffset at)
{
    private static readonly MetricFamily Successful = MetricFamily.Gauge("gpu_scaler_config_last_reload_successful", "1 if the configuration file as it is now is in force, 0 if it was refused and the one before it is.");
    private static readonly MetricFamily SuccessAt = MetricFamily.Gauge("gpu_scaler_config_last_reload_success_timestamp_seconds", "When the configuration in force was taken over, in Unix time.", "seconds");
    private static readonly MetricFamily Hash = MetricFamily.Gauge("gpu_scaler_config_hash", "First 48 bits of the SHA-256 of the configuration file in force.");

    private volatile State _state = new(IsSuccessful: true, hash, at);

    /// <summary>Notes that a file was taken over.</summary>
    public void Succeeded(long newHash, DateTimeOffset now) => _state = new State(IsSuccessful: true, newHash, now);

    /// <summary>Notes that a file was refused.</summary>
    public void Refused() => _state = _state with { IsSuccessful = false };

    /// <summary>Writes the metrics.</summary>
    public void WriteTo(PrometheusTextWriter writer)
    {
        var state = _state;
        writer.Begin(Successful);
        writer.Sample(state.IsSuccessful ? 1 : 0);
        writer.Begin(SuccessAt);
        writer.Sample(state.At.ToUnixTimeMilliseconds() / 1000.0);
        writer.Begin(Hash);
        writer.Sample(state.Hash);
    }

    /// <summary>The number that tells files apart; 48 bits, which a metric's value holds exactly.</summary>
    public static long HashOf(ReadOnlySpan<byte> file)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(file, digest);
        long hash = 0;
        foreach (var part in digest[..6])
        {
            hash = (hash << 8) | part;
        }

        return hash;
    }

    /// <summary>The number as logs show it.</summary>
    public static string TextOf(long hash) => hash.ToString("x12", CultureInfo.InvariantCulture);

    private sealed record State(bool IsSuccessful, long Hash, DateTimeOffset At);
}
