using GpuExternalScaler.Observability.Exposition;

namespace GpuExternalScaler.Recording;

/// <summary>How recording goes, as metrics tell it.</summary>
internal sealed class RecordingStatus
{
    private static readonly MetricFamily Up = MetricFamily.Gauge("gpu_scaler_recording_up", "1 while decisions are recorded, 0 while they cannot be.");
    private static readonly MetricFamily Written = MetricFamily.Counter("gpu_scaler_recording_written_bytes", "Bytes written to the recording.", "bytes");
    private static readonly MetricFamily Recorded = MetricFamily.Counter("gpu_scaler_recording_steps", "Decisions recorded.");
    private static readonly MetricFamily Dropped = MetricFamily.Counter("gpu_scaler_recording_steps_dropped", "Decisions that were not recorded: the recording was stopped, or the workload's state had not been written yet.");

    private long _written;
    private long _recorded;
    private long _dropped;
    private volatile bool _isUp;

    /// <summary>Whether decisions are recorded.</summary>
    public bool IsUp
    {
        get => _isUp;
        set => _isUp = value;
    }

    /// <summary>Decisions recorded.</summary>
    public long Steps => Interlocked.Read(ref _recorded);

    /// <summary>Decisions that were not.</summary>
    public long DroppedSteps => Interlocked.Read(ref _dropped);

    /// <summary>Bytes written.</summary>
    public long Bytes => Interlocked.Read(ref _written);

    public void Wrote(long bytes) => Interlocked.Add(ref _written, bytes);

    public void Stepped(long recorded, long dropped)
    {
        Interlocked.Add(ref _recorded, recorded);
        Interlocked.Add(ref _dropped, dropped);
    }

    /// <summary>Writes the metrics.</summary>
    public void WriteTo(PrometheusTextWriter writer)
    {
        writer.Begin(Up);
        writer.Sample(IsUp ? 1 : 0);
        writer.Begin(Written);
        writer.Sample(Bytes);
        writer.Begin(Recorded);
        writer.Sample(Steps);
        writer.Begin(Dropped);
        writer.Sample(DroppedSteps);
    }
}
