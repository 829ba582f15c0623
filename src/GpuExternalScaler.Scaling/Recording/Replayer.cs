using System.Runtime.InteropServices;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>Steps the workloads of one segment again, whatever program wrote it.</summary>
internal sealed class Replayer
{
    private readonly StepDecoder _decoder;
    private readonly ImageReader _images;
    private readonly RecordSource _image = new();
    private readonly LayoutBinding _state;
    private readonly LayoutBinding _policy;
    private readonly SnapshotReader _snapshots;
    private readonly ColumnBinding[] _checkedColumns;
    private readonly IReadOnlyDictionary<long, string> _reasons;
    private readonly long[] _decisionRow = new long[Rows<ScalingDecision>.Width];
    private readonly long[] _checkedRow;
    private readonly bool _canCheck;

    public Replayer(StepDecoder decoder)
    {
        _decoder = decoder;
        _images = new ImageReader(_image);
        var schema = decoder.Schema;
        _state = new LayoutBinding(schema.State, TypeNode.Of(typeof(WorkloadState)));
        _policy = new LayoutBinding(schema.Policy, TypeNode.Of(typeof(ScalingPolicy)));
        _snapshots = new SnapshotReader(schema);

        // The other way round: today's decision, in the columns and numbers of the file.
        _checkedColumns = ColumnBinding.Of(Rows<ScalingDecision>.Layout.Columns, schema.Decision.Columns);
        _checkedRow = new long[schema.Decision.Columns.Count];
        _canCheck = _checkedColumns.Length == _checkedRow.Length;
        _reasons = schema.Decision.Columns.FirstOrDefault(static column => column.Name == nameof(ScalingDecision.Reason))?.Names ?? new Dictionary<long, string>();
    }

    /// <summary>Takes the record in that was just read; gives the step if it was one.</summary>
    public ReplayedStep? Take()
    {
        var workload = _decoder.Workload;
        switch (_decoder.Kind)
        {
            case RecordKind.Begin:
                workload.Tag = new Replayed((WorkloadState)Image(_decoder.State, _state, _decoder.Moment), (ScalingPolicy)Image(_decoder.Policy, _policy, anchor: 0));
                return null;
            case RecordKind.Policy:
                ((Replayed)workload.Tag!).Policy = (ScalingPolicy)Image(_decoder.Policy, _policy, anchor: 0);
                return null;
            case RecordKind.Interrupt:
                ((Replayed)workload.Tag!).State.Interrupt();
                return null;
            case RecordKind.Step:
                return Step(workload, (Replayed)workload.Tag!);
            default:
                return null;
        }
    }

    private object Image(ReadOnlyMemory<byte> image, LayoutBinding binding, long anchor)
    {
        _image.Origin = _decoder.Source.Origin;
        _image.Reset(image);
        var read = _images.Read(binding, anchor);
        _decoder.Hold(_images.Held);
        return read;
    }

    private ReplayedStep Step(DecodedWorkload workload, Replayed replayed)
    {
        var rows = workload.Rows;
        var snapshot = _snapshots.Read(rows, replayed.Readings);
        var now = new DateTimeOffset(_decoder.Moment, TimeSpan.Zero);
        var recorded = new RecordedAnswer(rows.Value, (rows.Standing & 1) != 0, ReasonOf(rows.Standing >> 1), _decoder.Threw);
        ScalingDecision decision;
        try
        {
            decision = DecisionFold.Step(replayed.State, snapshot, replayed.Policy, now);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            // A defect that a bad night brought out comes out again, and is what was looked for.
            return new ReplayedStep(workload.Name, now, recorded, null, replayed.Policy, _decoder.Threw ? ReplayVerdict.Same : ReplayVerdict.OtherAnswer) { Failure = exception };
        }

        return new ReplayedStep(workload.Name, now, recorded, decision, replayed.Policy, Compare(replayed, recorded, decision));
    }

    private ReplayVerdict Compare(Replayed replayed, in RecordedAnswer recorded, in ScalingDecision decision)
    {
        var copy = decision;
        Rows<ScalingDecision>.Type.Read(ref copy, ref MemoryMarshal.GetArrayDataReference(_decisionRow));
        ColumnBinding.Translate(_checkedColumns, _decisionRow, _checkedRow);
        replayed.Check = DecisionCheck.Next(replayed.Check, _checkedRow);
        return recorded.Threw || recorded.Value != decision.Value || recorded.IsActive != decision.IsActive || recorded.Reason != decision.Reason.Code() ? ReplayVerdict.OtherAnswer
            : !_canCheck ? ReplayVerdict.SameAnswer
            : _decoder.Check is { } check && check != DecisionCheck.Short(replayed.Check) ? ReplayVerdict.OtherFigures
            : ReplayVerdict.Same;
    }

    // By its code where this program has it too.
    private string ReasonOf(long reason) =>
        !_reasons.TryGetValue(reason, out var name) ? "unknown"
        : Enum.TryParse<DecisionReason>(name, out var known) ? known.Code()
        : name;

    private sealed class Replayed(WorkloadState state, ScalingPolicy policy)
    {
        public SnapshotReadings Readings { get; } = new();

        public WorkloadState State { get; } = state;

        public ScalingPolicy Policy { get; set; } = policy;

        public ulong Check { get; set; }
    }
}
