namespace GpuExternalScaler.Simulation.Traces;

/// <summary>Messages published, second by second.</summary>
public sealed class ArrivalTrace
{
    /// <summary>A trace.</summary>
    /// <param name="name">What it is called in reports.</param>
    /// <param name="perSecond">Mean number of messages in each second; finite and not below zero.</param>
    /// <param name="isMeasured">Whether these are counts of single seconds, noise and all, and not means to draw from.</param>
    /// <exception cref="ArgumentException">There is no second, or one is not a number of messages.</exception>
    public ArrivalTrace(string name, double[] perSecond, bool isMeasured)
    {
        ArgumentNullException.ThrowIfNull(perSecond);
        if (perSecond.Length == 0 || Array.Exists(perSecond, static messages => !(messages >= 0) || double.IsInfinity(messages)))
        {
            throw new ArgumentException("A trace needs seconds, and messages of at least zero in each.", nameof(perSecond));
        }

        (Name, PerSecond, IsMeasured) = (name, perSecond, isMeasured);
    }

    /// <summary>What it is called in reports.</summary>
    public string Name { get; }

    /// <summary>Mean number of messages in each second.</summary>
    public IReadOnlyList<double> PerSecond { get; }

    /// <summary>Whether these are counts of single seconds, noise and all, and not means to draw from.</summary>
    public bool IsMeasured { get; }

    /// <summary>Messages in a second, on average.</summary>
    public double Mean => PerSecond.Average();

    /// <summary>The same multiplied, so that so many replicas are busy on average.</summary>
    /// <param name="busy">Busy replicas, above zero.</param>
    /// <param name="serviceTime">Seconds of work in a message.</param>
    /// <exception cref="InvalidOperationException">Nothing arrives in it.</exception>
    public ArrivalTrace ScaledTo(double busy, double serviceTime)
    {
        var mean = Mean;
        if (mean <= 0)
        {
            throw new InvalidOperationException($"Nothing arrives in {Name}.");
        }

        var factor = busy / serviceTime / mean;
        return new ArrivalTrace(Name, [.. PerSecond.Select(messages => messages * factor)], IsMeasured);
    }

    /// <summary>A part of it.</summary>
    public ArrivalTrace Part(string name, int from, int seconds) => new(name, [.. PerSecond.Skip(from).Take(seconds)], IsMeasured);
}
