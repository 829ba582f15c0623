namespace GpuExternalScaler.Simulation.Reports;

/// <summary>Seconds put together, as many as a picture has room for.</summary>
internal sealed class Downsampled
{
    private Downsampled(int buckets, int secondsEach, int seconds)
    {
        (Buckets, SecondsEach, Seconds) = (buckets, secondsEach, seconds);
        (Arrivals, Demand, Wanted, Ready, Busy, Waiting) = (new double[buckets], new double[buckets], new double[buckets], new double[buckets], new double[buckets], new double[buckets]);
    }

    public int Buckets { get; }

    /// <summary>Seconds in each; the last may hold fewer.</summary>
    public int SecondsEach { get; }

    /// <summary>Seconds in all.</summary>
    public int Seconds { get; }

    /// <summary>Messages in a second, on average.</summary>
    public double[] Arrivals { get; }

    /// <summary>Highest demand.</summary>
    public double[] Demand { get; }

    /// <summary>Most replicas wanted.</summary>
    public double[] Wanted { get; }

    /// <summary>Replicas ready, on average.</summary>
    public double[] Ready { get; }

    /// <summary>Replicas at work, on average.</summary>
    public double[] Busy { get; }

    /// <summary>Most messages waiting: a short queue must not vanish in a mean.</summary>
    public double[] Waiting { get; }

    /// <summary>Puts them together.</summary>
    public static Downsampled Of(IReadOnlyList<SimulatedSecond> seconds, int most)
    {
        var each = Math.Max(1, (int)Math.Ceiling((double)seconds.Count / most));
        var sampled = new Downsampled((seconds.Count + each - 1) / each, each, seconds.Count);
        for (var i = 0; i < seconds.Count; i++)
        {
            sampled.Add(i / each, seconds[i], Math.Min(each, seconds.Count - (i / each * each)));
        }

        return sampled;
    }

    private void Add(int bucket, in SimulatedSecond second, int of)
    {
        Arrivals[bucket] += (double)second.Arrivals / of;
        Ready[bucket] += (double)second.Ready / of;
        Busy[bucket] += (double)second.Busy / of;
        Demand[bucket] = Math.Max(Demand[bucket], second.Demand);
        Wanted[bucket] = Math.Max(Wanted[bucket], second.Wanted);
        Waiting[bucket] = Math.Max(Waiting[bucket], second.Waiting);
    }
}
