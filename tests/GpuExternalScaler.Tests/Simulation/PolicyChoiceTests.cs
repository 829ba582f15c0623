using GpuExternalScaler.Configuration;
using GpuExternalScaler.Simulation;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Tests.Simulation;

public class PolicyChoiceTests
{
    private static readonly SimulationSetup Setup = new() { Trace = Shapes.Create("constant"), ServiceTime = 2, ColdStart = 60 };

    [Theory]
    [InlineData("ahead", "ahead", "")]
    [InlineData(" keda-queue-length : value = 3 ", "keda-queue-length", "value=3")]
    [InlineData("ahead:forecast=off,saturationThreshold=0.8", "ahead", "forecast=off|saturationThreshold=0.8")]
    [InlineData("ahead:waitObjective=99% within 5s", "ahead", "waitObjective=99% within 5s")]
    [InlineData(@"ahead:schedule=0 8 * * 1\,3 / 10h: 4,timeZone=UTC", "ahead", "schedule=0 8 * * 1,3 / 10h: 4|timeZone=UTC")]
    [InlineData(@"ahead:query=a\\b\c=d", "ahead", @"query=a\b\c=d")]
    public void Name_and_settings(string text, string name, string settings)
    {
        var choice = PolicyChoice.Parse(text);

        choice.Name.Should().Be(name);
        string.Join('|', choice.Settings.Select(static setting => $"{setting.Key}={setting.Value}")).Should().Be(settings);
    }

    [Theory]
    [InlineData("", "--policy must be NAME or NAME:key=value,key=value")]
    [InlineData(":value=1", "--policy must be NAME or NAME:key=value,key=value")]
    [InlineData("ahead:", "--policy ahead: settings are key=value*")]
    [InlineData("ahead:forecast", "--policy ahead: settings are key=value*")]
    [InlineData("ahead:=off", "--policy ahead: settings are key=value*")]
    [InlineData("ahead:forecast=off,", "--policy ahead: settings are key=value*")]
    [InlineData("ahead:forecast=off,forecast=auto", "--policy ahead: forecast is given twice")]
    [InlineData("ahead:saturation=1", "--policy ahead: saturation is no policy key; did you mean saturationThreshold?")]
    [InlineData("ahead:saturationThreshold=2", "--policy ahead: saturationThreshold must be a number from 0.001 to 1")]
    [InlineData("ahead:forecast=maybe", "--policy ahead: forecast must be one of auto, off, trend, seasonal")]
    [InlineData("no-such-rule", "--policy no-such-rule: *")]
    public void What_is_none_is_refused(string text, string sentence)
    {
        var create = () => PolicyChoice.Parse(text).CreateRule(Setup);

        create.Should().Throw<FormatException>().WithMessage(sentence);
    }

    [Fact]
    public void Every_policy_key_may_be_set()
    {
        // What each key shows of the defaults is what people may write, but for those that have none.
        var settings = PolicyKeys.All.Values
            .Select(static key => (key.Name, Text: key.Show(Scaling.Policy.ScalingPolicy.Default)))
            .Where(static one => PolicyKeys.All[one.Name].Parse(one.Text) is not null)
            .Select(static one => $"{one.Name}={one.Text.Replace(",", "\\,", StringComparison.Ordinal)}");

        PolicyChoice.Parse("ahead:" + string.Join(',', settings)).CreateRule(Setup).Should().BeOfType<AheadRule>();
    }

    [Fact]
    public void Queries_are_not_shown() => PolicyChoice.Parse("ahead:query=secret,share=0.5").Shown.Should().Equal(KeyValuePair.Create("query", "…"), KeyValuePair.Create("share", "0.5"));
}
