namespace GpuExternalScaler.Demo;

/// <summary>
/// Simulated time, which stands still unless <see cref="Advance"/> moves it on. The server under demonstration lives by
/// it, so that its intervals, windows and limits mean the same at every speed; and since a stalled machine moves no
/// clock, a slow one only makes the demo take longer.
/// </summary>
internal sealed class DemoClock(DateTimeOffset start) : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<Timer> _timers = [];
    private long _ticks;

    /// <summary>Simulated time since the beginning.</summary>
    public TimeSpan Elapsed => new(Interlocked.Read(ref _ticks));

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    /// <inheritdoc/>
    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => start + Elapsed;

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, () => callback(state));
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>
    /// Moves on. Each timer that comes due on the way fires at exactly its moment, on the calling thread and in order, so
    /// that what it does is done before time goes on.
    /// </summary>
    public void Advance(TimeSpan by)
    {
        var to = Interlocked.Read(ref _ticks) + Math.Max(0, by.Ticks);
        while (NextDue(to) is { } timer)
        {
            timer.Fire();
        }

        Interlocked.Exchange(ref _ticks, to);
    }

    private Timer? NextDue(long to)
    {
        lock (_gate)
        {
            var next = _timers.MinBy(static timer => timer.DueAt);
            if (next is null || next.DueAt > to)
            {
                return null;
            }

            Interlocked.Exchange(ref _ticks, Math.Max(_ticks, next.DueAt));
            next.Rearm();
            return next;
        }
    }

    private sealed class Timer(DemoClock clock, Action callback) : ITimer
    {
        private long _period;

        public long DueAt { get; private set; }

        public void Fire() => callback();

        /// <summary>Under the clock's lock: waits for its next turn, or leaves.</summary>
        public void Rearm()
        {
            if (_period > 0)
            {
                DueAt += _period;
            }
            else
            {
                clock._timers.Remove(this);
            }
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (clock._gate)
            {
                clock._timers.Remove(this);
                _period = period == Timeout.InfiniteTimeSpan ? 0 : period.Ticks;
                if (dueTime > TimeSpan.Zero)
                {
                    DueAt = clock._ticks + dueTime.Ticks;
                    clock._timers.Add(this);
                    return true;
                }

                if (_period > 0)
                {
                    DueAt = clock._ticks + _period;
                    clock._timers.Add(this);
                }
            }

            if (dueTime == TimeSpan.Zero)
            {
                // At once means at once, even while time stands still.
                ThreadPool.QueueUserWorkItem(static timer => ((Timer)timer!).Fire(), this);
            }

            return true;
        }

        public void Dispose()
        {
            lock (clock._gate)
            {
                clock._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
