namespace GpuExternalScaler.Demo;

/// <summary>
/// The pods of the workload. Each loads its model for a cold start and then consumes with a prefetch of 1. A pod that
/// is taken away while it works finishes its message first, as a worker that drains on SIGTERM does.
/// </summary>
internal sealed class DemoFleet
{
    private readonly List<Pod> _pods = [];
    private TimeSpan _countedTo;

    /// <summary>Pods that should exist: those that load or consume. Draining ones are on their way out.</summary>
    public int Wanted => _pods.Count(static pod => !pod.IsDraining);

    /// <summary>Pods that consume.</summary>
    public int Ready => _pods.Count(static pod => pod is { IsReady: true, IsDraining: false });

    /// <summary>Pods that still hold their GPU: all of them, draining ones included.</summary>
    public int Holding => _pods.Count;

    /// <summary>Most pods wanted at any time.</summary>
    public int PeakWanted { get; private set; }

    /// <summary>Time GPUs were held so far, added up over the pods.</summary>
    public TimeSpan ReplicaTime { get; private set; }

    /// <summary>Time of work in the messages done so far.</summary>
    public TimeSpan WorkTime { get; private set; }

    /// <summary>When the next pod becomes ready or finishes its message, or null when none will.</summary>
    public TimeSpan? NextEventAt
    {
        get
        {
            TimeSpan? next = null;
            foreach (var pod in _pods)
            {
                var at = pod.IsReady ? pod.BusyUntil : pod.ReadyAt;
                next = next is null || at < next ? at ?? next : next;
            }

            return next;
        }
    }

    /// <summary>
    /// Wants this many pods from now on. The ones to go are those that are not ready yet, then the youngest, busy or not:
    /// that is how a ReplicaSet chooses.
    /// </summary>
    /// <param name="replicas">Pods wanted.</param>
    /// <param name="now">Now.</param>
    /// <param name="coldStart">Draws a cold start for each new pod.</param>
    public void ScaleTo(int replicas, TimeSpan now, Func<TimeSpan> coldStart)
    {
        Count(now);
        for (var missing = replicas - Wanted; missing > 0; missing--)
        {
            _pods.Add(new Pod { ReadyAt = now + coldStart() });
        }

        var surplus = _pods.Where(static pod => !pod.IsDraining)
            .OrderBy(static pod => pod.IsReady)
            .ThenByDescending(static pod => pod.ReadyAt)
            .Take(Math.Max(0, Wanted - replicas))
            .ToList();
        foreach (var pod in surplus)
        {
            pod.IsDraining = true;
            if (pod.BusyUntil is null)
            {
                _pods.Remove(pod);
            }
        }

        PeakWanted = Math.Max(PeakWanted, Wanted);
    }

    /// <summary>Lets happen what is due: pods become ready, messages are done and acknowledged, free pods take new ones.</summary>
    /// <param name="now">Now.</param>
    /// <param name="queue">The queue they consume.</param>
    /// <param name="serviceTime">Draws a service time for each message.</param>
    public void Work(TimeSpan now, DemoQueue queue, Func<TimeSpan> serviceTime)
    {
        Count(now);
        for (var i = _pods.Count - 1; i >= 0; i--)
        {
            var pod = _pods[i];
            pod.IsReady |= pod.ReadyAt <= now;
            if (pod.BusyUntil <= now)
            {
                pod.BusyUntil = null;
                WorkTime += pod.Work;
                queue.Acknowledge();
                if (pod.IsDraining)
                {
                    _pods.RemoveAt(i);
                }
            }
        }

        foreach (var pod in _pods)
        {
            if (pod is { IsReady: true, IsDraining: false, BusyUntil: null } && queue.TryDeliver(now))
            {
                pod.Work = serviceTime();
                pod.BusyUntil = now + pod.Work;
            }
        }
    }

    private void Count(TimeSpan now)
    {
        ReplicaTime += _pods.Count * (now - _countedTo);
        _countedTo = now;
    }

    private sealed class Pod
    {
        public required TimeSpan ReadyAt { get; init; }

        public bool IsReady { get; set; }

        public bool IsDraining { get; set; }

        /// <summary>Work in the message it holds, or held last.</summary>
        public TimeSpan Work { get; set; }

        public TimeSpan? BusyUntil { get; set; }
    }
}
