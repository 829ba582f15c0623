using System.Net;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Tests.Evaluation;

public sealed class WorkloadRegistryTests
{
    private static readonly IPAddress Keda = IPAddress.Parse("10.0.0.1");
    private static readonly IPAddress Flood = IPAddress.Parse("10.0.0.2");

    private readonly WorkloadRegistry _registry;

    public WorkloadRegistryTests()
    {
        var options = new ScalerOptions { MaximumWorkloads = 10 };
        var clock = new MonotonicClock(TimeProvider.System);
        var snapshot = ConfigurationSnapshot.Of(options, new SourceFactory(clock, static _ => { }, static _ => { }), reading: null);
        _registry = new WorkloadRegistry(new CurrentConfiguration(snapshot), clock);
    }

    [Fact]
    public void One_caller_is_refused_at_the_limit_and_loses_nothing()
    {
        Register("honest", Keda, 10).Should().Be(10);

        Register("more", Keda, 5).Should().Be(0);
        Register("honest", Keda, 10).Should().Be(10);
        _registry.Count.Should().Be(10);
    }

    [Fact]
    public void A_newcomer_gets_up_to_half_of_what_a_flood_has_taken()
    {
        Register("flood", Flood, 1000).Should().Be(10);

        Register("honest", Keda, 10).Should().Be(5);
        Register("flood-again", Flood, 1000).Should().Be(0);
        Register("honest", Keda, 5).Should().Be(5, "they are still there");
        _registry.Count.Should().Be(10);
    }

    [Fact]
    public void A_flood_takes_no_more_than_half_from_who_was_there_before()
    {
        Register("honest", Keda, 10);

        Register("flood", Flood, 1000).Should().Be(5);
        _registry.All.Count(workload => workload.Caller.Equals(Keda)).Should().Be(5);
    }

    [Fact]
    public void What_nobody_has_asked_about_for_longest_makes_room_and_its_stream_is_told()
    {
        var forgotten = _registry.OpenStream(Trigger("honest-0"), Flood)!;
        Register("flood", Flood, 9);
        Register("flood", Flood, 9);
        var changed = forgotten.ActivityChanged;

        Register("newcomer", Keda, 1).Should().Be(1);

        forgotten.IsEvicted.Should().BeTrue();
        changed.IsCompleted.Should().BeTrue();
        _registry.All.Should().NotContain(forgotten);
    }

    [Fact]
    public void A_caller_that_comes_back_under_another_address_takes_its_workloads_along()
    {
        Register("honest", Keda, 10);
        var after = IPAddress.Parse("10.0.0.3");
        Register("honest", after, 10).Should().Be(10);

        Register("more", after, 1).Should().Be(0, "all ten are its own");
        _registry.All.Should().OnlyContain(workload => workload.Caller.Equals(after));
    }

    [Fact]
    public void A_workload_of_the_configuration_is_there_until_its_ScaledObject_asks()
    {
        var shadow = _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Begun.Should().ContainSingle().Subject;
        _registry.Count.Should().Be(1);
        _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Begun.Should().BeEmpty("it is there already");
        _registry.TryForget(shadow, DateTimeOffset.MaxValue).Should().BeFalse("nobody need ask about it");

        // The same queue with another policy is another trigger.
        var trigger = TriggerMetadata.Parse("genai", "a", [new("queue", "images"), new("coldStart", "5s")], out _)!;
        _registry.TryRegister(trigger, out var asked, Keda).Should().BeTrue();

        _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Ended.Should().Equal(shadow);
        _registry.All.Should().Equal(asked!);
        _registry.TryForget(asked!, DateTimeOffset.MaxValue).Should().BeTrue();
        _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Begun.Should().ContainSingle("its ScaledObject is gone");
    }

    [Fact]
    public void A_ScaledObject_that_says_the_same_takes_the_workload_over()
    {
        var shadow = _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Begun[0];
        _registry.TryRegister(Trigger("a"), out var asked, Keda).Should().BeTrue();
        asked.Should().BeSameAs(shadow);

        _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Ended.Should().Equal(shadow);
        shadow.IsShadow.Should().BeFalse();
        _registry.All.Should().Equal(shadow);
        Register("others", Keda, 10).Should().Be(9, "it counts for who asks");
    }

    [Fact]
    public void What_the_configuration_names_no_more_is_gone_and_what_it_names_anew_is_another()
    {
        var shadow = _registry.KeepShadows(Snapshot("genai/a: { queue: images }")).Begun[0];

        var (begun, ended, _) = _registry.KeepShadows(Snapshot("genai/a: { queue: videos }"));
        ended.Should().Equal(shadow);
        begun.Should().ContainSingle().Which.Trigger.Queues!.Names.Should().Equal("videos");

        _registry.KeepShadows(Snapshot("genai/a: { share: 0.5 }")).Ended.Should().Equal(begun);
        _registry.Count.Should().Be(0);
    }

    [Fact]
    public void What_is_only_looked_at_makes_room_for_those_who_ask()
    {
        const string Two = "genai/a: { queue: images }\n  genai/b: { queue: images }";
        _registry.KeepShadows(Snapshot(Two)).Begun.Should().HaveCount(2);

        Register("honest", Keda, 10).Should().Be(10);
        _registry.All.Should().OnlyContain(static workload => !workload.IsShadow);
        _registry.KeepShadows(Snapshot(Two)).WithoutPlace.Should().Be(2);
        _registry.Count.Should().Be(10);
    }

    private static ConfigurationSnapshot Snapshot(string workloads)
    {
        var options = ConfigurationFile.Parse($"limits: {{ workloads: 10 }}\nrabbitmq: {{ main: {{ metrics: {{ dns: \"a:1\" }} }} }}\nworkloads:\n  {workloads}", out var errors);
        errors.Should().BeEmpty();
        return ConfigurationSnapshot.Of(options!, new SourceFactory(new MonotonicClock(TimeProvider.System), static _ => { }, static _ => { }), reading: null);
    }

    private static TriggerMetadata Trigger(string name) =>
        TriggerMetadata.Parse("genai", name, [new("queue", "images")], out _)!;

    /// <summary>How many of as many workloads are registered.</summary>
    private int Register(string prefix, IPAddress caller, int count) =>
        Enumerable.Range(0, count).Count(i => _registry.TryRegister(Trigger($"{prefix}-{i}"), out _, caller));
}
