namespace GpuExternalScaler.Simulation.Traces;

/// <summary>Traces that are made and not measured: one message a second on average, to be scaled.</summary>
public static class Shapes
{
    private const int Minute = 60;
    private const int Hour = 3600;

    private static readonly (string Name, string Meaning, Func<double[]> Make)[] All =
    [
        ("viral", "sevenfold within 15 minutes, stays 45, decays; 4 hours", static () => Each(4 * Hour, Viral)),
        ("step", "fourfold for 20 minutes, four times; 4 hours", static () => Each(4 * Hour, static second => second % Hour is >= 30 * Minute and < 50 * Minute ? 4 : 1)),
        ("daily", "a smooth day with mild noise; 24 hours", Daily),
        ("idle-to-busy", "nothing for 20 minutes, then work for 40, and again; 4 hours", static () => Each(4 * Hour, static second => second % Hour < 20 * Minute ? 0 : 1)),
        ("flapping", "ten to one, changing every 5 minutes; 3 hours", static () => Each(3 * Hour, static second => second % (10 * Minute) < 5 * Minute ? 1 : 10)),
        ("constant", "always the same; 3 hours", static () => Each(3 * Hour, static _ => 1)),
    ];

    /// <summary>Name and meaning of each.</summary>
    public static IReadOnlyList<(string Name, string Meaning)> Known { get; } = [.. All.Select(static shape => (shape.Name, shape.Meaning))];

    /// <summary>Makes one.</summary>
    /// <exception cref="FormatException">There is none of this name.</exception>
    public static ArrivalTrace Create(string name)
    {
        var shape = Array.Find(All, shape => shape.Name == name);
        if (shape.Make is null)
        {
            throw new FormatException($"There is no shape of this name; there are {string.Join(", ", All.Select(static known => known.Name))}.");
        }

        var seconds = shape.Make();
        var mean = seconds.Average();
        return new ArrivalTrace(name, [.. seconds.Select(messages => messages / mean)], isMeasured: false);
    }

    private static double[] Each(int seconds, Func<int, double> level) => [.. Enumerable.Range(0, seconds).Select(level)];

    private static double Viral(int second)
    {
        const int begin = 40 * Minute;
        const int top = begin + (15 * Minute);
        const int decay = top + (45 * Minute);
        return second < begin ? 1
            : second < top ? 1 + (6.0 * (second - begin) / (top - begin))
            : second < decay ? 7
            : 1 + (6 * Math.Exp(-(second - decay) / (30.0 * Minute)));
    }

    // Lowest at four in the morning, a first top before noon and a higher one in the evening; noise of 5 % that lasts some minutes.
    private static double[] Daily()
    {
        var chance = new Random(1);
        double noise = 0;
        var seconds = new double[24 * Hour];
        for (var second = 0; second < seconds.Length; second++)
        {
            var day = 2 * Math.PI * ((second / (24.0 * Hour)) - (4 / 24.0));
            const double kept = 1 - (1 / (3.0 * Minute));
            noise = (kept * noise) + (Math.Sqrt(1 - (kept * kept)) * Normal(chance));
            seconds[second] = Math.Max(0, (1 - (0.6 * Math.Cos(day)) - (0.15 * Math.Sin(2 * day)) - (0.15 * Math.Cos(2 * day))) * (1 + (0.05 * noise)));
        }

        return seconds;
    }

    private static double Normal(Random chance) => Math.Sqrt(-2 * Math.Log(1 - chance.NextDouble())) * Math.Cos(2 * Math.PI * chance.NextDouble());
}
