using System.Runtime.InteropServices;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>One workload in one segment of a recording. Of its encoder alone.</summary>
public sealed class RecordedWorkload
{
    internal RecordedWorkload(StepRows rows, ScalingPolicy policy)
    {
        Rows = rows;
        Policy = policy;
    }

    internal StepRows Rows { get; }

    internal ScalingPolicy Policy { get; set; }

    internal ulong Check { get; set; }
}

/// <summary>
/// Makes bytes of one segment of a recording: what <see cref="DecisionFold.Step"/> saw and said, workload by workload. Does no I/O:
/// whoever steps may call it, and somebody else writes the bytes (<see cref="RecordingWriter"/>). Not safe for concurrent use.
/// </summary>
public sealed class RecordingEncoder
{
    private readonly RecordBuffer _buffer = new();
    private readonly RecordBuffer _image = new();
    private readonly RecordBuffer _policyImage = new();
    private readonly ImageWriter _states;
    private readonly ImageWriter _policies;
    private readonly StepEncoder _steps;
    private readonly TypeNode _state = TypeNode.Of(typeof(WorkloadState));
    private readonly TypeNode _policy = TypeNode.Of(typeof(ScalingPolicy));
    private readonly long[] _figures = new long[Rows<SnapshotFigures>.Width];
    private readonly long[] _decision = new long[Rows<ScalingDecision>.Width];
    private readonly RowList _queues = new();
    private readonly RowList _pods = new();

    /// <summary>A new segment.</summary>
    /// <param name="product">The version of the program, for people.</param>
    public RecordingEncoder(string product)
    {
        ArgumentNullException.ThrowIfNull(product);
        var schema = RecordingSchema.Now(product);
        schema.Write(_buffer);
        Header = _buffer.Written.ToArray();
        _buffer.Clear();
        _steps = new StepEncoder(schema, _buffer);
        _states = new ImageWriter(_image);
        _policies = new ImageWriter(_policyImage);
    }

    /// <summary>What the segment begins with.</summary>
    public ReadOnlyMemory<byte> Header { get; }

    /// <summary>Bytes that wait to be taken.</summary>
    public int Waiting => _buffer.Length;

    /// <summary>Begins with a workload. To be called before its first step in this segment.</summary>
    public RecordedWorkload Begin(RecordedName name, WorkloadState state, ScalingPolicy policy, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(state);
        ArgumentNullException.ThrowIfNull(policy);
        _image.Clear();
        _states.Write(state, _state, now.UtcTicks);
        return new RecordedWorkload(_steps.Begin(name, _image.Written, ImageOf(policy), now.UtcTicks), policy);
    }

    /// <summary>Writes a step.</summary>
    /// <param name="workload">Whose step it is.</param>
    /// <param name="snapshot">What the step saw.</param>
    /// <param name="policy">The policy it went by.</param>
    /// <param name="now">Its moment.</param>
    /// <param name="decision">What it came to; null when it threw.</param>
    public void Step(RecordedWorkload workload, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now, in ScalingDecision? decision)
    {
        ArgumentNullException.ThrowIfNull(workload);
        ArgumentNullException.ThrowIfNull(policy);
        if (!ReferenceEquals(policy, workload.Policy) && policy != workload.Policy)
        {
            _steps.Policy(workload.Rows, ImageOf(policy), now.UtcTicks);
        }

        workload.Policy = policy;
        var figures = SnapshotFigures.Of(snapshot);
        Rows<SnapshotFigures>.Type.Read(ref figures, ref MemoryMarshal.GetArrayDataReference(_figures));
        var queues = Fill(_queues, snapshot.Queues);
        var pods = Fill(_pods, snapshot.Pods);
        if (decision is not { } decided)
        {
            _steps.Step(workload.Rows, now.UtcTicks, _figures, queues, pods, 0, 0, null, threw: true);
            return;
        }

        Rows<ScalingDecision>.Type.Read(ref decided, ref MemoryMarshal.GetArrayDataReference(_decision));
        workload.Check = DecisionCheck.Next(workload.Check, _decision);
        _steps.Step(workload.Rows, now.UtcTicks, _figures, queues, pods, decided.Value, ((long)decided.Reason << 1) | (decided.IsActive ? 1L : 0), DecisionCheck.Short(workload.Check), threw: false);
    }

    /// <summary>Writes that <see cref="WorkloadState.Interrupt"/> was called.</summary>
    public void Interrupt(RecordedWorkload workload, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(workload);
        _steps.Interrupt(workload.Rows, now.UtcTicks);
    }

    /// <summary>Writes that nothing more of a workload follows in this segment.</summary>
    public void End(RecordedWorkload workload, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(workload);
        _steps.End(workload.Rows, now.UtcTicks);
    }

    /// <summary>
    /// Hands over what was encoded since the last time, for <see cref="RecordingWriter.Write"/>. The array belongs to the caller,
    /// and is one of <see cref="System.Buffers.ArrayPool{T}.Shared"/>.
    /// </summary>
    public (byte[] Bytes, int Length) Take() => _buffer.Take();

    private ReadOnlySpan<byte> ImageOf(ScalingPolicy policy)
    {
        _policyImage.Clear();
        _policies.Write(policy, _policy, anchor: 0);
        return _policyImage.Written;
    }

    private static ReadOnlySpan<long> Fill<T>(RowList rows, ReadOnlySpan<T> values)
        where T : struct
    {
        var cells = rows.Resize(values.Length, Rows<T>.Width);
        for (var i = 0; i < values.Length; i++)
        {
            Rows<T>.Type.Read(ref System.Runtime.CompilerServices.Unsafe.AsRef(in values[i]), ref cells[i * Rows<T>.Width]);
        }

        return cells;
    }
}
