namespace GpuExternalScaler.Sources;

/// <summary>The time one tick of the evaluation loop may spend on matching patterns, for all workloads together.</summary>
/// <param name="time">Real time whatever the clock: it is the processor's that is budgeted.</param>
public sealed class MatchingBudget(TimeProvider time)
{
    private static readonly TimeSpan PerTick = TimeSpan.FromMilliseconds(100);
    private TimeSpan _spent;

    /// <summary>Whether the rest must wait for the next tick.</summary>
    public bool IsSpent => _spent > PerTick;

    /// <summary>Begins a tick.</summary>
    public void Reset() => _spent = TimeSpan.Zero;

    /// <summary>Begins one match.</summary>
    public long Begin() => time.GetTimestamp();

    /// <summary>Ends it, and says how long it took.</summary>
    public TimeSpan End(long began)
    {
        var took = time.GetElapsedTime(began);
        _spent += took;
        return took;
    }
}

/// <summary>
/// How long one pattern takes over the names that it is held against. Linear time has a constant, and a pattern can make it 0.2 s for
/// one name of 200 characters.
/// </summary>
public sealed class PatternPatience
{
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(500);

    // A usual match takes microseconds. One slow one may be a pause of the machine; ten in one scan are the pattern.
    private static readonly TimeSpan SlowMatch = TimeSpan.FromMilliseconds(5);
    private const int SlowMatches = 10;

    private TimeSpan _spent;
    private int _slowMatches;

    /// <summary>Whether it took so long that it is no longer to be tried: it would slow everybody's answers down.</summary>
    public bool IsOver => _spent > Limit && _slowMatches >= SlowMatches;

    /// <summary>Counts one match.</summary>
    public void Add(TimeSpan took)
    {
        _spent += took;
        _slowMatches += took > SlowMatch ? 1 : 0;
    }

    /// <summary>All names are done; the next scan begins anew.</summary>
    public void Restore() => (_spent, _slowMatches) = (TimeSpan.Zero, 0);
}
