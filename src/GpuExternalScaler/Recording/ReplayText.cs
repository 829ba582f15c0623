using System.Globalization;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Recording;

/// <summary>What a replay came to, in words.</summary>
internal static class ReplayText
{
    private const int MostDifferences = 20;

    /// <summary>Writes it.</summary>
    public static void Write(ReplayReport report, TextWriter output)
    {
        var (from, to) = (report.Workloads.Min(static workload => workload.From), report.Workloads.Max(static workload => workload.To));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Steps} steps of {Count(report.Workloads.Count, "workload")} from {At(from)} to {At(to)}, in {Count(report.Segments, "segment")}, recorded by {string.Join(", ", report.Products)}"));
        if (report.CutOff > 0)
        {
            output.WriteLine($"the last {report.CutOff} bytes are part of something: who recorded was stopped in the middle of it");
        }

        if (report.Workloads.Any(static workload => workload.IsPartlyCompared))
        {
            output.WriteLine("answers and reasons are compared, and figures are not: decisions no longer have all of those that were recorded");
        }

        var different = report.Workloads.Where(static workload => workload.FirstDifference is not null).ToList();
        foreach (var workload in different.Take(MostDifferences))
        {
            output.WriteLine(Describe(workload, workload.FirstDifference!.Value));
        }

        if (different.Count > MostDifferences)
        {
            output.WriteLine($"and {different.Count - MostDifferences} more workloads");
        }

        output.WriteLine(different.Count == 0 ? "identical" : $"different: {different.Count} of {Count(report.Workloads.Count, "workload")}");
    }

    /// <summary>A moment, to the millisecond.</summary>
    public static string At(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    /// <summary>An answer.</summary>
    public static string Answer(in RecordedAnswer recorded) =>
        recorded.Threw ? "no decision, but an exception" : $"{recorded.Value}, {(recorded.IsActive ? "active" : "inactive")}, {recorded.Reason}";

    private static string Describe(WorkloadReplay workload, in ReplayedStep step)
    {
        var now = step.Failure is { } failure ? $"an exception: {failure.GetType().Name}: {failure.Message}"
            : step.Decision is { } decision ? Answer(new RecordedAnswer(decision.Value, decision.IsActive, decision.Reason.Code(), Threw: false))
            : "";
        return step.Verdict == ReplayVerdict.OtherFigures
            ? $"{workload.Name}: at {At(step.At)}, or up to 16 steps before, other figures behind the same answer ({now}); {Others(workload)}"
            : $"{workload.Name}: at {At(step.At)} it was {Answer(step.Recorded)}; now it is {now}; {Others(workload)}";
    }

    private static string Others(WorkloadReplay workload) =>
        workload.OtherAnswers == 0 ? "no answer differs" : string.Create(CultureInfo.InvariantCulture, $"{workload.OtherAnswers} of {workload.Steps} answers differ");

    private static string Count(int count, string one) => count == 1 ? $"1 {one}" : string.Create(CultureInfo.InvariantCulture, $"{count} {one}s");
}

/// <summary>Decisions over time, a line for each change, workloads as they come.</summary>
internal sealed class ReplayTable(TextWriter output)
{
    private readonly Dictionary<RecordedName, (RecordedAnswer Answer, ReplayedStep Step, bool IsShown)> _last = [];
    private bool _hasHeader;

    /// <summary>Adds a step.</summary>
    public void Add(ReplayedStep step)
    {
        var answer = AnswerOf(step);
        var isShown = !_last.TryGetValue(step.Workload, out var before) || before.Answer != answer || step.Verdict == ReplayVerdict.OtherAnswer;
        _last[step.Workload] = (answer, step, isShown);
        if (isShown)
        {
            Write(step, answer);
        }
    }

    /// <summary>Ends with the last step of each.</summary>
    public void Finish()
    {
        foreach (var (answer, step, isShown) in _last.Values)
        {
            if (!isShown)
            {
                Write(step, answer);
            }
        }
    }

    private void Write(in ReplayedStep step, in RecordedAnswer answer)
    {
        if (!_hasHeader)
        {
            _hasHeader = true;
            output.WriteLine($"{"at",-24}  {"value",9}  {"active",-6}  {"reason",-24}  workload");
        }

        var recorded = step.Verdict == ReplayVerdict.OtherAnswer ? $"  (it was {ReplayText.Answer(step.Recorded)})" : "";
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{ReplayText.At(step.At),-24}  {answer.Value,9}  {(answer.IsActive ? "yes" : "no"),-6}  {answer.Reason,-24}  {step.Workload}{recorded}"));
    }

    private static RecordedAnswer AnswerOf(in ReplayedStep step) => step.Decision is { } decision
        ? new RecordedAnswer(decision.Value, decision.IsActive, decision.Reason.Code(), Threw: false)
        : new RecordedAnswer(0, IsActive: false, step.Failure?.GetType().Name ?? "", Threw: true);
}

/// <summary>A workload's part of a recording as a folder that tests replay.</summary>
internal static class ExtractedRecording
{
    /// <summary>The recording's name in the folder.</summary>
    public const string FileName = "recording.gsr";

    /// <summary>Writes the folder.</summary>
    /// <exception cref="IOException">It is there already, or cannot be written.</exception>
    public static void Write(Stream recording, Func<RecordedName, bool> isWanted, ReplayReport report, DirectoryInfo folder)
    {
        if (folder.Exists && folder.EnumerateFileSystemInfos().Any())
        {
            throw new IOException($"{folder} is not empty");
        }

        folder.Create();
        using (var file = RecordingOptions.Open(Path.Combine(folder.FullName, FileName)))
        {
            Recordings.Extract(recording, isWanted, file);
        }

        File.WriteAllText(Path.Combine(folder.FullName, "README.md"), Describe(report));
    }

    private static string Describe(ReplayReport report)
    {
        var workload = report.Workloads[0];
        return $"""
            # {workload.Name.Namespace}/{workload.Name.Name}

            What happened, and what should have: to be written by whoever was there.

            {report.Steps} steps from {ReplayText.At(workload.From)} to {ReplayText.At(workload.To)}, recorded by {string.Join(", ", report.Products)}.

            """;
    }
}
