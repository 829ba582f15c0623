namespace GpuExternalScaler.Scaling.Tests.Scenarios;

/// <summary>
/// Replays every scenario folder through the fold. After a deliberate change of the decision, run with
/// <c>GPU_SCALER_UPDATE_EXPECTED=1</c> and read the difference: the claims must hold all the same.
/// </summary>
public class ScenarioTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "Scenarios");

    public static TheoryData<string> Names => [.. Directory.GetDirectories(Root).Select(static path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_scenario_is_decided_as_claimed_and_as_before(string name)
    {
        var folder = new ScenarioFolder(Path.Combine(Root, name));
        var claims = folder.ReadClaims();
        claims.Should().NotBeEmpty();

        var steps = folder.ReadRecording().Replay(folder.ReadPolicy());

        claims.Select(claim => claim.Contradiction(steps)).Where(static contradiction => contradiction is not null).Should().BeEmpty();
        var decisions = ScenarioFolder.Describe(steps);
        if (Environment.GetEnvironmentVariable("GPU_SCALER_UPDATE_EXPECTED") == "1")
        {
            new ScenarioFolder(Path.Combine(SourceRoot(), name)).Write("expected.csv", decisions);
            return;
        }

        decisions.Should().Be(folder.ReadExpected());
    }

    [Fact]
    public void There_are_scenarios() => Names.Should().HaveCountGreaterThanOrEqualTo(11);

    private static string SourceRoot([System.Runtime.CompilerServices.CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
