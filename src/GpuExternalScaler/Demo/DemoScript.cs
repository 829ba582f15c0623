namespace GpuExternalScaler.Demo;

/// <summary>A part of the scripted workload.</summary>
internal enum DemoPhase
{
    /// <summary>The everyday load.</summary>
    Steady,

    /// <summary>Several times the everyday load, from one moment to the next.</summary>
    Spike,

    /// <summary>The spike dies away, to below the everyday load.</summary>
    Decay,

    /// <summary>No messages at all.</summary>
    Idle,
}

/// <summary>The scripted workload: which phase it is, how fast messages arrive. Phases grow with the duration.</summary>
internal sealed class DemoScript(DemoSettings settings)
{
    // What is left at the end of the decay, as a share of the everyday load.
    private const double DecayEnd = 0.25;

    private readonly TimeSpan _spikeAt = 0.25 * settings.Duration;
    private readonly TimeSpan _decayAt = 0.5 * settings.Duration;
    private readonly TimeSpan _idleAt = 0.7 * settings.Duration;

    /// <summary>Most arrivals at any time, in 1/s.</summary>
    public double PeakArrivalsPerSecond => settings.SteadyArrivalsPerSecond * Math.Max(1, settings.SpikeFactor);

    /// <summary>The phase at a time since the beginning.</summary>
    public DemoPhase PhaseAt(TimeSpan at) =>
        at < _spikeAt ? DemoPhase.Steady
        : at < _decayAt ? DemoPhase.Spike
        : at < _idleAt ? DemoPhase.Decay
        : DemoPhase.Idle;

    /// <summary>Mean arrivals in 1/s at a time since the beginning.</summary>
    public double ArrivalsPerSecondAt(TimeSpan at)
    {
        var steady = settings.SteadyArrivalsPerSecond;
        return PhaseAt(at) switch
        {
            DemoPhase.Steady => steady,
            DemoPhase.Spike => steady * settings.SpikeFactor,
            DemoPhase.Decay => steady * (settings.SpikeFactor + ((DecayEnd - settings.SpikeFactor) * ((at - _decayAt) / (_idleAt - _decayAt)))),
            _ => 0,
        };
    }

    /// <summary>
    /// The moment of the next arrival, or null when none comes any more: a Poisson process of the scripted rate, by
    /// thinning one of the peak rate.
    /// </summary>
    public TimeSpan? NextArrival(TimeSpan after, Random random)
    {
        var at = after;
        while (at < _idleAt)
        {
            at += TimeSpan.FromSeconds(-Math.Log(1 - random.NextDouble()) / PeakArrivalsPerSecond);
            if (random.NextDouble() * PeakArrivalsPerSecond < ArrivalsPerSecondAt(at))
            {
                return at;
            }
        }

        return null;
    }
}
