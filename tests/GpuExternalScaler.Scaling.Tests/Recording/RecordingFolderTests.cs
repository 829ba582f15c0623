using System.Globalization;
using System.Text;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Recording;
using Xunit.Abstractions;

namespace GpuExternalScaler.Scaling.Tests.Recording;

/// <summary>
/// Replays every folder below <c>Recordings</c>, which <c>replay --extract</c> writes: adding one needs no C#. After a deliberate change
/// of the decision, run with <c>GPU_SCALER_UPDATE_EXPECTED=1</c> and read the difference. What was decided when it was recorded is
/// only told: a decision that has been improved since is another one.
/// </summary>
public sealed class RecordingFolderTests(ITestOutputHelper output)
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Recordings");

    public static TheoryData<string> Folders => new(Directory.GetDirectories(Root).Select(static path => Path.GetFileName(path)).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Folders))]
    public void A_recording_is_decided_as_before(string name)
    {
        var text = new StringBuilder("at,value,active,reason\n");
        (long, bool, DecisionReason)? last = null;
        DateTimeOffset? start = null;
        var written = 0.0;
        using var file = File.OpenRead(Path.Combine(Root, name, "recording.gsr"));
        var report = Recordings.Replay(file, onStep: step =>
        {
            start ??= step.At;
            var at = (step.At - start.Value).TotalSeconds;
            var decision = step.Decision ?? throw new InvalidOperationException($"the step at {at} s throws", step.Failure);
            var now = (decision.Value, decision.IsActive, decision.Reason);
            if (now != last || at - written >= 5)
            {
                text.Append(CultureInfo.InvariantCulture, $"{at:0.000},{decision.Value},{decision.IsActive},{decision.Reason.Code()}\n");
                (last, written) = (now, at);
            }
        });
        report.Workloads.Should().ContainSingle("a folder is about one workload").Which.Steps.Should().BePositive();
        foreach (var workload in report.Workloads)
        {
            output.WriteLine(workload.FirstDifference is { } first
                ? $"{workload.Name}: {workload.OtherAnswers} of {workload.Steps} answers are others than when it was recorded, the first at {first.At:O}: {first.Recorded}"
                : $"{workload.Name}: {workload.Steps} steps, identical with what was recorded");
        }

        if (Environment.GetEnvironmentVariable("GPU_SCALER_UPDATE_EXPECTED") == "1")
        {
            File.WriteAllText(Path.Combine(SourceRoot(), "..", "Recordings", name, "expected.csv"), text.ToString());
            return;
        }

        var expected = Path.Combine(Root, name, "expected.csv");
        File.Exists(expected).Should().BeTrue("GPU_SCALER_UPDATE_EXPECTED=1 writes it, to be read before it is kept");
        text.ToString().Should().Be(File.ReadAllText(expected));
    }

    private static string SourceRoot([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
