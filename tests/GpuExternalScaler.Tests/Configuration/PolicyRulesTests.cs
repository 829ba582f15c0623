using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Tests.Configuration;

public class PolicyRulesTests
{
    private const string File = """
        defaults:
          saturationThreshold: 0.5
          coldStart: 50s
          share: 0.5
          holdFor: 5m
        workloads:
          genai/ghibli-filter:
            saturationThreshold: 0.9
          genai/*:
            saturationThreshold: 0.8
            coldStart: 80s
          "*/ghibli*":
            coldStart: 85s
            concurrency: 8
        """;

    [Fact]
    public void Weakest_first_built_in_defaults_trigger_workloads()
    {
        var effective = Resolve(File, "genai", "ghibli-filter", "coldStart=70s;share=0.7");

        effective.Policy.Should().Be(new ScalingPolicy
        {
            SaturationThreshold = 0.9, // the full name wins over genai/*
            ColdStart = TimeSpan.FromSeconds(85), // six literal characters over five
            Share = 0.7, // the trigger wins over defaults
            HoldFor = TimeSpan.FromMinutes(5), // defaults win over what is built in
            Concurrency = 8, // nobody else says anything
        });
        effective.Values.Select(static value => $"{value.Key} {value.Text} ({value.Origin})").Should().Equal(
            "saturationThreshold 0.9 (workloads entry 'genai/ghibli-filter', line 8)",
            "share 0.7 (trigger)",
            "concurrency 8 (workloads entry '*/ghibli*', line 14)",
            "prefetch auto (built-in)",
            "consumersPerReplica 1 (built-in)",
            "serviceTime measured (built-in)",
            "coldStart 1m25s (workloads entry '*/ghibli*', line 13)",
            "drainTime the cold start (built-in)",
            "activationThreshold 0 (built-in)",
            "holdFor 5m (defaults, line 5)",
            "holdAfterRecovery 5m (built-in)",
            "missingQueue hold (built-in)",
            "mode deployment (built-in)",
            "vramThreshold not looked at (built-in)",
            "vramAggregate total (built-in)",
            "modelMemory observed when idle (built-in)",
            "gpusPerReplica auto (built-in)",
            "kvCacheThreshold 0.8 (built-in)",
            "latencyQuery  (built-in)",
            "latencyObjective none (built-in)",
            "query  (built-in)",
            "hpaTolerance 0.1 (built-in)",
            "maxReplicas not known (built-in)",
            "waitObjective none (built-in)",
            "forecast auto (built-in)",
            "forecastQuantile 0.9 (built-in)",
            "warmReplicas 0 (built-in)",
            "schedule none (built-in)",
            "timeZone UTC (built-in)");
    }

    [Theory]
    [InlineData("genai", "other", 80)]
    [InlineData("elsewhere", "ghibli-filter", 85)]
    [InlineData("elsewhere", "other", 70)]
    public void Entries_are_for_the_workloads_they_match(string @namespace, string name, int coldStart)
    {
        Resolve(File, @namespace, name, "coldStart=70s").Policy.ColdStart.Should().Be(TimeSpan.FromSeconds(coldStart));
    }

    [Fact]
    public void The_order_of_the_file_does_not_matter()
    {
        var resolved = new[] { "a/b: { share: 0.1 }", "a/*: { share: 0.2 }", "\"*/*\": { share: 0.3 }" };

        foreach (var entries in new[] { resolved, [.. resolved.Reverse()] })
        {
            var file = "workloads:\n  " + string.Join("\n  ", entries);
            Resolve(file, "a", "b").Policy.Share.Should().Be(0.1);
            Resolve(file, "a", "c").Policy.Share.Should().Be(0.2);
            Resolve(file, "c", "c").Policy.Share.Should().Be(0.3);
        }
    }

    [Fact]
    public void A_full_name_wins_over_a_pattern_of_as_many_characters()
    {
        Resolve("workloads: { a/b: { share: 0.1 }, a/b*: { share: 0.2 } }", "a", "b").Policy.Share.Should().Be(0.1);
    }

    [Fact]
    public void Patterns_of_as_many_characters_may_meet_when_they_set_different_keys_or_meet_nowhere()
    {
        Resolve("workloads: { a*/x: { share: 0.1 }, \"*b/x\": { coldStart: 5s } }", "ab", "x").Policy
            .Should().Be(new ScalingPolicy { Share = 0.1, ColdStart = TimeSpan.FromSeconds(5) });
        Resolve("workloads: { a/x*: { share: 0.1 }, a/y*: { share: 0.2 } }", "a", "y").Policy.Share.Should().Be(0.2);
    }

    [Fact]
    public void An_entry_may_be_an_alias_of_another()
    {
        Resolve("workloads: { a/x: &busy { share: 0.1 }, b/x: *busy }", "b", "x").Policy.Share.Should().Be(0.1);
    }

    [Fact]
    public void An_operators_entry_leaves_a_triggers_identity_alone()
    {
        // K14: it is the trigger's, whatever the file says.
        var trigger = TriggerMetadata.Parse("genai", "filter", [new("queue", "images")], out _)!;

        trigger.TriggerId.Should().Be("d24cfdab32aa");
    }

    [Theory]
    [InlineData("genai/*", "genai", "filter", true)]
    [InlineData("genai/*", "genai2", "filter", false)]
    [InlineData("*/*", "genai", "filter", true)]
    [InlineData("*/filter", "genai", "filter", true)]
    [InlineData("*/filter", "genai", "filters", false)]
    [InlineData("team-*/*-llm-*", "team-a", "x-llm-y", true)]
    [InlineData("team-*/*-llm-*", "team-a", "llm-y", false)]
    [InlineData("a/*ab", "a", "aab", true)]
    [InlineData("a/*ab*ab", "a", "abab", true)]
    [InlineData("a/*ab*ab", "a", "ab", false)]
    [InlineData("genai/filter", "genai", "filter", true)]
    [InlineData("gen*ai/x", "gen", "ai", false)] // the star ends at the slash
    public void A_pattern_matches(string pattern, string @namespace, string name, bool matches)
    {
        WorkloadPattern.TryParse(pattern, out var parsed).Should().BeTrue();
        parsed!.Matches(@namespace, name).Should().Be(matches);
    }

    [Theory]
    [InlineData("a*/x", "*b/x", "ab/x")]
    [InlineData("a*/x", "a*/x*", "a/x")]
    [InlineData("*/*", "*/*", "x/x")]
    [InlineData("a/*b*", "a/c*", "a/cb")]
    [InlineData("a/x*", "a/y*", null)]
    [InlineData("a/*x", "a/*y", null)]
    [InlineData("a/*", "b/*", null)]
    [InlineData("a/b", "a/b*c", null)]
    public void Patterns_meet(string one, string other, string? example)
    {
        Parse(one).Overlap(Parse(other)).Should().Be(example);
        Parse(other).Overlap(Parse(one)).Should().Be(example);
    }

    [Fact]
    public void Patterns_meet_where_both_match_and_nowhere_else()
    {
        var part = Gen.Choose(1, 5).SelectMany(static length => Gen.Elements('a', 'b', '*').ArrayOf(length)).Select(static letters => new string(letters));
        var word = Gen.Choose(1, 5).SelectMany(static length => Gen.Elements('a', 'b').ArrayOf(length)).Select(static letters => new string(letters));

        Prop.ForAll(part.ToArbitrary(), part.ToArbitrary(), word.ToArbitrary(), static (string one, string other, string name) =>
        {
            var (first, second) = (Parse("n/" + one), Parse("n/" + other));
            if (first.Overlap(second) is { } example)
            {
                first.Matches("n", example[2..]).Should().BeTrue();
                second.Matches("n", example[2..]).Should().BeTrue();
            }
            else
            {
                (first.Matches("n", name) && second.Matches("n", name)).Should().BeFalse();
            }
        }).QuickCheckThrowOnFailure();
    }

    private static WorkloadPattern Parse(string text)
    {
        WorkloadPattern.TryParse(text, out var pattern).Should().BeTrue();
        return pattern!;
    }

    private static EffectivePolicy Resolve(string file, string @namespace, string name, string metadata = "")
    {
        var options = ConfigurationFile.Parse(file, out var errors);
        errors.Should().BeEmpty();
        var values = metadata.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(static pair => pair.Split('=')).Select(static pair => KeyValuePair.Create(pair[0], pair[1]));
        var trigger = TriggerMetadata.Parse(@namespace, name, [KeyValuePair.Create("queue", "images"), .. values], out var problems);
        problems.Should().BeEmpty();
        return options!.Policies.Resolve(@namespace, name, trigger!.Policy);
    }
}
