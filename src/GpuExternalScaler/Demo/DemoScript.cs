namespace GpuExternalScaler.Demo;

/// <summary>A part of the scripted workload.</summary>
internal enum DemoPhase
{
    /// <summary>The everyday load.</summary>
    Steady,

    /// <summary>Several times the everyday load, reached within a short while.</summary>
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
    private readonly TimeSpan _fullAt = 0.3 * settings.Duration;
    private readonly TimeSpan _decayAt = 0.5 * settings.Duration;
    private readonly TimeSpan _idleAt = 0.77 * settings.Duration;

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
        return settings.SteadyArrivalsPerSecond * PhaseAt(at) switch
        {
            DemoPhase.Steady => 1,
            DemoPhase.Spike => Between(1, settings.SpikeFactor, (at - _spikeAt) / (_fullAt - _spikeAt)),
            DemoPhase.Decay => Between(settings.SpikeFactor, DecayEnd, (at - _decayAt) / (_idleAt - _decayAt)),
            _ => 0,
        };

        static double Between(double from, double to, double part) => from + ((to - from) * Math.Min(1, part));
    }

    /// <summary>What a phase brings.</summary>
    public string Describe(DemoPhase phase)
    {
        var steady = settings.SteadyArrivalsPerSecond;
        return FormattableString.Invariant(phase switch
        {
            DemoPhase.Steady => $"steady: {steady:0.##} messages/s",
            DemoPhase.Spike => $"spike: to {steady * settings.SpikeFactor:0.##} messages/s within {(_fullAt - _spikeAt).TotalSeconds:0} s",
            DemoPhase.Decay => $"decay: down to {steady * DecayEnd:0.##} messages/s within {(_idleAt - _decayAt).TotalSeconds:0} s",
            _ => $"idle: no more messages",
        });
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
