using GpuExternalScaler.Simulation.Reports;
using Spectre.Console;

namespace GpuExternalScaler.Simulation;

/// <summary>What came of a simulation, on a terminal or in a pipe.</summary>
internal static class OutcomeScreen
{
    // A pipe has no width; a table must not be folded for one.
    private const int WidthOfPipes = 200;

    /// <summary>A console for what is no terminal.</summary>
    public static IAnsiConsole Plain(TextWriter output)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(output),
        });
        console.Profile.Width = WidthOfPipes;
        return console;
    }

    /// <summary>Writes the setup in words and a table of the policies.</summary>
    public static void Write(SimulationReport report, IAnsiConsole console)
    {
        console.WriteLine(report.Setup.Trace.Name);
        foreach (var sentence in Words.Describe(report.Setup))
        {
            console.WriteLine(sentence);
        }

        var table = new Table().Border(TableBorder.Simple);
        table.AddColumn(new TableColumn("policy"));
        foreach (var figure in (ReadOnlySpan<string>)["late", "median wait", "P99 wait", "replica-hours", "× work", "changes", "work lost"])
        {
            table.AddColumn(new TableColumn(figure).RightAligned().NoWrap());
        }

        foreach (var outcome in report.Outcomes)
        {
            var result = outcome.Result;
            table.AddRow(
                new Text(outcome.Label),
                new Text(Words.Percent(result.Late)),
                new Text(Words.Wait(result.WaitP50)),
                new Text(Words.Wait(result.WaitP99)),
                new Text(Words.Hours(result.ReplicaHours)),
                new Text(Words.Times(result.ReplicaHoursPerWork)),
                new Text(Words.Figure(result.Churn, 0)),
                new Text(Words.Wait(result.KilledWorkSeconds)));
        }

        console.Write(table);
    }
}
