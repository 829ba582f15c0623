using System.Globalization;
using System.Text.Json;

namespace GpuExternalScaler.Benchmarks;

/// <summary>Figures of one benchmark: printed as a table, kept as JSON with what the machine was doing meanwhile.</summary>
internal sealed class Report(string name, string folder)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private readonly List<Dictionary<string, object?>> _rows = [];
    private readonly List<string> _notes = [];
    private readonly List<double> _loads = [Machine.LoadAverage()];

    /// <summary>Adds a row; the first row's columns are the table's.</summary>
    public void Row(params (string Column, object? Value)[] cells)
    {
        _rows.Add(cells.ToDictionary(static cell => cell.Column, static cell => cell.Value, StringComparer.Ordinal));
        _loads.Add(Machine.LoadAverage());
        Console.WriteLine("  " + string.Join("  ", cells.Select(static cell => $"{cell.Column}={Text(cell.Value)}")));
    }

    /// <summary>Says something about how it was measured.</summary>
    public void Note(string text)
    {
        _notes.Add(text);
        Console.WriteLine("  " + text);
    }

    /// <summary>Prints the table and writes the file.</summary>
    public void Finish()
    {
        Console.WriteLine();
        Console.WriteLine($"## {name}");
        Console.WriteLine();
        if (_rows.Count > 0)
        {
            var columns = _rows[0].Keys.ToList();
            Console.WriteLine("| " + string.Join(" | ", columns) + " |");
            Console.WriteLine("|" + string.Concat(columns.Select(static _ => "---|")));
            foreach (var row in _rows)
            {
                Console.WriteLine("| " + string.Join(" | ", columns.Select(column => Text(row.GetValueOrDefault(column)))) + " |");
            }
        }

        var load = $"{Environment.ProcessorCount} processors, load average {_loads.Min():0.0} to {_loads.Max():0.0} while measuring";
        Console.WriteLine();
        foreach (var note in _notes.Append(load))
        {
            Console.WriteLine($"- {note}");
        }

        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, name + ".json");
        File.WriteAllText(file, JsonSerializer.Serialize(new { name, rows = _rows, notes = _notes, machine = load }, Indented));
        Console.WriteLine($"- figures: {file}");
        Console.WriteLine();
    }

    private static string Text(object? value) => value switch
    {
        null => "",
        double number => number.ToString(Math.Abs(number) >= 100 ? "#,0" : "0.##", CultureInfo.InvariantCulture),
        long or int => string.Create(CultureInfo.InvariantCulture, $"{value:#,0}"),
        _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
    };
}

/// <summary>What a set of measurements looks like.</summary>
internal static class Spread
{
    /// <summary>The value below which a share of the measurements lie.</summary>
    public static double At(IEnumerable<double> values, double share)
    {
        var sorted = values.Order().ToList();
        return sorted.Count == 0 ? double.NaN : sorted[(int)Math.Round(share * (sorted.Count - 1))];
    }

    public static double Median(IEnumerable<double> values) => At(values, 0.5);
}
