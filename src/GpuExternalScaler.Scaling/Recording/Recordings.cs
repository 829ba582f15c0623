using System.Buffers;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>How a step that was replayed compares with what was recorded.</summary>
public enum ReplayVerdict : byte
{
    /// <summary>The same, in every bit as far as was recorded.</summary>
    Same,

    /// <summary>The same answer and reason; decisions had figures then that they do not have now, so more cannot be said.</summary>
    SameAnswer,

    /// <summary>The same answer and reason, by other figures at this step or one shortly before.</summary>
    OtherFigures,

    /// <summary>Another answer, activity or reason.</summary>
    OtherAnswer,
}

/// <summary>A step that was replayed.</summary>
/// <param name="Workload">Whose.</param>
/// <param name="At">Its moment.</param>
/// <param name="Recorded">What it came to then.</param>
/// <param name="Decision">What it comes to now; null when it throws.</param>
/// <param name="Policy">The policy it goes by.</param>
/// <param name="Verdict">How these compare.</param>
public readonly record struct ReplayedStep(RecordedName Workload, DateTimeOffset At, RecordedAnswer Recorded, ScalingDecision? Decision, ScalingPolicy Policy, ReplayVerdict Verdict)
{
    /// <summary>What it throws; null when it decides.</summary>
    public Exception? Failure { get; init; }
}

/// <summary>What a replay came to for one workload.</summary>
/// <param name="Name">Its name.</param>
public sealed record WorkloadReplay(RecordedName Name)
{
    /// <summary>Steps replayed.</summary>
    public long Steps { get; internal set; }

    /// <summary>The moment of the first.</summary>
    public DateTimeOffset From { get; internal set; }

    /// <summary>The moment of the last.</summary>
    public DateTimeOffset To { get; internal set; }

    /// <summary>Steps with another answer, activity or reason than recorded.</summary>
    public long OtherAnswers { get; internal set; }

    /// <summary>The first step that is not the same; null when all are.</summary>
    public ReplayedStep? FirstDifference { get; internal set; }

    /// <summary>Whether all that can be compared is the same, but not all that was recorded can be.</summary>
    public bool IsPartlyCompared { get; internal set; }
}

/// <summary>What a replay came to.</summary>
public sealed record ReplayReport
{
    /// <summary>The workloads that had steps, in the order in which they appeared.</summary>
    public required IReadOnlyList<WorkloadReplay> Workloads { get; init; }

    /// <summary>Stretches that were recorded without a break.</summary>
    public required int Segments { get; init; }

    /// <summary>The versions of the programs that recorded them.</summary>
    public required IReadOnlyList<string> Products { get; init; }

    /// <summary>Bytes at the end that were written in part: whoever recorded was stopped in the middle. 0 for none.</summary>
    public required long CutOff { get; init; }

    /// <summary>Steps replayed.</summary>
    public long Steps => Workloads.Sum(static workload => workload.Steps);

    /// <summary>Whether every step came to what was recorded.</summary>
    public bool IsIdentical => Workloads.All(static workload => workload.FirstDifference is null);
}

/// <summary>Told of what a recorded step saw.</summary>
/// <param name="workload">Whose step.</param>
/// <param name="at">Its moment.</param>
/// <param name="snapshot">What it saw; of no use after the call.</param>
public delegate void SnapshotSeen(RecordedName workload, DateTimeOffset at, in WorkloadSnapshot snapshot);

/// <summary>Recordings of what <see cref="DecisionFold.Step"/> saw and said: <c>docs/recording.md</c>.</summary>
public static class Recordings
{
    /// <summary>Replays a recording.</summary>
    /// <param name="recording">The recording.</param>
    /// <param name="isWanted">Which workloads; null for all.</param>
    /// <param name="onStep">Told of each step.</param>
    /// <exception cref="InvalidDataException">It is none, or damaged. That it ends in the middle of something is no error.</exception>
    public static ReplayReport Replay(Stream recording, Func<RecordedName, bool>? isWanted = null, Action<ReplayedStep>? onStep = null)
    {
        ArgumentNullException.ThrowIfNull(recording);
        using var reader = new RecordingReader(recording);
        var workloads = new Dictionary<RecordedName, WorkloadReplay>();
        var wanted = new Dictionary<DecodedWorkload, WorkloadReplay?>();
        var products = new List<string>();
        StepDecoder? decoder = null;
        Replayer? replayer = null;
        while (reader.Next() is { } next)
        {
            if (!ReferenceEquals(decoder, next))
            {
                decoder = next;
                replayer = new Replayer(next);
                wanted.Clear();
                if (!products.Contains(next.Schema.Product))
                {
                    products.Add(next.Schema.Product);
                }
            }

            if (next.Kind == RecordKind.Begin)
            {
                wanted[next.Workload] = isWanted?.Invoke(next.Workload.Name) == false ? null : Known(workloads, next.Workload.Name);
            }

            if (wanted[next.Workload] is not { } workload)
            {
                continue;
            }

            if (replayer!.Take() is { } step)
            {
                Count(workload, step);
                onStep?.Invoke(step);
            }

            if (next.Kind == RecordKind.End)
            {
                wanted.Remove(next.Workload);
            }
        }

        return new ReplayReport
        {
            Workloads = [.. workloads.Values.Where(static workload => workload.Steps > 0)],
            Segments = reader.Segments,
            Products = products,
            CutOff = reader.CutOff,
        };
    }

    /// <summary>Goes through what the steps of some workloads saw, and decides nothing.</summary>
    /// <exception cref="InvalidDataException">It is no recording, or a damaged one. That it ends in the middle of something is no error.</exception>
    public static void ReadSnapshots(Stream recording, Func<RecordedName, bool> isWanted, SnapshotSeen onSnapshot)
    {
        ArgumentNullException.ThrowIfNull(recording);
        ArgumentNullException.ThrowIfNull(isWanted);
        ArgumentNullException.ThrowIfNull(onSnapshot);
        using var reader = new RecordingReader(recording);
        StepDecoder? decoder = null;
        SnapshotReader? snapshots = null;
        while (reader.Next() is { } next)
        {
            if (!ReferenceEquals(decoder, next))
            {
                (decoder, snapshots) = (next, new SnapshotReader(next.Schema));
            }

            if (next.Kind == RecordKind.Begin && isWanted(next.Workload.Name))
            {
                next.Workload.Tag = new SnapshotReadings();
            }
            else if (next.Kind == RecordKind.Step && next.Workload.Tag is SnapshotReadings readings)
            {
                onSnapshot(next.Workload.Name, new DateTimeOffset(next.Moment, TimeSpan.Zero), snapshots!.Read(next.Workload.Rows, readings));
            }
        }
    }

    /// <summary>Copies what a recording has of some workloads into another, with the answers that were recorded.</summary>
    /// <returns>How many workloads were copied, a workload counting again in each segment.</returns>
    /// <exception cref="InvalidDataException">It is none, or damaged.</exception>
    public static int Extract(Stream recording, Func<RecordedName, bool> isWanted, Stream into)
    {
        ArgumentNullException.ThrowIfNull(recording);
        ArgumentNullException.ThrowIfNull(isWanted);
        using var reader = new RecordingReader(recording);
        using var writer = new RecordingWriter(into);
        var copied = 0;
        var buffer = new RecordBuffer();
        StepDecoder? decoder = null;
        StepEncoder? encoder = null;
        while (reader.Next() is { } next)
        {
            if (!ReferenceEquals(decoder, next))
            {
                Flush(writer, buffer);
                decoder = next;
                encoder = null;
            }

            if (next.Kind == RecordKind.Begin && isWanted(next.Workload.Name))
            {
                encoder ??= Begin(writer, buffer, next.Schema);
                next.Workload.Tag = encoder.Begin(next.Workload.Name, next.State.Span, next.Policy.Span, next.Moment);
                copied++;
            }
            else if (next.Workload.Tag is StepRows rows)
            {
                Copy(next, encoder!, rows);
            }

            if (buffer.Length > 1 << 20)
            {
                Flush(writer, buffer);
            }
        }

        Flush(writer, buffer);
        return copied;
    }

    /// <summary>
    /// How many bytes at the beginning of a stream are whole frames of a recording, after which another segment may come: what a
    /// process left that was stopped in the middle. 0 for a recording of another format, null for what is no recording.
    /// </summary>
    public static long? WholeLength(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Span<byte> head = stackalloc byte[RecordingFrames.HeadLength];
        stream.Position = 0;
        var magic = head[..RecordingFrames.Magic.Length];
        if (stream.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) < magic.Length || !magic[..^1].SequenceEqual(RecordingFrames.Magic[..^1]))
        {
            return null;
        }

        if (magic[^1] != RecordingFrames.Magic[^1])
        {
            return 0;
        }

        long whole = magic.Length;
        while (stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length
            && RecordingFrames.TryReadHead(head, out _, out var packed, out _, out _)
            && whole + head.Length + packed <= stream.Length)
        {
            whole += head.Length + packed;
            stream.Position = whole;
        }

        return whole;
    }

    private static WorkloadReplay Known(Dictionary<RecordedName, WorkloadReplay> workloads, RecordedName name)
    {
        if (!workloads.TryGetValue(name, out var known))
        {
            workloads[name] = known = new WorkloadReplay(name);
        }

        return known;
    }

    private static void Count(WorkloadReplay workload, in ReplayedStep step)
    {
        workload.From = workload.Steps == 0 ? step.At : workload.From;
        workload.To = step.At;
        workload.Steps++;
        workload.OtherAnswers += step.Verdict == ReplayVerdict.OtherAnswer ? 1 : 0;
        workload.IsPartlyCompared |= step.Verdict == ReplayVerdict.SameAnswer;
        if (step.Verdict is ReplayVerdict.OtherFigures or ReplayVerdict.OtherAnswer)
        {
            workload.FirstDifference ??= step;
        }
    }

    private static StepEncoder Begin(RecordingWriter writer, RecordBuffer buffer, RecordingSchema schema)
    {
        var header = new RecordBuffer();
        schema.Write(header);
        writer.BeginSegment(header.Written);
        return new StepEncoder(schema, buffer);
    }

    private static void Copy(StepDecoder from, StepEncoder to, StepRows rows)
    {
        switch (from.Kind)
        {
            case RecordKind.Step:
                var now = from.Workload.Rows;
                to.Step(
                    rows,
                    from.Moment,
                    now.Figures,
                    now.Queues.Cells(from.Schema.Queue.Columns.Count),
                    now.Pods.Cells(from.Schema.Pod.Columns.Count),
                    now.Value,
                    now.Standing,
                    from.Check,
                    from.Threw);
                break;
            case RecordKind.Policy:
                to.Policy(rows, from.Policy.Span, from.Moment);
                break;
            case RecordKind.Interrupt:
                to.Interrupt(rows, from.Moment);
                break;
            case RecordKind.End:
                to.End(rows, from.Moment);
                break;
        }
    }

    private static void Flush(RecordingWriter writer, RecordBuffer buffer)
    {
        if (buffer.Length > 0)
        {
            var (bytes, length) = buffer.Take();
            writer.Write(bytes.AsSpan(0, length));
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }
}
