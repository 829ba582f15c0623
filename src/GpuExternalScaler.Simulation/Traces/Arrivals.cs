namespace GpuExternalScaler.Simulation.Traces;

/// <summary>Messages that come in each second: drawn once, the same for every rule.</summary>
public sealed class Arrivals
{
    // Seconds of a trace whose mean goes on before it.
    private const int First = 300;

    private Arrivals(int[] perSecond, int warmUp) => (PerSecond, WarmUp) = (perSecond, warmUp);

    /// <summary>How many come in each second, those before the trace included.</summary>
    public IReadOnlyList<int> PerSecond { get; }

    /// <summary>Seconds before the trace begins.</summary>
    public int WarmUp { get; }

    /// <summary>
    /// Draws them. Means are what a Poisson process has; of measured counts only the fraction that scaling left is drawn, so that
    /// no noise is added to what is in them. Before the trace comes what its first five minutes have on average.
    /// </summary>
    public static Arrivals Draw(SimulationSetup setup)
    {
        ArgumentNullException.ThrowIfNull(setup);
        var (trace, warmUp) = (setup.Trace, setup.WarmUpSeconds);
        var chance = Chance.For(setup.Seed, Purpose.Arrivals);
        var first = trace.PerSecond.Take(First).Average();
        var perSecond = new int[warmUp + trace.PerSecond.Count];
        for (var i = 0; i < perSecond.Length; i++)
        {
            perSecond[i] = i < warmUp ? chance.NextPoisson(first)
                : trace.IsMeasured ? (int)(trace.PerSecond[i - warmUp] + chance.Next())
                : chance.NextPoisson(trace.PerSecond[i - warmUp]);
        }

        return new Arrivals(perSecond, warmUp);
    }
}
