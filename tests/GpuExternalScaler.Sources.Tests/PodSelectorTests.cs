using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;

namespace GpuExternalScaler.Sources.Tests;

public class PodSelectorTests
{
    private static readonly string Long58 = new('a', 58);

    [Theory]
    [InlineData("web", "web-7d4b9c6f5-x7k2p")]
    [InlineData("web", "web-7d4b9c6f5-abcde")]
    [InlineData("web", "web-75454ffb9f-8ljq7")]
    [InlineData("web", "web-5-x7k2p")]
    [InlineData("web", "web-0")]
    [InlineData("web", "web-137")]
    [InlineData("web", "web-x7k2p")]
    [InlineData("web", "web-3-x7k2p")]
    [InlineData("web-api", "web-api-7d4b9c6f5-abcde")]
    [InlineData("web-api", "web-api-x7k2p")]
    [InlineData("vllm-medgemma-4b-it", "vllm-medgemma-4b-it-d599b4c99-f95nk")]
    public void T15_pods_of_Deployments_StatefulSets_and_Jobs_are_the_targets(string target, string pod) =>
        PodSelector.ForTarget("ml", target).Matches("ml", pod).Should().BeTrue();

    [Theory]
    [InlineData("web", "web-api-7d4b9c6f5-abcde")]
    [InlineData("web", "web-api-x7k2p")]
    [InlineData("web", "web-api-0")]
    [InlineData("web", "web-api")]
    [InlineData("web", "web-proxy")]
    [InlineData("web", "web")]
    [InlineData("web", "web-")]
    [InlineData("web", "web--x7k2p")]
    [InlineData("web", "webx-7d4b9c6f5-x7k2p")]
    [InlineData("web", "myweb-7d4b9c6f5-x7k2p")]
    [InlineData("web", "web-7d4b9c6f5")]
    [InlineData("web", "web-7d4b9c6f5-x7k2")]
    [InlineData("web", "web-7d4b9c6f5-x7k2pp")]
    [InlineData("web", "web-7d4b9c6f5-X7K2P")]
    [InlineData("web", "web-7d4b9c6f555-x7k2p")]
    [InlineData("web", "web-7d4b9c6f5-x7k2p-0")]
    [InlineData("web", "web-7d4b9c6f5-x7k2p\n")]
    [InlineData("web", "web-v2-x7k2p")]
    [InlineData("web", "")]
    [InlineData("web", null)]
    [InlineData("we", "web-0")]
    [InlineData("web-api", "web-7d4b9c6f5-abcde")]
    public void T15_pods_of_others_are_not(string target, string? pod) =>
        PodSelector.ForTarget("ml", target).Matches("ml", pod).Should().BeFalse();

    [Theory]
    [InlineData("ml2")]
    [InlineData("ML")]
    [InlineData("")]
    [InlineData(null)]
    public void Pods_of_other_namespaces_or_of_none_are_not(string? other)
    {
        PodSelector.ForTarget("ml", "web").Matches(other, "web-0").Should().BeFalse();
        PodSelector.ForPattern("ml", "web.*")!.Matches(other, "web-0").Should().BeFalse();
    }

    [Fact]
    public void Names_that_Kubernetes_cut_are_recognised()
    {
        // TARGET-HASH- of 47 + 1 + 10 + 1 = 59 characters loses its dash, of 52 characters and more part of the hash.
        Matches(new string('a', 47), new string('a', 47) + "-75454ffb9fx7k2p").Should().BeTrue();
        Matches(new string('a', 52), new string('a', 52) + "-75454x7k2p").Should().BeTrue();
        Matches(new string('a', 57), new string('a', 57) + "-x7k2p").Should().BeTrue();
        Matches(Long58, Long58 + "x7k2p").Should().BeTrue();
        Matches(Long58 + "-more", Long58 + "x7k2p").Should().BeTrue();
        Matches(Long58 + "bcd", Long58 + "bcd-0").Should().BeTrue("StatefulSets cut nothing");

        Matches(new string('a', 47), new string('a', 47) + "-apiapiapiax7k2p").Should().BeFalse();
        Matches(new string('a', 46), new string('a', 46) + "-75454ffb9fx7k2p").Should().BeFalse("it was not long enough to be cut");

        static bool Matches(string target, string pod) => PodSelector.ForTarget("ml", target).Matches("ml", pod);
    }

    [Fact]
    public void Where_a_name_cannot_tell_the_longer_target_has_the_pod()
    {
        // Jobs called web-5 and web-0 have such pods, but so have a Deployment web and an indexed Job web.
        foreach (var (target, pod) in new[] { ("web-5", "web-5-x7k2p"), ("web-0", "web-0-x7k2p") })
        {
            var shorter = PodSelector.ForTarget("ml", "web");
            var longer = PodSelector.ForTarget("ml", target);

            shorter.Matches("ml", pod).Should().BeTrue();
            longer.Matches("ml", pod).Should().BeTrue();
            longer.Specificity.Should().BeGreaterThan(shorter.Specificity);
        }
    }

    [Theory]
    [InlineData("web-.*", "web-anything", true)]
    [InlineData("web-.*", "myweb-0", false)]
    [InlineData("web", "web-0", false)]
    [InlineData("a|b", "b", true)]
    [InlineData("a|b", "bx", false)]
    [InlineData("a|b", "xb", false)]
    [InlineData("web", "web\n", false)]
    [InlineData("web$", "web", true)]
    public void A_pattern_means_the_whole_name(string pattern, string pod, bool expected) =>
        PodSelector.ForPattern("ml", pattern)!.Matches("ml", pod).Should().Be(expected);

    [Theory]
    [InlineData("")]
    [InlineData("(")]
    [InlineData("a)|(b")]
    [InlineData(@"(a)\1")]
    [InlineData("(?=a)a")]
    [InlineData("(?<!x)a")]
    public void What_is_no_pattern_or_needs_backtracking_is_refused(string pattern) =>
        PodSelector.ForPattern("ml", pattern).Should().BeNull();

    [Fact]
    public void Long_patterns_are_refused_and_hostile_ones_stay_cheap()
    {
        PodSelector.ForPattern("ml", new string('a', PodSelector.LongestPattern)).Should().NotBeNull();
        PodSelector.ForPattern("ml", new string('a', PodSelector.LongestPattern + 1)).Should().BeNull();

        var started = TimeProvider.System.GetTimestamp();
        PodSelector.ForPattern("ml", "(a+)+b")!.Matches("ml", new string('a', 253)).Should().BeFalse();
        foreach (var pattern in new[] { "((a{1,200}){1,200}){1,200}", "(.*a){60}", "(a|b|c|.{0,100}){0,100}x", "(?:.?){255}" })
        {
            _ = PodSelector.ForPattern("ml", pattern)?.Matches("ml", new string('a', 252) + "-");
        }

        TimeProvider.System.GetElapsedTime(started).Should().BeLessThan(TimeSpan.FromSeconds(5));
    }

    public static TheoryData<string, string> Prefixes => new()
    {
        { "llm-.*", "llm-" },
        { "llm-7b", "llm-7b" },
        { "llm-?.*", "llm" },
        { "llm-{0,2}x", "llm" },
        { "l*", "" },
        { "a|llm", "" },
        { "llm-(a|b)", "" },
        { "(llm)-.*", "" },
        { "(?i)llm", "" },
        { "ab(?#c)*", "" },
        { "llm\\-x", "llm" },
        { "^llm", "" },
        { ".*", "" },
        { "Llm", "" },
    };

    [Theory]
    [MemberData(nameof(Prefixes))]
    public void What_a_pattern_begins_with_is_known_where_it_is_plain(string pattern, string prefix) =>
        PodSelector.ForPattern("ml", pattern)!.Prefix.Should().Be(prefix);

    [Fact]
    public void A_pattern_matches_what_the_expression_alone_would() => Prop
        .ForAll(
            (from parts in Gen.Elements("a", "b", "-", "0", "a?", "b*", "(a|b)", "(?:b)+", ".", "[ab]", "{2}", "|", "(?#c)", "\\-", "^", "$").ListOf()
             from names in Gen.Elements("a", "b", "-", "0", "aa", "ab").ListOf().Select(string.Concat).ListOf()
             select (Pattern: string.Concat(parts), Names: names)).ToArbitrary(),
            static sample =>
            {
                if (PodSelector.ForPattern("ml", sample.Pattern) is not { } selector)
                {
                    return true;
                }

                var alone = new Regex($@"\A(?:{sample.Pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, Regex.InfiniteMatchTimeout);
                return sample.Names.Where(static name => name.Length > 0).All(name =>
                {
                    var before = selector.Matches("ml", name);
                    selector.TryJudge(name, budget: null, out var judged).Should().BeTrue();
                    return before == alone.IsMatch(name) && judged == before && selector.Matches("ml", name) == before;
                });
            })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(400));

    [Fact]
    public void More_patterns_than_are_kept_ready_all_go_on_matching()
    {
        var selectors = Enumerable.Range(0, 100).Select(static i => PodSelector.ForPattern("ml", $"(llm-{i})-.*")!).ToList();
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < selectors.Count; i++)
            {
                selectors[i].Matches("ml", $"llm-{i}-{round}").Should().BeTrue();
                selectors[i].Matches("ml", $"llm-{i + 1}-{round}").Should().BeFalse();
            }
        }
    }

    [Fact]
    public void Once_the_time_of_a_tick_is_spent_only_what_is_known_is_answered()
    {
        var time = new SlowTime(TimeSpan.FromMilliseconds(30));
        var budget = new MatchingBudget(time);
        var selector = PodSelector.ForPattern("ml", "(llm)-.*")!;
        selector.TryJudge("llm-1", budget, out _).Should().BeTrue();
        selector.TryJudge("llm-2", budget, out _).Should().BeTrue();
        selector.TryJudge("llm-3", budget, out _).Should().BeFalse();
        selector.TryJudge("llm-2", budget, out _).Should().BeTrue();
        PodSelector.ForTarget("ml", "llm").TryJudge("llm-3", budget, out _).Should().BeTrue("names take no time");

        budget.Reset();
        selector.TryJudge("llm-3", budget, out _).Should().BeTrue();
    }

    [Fact]
    public void A_pattern_that_takes_long_again_and_again_is_given_up()
    {
        var budget = new MatchingBudget(new SlowTime(TimeSpan.FromMilliseconds(60)));
        var selector = PodSelector.ForPattern("ml", "(llm)-.*")!;
        for (var i = 0; i < 9; i++)
        {
            budget.Reset();
            selector.TryJudge($"llm-{i}", budget, out _).Should().BeTrue();
        }

        selector.IsRefused.Should().BeFalse();
        budget.Reset();
        selector.TryJudge("llm-9", budget, out _).Should().BeFalse();
        (selector.IsRefused, selector.Matches("ml", "llm-0")).Should().Be((true, false));
    }

    /// <summary>A processor that takes its time: each look at the clock is later by as much.</summary>
    private sealed class SlowTime(TimeSpan step) : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks += step.Ticks;
    }
}
