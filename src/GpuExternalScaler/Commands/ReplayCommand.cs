using System.CommandLine;
using GpuExternalScaler.Recording;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Commands;

/// <summary><c>replay</c>: has what was recorded decided again, by this program.</summary>
internal static class ReplayCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var file = new Argument<FileInfo>("FILE") { Description = "What serve --record wrote." };
        var workload = new Option<string?>("--workload") { Description = "Replay this one alone.", HelpName = "NAMESPACE/NAME[#TRIGGER]" };
        var show = new Option<bool>("--show") { Description = "Show the decisions over time, a line for each change." };
        var extract = new Option<DirectoryInfo?>("--extract") { Description = "Write the workload's part into this new folder, which tests can replay.", HelpName = "FOLDER" };
        var command = new Command("replay", "Replay a recording: exit code 0 if every decision is what it was, 1 if not, 2 if it cannot be read.") { file, workload, show, extract };
        command.Validators.Add(result =>
        {
            if (result.GetResult(extract) is { Implicit: false } && result.GetResult(workload) is null)
            {
                result.AddError("--extract needs --workload");
            }
        });
        command.SetAction((result, _) => Task.FromResult(Run(result.GetValue(file)!, result.GetValue(workload), result.GetValue(show), result.GetValue(extract), Console.Out, Console.Error)));
        return command;
    }

    /// <summary>Replays it. What came of it goes to <paramref name="output"/>, what is wrong with the file to <paramref name="error"/>.</summary>
    public static int Run(FileInfo file, string? workload, bool show, DirectoryInfo? extract, TextWriter output, TextWriter error)
    {
        try
        {
            using var recording = file.OpenRead();
            bool IsWanted(RecordedName name) => workload is null || name.IsMeantBy(workload);
            var table = show ? new ReplayTable(output) : null;
            var report = Recordings.Replay(recording, IsWanted, table is null ? null : table.Add);
            table?.Finish();
            if (report.Workloads.Count == 0)
            {
                error.WriteLine($"{file}: {(workload is null ? "nothing was recorded" : $"nothing was recorded of {workload}")}");
                return ExitCode.InvalidInput;
            }

            ReplayText.Write(report, output);
            if (extract is not null && report.Workloads.Count > 1)
            {
                error.WriteLine($"{workload} has several triggers, and a folder is about one: {string.Join(", ", report.Workloads.Select(static one => one.Name))}");
                return ExitCode.InvalidInput;
            }

            if (extract is not null)
            {
                recording.Position = 0;
                ExtractedRecording.Write(recording, IsWanted, report, extract);
                output.WriteLine($"{extract}: written");
            }

            return report.IsIdentical ? ExitCode.Done : ExitCode.Failed;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or InvalidDataException or NotSupportedException)
        {
            error.WriteLine($"{file}: {exception.Message}");
            return ExitCode.InvalidInput;
        }
    }
}
