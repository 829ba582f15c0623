namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>The counters of one queue at one moment; −1 where the source has none.</summary>
internal struct CounterSample
{
    public long Completed;
    public long AutoAcked;
    public long Delivered;
    public long Redelivered;
    public long Published;
}

/// <summary>One counter of one source, differenced over its resets (T4).</summary>
internal struct ResettingCounter
{
    private long _last;
    private long _highest;
    private bool _known;

    /// <summary>
    /// Takes the newest value and returns by how much the counter really grew; never negative, and zero the first time,
    /// because what was counted before we looked is not a rate of now.
    /// </summary>
    /// <param name="raw">The counter's value; −1 if unknown, which changes nothing.</param>
    /// <param name="countFromZero">
    /// Whether a fall means that the counter began again at zero, so that all of the new value is growth. True for a
    /// node's own counter. False for a sum: when one of two nodes drops out of a sum of 1,500,000 and leaves 500,000,
    /// nobody has completed 500,000 messages.
    /// </param>
    /// <remarks>
    /// A counter that fell and then stands at or above its old height has come back rather than begun again: only what
    /// lies above that height is growth. Otherwise a node that is missing from one answer would count its life twice. A
    /// counter that really began again loses, once, the step with which it passes the old height.
    /// </remarks>
    public long Advance(long raw, bool countFromZero)
    {
        if (raw < 0)
        {
            return 0;
        }

        long growth;
        if (!_known)
        {
            growth = 0;
        }
        else if (raw >= _last)
        {
            growth = raw >= _highest ? raw - _highest : raw - _last;
        }
        else
        {
            growth = countFromZero ? raw : 0;
        }

        _known = true;
        _last = raw;
        _highest = Math.Max(_highest, raw);
        return growth;
    }
}

/// <summary>The counters of one source (a node, or the management list), by slot.</summary>
internal sealed class CounterTrack(bool countFromZero)
{
    private Counters[] _counters = [];

    /// <summary>Forgets everything, so that the next values are baselines.</summary>
    public void Clear() => Array.Clear(_counters);

    /// <summary>Takes a queue's newest values and adds their growth to its totals.</summary>
    public void Advance(int slot, in CounterSample raw, ref CounterSample totals)
    {
        if (slot >= _counters.Length)
        {
            Array.Resize(ref _counters, Math.Max(64, Math.Max(slot + 1, _counters.Length * 2)));
        }

        ref var counters = ref _counters[slot];
        totals.Completed += counters.Completed.Advance(raw.Completed, countFromZero);
        totals.AutoAcked += counters.AutoAcked.Advance(raw.AutoAcked, countFromZero);
        totals.Delivered += counters.Delivered.Advance(raw.Delivered, countFromZero);
        totals.Redelivered += counters.Redelivered.Advance(raw.Redelivered, countFromZero);

        // Published is a sum over exchanges: deleting an exchange lowers it.
        totals.Published += counters.Published.Advance(raw.Published, countFromZero: false);
    }

    /// <summary>Follows the table's renumbering.</summary>
    public void Renumber(int[] map)
    {
        var counters = new Counters[_counters.Length];
        for (var slot = 0; slot < Math.Min(map.Length, _counters.Length); slot++)
        {
            if (map[slot] >= 0)
            {
                counters[map[slot]] = _counters[slot];
            }
        }

        _counters = counters;
    }

    private struct Counters
    {
        public ResettingCounter Completed;
        public ResettingCounter AutoAcked;
        public ResettingCounter Delivered;
        public ResettingCounter Redelivered;
        public ResettingCounter Published;
    }
}
