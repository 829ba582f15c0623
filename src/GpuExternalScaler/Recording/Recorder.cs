using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Observability.Exposition;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Recording;

/// <summary>
/// The evaluation loop's end of recording: encodes what each step saw and said, and hands it to <see cref="RecordingFiles"/>. Of the
/// loop's thread alone. It never waits, and whatever goes wrong in it is its own: recording stops, says so once, and begins anew
/// later, while decisions go on.
/// </summary>
internal sealed class Recorder(RecordingFiles files, RecordingOptions options, RecordingStatus status, ILogger<Recorder> logger)
{
    // What a process that is killed loses.
    private static readonly TimeSpan FlushAfter = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SweepEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan ShortestSegment = TimeSpan.FromSeconds(5);
    private const int FlushBytes = 256 * 1024;

    // A state is some kilobytes: of thousands of workloads at once, that would be a tick that takes too long and memory for all of it.
    private const int StateBytesInATick = 2 * 1024 * 1024;

    private Segment? _newest;
    private Segment? _older;
    private DateTimeOffset _retryAt;
    private DateTimeOffset _flushedAt;
    private DateTimeOffset _sweptAt;
    private bool _isTold;
    private bool _wasShort;
    private int _segments;
    private int _tick;
    private int _stateBytes;
    private long _recorded;
    private long _dropped;

    /// <summary>A tick begins.</summary>
    public void BeginTick(DateTimeOffset now)
    {
        _tick++;
        (_stateBytes, _recorded, _dropped) = (0, 0, 0);
        if (files.TakeFailure() is { } failure)
        {
            Stop(failure, now);
        }
        else if (!_isTold && _newest is not null && status.IsUp)
        {
            // Only now it is known to be written.
            _isTold = true;
            logger.RecordingBegins(options.File, options.Limit);
        }

        if (_newest is null ? now >= _retryAt : files.FullSegment == _newest.Number)
        {
            Guard(now, BeginSegment);
        }
    }

    /// <summary>Before a step: its state as it is now is where a replay begins.</summary>
    public void BeforeStep(Workload workload, WorkloadEvaluation evaluation, ScalingPolicy policy, DateTimeOffset now)
    {
        if (_newest is null)
        {
            return;
        }

        var isIn = evaluation.Recorded is { IsLost: false } recorded && recorded.Segment == _newest;
        if (!isIn && _stateBytes < StateBytesInATick)
        {
            BeginGuarded(workload, evaluation, policy, now);
        }
    }

    /// <summary>After a step.</summary>
    /// <param name="evaluation">Whose.</param>
    /// <param name="snapshot">What it saw.</param>
    /// <param name="policy">What it went by.</param>
    /// <param name="now">Its moment.</param>
    /// <param name="decision">What it came to; null when it threw.</param>
    public void AfterStep(WorkloadEvaluation evaluation, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now, in ScalingDecision? decision)
    {
        if (evaluation.Recorded is not { } recorded || recorded.IsLost || (recorded.Segment != _newest && recorded.Segment != _older))
        {
            _dropped++;
            return;
        }

        try
        {
            recorded.Segment.Encoder.Step(recorded.Workload, snapshot, policy, now, decision);
            recorded.Tick = _tick;

            // Half of what a step does may have been done when it throws.
            recorded.IsLost = decision is null;
            _recorded++;
            FlushIfLarge(recorded.Segment, now);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            logger.RecordingFailed(exception);
            Stop("of a defect", now);
        }
    }

    /// <summary>After <see cref="WorkloadState.Interrupt"/>.</summary>
    public void Interrupted(WorkloadEvaluation evaluation, DateTimeOffset now)
    {
        if (evaluation.Recorded is { IsLost: false } recorded && (recorded.Segment == _newest || recorded.Segment == _older))
        {
            // One that is not stepped does not keep the older segment open: it begins anew when it is.
            recorded.Tick = recorded.Segment == _newest ? _tick : recorded.Tick;
            recorded.Segment.Encoder.Interrupt(recorded.Workload, now);
        }
    }

    /// <summary>A tick ends.</summary>
    public void EndTick(DateTimeOffset now)
    {
        status.Stepped(_recorded, _dropped);
        if (_older is { } older && !older.Recorded.Exists(recorded => recorded.Tick == _tick))
        {
            // All that there still is has moved on.
            EndOlder(older, now);
        }

        if (now - _sweptAt >= SweepEvery)
        {
            _sweptAt = now;
            Guard(now, EndVanished);
        }

        if (now - _flushedAt >= FlushAfter)
        {
            _flushedAt = now;
            Guard(now, FlushAll);
        }
    }

    /// <summary>Hands over what there is: the loop has ended.</summary>
    public void Flush(DateTimeOffset now) => Guard(now, FlushAll);

    private void BeginSegment(DateTimeOffset now)
    {
        if (_older is { } older)
        {
            EndOlder(older, now);
        }

        if (_newest is { } full)
        {
            // One may have gone on with a file that was nearly full; after it comes a whole one.
            var isShort = now - full.BeganAt < ShortestSegment;
            if (isShort && _wasShort)
            {
                Stop("its limit is too small for so many workloads", now);
                return;
            }

            _wasShort = isShort;
        }

        var segment = new Segment(++_segments, now, new RecordingEncoder(ProcessSeries.Version));
        if (_newest is not null)
        {
            Flush(_newest, now);
        }

        if (!files.TryBegin(segment.Number, segment.Encoder.Header))
        {
            Stop("the disk is too slow", now);
            return;
        }

        _older = _newest;
        _newest = segment;

        // With something in it at once.
        _flushedAt = DateTimeOffset.MinValue;
    }

    // Apart, so that a step that is recorded already costs no closure.
    private void BeginGuarded(Workload workload, WorkloadEvaluation evaluation, ScalingPolicy policy, DateTimeOffset now) =>
        Guard(now, _ => Begin(workload, evaluation, policy, now));

    private void Begin(Workload workload, WorkloadEvaluation evaluation, ScalingPolicy policy, DateTimeOffset now)
    {
        var segment = _newest!;
        if (evaluation.Recorded is { } before && before.Segment == _older && !before.IsLost)
        {
            before.Segment.Encoder.End(before.Workload, now);
            before.Tick = -1;
        }

        var name = new RecordedName(workload.Key.Namespace, workload.Key.Name, workload.Key.TriggerId);
        var waiting = segment.Encoder.Waiting;
        evaluation.Recorded = new Recorded(segment, segment.Encoder.Begin(name, evaluation.State, policy, now)) { Tick = _tick };
        segment.Recorded.Add(evaluation.Recorded);
        _stateBytes += segment.Encoder.Waiting - waiting;
    }

    // Forgotten, evicted, shadows that ended: however a workload went, nothing more of it is stepped.
    private void EndVanished(DateTimeOffset now)
    {
        foreach (var gone in _newest?.Recorded.FindAll(recorded => recorded.Tick != _tick) ?? [])
        {
            gone.Segment.Encoder.End(gone.Workload, now);
            gone.IsLost = true;
        }

        _newest?.Recorded.RemoveAll(static recorded => recorded.IsLost);
    }

    private void EndOlder(Segment older, DateTimeOffset now)
    {
        Flush(older, now);
        files.TryEnd(older.Number);
        _older = null;
    }

    private void FlushAll(DateTimeOffset now)
    {
        if (_older is { } older)
        {
            Flush(older, now);
        }

        if (_newest is { } newest)
        {
            Flush(newest, now);
        }
    }

    private void FlushIfLarge(Segment segment, DateTimeOffset now)
    {
        if (segment.Encoder.Waiting >= FlushBytes)
        {
            Flush(segment, now);
        }
    }

    private void Flush(Segment segment, DateTimeOffset now)
    {
        if (segment.Encoder.Waiting == 0)
        {
            return;
        }

        var (bytes, length) = segment.Encoder.Take();
        if (!files.TryWrite(segment.Number, bytes, length))
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(bytes);
            Stop("the disk is too slow", now);
        }
    }

    private void Guard(DateTimeOffset now, Action<DateTimeOffset> act)
    {
        try
        {
            act(now);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            logger.RecordingFailed(exception);
            Stop("of a defect", now);
        }
    }

    private void Stop(string why, DateTimeOffset now)
    {
        (_newest, _older) = (null, null);
        _retryAt = now + RetryAfter;
        status.IsUp = false;
        if (_isTold || _segments <= 1)
        {
            _isTold = false;
            logger.RecordingStopped(options.File, why);
        }
    }
}

/// <summary>A stretch that is recorded without a break.</summary>
internal sealed class Segment(int number, DateTimeOffset beganAt, RecordingEncoder encoder)
{
    public int Number { get; } = number;

    public DateTimeOffset BeganAt { get; } = beganAt;

    public RecordingEncoder Encoder { get; } = encoder;

    /// <summary>The workloads in it that still go on.</summary>
    public List<Recorded> Recorded { get; } = [];
}

/// <summary>A workload in a segment.</summary>
internal sealed class Recorded(Segment segment, RecordedWorkload workload)
{
    public Segment Segment { get; } = segment;

    public RecordedWorkload Workload { get; } = workload;

    /// <summary>The last tick in which something of it was recorded.</summary>
    public int Tick { get; set; }

    /// <summary>Whether its state is no longer what a replay would have.</summary>
    public bool IsLost { get; set; }
}
