using System.Buffers;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Recording;
using GpuExternalScaler.Scaling.Tests.Deciding;

namespace GpuExternalScaler.Scaling.Tests.Recording;

/// <summary>Records what is stepped through it, as the server does, into memory.</summary>
internal sealed class RecordedRun
{
    private readonly MemoryStream _stream = new();
    private readonly RecordingWriter _writer;
    private readonly Dictionary<WorkloadState, RecordedWorkload> _workloads = new(ReferenceEqualityComparer.Instance);
    private RecordingEncoder _encoder = new("test");

    public RecordedRun()
    {
        _writer = new RecordingWriter(_stream);
        _writer.BeginSegment(_encoder.Header.Span);
    }

    /// <summary>Records every step of what it is given to.</summary>
    public ScalingDecision Step(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now)
    {
        if (!_workloads.TryGetValue(state, out var workload))
        {
            _workloads[state] = workload = _encoder.Begin(new RecordedName("genai", $"w{_workloads.Count}", "t"), state, policy, now);
        }

        var decision = DecisionFold.Step(state, snapshot, policy, now);
        _encoder.Step(workload, snapshot, policy, now, decision);
        return decision;
    }

    public void Interrupt(WorkloadState state, DateTimeOffset now)
    {
        state.Interrupt();
        _encoder.Interrupt(_workloads[state], now);
    }

    /// <summary>What the step of a workload is, when it is not asked to decide but to throw.</summary>
    public void Throw(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
        _encoder.Step(_workloads[state], snapshot, policy, now, null);

    public void End(WorkloadState state, DateTimeOffset now)
    {
        _encoder.End(_workloads[state], now);
        _workloads.Remove(state);
    }

    /// <summary>Writes what was encoded.</summary>
    public void Flush()
    {
        var (bytes, length) = _encoder.Take();
        _writer.Write(bytes.AsSpan(0, length));
        if (bytes.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Begins anew, as after a rotation.</summary>
    public void NextSegment()
    {
        Flush();
        _workloads.Clear();
        _encoder = new RecordingEncoder("test 2");
        _writer.BeginSegment(_encoder.Header.Span);
    }

    public byte[] ToArray()
    {
        Flush();
        return _stream.ToArray();
    }

    /// <summary>A run of several random workloads one after the other.</summary>
    public static byte[] OfRandom(int seed, int workloads = 2, int steps = 60, bool flushes = true)
    {
        var run = new RecordedRun();
        for (var i = 0; i < workloads; i++)
        {
            Walk(seed + i, steps, run.Step, flushes ? run.Flush : null);
        }

        return run.ToArray();
    }

    /// <summary>A random walk, of queues or of everything.</summary>
    public static void Walk(int seed, int steps, Stepper stepper, Action? after = null)
    {
        if (seed % 2 == 0)
        {
            DecisionFoldProperties.Walk(seed, steps, (_, _) => after?.Invoke(), stepper: stepper);
        }
        else
        {
            FleetProperties.Walk(seed, steps, (_, _) => after?.Invoke(), stepper: stepper);
        }
    }
}
