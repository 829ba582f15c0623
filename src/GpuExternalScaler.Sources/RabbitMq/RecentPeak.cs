namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// The largest of the figures seen lately. Two are kept, the largest and the largest since: when the first grows old the
/// second takes its place, so that 10, 8, 8, 8, 1 does not fall from 10 to 1 while an 8 is still recent.
/// </summary>
internal struct RecentPeak
{
    private long _first;
    private long _second;
    private DateTimeOffset _firstAt;
    private DateTimeOffset _secondAt;

    /// <summary>Whether anything is remembered; <see cref="Value"/> may find that it has grown old.</summary>
    public readonly bool IsSet => _firstAt != default;

    /// <summary>Takes a figure.</summary>
    public void Add(long value, DateTimeOffset at, TimeSpan memory)
    {
        Expire(at, memory);
        if (!IsSet || value >= _first)
        {
            (_first, _firstAt) = (value, at);
            (_second, _secondAt) = (0, default);
        }
        else if (_secondAt == default || value >= _second)
        {
            (_second, _secondAt) = (value, at);
        }
    }

    /// <summary>The largest figure that is not older than <paramref name="memory"/>; 0 without one.</summary>
    public long Value(DateTimeOffset now, TimeSpan memory)
    {
        Expire(now, memory);
        return _first;
    }

    private void Expire(DateTimeOffset now, TimeSpan memory)
    {
        if (IsSet && now - _firstAt > memory)
        {
            (_first, _firstAt) = (_second, _secondAt);
            (_second, _secondAt) = (0, default);
            if (IsSet && now - _firstAt > memory)
            {
                (_first, _firstAt) = (0, default);
            }
        }
    }
}
