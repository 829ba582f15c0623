using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>What steps: the fold, or something around it.</summary>
internal delegate ScalingDecision Stepper(WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now);

/// <summary>One workload under test: a clock that only moves when told, and readings set by hand.</summary>
internal sealed class Workload
{
    public static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);
    private readonly Dictionary<string, QueueReading> _queues = new(StringComparer.Ordinal);

    public ScalingPolicy Policy { get; set; } = ScalingPolicy.Default;

    public WorkloadState State { get; set; } = new();

    public Stepper Stepper { get; init; } = DecisionFold.Step;

    public DateTimeOffset Now { get; private set; } = Start;

    public TimeSpan FreshFor { get; init; } = TimeSpan.FromSeconds(4);

    public TimeSpan StaleAfter { get; init; } = TimeSpan.FromSeconds(20);

    public bool MatchedByPattern { get; set; }

    public int QueueSetVersion { get; set; }

    public double Scheduled { get; set; }

    public SeasonalReading Season { get; set; }

    public Workload Queue(long ready, long unacked, long consumers, string name = "q", QueueKind kind = QueueKind.Unknown)
    {
        _queues[name] = Observed(_queues.GetValueOrDefault(name)) with { Ready = ready, Unacked = unacked, Consumers = consumers, Kind = kind };
        return this;
    }

    /// <summary>Changes what else is known of a queue.</summary>
    public Workload Known(Func<QueueReading, QueueReading> change, string name = "q")
    {
        _queues[name] = change(_queues[name]);
        return this;
    }

    public Workload Counters(
        long messages, long completed, long published = -1, long delivered = -1, long redelivered = -1, long unacked = 0, long autoAcked = -1, string name = "q")
    {
        _queues[name] = _queues[name] with
        {
            Counters = new QueueCounters
            {
                ObservedAt = Now,
                StaleAfter = TimeSpan.FromSeconds(30),
                Messages = messages,
                Unacked = unacked,
                AutoAcked = autoAcked,
                Completed = completed,
                Published = published,
                Delivered = delivered,
                Redelivered = redelivered,
            },
        };
        return this;
    }

    public Workload Absent(string name = "q")
    {
        var last = _queues.GetValueOrDefault(name);
        _queues[name] = last with { Presence = QueuePresence.Absent, ObservedAt = Now, FreshFor = FreshFor, StaleAfter = StaleAfter };
        return this;
    }

    public Workload Unobserved(string name = "q")
    {
        _queues[name] = default;
        return this;
    }

    /// <summary>Lets time pass; with <paramref name="observed"/> the sweeps go on and see the same figures.</summary>
    public Workload After(double seconds, bool observed = true)
    {
        Now += TimeSpan.FromSeconds(seconds);
        if (observed)
        {
            foreach (var name in _queues.Keys.ToList())
            {
                _queues[name] = _queues[name].Presence switch
                {
                    QueuePresence.Present => Observed(_queues[name]),
                    QueuePresence.Absent => _queues[name] with { ObservedAt = Now },
                    _ => _queues[name],
                };
            }
        }

        return this;
    }

    public ScalingDecision Step() => Step(_queues.Values.ToArray());

    public ScalingDecision Step(QueueReading[] queues) => Stepper(
        State,
        new WorkloadSnapshot { Queues = queues, MatchedByPattern = MatchedByPattern, QueueSetVersion = QueueSetVersion, ScheduledReplicas = Scheduled, Seasonal = Season },
        Policy,
        Now);

    /// <summary>Steps once a second, sweeping every two, for so many seconds; gives the last decision.</summary>
    public ScalingDecision Run(double seconds)
    {
        var decision = Step();
        for (var t = 1; t <= seconds; t++)
        {
            After(1, observed: t % 2 == 0);
            decision = Step();
        }

        return decision;
    }

    public QueueReading[] Readings() => _queues.Values.ToArray();

    private QueueReading Observed(QueueReading reading) => reading with
    {
        Presence = QueuePresence.Present,
        ObservedAt = Now,
        LastPresentAt = Now,
        FreshFor = FreshFor,
        StaleAfter = StaleAfter,
    };
}
