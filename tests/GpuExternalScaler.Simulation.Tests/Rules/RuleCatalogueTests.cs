using GpuExternalScaler.Simulation.Kubernetes;
using GpuExternalScaler.Simulation.Rules;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests.Rules;

/// <summary>What the rules that ours is compared with answer, worked out by hand.</summary>
public class RuleCatalogueTests
{
    private static readonly SimulationSetup Setup = new()
    {
        Trace = new ArrivalTrace("ten a second", [.. Enumerable.Repeat(10.0, 600)], isMeasured: true),
        ServiceTime = 4,
        ColdStart = 60,
        WarmUpSeconds = 0,
    };

    public static TheoryData<string, string, BrokerView, TargetType, double, double, bool> Answers() => new()
    {
        { "keda-queue-length", "value=5", new() { Ready = 7, Unacked = 20 }, TargetType.AverageValue, 27, 5, true },
        { "keda-queue-length", "value=5", default, TargetType.AverageValue, 0, 5, false },
        { "keda-ready-only", "value=5", new() { Ready = 7, Unacked = 20 }, TargetType.AverageValue, 7, 5, true },
        { "keda-ready-only", "value=5", new() { Unacked = 20 }, TargetType.AverageValue, 0, 5, false }, // as KEDA has it: work that is being done does not keep it awake
        { "keda-message-rate", "value=0.25", new() { PublishRate = 12.5, Ready = 3 }, TargetType.AverageValue, 12.5, 0.25, true },
        { "keda-message-rate", "value=0.25", new() { Ready = 3 }, TargetType.AverageValue, 0, 0.25, true },
        { "saturation-ratio", "threshold=0.7", new() { Unacked = 9, Consumers = 10 }, TargetType.Value, 0.9, 0.7, true },
        { "saturation-ratio", "threshold=0.7", new() { Ready = 5 }, TargetType.Value, 1, 0.7, true },
        { "saturation-ratio", "threshold=0.7", default, TargetType.Value, 0, 0.7, false },

        // Nothing has been learned: what arrives now, and half of what waits, for 4 s of work each in a lead of 8 s.
        { "fixed-lead", "lead=8,quantile=0.9", new() { PublishRate = 10, Ready = 6 }, TargetType.AverageValue, 43, 1, true },
        { "clairvoyant", "", default, TargetType.AverageValue, 40, 1, true },
        { "clairvoyant", "factor=0.5", default, TargetType.AverageValue, 20, 1, true },
    };

    [Theory]
    [MemberData(nameof(Answers))]
    public void A_rule_answers(string name, string parameters, BrokerView view, TargetType type, double value, double target, bool isActive)
    {
        var rule = RuleCatalogue.Create(name, Parse(parameters), Setup);

        rule.Observe(0, view);

        var answer = rule.Answer(0, view);
        answer.Metric.Type.Should().Be(type);
        answer.Metric.Value.Should().BeApproximately(value, 1e-9);
        answer.Metric.Target.Should().Be(target);
        answer.IsActive.Should().Be(isActive);
    }

    [Theory]
    [InlineData("nobody", "", "there is no such policy; there are ahead, keda-queue-length, keda-ready-only, keda-message-rate, saturation-ratio, fixed-lead, clairvoyant")]
    [InlineData("keda-queue-length", "", "value must be given")]
    [InlineData("keda-queue-length", "value=0", "value must be a number above 0 and at most 1000000")]
    [InlineData("keda-queue-length", "value=NaN", "value must be a number above 0 and at most 1000000")]
    [InlineData("keda-queue-length", "value=5,excludeUnacknowledged=true", "it has no parameter excludeUnacknowledged; it has value")]
    [InlineData("saturation-ratio", "threshold=70", "threshold must be a number above 0 and at most 1")]
    [InlineData("fixed-lead", "quantile=0.9", "lead must be given")]
    [InlineData("fixed-lead", "lead=60,quantile=high", "quantile must be a number above 0 and at most 1")]
    public void What_it_cannot_make_is_refused_with_a_sentence(string name, string parameters, string sentence) =>
        FluentActions.Invoking(() => RuleCatalogue.Create(name, Parse(parameters), Setup)).Should().Throw<FormatException>().WithMessage(sentence);

    [Fact]
    public void A_fixed_lead_learns_how_much_arrivals_grow()
    {
        // Doubling every minute, looked at a minute ahead.
        var rule = RuleCatalogue.Create("fixed-lead", Parse("lead=60,quantile=0.5"), Setup);
        var published = 0.0;
        BrokerView view = default;
        for (var second = 0; second < 600; second++)
        {
            published += Math.Pow(2, second / 60.0);
            view = new BrokerView { Published = (long)published };
            rule.Observe(second, view);
        }

        // A rate over the last fifteen seconds, twice that in a minute, of four seconds each.
        var rate = (Math.Pow(2, 600 / 60.0) - Math.Pow(2, 585 / 60.0)) / Math.Log(2) * 60 / 15;
        rule.Answer(599, view).Metric.Value.Should().BeApproximately(2 * rate * 4, 0.05 * rate * 8);
    }

    private static Dictionary<string, string> Parse(string parameters) =>
        parameters.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(static part => part.Split('=')).ToDictionary(static part => part[0], static part => part[1], StringComparer.Ordinal);
}
