namespace GpuExternalScaler.Simulation.Reports;

/// <summary>An axis: where values are on it, from 0 to 1, and where its marks are.</summary>
internal sealed class Axis
{
    private readonly double _from;
    private readonly double _to;
    private readonly bool _isLogarithmic;

    private Axis(double from, double to, IReadOnlyList<double> marks, bool isLogarithmic)
    {
        (_from, _to, Marks, _isLogarithmic) = (from, to, marks, isLogarithmic);
    }

    /// <summary>The values to be marked.</summary>
    public IReadOnlyList<double> Marks { get; }

    /// <summary>From 0 to the next round number that leaves a value room.</summary>
    public static Axis Linear(double most, int intervals)
    {
        var step = RoundStep(Math.Max(most, 1e-9) / intervals);
        var count = Math.Max(1, (int)Math.Ceiling((most / step) - 1e-9));
        return new Axis(0, step * count, [.. Enumerable.Range(0, count + 1).Select(mark => mark * step)], isLogarithmic: false);
    }

    /// <summary>Between two numbers above zero, marked at those given that are between them.</summary>
    public static Axis Logarithmic(double from, double to, IEnumerable<double> marks) =>
        new(from, to, [.. marks.Where(mark => mark >= from * 0.999 && mark <= to * 1.001)], isLogarithmic: true);

    /// <summary>Seconds from the beginning to the end, marked at round times of day.</summary>
    public static Axis OfTime(int seconds, int most = 8)
    {
        int[] steps = [10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 345_600, 604_800, 1_209_600];
        var step = Array.Find(steps, step => seconds / (double)step <= most);
        step = step == 0 ? steps[^1] : step;
        return new Axis(0, seconds, [.. Enumerable.Range(0, (seconds / step) + 1).Select(mark => (double)mark * step)], isLogarithmic: false);
    }

    /// <summary>Where a value is; values beyond the ends are at the ends.</summary>
    public double At(double value) => Math.Clamp(
        _isLogarithmic ? Math.Log(Math.Max(value, _from) / _from) / Math.Log(_to / _from) : (value - _from) / (_to - _from),
        0,
        1);

    // 1, 2 or 5 times a power of ten.
    private static double RoundStep(double atLeast)
    {
        var power = Math.Pow(10, Math.Floor(Math.Log10(atLeast)));
        foreach (var step in (ReadOnlySpan<double>)[1, 2, 5])
        {
            if (step * power >= atLeast * (1 - 1e-9))
            {
                return step * power;
            }
        }

        return 10 * power;
    }
}
