using System.Text.Json;
using GpuExternalScaler.Simulation.Reports;

namespace GpuExternalScaler.Simulation.Tests.Reports;

public class FigureReportTests
{
    [Fact]
    public void Members_of_the_json_stay()
    {
        var json = Json(SampleReport.Of(1, 60));

        Names(json.RootElement).Should().Equal("schema", "setup", "results");
        json.RootElement.GetProperty("schema").GetInt32().Should().Be(1);
        Names(json.RootElement.GetProperty("setup")).Should().Equal("trace", "serviceTime", "coldStart", "coldStartSpread", "warmUp", "firstReplicas", "drain", "lateAfter", "seed", "scaledObject");
        Names(json.RootElement.GetProperty("setup").GetProperty("trace")).Should().Equal("name", "seconds", "arrivalsPerSecond", "measured");
        Names(json.RootElement.GetProperty("setup").GetProperty("scaledObject")).Should()
            .Equal("minReplicas", "maxReplicas", "idleReplicas", "pollingSeconds", "cooldownSeconds", "syncSeconds", "tolerance", "scaleUp", "scaleDown");
        Names(json.RootElement.GetProperty("setup").GetProperty("scaledObject").GetProperty("scaleUp")).Should().Equal("stabilizationWindowSeconds", "selectPolicy", "tolerance", "policies");
        Names(json.RootElement.GetProperty("results")[0]).Should()
            .Equal("policy", "settings", "messages", "late", "waitP50", "waitP99", "replicaHours", "replicaHoursPerWork", "churn", "killedWorkSeconds");
    }

    [Fact]
    public void Figures_are_those_of_the_runs_and_what_is_none_is_null()
    {
        var results = Json(SampleReport.Of(4, 60)).RootElement.GetProperty("results");

        results.EnumerateArray().Select(static result => result.GetProperty("late").GetDouble()).Should().Equal(0, 0.01, 0.02, 0.03);
        results[1].GetProperty("settings").GetProperty("value").GetString().Should().Be("11");
        results[3].GetProperty("replicaHoursPerWork").ValueKind.Should().Be(JsonValueKind.Null);
    }

    [Fact]
    public void Every_second_of_every_policy_is_a_line()
    {
        var text = new StringWriter();
        CsvReport.Write(SampleReport.Of(2, 7, setting: "1,\""), text);
        var lines = text.ToString().Split('\n');

        lines.Should().HaveCount(1 + 14 + 1);
        lines[0].Should().Be("policy,seconds,arrivals,demand,asked,wanted,ready,busy,waiting");
        lines[1].Should().Be("ahead,0,10,20,25.25,26,25,20,0");
        lines[6].Should().Be("ahead,5,12,20,,26,25,21,0", "it could not decide in that second");
        lines[8].Should().StartWith("\"keda-queue-length:value=1,\"\"1\",0,");
        lines[^1].Should().BeEmpty();
    }

    [Theory]
    [InlineData(0, "0 %")]
    [InlineData(1e-9, "<0.001 %")]
    [InlineData(0.00004, "0.004 %")]
    [InlineData(0.0004, "0.04 %")]
    [InlineData(0.0123, "1.2 %")]
    [InlineData(0.27, "27 %")]
    [InlineData(double.NaN, "–")]
    public void Shares(double share, string text) => Words.Percent(share).Should().Be(Unbroken(text));

    [Theory]
    [InlineData(0.001, "0.001 s")]
    [InlineData(2, "2 s")]
    [InlineData(60, "1 min")]
    [InlineData(90, "90 s")]
    [InlineData(200, "3 min 20 s")]
    [InlineData(3600, "1 h")]
    [InlineData(5400, "90 min")]
    [InlineData(14_400, "4 h")]
    [InlineData(86_400, "24 h")]
    [InlineData(259_200, "3 d")]
    [InlineData(273_600, "3 d 4 h")]
    public void Lengths(double seconds, string text) => Words.Length(seconds).Should().Be(Unbroken(text));

    [Theory]
    [InlineData(0.01, "0 s")]
    [InlineData(0.4, "0.4 s")]
    [InlineData(12.3, "12 s")]
    [InlineData(250.2, "4 min 10 s")]
    [InlineData(double.PositiveInfinity, "–")]
    public void Waits(double seconds, string text) => Words.Wait(seconds).Should().Be(Unbroken(text));

    // A number and its unit stay on one line.
    private static string Unbroken(string text) => text.Replace(' ', '\u00A0');

    private static JsonDocument Json(SimulationReport report)
    {
        var stream = new MemoryStream();
        JsonReport.Write(report, stream);
        return JsonDocument.Parse(stream.ToArray());
    }

    private static IEnumerable<string> Names(JsonElement element) => element.EnumerateObject().Select(static member => member.Name);
}
