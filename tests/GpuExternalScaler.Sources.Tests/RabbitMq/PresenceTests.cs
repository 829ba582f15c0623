using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>When a queue is present, absent, or merely not seen.</summary>
public class PresenceTests
{
    private static string N1 => new PageText("n1").WithInfo().Queue("a", 1).ToString();

    private static string N2 => new PageText("n2").WithInfo().Queue("b", 2).ToString();

    [Fact]
    public void Before_the_first_sweep_nothing_is_known()
    {
        var harness = new BrokerHarness();
        harness.Current.HasSwept.Should().BeFalse();
        harness.Current.Count.Should().Be(0);
        harness.Current.AbsentReading().Presence.Should().Be(QueuePresence.Unobserved);
        harness["q"].Presence.Should().Be(QueuePresence.Unobserved);
        harness.Current.Fault.Should().BeNull();
        harness.Current.Invoking(readings => readings[0]).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_queue_never_seen_is_absent_as_of_the_newest_complete_sweep()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        var complete = harness.Now;
        harness.Sweep(N1, SourceReason.Timeout);

        harness.Current.TryFindSlot("/", "never", out var slot).Should().BeFalse();
        slot.Should().Be(-1);
        harness.Current.CompleteSweepAt.Should().Be(complete);
        harness["never"].Should().Be(new QueueReading
        {
            Presence = QueuePresence.Absent,
            ObservedAt = complete,
            FreshFor = TimeSpan.FromSeconds(4),
            StaleAfter = TimeSpan.FromSeconds(20),
        });
    }

    [Fact]
    public void A_queue_in_a_virtual_host_that_is_not_read_is_unobserved_and_not_absent()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { Vhosts = ["/"] });
        harness.Sweep(N1);
        harness.Current.CoversVhost("other").Should().BeFalse();
        harness.Current.Read("other", "q").Presence.Should().Be(QueuePresence.Unobserved);
        harness.Current.Read("/", "q").Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void A_deleted_queue_is_absent_keeps_its_gauges_and_comes_back_into_its_slot()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        var seen = harness.Now;
        harness.Current.TryFindSlot("/", "b", out var slot).Should().BeTrue();

        harness.Sweep(N1, new PageText("n2").WithInfo().ToString());
        harness.Current[slot].Should().BeEquivalentTo(
            new { Presence = QueuePresence.Absent, Ready = 2L, LastPresentAt = seen, ObservedAt = harness.Now });

        harness.Sweep(N1, N2);
        harness.Current[slot].Should().BeEquivalentTo(new { Presence = QueuePresence.Present, LastPresentAt = harness.Now });
    }

    [Theory]
    [InlineData(SourceReason.Timeout)]
    [InlineData(SourceReason.ConnectionRefused)]
    [InlineData(SourceReason.HttpStatus)]
    public void A_node_that_failed_lets_its_queues_go_stale_and_keeps_the_others(SourceReason reason)
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        var before = harness["b"];

        var outcome = harness.Sweep(N1, reason);

        outcome.Succeeded.Should().BeTrue();
        outcome.IsComplete.Should().BeFalse();
        outcome.Answered.Should().Be(1);
        harness["a"].ObservedAt.Should().Be(harness.Now);
        harness["b"].Should().Be(before);
        harness["b"].IsFresh(harness.Now).Should().BeTrue();
        harness["b"].IsFresh(harness.Now.AddSeconds(3)).Should().BeFalse();
        harness["b"].IsUsable(harness.Now.AddSeconds(19)).Should().BeFalse();
        harness.Current.Fault!.Reason.Should().Be(reason);
        harness.Current.Fault.Endpoint.Should().Be("n2:15692");
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Metrics);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("<html><body>Bad gateway</body></html>\n")]
    [InlineData("node_cpu_seconds_total 1\n")]
    public void A_page_that_is_not_the_plugins_is_a_failed_node(string page)
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        harness.Sweep(N1, page).Reason.Should().Be(SourceReason.NotExposition);
        harness["b"].Presence.Should().Be(QueuePresence.Present);
    }

    [Fact]
    public void A_page_without_its_end_is_a_failed_node()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        harness.Sweep(N1, new PageText("n2").Queue("c").ToString().TrimEnd('\n')).Reason.Should().Be(SourceReason.Truncated);
        harness["b"].Presence.Should().Be(QueuePresence.Present);
        harness["c"].Presence.Should().NotBe(QueuePresence.Present);
    }

    /// <summary>A headless Service drops a node that is not ready: fewer addresses prove nothing.</summary>
    [Fact]
    public void A_node_that_is_no_longer_listed_makes_sweeps_incomplete_for_a_day()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        harness.Sweep(N1).IsComplete.Should().BeFalse();
        harness["b"].Presence.Should().Be(QueuePresence.Present);

        // A headless Service drops the node that is down; its queues are not deleted for that.
        harness.Wait(3600);
        harness.Sweep(N1).IsComplete.Should().BeFalse();
        harness["b"].Presence.Should().Be(QueuePresence.Present);

        harness.Wait(23 * 3600);
        harness.Sweep(N1).IsComplete.Should().BeTrue();
        harness["b"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void A_name_that_did_not_resolve_makes_the_sweep_incomplete()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1);
        harness.Sweep(allAsked: false, N1, SourceReason.Dns).IsComplete.Should().BeFalse();
    }

    [Fact]
    public void T6_a_broker_without_any_queues_is_an_error_and_not_idleness()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1, N2);
        var before = harness["a"];

        var outcome = harness.Sweep(new PageText("n1").WithInfo().ToString(), new PageText("n2").WithInfo().ToString());

        outcome.Succeeded.Should().BeFalse();
        outcome.Reason.Should().Be(SourceReason.NoQueuesVisible);
        harness["a"].Should().Be(before);
        harness.Current.Fault!.Sentence.Should().Be(
            "RabbitMQ connection 'main': the metrics endpoint shows no queues at all; the user's permissions or the virtual hosts are probably wrong.");
    }

    /// <summary>3.10 shows a queue's figures up to ten seconds after it was declared.</summary>
    [Fact]
    public void Without_queue_info_a_queue_is_called_absent_only_after_the_statistics_lag()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("a").Queue("b").ToString());
        harness["new"].Presence.Should().Be(QueuePresence.Unobserved);
        for (var i = 0; i < 4; i++)
        {
            harness.Sweep(new PageText("n1").Queue("a").ToString());
            harness["b"].Presence.Should().Be(QueuePresence.Present);
        }

        harness["b"].IsFresh(harness.Now).Should().BeFalse();
        harness.Sweep(new PageText("n1").Queue("a").ToString());
        harness["b"].Presence.Should().Be(QueuePresence.Absent);
        harness["new"].Presence.Should().Be(QueuePresence.Absent);
    }

    /// <summary>Seen on 3.10.8: for four seconds after its restart the broker shows one queue out of four.</summary>
    [Fact]
    public void A_broker_that_restarts_and_shows_its_queues_one_by_one_proves_no_absence()
    {
        var harness = new BrokerHarness();
        for (var i = 0; i < 6; i++)
        {
            harness.Sweep(new PageText("n1").Queue("a").Queue("b").ToString());
        }

        for (var i = 0; i < 12; i++)
        {
            harness.Sweep(SourceReason.ConnectionRefused);
        }

        harness.Sweep(new PageText("n1").Queue("a").ToString()).IsComplete.Should().BeTrue();
        harness.Sweep(new PageText("n1").Queue("a").ToString());
        harness["b"].Presence.Should().Be(QueuePresence.Present);
        harness["b"].IsUsable(harness.Now).Should().BeFalse();
        harness.Sweep(new PageText("n1").Queue("a").Queue("b").ToString());
        harness["b"].IsFresh(harness.Now).Should().BeTrue();
    }

    [Fact]
    public void The_fault_remembers_since_when_and_goes_away()
    {
        var harness = new BrokerHarness();
        harness.Sweep(N1);
        harness.Sweep(SourceReason.Timeout);
        var since = harness.Now;
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Current.Fault.Should().Be(new SourceFault(
            SourceReason.ConnectionRefused,
            "n1:15692",
            "RabbitMQ connection 'main': the metrics endpoint at n1:15692 refused the connection; nothing listens there.",
            since));
        harness.Current.LastSuccessAt.Should().Be(since.AddSeconds(-2));
        harness.Current.LastSweepStartedAt.Should().Be(harness.Now);
        harness.Sweep(N1);
        harness.Current.Fault.Should().BeNull();
    }
}
