namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>One replica with one consumer.</summary>
internal sealed class TwinPod
{
    /// <summary>How many there were before it.</summary>
    public required int Number { get; init; }

    /// <summary>When it starts to consume; infinity while it has no GPU.</summary>
    public required double ReadyAt { get; set; }

    public bool IsReady { get; set; }

    public bool IsGone { get; set; }

    public bool IsDraining { get; set; }

    /// <summary>Whether it stands in line for a message.</summary>
    public bool IsInLine { get; set; }

    /// <summary>What it works on, and until when.</summary>
    public List<(TwinMessage Message, double Until)> Working { get; } = [];

    /// <summary>What it holds besides.</summary>
    public Queue<TwinMessage> Held { get; } = new();

    public int Unacked => Working.Count + Held.Count;
}

/// <summary>
/// Replicas of the workload: they start, take messages in turn, work on them, and are taken away again, busy or not. All that
/// happens between two moments happens in the order of time.
/// </summary>
internal sealed class TwinFleet(TwinScenario scenario, TwinBroker broker)
{
    private readonly List<TwinPod> _pods = [];
    private readonly Queue<TwinPod> _line = new();
    private readonly PriorityQueue<Happening, (double At, long Order)> _happenings = new();
    private double _now;
    private long _order;
    private int _started;

    private enum Kind : byte
    {
        Publish,
        ComeBack,
        Start,
        Finish,
    }

    /// <summary>Replicas wanted: <c>spec.replicas</c>.</summary>
    public int Wanted { get; private set; }

    /// <summary>Consumers.</summary>
    public int Consumers { get; private set; }

    /// <summary>Replicas that hold a GPU.</summary>
    public int Holding => _pods.Count(static pod => !double.IsPositiveInfinity(pod.ReadyAt));

    /// <summary>Messages being worked on.</summary>
    public int Busy { get; private set; }

    /// <summary>Messages finished.</summary>
    public long Finished { get; private set; }

    /// <summary>Those of them that waited longer than 10 s.</summary>
    public long Late { get; private set; }

    /// <summary>Seconds of work in messages that were finished, rounds of rejected ones included.</summary>
    public double WorkDone { get; private set; }

    /// <summary>Seconds of work lost with workers that were taken away.</summary>
    public double WorkLost { get; private set; }

    /// <summary>Messages that waited, each as the part of a drain time that it takes; see <see cref="Clairvoyant"/>.</summary>
    public double WaitingSlots { get; private set; }

    /// <summary>The same of messages that came since the last time this was asked.</summary>
    public double TakeArrivedSlots()
    {
        var slots = _arrivedSlots;
        _arrivedSlots = 0;
        return slots;
    }

    private double _arrivedSlots;

    /// <summary>The same of what is left to do of messages being worked on.</summary>
    public double BusySlots()
    {
        var slots = 0.0;
        foreach (var pod in _pods)
        {
            foreach (var (_, until) in pod.Working)
            {
                slots += Math.Min(1, (until - _now) / scenario.Policy.EffectiveDrainTime.TotalSeconds);
            }
        }

        return slots;
    }

    /// <summary>Something is to be published.</summary>
    public void Schedule(in TwinMessage message) => Add(message.PublishedAt, new Happening(Kind.Publish, null, message));

    /// <summary>Lets happen what happens until then.</summary>
    public void RunUntil(double then)
    {
        while (_happenings.TryPeek(out var happening, out var when) && when.At <= then)
        {
            _happenings.Dequeue();
            _now = when.At;
            Happen(happening);
            Deliver();
        }

        _now = then;
    }

    /// <summary>
    /// Wants so many from now on. Those to go are first those that are not ready, then the youngest, as a ReplicaSet chooses; what
    /// they work on is of no concern to it.
    /// </summary>
    public void ScaleTo(int replicas)
    {
        Wanted = replicas;
        for (var missing = replicas - _pods.Count(static pod => !pod.IsDraining); missing > 0; missing--)
        {
            var pod = new TwinPod { Number = _started++, ReadyAt = double.PositiveInfinity };
            _pods.Add(pod);
            if (!scenario.WithoutGpus.Holds(_now))
            {
                Start(pod);
            }
        }

        for (var surplus = _pods.Count(static pod => !pod.IsDraining) - replicas; surplus > 0; surplus--)
        {
            var victim = _pods.FindLastIndex(static pod => pod is { IsReady: false, IsDraining: false });
            TakeAway(_pods[victim >= 0 ? victim : _pods.FindLastIndex(static pod => !pod.IsDraining)]);
        }

        Deliver();
    }

    /// <summary>GPUs are to be had again: pods that wait for one begin to start.</summary>
    public void StartPending()
    {
        foreach (var pod in _pods.Where(static pod => double.IsPositiveInfinity(pod.ReadyAt)))
        {
            Start(pod);
        }
    }

    private void Start(TwinPod pod)
    {
        pod.ReadyAt = _now + scenario.PodStart;
        Add(pod.ReadyAt, new Happening(Kind.Start, pod, default));
    }

    private void TakeAway(TwinPod pod)
    {
        Consumers -= pod.IsReady ? 1 : 0;
        pod.IsReady = false;
        foreach (var message in pod.Held)
        {
            broker.Requeue(message);
        }

        pod.Held.Clear();
        if (scenario.WorkersDrain && pod.Working.Count > 0)
        {
            pod.IsDraining = true;
            return;
        }

        pod.IsGone = true;
        foreach (var (message, until) in pod.Working)
        {
            WorkLost += message.Work - (until - _now);
            WaitingSlots += SlotsOf(message);
            broker.Requeue(message);
            Busy--;
        }

        _pods.Remove(pod);
    }

    private void Happen(in Happening happening)
    {
        var (kind, pod, message) = happening;
        switch (kind)
        {
            case Kind.Publish:
            case Kind.ComeBack:
                _arrivedSlots += SlotsOf(message);
                WaitingSlots += SlotsOf(message);
                broker.Publish(message, counts: kind == Kind.Publish);
                break;

            case Kind.Start when !pod!.IsGone:
                pod.IsReady = true;
                Consumers++;
                StandInLine(pod);
                break;

            case Kind.Finish when !pod!.IsGone:
                Finish(pod);
                break;
        }
    }

    private void Finish(TwinPod pod)
    {
        var index = pod.Working.FindIndex(work => work.Until <= _now);
        var message = pod.Working[index].Message;
        pod.Working.RemoveAt(index);
        Busy--;
        WorkDone += message.Work;
        if (message.Rejections > 0)
        {
            broker.Reject();
            var back = message with { PublishedAt = _now + scenario.RetryAfter, Rejections = message.Rejections - 1, WasDelivered = false };
            Add(back.PublishedAt, new Happening(Kind.ComeBack, null, back));
        }
        else
        {
            broker.Acknowledge(pod.Number);
            Finished++;
            Late += _now - message.Work - message.PublishedAt > 10 ? 1 : 0;
        }

        if (pod.IsDraining)
        {
            pod.IsGone = pod.Working.Count == 0;
            _ = pod.IsGone && _pods.Remove(pod);
            return;
        }

        if (pod.Held.TryDequeue(out var next))
        {
            Work(pod, next);
        }

        StandInLine(pod);
    }

    private void Deliver()
    {
        while (broker.Ready > 0 && _line.TryDequeue(out var pod))
        {
            pod.IsInLine = false;
            if (!pod.IsReady || !broker.TryDeliver(pod.Number, out var message))
            {
                continue;
            }

            if (pod.Working.Count < scenario.Concurrency)
            {
                Work(pod, message);
            }
            else
            {
                pod.Held.Enqueue(message);
            }

            StandInLine(pod);
        }
    }

    private void Work(TwinPod pod, in TwinMessage message)
    {
        Busy++;
        WaitingSlots -= SlotsOf(message);
        pod.Working.Add((message, _now + message.Work));
        Add(_now + message.Work, new Happening(Kind.Finish, pod, default));
    }

    /// <summary>A broker gives to consumers in turn, to each as many as its prefetch allows.</summary>
    private void StandInLine(TwinPod pod)
    {
        if (!pod.IsInLine && pod.Unacked < scenario.Prefetch)
        {
            pod.IsInLine = true;
            _line.Enqueue(pod);
        }
    }

    private double SlotsOf(in TwinMessage message) => Math.Min(1, message.Work / scenario.Policy.EffectiveDrainTime.TotalSeconds);

    private void Add(double at, in Happening happening) => _happenings.Enqueue(happening, (at, _order++));

    private readonly record struct Happening(Kind Kind, TwinPod? Pod, TwinMessage Message);
}
