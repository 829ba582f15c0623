namespace GpuExternalScaler.Demo;

/// <summary>One queue of the stand-in broker: first in, first out, every message by itself.</summary>
internal sealed class DemoQueue
{
    private readonly Queue<TimeSpan> _ready = new();
    private readonly List<TimeSpan> _waits = [];

    /// <summary>Messages ready for delivery.</summary>
    public int Ready => _ready.Count;

    /// <summary>Messages delivered and not yet acknowledged.</summary>
    public int Unacked => (int)(Delivered - Acknowledged);

    /// <summary>Messages published so far.</summary>
    public long Published => _waits.Count + _ready.Count;

    /// <summary>Messages delivered so far; none is ever delivered twice.</summary>
    public long Delivered => _waits.Count;

    /// <summary>Messages acknowledged so far.</summary>
    public long Acknowledged { get; private set; }

    /// <summary>How long each delivered message had waited, in order of delivery.</summary>
    public IReadOnlyList<TimeSpan> Waits => _waits;

    /// <summary>How long each message that is ready has waited by now.</summary>
    public IEnumerable<TimeSpan> WaitsSoFar(TimeSpan now) => _ready.Select(publishedAt => now - publishedAt);

    /// <summary>A message arrives.</summary>
    public void Publish(TimeSpan at) => _ready.Enqueue(at);

    /// <summary>Delivers the oldest message; false if there is none.</summary>
    public bool TryDeliver(TimeSpan at)
    {
        if (!_ready.TryDequeue(out var publishedAt))
        {
            return false;
        }

        _waits.Add(at - publishedAt);
        return true;
    }

    /// <summary>A consumer is done with a message.</summary>
    public void Acknowledge()
    {
        if (Unacked == 0)
        {
            throw new InvalidOperationException("Nothing is unacknowledged.");
        }

        Acknowledged++;
    }
}
