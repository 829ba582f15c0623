using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>A span of time, in seconds since the beginning of a run.</summary>
internal readonly record struct Span(double From, double To)
{
    /// <summary>Whether a moment lies in it.</summary>
    public bool Holds(double at) => at >= From && at < To;
}

/// <summary>What befalls one workload in a run of the twin. Times in seconds since its beginning.</summary>
internal sealed record TwinScenario
{
    /// <summary>The policy under which it is decided.</summary>
    public required ScalingPolicy Policy { get; init; }

    /// <summary>How long it goes on.</summary>
    public required int Seconds { get; init; }

    /// <summary>Messages published per second, by time.</summary>
    public required Func<double, double> ArrivalsPerSecond { get; init; }

    /// <summary>Whether they come at random (Poisson) or evenly.</summary>
    public bool ArrivalsAreRandom { get; init; } = true;

    /// <summary>Seconds of work in one message, on average; uniformly between half and one and a half times that.</summary>
    public required double ServiceTime { get; init; }

    /// <summary>Messages a consumer is given before it has acknowledged any.</summary>
    public int Prefetch { get; init; } = 1;

    /// <summary>Messages a consumer works on at once. What else it holds waits.</summary>
    public int Concurrency { get; init; } = 1;

    /// <summary>
    /// Seconds a pod takes to its first message once it is asked for. What the policy calls a cold start is longer by an HPA sync.
    /// </summary>
    public required double PodStart { get; init; }

    /// <summary>Whether a worker that is taken away finishes what it works on. Otherwise it is lost, and done again.</summary>
    public bool WorkersDrain { get; init; }

    /// <summary>Most replicas the ScaledObject allows.</summary>
    public int Maximum { get; init; } = 1000;

    /// <summary>When no pod that is not there yet can start.</summary>
    public Span WithoutGpus { get; init; }

    /// <summary>When the broker cannot be read; messages and workers go on.</summary>
    public Span Outage { get; init; }

    /// <summary>When what is published is rejected at first, and comes back through a dead-letter exchange.</summary>
    public Span Rejecting { get; init; }

    /// <summary>How often each of those is rejected.</summary>
    public int Rejections { get; init; } = 2;

    /// <summary>Seconds from a rejection until the message is back.</summary>
    public double RetryAfter { get; init; } = 5;

    /// <summary>Seed of all chance.</summary>
    public int Seed { get; init; } = 1;
}
