namespace GpuExternalScaler.Simulation;

/// <summary>What came of a run.</summary>
public sealed record SimulationResult
{
    /// <summary>Messages finished, or still waiting at the end for longer than the limit.</summary>
    public required long Messages { get; init; }

    /// <summary>Share of them, 0 to 1, that waited longer than the limit.</summary>
    public required double Late { get; init; }

    /// <summary>Median wait in seconds.</summary>
    public required double WaitP50 { get; init; }

    /// <summary>99th percentile of waits in seconds.</summary>
    public required double WaitP99 { get; init; }

    /// <summary>Hours of replicas that held a GPU: from creation until they are gone.</summary>
    public required double ReplicaHours { get; init; }

    /// <summary>Those hours divided by the hours of work that arrived.</summary>
    public required double ReplicaHoursPerWork { get; init; }

    /// <summary>Replicas added or taken away.</summary>
    public required long Churn { get; init; }

    /// <summary>Seconds of work lost with workers that were taken away.</summary>
    public required double KilledWorkSeconds { get; init; }

    /// <summary>Second by second, where asked for.</summary>
    public IReadOnlyList<SimulatedSecond>? Seconds { get; init; }

    /// <summary>Messages by whole seconds of waiting; the last counts all longer ones. Where asked for.</summary>
    public IReadOnlyList<long>? Waits { get; init; }
}

/// <summary>What was so at the end of one second.</summary>
/// <param name="Arrivals">Messages that came in it.</param>
/// <param name="Demand">Busy slots that what arrives now will keep: arrivals in 1/s, over a minute, times service time.</param>
/// <param name="Asked">Replicas the rule asked for; NaN where undecided.</param>
/// <param name="Wanted">Replicas of the Deployment.</param>
/// <param name="Ready">Replicas that can work.</param>
/// <param name="Busy">Replicas at work.</param>
/// <param name="Waiting">Messages that wait.</param>
public readonly record struct SimulatedSecond(int Arrivals, float Demand, float Asked, int Wanted, int Ready, int Busy, int Waiting);
