using System.Text;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public sealed class PromQlTests
{
    private const string Hostile = "\"} or vector(0) #\n\\";

    [Fact]
    public void An_aggregated_query_for_a_fleet_is_written_out()
    {
        var used = PromQl.Metric("DCGM_FI_DEV_FB_USED", LabelMatcher.IsNot("pod", ""), LabelMatcher.In("namespace", "genai", "team.a"));

        used.MaxBy("UUID", "GPU_I_ID", "pod").ToQuery().Text.Should().Be(
            """max by (UUID,GPU_I_ID,pod) (DCGM_FI_DEV_FB_USED{pod!="",namespace=~"genai|team\\.a"})""");
        PromQl.Metric("vllm:num_requests_waiting").SumBy().Text.Should().Be("sum by () (vllm:num_requests_waiting)");
        PromQl.Metric("a").Rate(TimeSpan.FromMinutes(1)).DividedBy(PromQl.Number(-2)).Text.Should().Be("(rate(a[60000ms]) / (-2))");
        PromQl.Metric("a", LabelMatcher.StartsWith("pod", "x.y-")).Text.Should().Be("""a{pod=~"x\\.y-(?s:.*)"}""");
    }

    [Fact]
    public void Text_from_outside_stays_inside_its_literal()
    {
        var text = PromQl.Metric("m", LabelMatcher.Is("namespace", Hostile), LabelMatcher.Matches("pod", Hostile), LabelMatcher.In("a", Hostile))
            .WithLabel("b", Hostile + "$1").Text;

        // Once every literal is taken out, nothing of it is left.
        Regex.Replace(text, "\"(\\\\.|[^\"\\\\])*\"", "S", RegexOptions.ExplicitCapture, TimeSpan.FromSeconds(1))
            .Should().Be("label_replace(m{namespace=S,pod=~S,a=~S}, S, S, S, S)");
    }

    [Theory]
    [InlineData("a-b", """{__name__="a-b"}""")]
    [InlineData("1up", """{__name__="1up"}""")]
    [InlineData("sum", """{__name__="sum"}""")]
    [InlineData("m} or vector(0) #", """{__name__="m} or vector(0) #"}""")]
    [InlineData("é", """{__name__="\u00e9"}""")]
    public void A_name_that_is_not_plain_is_a_matcher(string name, string expected) => PromQl.Metric(name).Text.Should().Be(expected);

    [Theory]
    [InlineData("")]
    [InlineData("a-b")]
    [InlineData("0a")]
    [InlineData("a:b")]
    [InlineData("a\n")]
    [InlineData("é")]
    [InlineData("pod) (vector(0)) #")]
    public void A_label_that_is_none_is_refused(string name)
    {
        FluentActions.Invoking(() => LabelMatcher.Is(name, "")).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => PromQl.Metric("m").SumBy(name)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => PromQl.Metric("m").WithLabel(name, "")).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Ages_and_rates_are_of_metrics_only()
    {
        FluentActions.Invoking(() => PromQl.Metric("m").SumBy().Age()).Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => PromQl.Metric("m").SumBy().Rate(TimeSpan.FromMinutes(1))).Should().Throw<InvalidOperationException>();
        FluentActions.Invoking(() => PromQl.Quote("\ud800")).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Any_text_survives_as_a_literal_and_as_a_regular_expression() => Prop
        .ForAll(ArbMap.Default.ArbFor<string>(), text =>
        {
            var value = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));
            var literal = PromQl.Quote(value);
            var regex = new Regex($@"\A(?:{PromQl.EscapeRegex(value)})\z", RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1));
            return literal.All(c => c is >= ' ' and <= '~') && Unquote(literal) == value && regex.IsMatch(value) && !regex.IsMatch(value + "x");
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(2000));

    [Theory]
    [InlineData("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))", "None")]
    [InlineData("a\n  + on () # why\n\tb\r\n", "None")]
    [InlineData("x{a=\"é 🎨\"}", "None")]
    [InlineData("", "Empty")]
    [InlineData(" \n\t", "Empty")]
    [InlineData("a\0", "ForbiddenCharacter")]
    [InlineData("a\u001b[2J", "ForbiddenCharacter")]
    [InlineData("a\u007f", "ForbiddenCharacter")]
    [InlineData("a\u0085", "ForbiddenCharacter")]
    [InlineData("a\u202eb", "ForbiddenCharacter")]
    [InlineData("a\u200bb", "ForbiddenCharacter")]
    [InlineData("a\u2028b", "ForbiddenCharacter")]
    [InlineData("a\ufeffb", "ForbiddenCharacter")]
    public void Supplied_PromQL_is_checked(string text, string problem)
    {
        PrometheusQuery.TrySupply(text, out var query).Should().Be(Enum.Parse<QueryTextProblem>(problem));
        (query?.Text).Should().Be(problem == "None" ? text : null);
        (query?.IsSupplied ?? true).Should().BeTrue();
    }

    [Fact]
    public void Supplied_PromQL_is_bounded_in_length_and_never_printed()
    {
        PrometheusQuery.TrySupply(new string('a', PrometheusQuery.LongestSupplied), out var query).Should().Be(QueryTextProblem.None);
        query!.ToString().Should().NotContain("aaa");
        PrometheusQuery.TrySupply("a\ud800", out _).Should().Be(QueryTextProblem.ForbiddenCharacter);
        PrometheusQuery.TrySupply(new string('a', PrometheusQuery.LongestSupplied + 1), out _).Should().Be(QueryTextProblem.TooLong);
        FluentActions.Invoking(() => PromQl.Metric(new string('a', PrometheusQuery.LongestOfFleet + 1)).ToQuery()).Should().Throw<InvalidOperationException>();
    }

    [Theory]
    [InlineData(3600, 60, 11_000, 60, 61)]
    [InlineData(0, 60, 11_000, 60, 1)]
    [InlineData(10_999, 1, 11_000, 1, 11_000)]
    [InlineData(11_000, 1, 11_000, 2, 5_501)]
    [InlineData(604_800, 15, 11_000, 55, 10_997)]
    [InlineData(604_800, 15, 1_000_000, 55, 10_997)]
    [InlineData(100, 1, 2, 100, 2)]
    [InlineData(100, 1, 1, 1, 1)]
    public void A_range_is_stepped_so_that_its_points_are_bounded(int seconds, int step, int most, int expectedStep, int points)
    {
        var end = DateTimeOffset.FromUnixTimeSeconds(1_795_345_652);

        var range = PrometheusRange.Covering(end.AddSeconds(-seconds), end, TimeSpan.FromSeconds(step), most);

        range.Step.Should().Be(TimeSpan.FromSeconds(expectedStep));
        range.Points.Should().Be(points);
        range.End.Should().Be(end);
    }

    private static string Unquote(string literal)
    {
        var text = new StringBuilder();
        for (var i = 1; i < literal.Length - 1; i++)
        {
            if (literal[i] != '\\')
            {
                text.Append(literal[i]);
                continue;
            }

            var digits = literal[++i] switch
            {
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            text.Append(digits == 0 ? literal[i].ToString() : char.ConvertFromUtf32(Convert.ToInt32(literal.Substring(i + 1, digits), 16)));
            i += digits;
        }

        return text.ToString();
    }
}
