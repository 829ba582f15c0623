namespace GpuExternalScaler.Sources;

/// <summary>
/// The clock of the whole program: the wall time at the start plus the monotonic time elapsed since. A step of the
/// system's clock (NTP, a resumed virtual machine) therefore neither ages a reading nor makes one younger.
/// </summary>
/// <remarks>One instance serves every source and the evaluation: instants of two clocks cannot be compared.</remarks>
public sealed class MonotonicClock
{
    private readonly DateTimeOffset _start;
    private readonly long _startTimestamp;

    /// <summary>Starts a clock at the provider's present wall time.</summary>
    public MonotonicClock(TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        TimeProvider = timeProvider;
        _start = timeProvider.GetUtcNow();
        _startTimestamp = timeProvider.GetTimestamp();
    }

    /// <summary>What the clock reads: also the provider of delays and time limits.</summary>
    public TimeProvider TimeProvider { get; }

    /// <summary>The present instant; never earlier than one returned before.</summary>
    public DateTimeOffset Now => _start + TimeProvider.GetElapsedTime(_startTimestamp);
}
