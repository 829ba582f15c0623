using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation;

/// <summary>How messages are followed.</summary>
public enum Fidelity
{
    /// <summary>One by one, or by the second where there are more than 30 in a second on average.</summary>
    Auto,

    /// <summary>One by one.</summary>
    Messages,

    /// <summary>All that arrive in a second together.</summary>
    Cohorts,
}

/// <summary>What is simulated, apart from the rule that decides.</summary>
public sealed record SimulationSetup
{
    /// <summary>What arrives.</summary>
    public required ArrivalTrace Trace { get; init; }

    /// <summary>Seconds of work in a message on average; each has between half and one and a half times that, uniformly.</summary>
    public required double ServiceTime { get; init; }

    /// <summary>Seconds from creating a pod to its first message, on average.</summary>
    public required double ColdStart { get; init; }

    /// <summary>Standard deviation of the logarithm of the cold start. Default 0.2: one in a hundred takes 1.6 times as long.</summary>
    public double ColdStartSpread { get; init; } = 0.2;

    /// <summary>The ScaledObject.</summary>
    public ScaledObjectSpec ScaledObject { get; init; } = new();

    /// <summary>
    /// Seconds before the trace in which what its first five minutes have on average comes, and nothing is counted: nobody begins to
    /// measure at the moment at which everything is switched on. Default 900.
    /// </summary>
    public int WarmUpSeconds { get; init; } = 900;

    /// <summary>Replicas at the beginning; null: as many as work on what arrives in the first minute.</summary>
    public int? FirstReplicas { get; init; }

    /// <summary>Whether a worker that is taken away finishes what it works on. Otherwise that is lost, and done again.</summary>
    public bool WorkersDrain { get; init; } = true;

    /// <summary>Seconds of waiting above which a message is late. Default 10.</summary>
    public double LateAfter { get; init; } = 10;

    /// <summary>How messages are followed.</summary>
    public Fidelity Fidelity { get; init; }

    /// <summary>Seed of all chance.</summary>
    public int Seed { get; init; } = 1;
}
