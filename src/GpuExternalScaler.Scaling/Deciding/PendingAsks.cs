namespace GpuExternalScaler.Scaling.Deciding;

/// <summary>
/// What was asked for over the last two cold starts, so that replicas which are on their way are not asked for again: a backlog would
/// grow the answer for as long as they take. Bounded: 16 figures.
/// </summary>
internal struct PendingAsks
{
    // Of two cold starts.
    private const int Slots = 16;

    private float[]? _least;
    private float _last;
    private long _slot;
    private long _beganAt;
    private long _span;

    /// <summary>Notes an answer.</summary>
    public void Note(DateTimeOffset now, double asked, TimeSpan coldStart)
    {
        var span = Math.Max(1, coldStart.Ticks * 2 / Slots);
        if (_least is null || ((now.UtcTicks - _beganAt) / _span) - _slot > Slots)
        {
            (_least, _beganAt, _span) = (new float[Slots], now.UtcTicks - (Slots * span), span);
            (_last, _slot) = (0, Slots - 1);
        }
        else if (span != _span)
        {
            Divide(span);
        }

        // A clock that went back adds to the newest.
        var slot = Math.Max((now.UtcTicks - _beganAt) / span, _slot);
        while (_slot < slot)
        {
            // An answer stands until the next one.
            _slot++;
            _least[_slot % Slots] = _last;
        }

        _last = (float)asked;
        ref var least = ref _least[slot % Slots];
        least = Math.Min(least, _last);
    }

    /// <summary>Replica-seconds of work that replicas on their way will do within the next cold start, and how many they are.</summary>
    /// <param name="now">The moment of the step.</param>
    /// <param name="replicas">Replicas there are.</param>
    /// <param name="maximum">Most there may be.</param>
    /// <param name="coldStart">The cold start (L).</param>
    public readonly (double ReplicaSeconds, double Replicas) Help(DateTimeOffset now, double replicas, double maximum, TimeSpan coldStart)
    {
        if (_least is null || ((now.UtcTicks - _beganAt) / _span) - _slot >= Slots / 2)
        {
            return default;
        }

        // What has been asked for ever since is expected as long after that as a cold start takes. What has not come after two
        // of them is not believed in.
        Span<double> since = stackalloc double[Slots];
        var least = maximum;
        for (var i = 0; i < Slots; i++)
        {
            least = Math.Min(least, _least[(_slot + Slots - i) % Slots]);
            since[i] = least;
        }

        // The newest slot has only begun, and a cold start ago lies in the middle of another.
        var there = Math.Max(replicas, least);
        var begun = Math.Clamp((now.UtcTicks - _beganAt - (_slot * _span)) / (double)_span, 0, 1);
        var sum = (begun * Math.Max(0, since[0] - there)) + ((1 - begun) * Math.Max(0, since[Slots / 2] - there));
        for (var i = 1; i < Slots / 2; i++)
        {
            sum += Math.Max(0, since[i] - there);
        }

        return (sum * coldStart.TotalSeconds * 2 / Slots, Math.Max(0, since[0] - there));
    }

    // A cold start that is measured becomes another one while those that showed it are still coming: what was asked for was asked for
    // all the same. Older than all that is known, nothing was.
    private void Divide(long span)
    {
        var least = new float[Slots];
        least[0] = _least![_slot % Slots];
        for (var i = 1; i < Slots; i++)
        {
            var oldest = ((i * span) + _span - 1) / _span;
            var value = oldest < Slots ? float.MaxValue : 0;
            for (var age = ((i - 1) * span / _span) + 1; age <= Math.Min(oldest, Slots - 1); age++)
            {
                value = Math.Min(value, _least[(_slot + Slots - age) % Slots]);
            }

            least[Slots - i] = value;
        }

        (_least, _beganAt, _slot, _span) = (least, _beganAt + (_slot * _span) - (Slots * span), Slots, span);
    }

    /// <summary>An independent copy.</summary>
    public readonly PendingAsks Copy() => this with { _least = (float[]?)_least?.Clone() };
}
