namespace GpuExternalScaler.Scaling.Tests.Scenarios;

/// <summary>
/// Replays every scenario folder through the fold. After a deliberate change of the decision, run with
/// <c>GPU_SCALER_UPDATE_EXPECTED=1</c> and read the difference: the claims must hold all the same.
/// </summary>
public class ScenarioTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Scenarios");

    private static IEnumerable<string> Names => Directory.GetDirectories(Root).Select(static path => Path.GetFileName(path)).Order(StringComparer.Ordinal);

    public static TheoryData<string, string> Recordings
    {
        get
        {
            var recordings = new TheoryData<string, string>();
            foreach (var name in Names)
            {
                foreach (var version in FolderOf(name).Versions)
                {
                    recordings.Add(name, version);
                }
            }

            return recordings;
        }
    }

    [Theory]
    [MemberData(nameof(Recordings))]
    public void A_scenario_is_decided_as_claimed_and_as_before(string name, string version)
    {
        var folder = FolderOf(name);
        var claims = folder.ReadClaims();
        claims.Should().NotBeEmpty();

        var steps = folder.ReadRecording(version).Replay(folder.ReadPolicy());

        claims.Select(claim => claim.Contradiction(steps)).Where(static contradiction => contradiction is not null).Should().BeEmpty();
        var decisions = ScenarioFolder.Describe(steps);
        if (Environment.GetEnvironmentVariable("GPU_SCALER_UPDATE_EXPECTED") == "1")
        {
            new ScenarioFolder(Path.Combine(SourceRoot(), name)).WriteExpected(version, decisions);
            return;
        }

        decisions.Should().Be(folder.ReadExpected(version));
    }

    [Fact]
    public void Every_scenario_was_recorded()
    {
        Names.Should().HaveCountGreaterThanOrEqualTo(14);
        Names.Where(static name => !FolderOf(name).Versions.Any()).Should().BeEmpty();
    }

    private static ScenarioFolder FolderOf(string name) => new(Path.Combine(Root, name));

    private static string SourceRoot([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
