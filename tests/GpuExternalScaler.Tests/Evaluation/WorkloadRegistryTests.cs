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
        var brokers = BrokerConnections.Of(options, new SourceFactory(clock, static _ => { }).Open);
        _registry = new WorkloadRegistry(new CurrentConfiguration(new ConfigurationSnapshot(options, brokers)), clock);
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

    private static TriggerMetadata Trigger(string name) =>
        TriggerMetadata.Parse("genai", name, [new("queue", "images")], out _)!;

    /// <summary>How many of as many workloads are registered.</summary>
    private int Register(string prefix, IPAddress caller, int count) =>
        Enumerable.Range(0, count).Count(i => _registry.TryRegister(Trigger($"{prefix}-{i}"), out _, caller));
}
