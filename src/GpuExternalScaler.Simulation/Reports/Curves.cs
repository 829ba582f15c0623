using System.Globalization;
using System.Text;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>Paths of pictures that are stretched to their place: one unit across for each value, <see cref="Height"/> units high.</summary>
internal static class Curves
{
    /// <summary>Units from bottom to top.</summary>
    public const int Height = 200;

    /// <summary>A line with a step wherever the value changes.</summary>
    public static string Steps(IReadOnlyList<double> values, Axis axis)
    {
        var path = new StringBuilder("M0,").Append(Y(axis.At(values[0])));
        Walk(path, values, axis);
        return path.ToString();
    }

    /// <summary>The area below it.</summary>
    public static string Area(IReadOnlyList<double> values, Axis axis)
    {
        var path = new StringBuilder("M0,").Append(Height).Append('V').Append(Y(axis.At(values[0])));
        Walk(path, values, axis);
        return path.Append('V').Append(Height).Append('Z').ToString();
    }

    /// <summary>A line through points, each from 0 to 1.</summary>
    public static string Line(IReadOnlyList<(double X, double Y)> points, int width)
    {
        var path = new StringBuilder();
        foreach (var (x, y) in points)
        {
            path.Append(path.Length == 0 ? 'M' : 'L').Append(Number(x * width)).Append(',').Append(Y(y));
        }

        return path.ToString();
    }

    /// <summary>A number with one decimal.</summary>
    public static string Number(double value) => Math.Round(value, 1).ToString("0.#", CultureInfo.InvariantCulture);

    private static void Walk(StringBuilder path, IReadOnlyList<double> values, Axis axis)
    {
        var last = Y(axis.At(values[0]));
        for (var i = 1; i < values.Count; i++)
        {
            // What stays the same takes no room.
            var next = Y(axis.At(values[i]));
            if (next != last)
            {
                path.Append('H').Append(i).Append('V').Append(next);
                last = next;
            }
        }

        path.Append('H').Append(values.Count);
    }

    private static string Y(double share) => Number(Height * (1 - share));
}
