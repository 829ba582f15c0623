using System.Globalization;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>Every second of every policy as CSV, one policy after the other.</summary>
public static class CsvReport
{
    /// <summary>The first line.</summary>
    public const string Header = "policy,seconds,arrivals,demand,asked,wanted,ready,busy,waiting";

    /// <summary>Writes it. What was asked for is empty where the policy could not decide.</summary>
    public static void Write(SimulationReport report, TextWriter to)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(to);
        to.Write(Header + "\n");
        foreach (var outcome in report.Outcomes)
        {
            var policy = Quoted(outcome.Label);
            var seconds = outcome.Result.Seconds ?? [];
            for (var i = 0; i < seconds.Count; i++)
            {
                var at = seconds[i];
                var asked = float.IsNaN(at.Asked) ? "" : at.Asked.ToString("0.###", CultureInfo.InvariantCulture);
                to.Write(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{policy},{i},{at.Arrivals},{at.Demand:0.###},{asked},{at.Wanted},{at.Ready},{at.Busy},{at.Waiting}\n"));
            }
        }
    }

    private static string Quoted(string text) =>
        text.AsSpan().IndexOfAny(",\"\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
}
