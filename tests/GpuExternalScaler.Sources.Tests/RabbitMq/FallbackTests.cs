using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>T2: when the management list is read, and what it may change.</summary>
public class FallbackTests
{
    private static string Page => new PageText("n1").WithInfo().WithCounters().Queue("q", 1, 1, 1).ToString();

    [Fact]
    public void The_list_serves_after_three_failures_and_gives_back_when_the_metrics_work()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page);
        harness.ManagementIsDue.Should().BeFalse();
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.ManagementIsDue.Should().BeFalse();
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.ManagementIsDue.Should().BeTrue();

        harness.List(List("q", 7));
        harness["q"].Should().BeEquivalentTo(new { Ready = 7L, FreshFor = TimeSpan.FromSeconds(25), StaleAfter = TimeSpan.FromSeconds(30) });
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Management);
        harness.Current.Fault!.Reason.Should().Be(SourceReason.ConnectionRefused);
        harness.ManagementIsDue.Should().BeFalse("it has just been read");
        harness.Wait(10);
        harness.ManagementIsDue.Should().BeTrue();

        harness.Sweep(Page);
        harness["q"].Should().BeEquivalentTo(new { Ready = 1L, FreshFor = TimeSpan.FromSeconds(4) });
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Metrics);
        harness.ManagementIsDue.Should().BeFalse();
    }

    [Fact]
    public void The_list_waits_for_the_first_sweep_of_the_metrics()
    {
        new BrokerHarness().ManagementIsDue.Should().BeFalse();
        new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] }).ManagementIsDue.Should().BeTrue();
        var withoutManagement = new BrokerHarness(BrokerHarness.Both with { Management = null });
        withoutManagement.Sweep(SourceReason.Timeout);
        withoutManagement.ManagementIsDue.Should().BeFalse();
    }

    [Fact]
    public void Beside_good_metrics_the_list_changes_no_gauges()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q", 1).ToString());
        harness.List(List("q", 99, 42));
        harness["q"].Ready.Should().Be(1);
        harness["q"].Counters.Messages.Should().Be(99, "counters go with the messages of their own answer");
        harness["q"].Kind.Should().Be(QueueKind.Classic);
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Metrics);
    }

    [Fact]
    public void A_broker_with_counters_but_without_queue_info_is_asked_for_kinds_once_a_minute()
    {
        var harness = new BrokerHarness();
        var page = new PageText("n1").WithCounters().Queue("s", 1).ToString();
        harness.Sweep(page);
        harness.ManagementIsDue.Should().BeTrue();
        harness.List("""[{"consumers":0,"messages_ready":9,"messages_unacknowledged":0,"name":"s","type":"stream","vhost":"/"}]""");
        harness["s"].Should().BeEquivalentTo(new { Kind = QueueKind.Stream, Ready = 1L });
        harness.Wait(30);
        harness.Sweep(page);
        harness.ManagementIsDue.Should().BeFalse();
        harness.Wait(30);
        harness.ManagementIsDue.Should().BeTrue();
    }

    [Fact]
    public void The_list_fills_in_for_a_node_whose_metrics_stay_away()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page, new PageText("n2").WithInfo().Queue("b", 5).ToString());
        for (var i = 0; i < 3; i++)
        {
            harness.Sweep(Page, SourceReason.Timeout);
        }

        harness.ManagementIsDue.Should().BeTrue();
        for (var i = 0; i < 3; i++)
        {
            harness.List($"[{Entry("q", 70)},{Entry("b", 8 + i)}]");
            harness["b"].Ready.Should().Be(8 + i);
            harness["b"].IsFresh(harness.Now).Should().BeTrue();
            harness["q"].Ready.Should().Be(1);
            harness.Wait(8);
            harness.Sweep(Page, SourceReason.Timeout);
        }
    }

    /// <summary>As behind a load balancer that always leads to the same node.</summary>
    [Fact]
    public void A_queue_the_list_knows_is_not_absent_because_the_configured_nodes_do_not_show_it()
    {
        var harness = new BrokerHarness();
        var n1 = new PageText("n1").Queue("q").ToString();
        for (var i = 0; i < 6; i++)
        {
            harness.Sweep(n1);
        }

        harness["b"].Presence.Should().Be(QueuePresence.Absent);
        harness.List($"[{Entry("q", 0)},{Entry("b", 8)}]");
        harness["b"].Presence.Should().Be(QueuePresence.Present);
        for (var i = 0; i < 40; i++)
        {
            harness.Sweep(n1);
            if (i % 5 == 4)
            {
                harness.List($"[{Entry("q", 0)},{Entry("b", 8)}]");
            }

            harness["b"].Presence.Should().Be(QueuePresence.Present);
        }

        // Now it is deleted: the lists prove it, one alone does not.
        harness.List($"[{Entry("q", 0)}]");
        harness["b"].Presence.Should().Be(QueuePresence.Present);
        harness.Wait(10);
        harness.List($"[{Entry("q", 0)}]");
        harness["b"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void Missing_statistics_of_one_queue_are_no_reading_and_no_zero()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List($"[{Entry("q", 3)}]");
        var before = harness["q"];
        harness.Wait(10);

        // As captured: a quorum queue just declared, or a classic one whose node is down.
        harness.List($$"""[{"name":"q","type":"classic","vhost":"/"},{{Entry("other", 1)}}]""").IsComplete.Should().BeTrue();

        harness["q"].Should().Be(before with { Kind = QueueKind.Classic });
        harness.Wait(10);
        harness.List($"[{Entry("other", 1)}]");
        harness.Wait(10);
        harness.List($"[{Entry("other", 1)}]");
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
    }

    /// <summary>
    /// As with 4.3 and 3.x when a node hangs or dies: for a moment its queues are neither among those of running nodes nor
    /// among those of stopped ones.
    /// </summary>
    [Fact]
    public void One_list_that_lacks_a_queue_is_no_proof_whatever_an_earlier_one_lacked()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        var both = $"[{Entry("q", 3)},{Entry("other", 1)}]";
        var one = $"[{Entry("other", 1)}]";
        harness.List(both);
        harness.Wait(10);
        harness.List(one);
        harness.Wait(10);
        harness.List("""[{"name":"q","type":"classic","vhost":"/","state":"down"},{"name":"other","vhost":"/"}]""");
        harness.Wait(10);
        harness.List(one);
        harness["q"].Presence.Should().Be(QueuePresence.Present);

        // Lists are only read while they are needed: the next one may be an hour later.
        harness.Wait(3600);
        harness.List(one);
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Wait(10);
        harness.List(one);
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void Lists_without_statistics_prove_absence_all_the_same()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List($"[{Entry("q", 3)},{Entry("other", 1)}]");
        harness.Wait(10);
        harness.List(true, """[{"name":"other","vhost":"/"}]""");
        harness.Wait(10);
        harness.List(true, """[{"name":"other","vhost":"/"}]""");
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
        harness["other"].Presence.Should().Be(QueuePresence.Present);
    }

    [Theory]
    [InlineData(true, SourceReason.StatisticsDisabled)]
    [InlineData(false, SourceReason.StatisticsMissing)]
    public void Management_metrics_disabled_is_detected_and_said(bool disabled, SourceReason reason)
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q", 1).ToString());

        var outcome = harness.List(disabled, """[{"name":"q","type":"classic","vhost":"/"}]""");

        outcome.Reason.Should().Be(reason);
        outcome.Succeeded.Should().BeFalse();
        harness["q"].Should().BeEquivalentTo(new { Presence = QueuePresence.Present, Ready = 1L, Kind = QueueKind.Classic });
        harness.Current.HasCounters.Should().BeFalse();
        harness.Current.Fault!.Reason.Should().Be(reason);
    }

    [Fact]
    public void Totals_without_consumers_are_no_gauges_and_their_missing_counters_no_zero()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List(true, """[{"messages_ready":4,"messages_unacknowledged":0,"name":"q","vhost":"/"}]""").Succeeded.Should().BeFalse();
        harness["q"].Presence.Should().Be(QueuePresence.Unobserved);
        harness["q"].Counters.IsKnown.Should().BeFalse();
    }

    [Fact]
    public void T6_an_empty_list_is_an_error()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List($"[{Entry("q", 3)}]");
        var before = harness["q"];
        harness.List("[]").Reason.Should().Be(SourceReason.NoQueuesVisible);
        harness["q"].Should().Be(before);
    }

    /// <summary>As 3.10.8 answers a user with a permission for one virtual host of two: 200 and half of the queues.</summary>
    [Fact]
    public void T6_a_virtual_host_the_list_does_not_show_may_merely_be_hidden()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").WithInfo().Queue("a").Queue("b").Queue("h", vhost: "hidden").ToString());
        harness.Wait(60);
        for (var i = 0; i < 3; i++)
        {
            harness.Sweep(SourceReason.ConnectionRefused);
        }

        harness.List($"[{Entry("a", 3)}]");
        harness.Wait(10);
        harness.List($"[{Entry("a", 3)}]");

        harness["b"].Presence.Should().Be(QueuePresence.Absent);
        harness["never"].Presence.Should().Be(QueuePresence.Absent);
        harness.Current.Read("hidden", "h").Presence.Should().Be(QueuePresence.Present);
        harness.Current.Read("hidden", "never").Presence.Should().Be(QueuePresence.Unobserved);
        harness.Sweep(new PageText("n1").WithInfo().Queue("a").ToString());
        harness.Current.Read("hidden", "never").Presence.Should().Be(QueuePresence.Absent);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("{\"error\":\"not_authorised\"}")]
    [InlineData("<html>")]
    [InlineData("[{\"name\":\"q\"")]
    [InlineData("[{\"name\":\"q\",\"vhost\":\"/\",\"messages_ready\":9,\"messages_unacknowledged\":0,\"consumers\":0},")]
    [InlineData("[] []")]
    [InlineData("[{\"name\":\"\\uD800\",\"vhost\":\"/\"}]")]
    public void Anything_but_the_list_is_malformed_and_changes_no_queue(string json)
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List($"[{Entry("q", 3)}]");
        var before = harness["q"];
        harness.Wait(10);
        var outcome = harness.List(json);
        outcome.Reason.Should().Be(SourceReason.MalformedAnswer);
        outcome.Succeeded.Should().BeFalse();
        harness["q"].Should().Be(before);
    }

    [Fact]
    public void Values_of_wrong_types_are_lost_and_counted_and_not_the_list()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        var outcome = harness.List("""
            [GOOD,
             {"name":"text","vhost":"/","messages_ready":"9","messages_unacknowledged":0,"consumers":0},
             {"name":"object","vhost":"/","messages_ready":{"a":[1]},"messages_unacknowledged":0,"consumers":0},
             {"name":"negative","vhost":"/","messages_ready":-1,"messages_unacknowledged":0,"consumers":0},
             {"name":"null","vhost":"/","messages_ready":null,"messages_unacknowledged":0,"consumers":0},
             {"name":"stats","vhost":"/","messages_ready":1,"messages_unacknowledged":0,"consumers":0,"message_stats":{"ack":"x","more":[{}]}},
             {"name":"float","vhost":"/","messages_ready":2.0,"messages_unacknowledged":0,"consumers":0,"message_stats":[],"type":7},
             {"name":5,"vhost":"/"}, {"vhost":"/"}, {"name":"","vhost":"/"}, 17, [{"name":"nested"}], null]
            """.Replace("GOOD", Entry("good", 3), StringComparison.Ordinal));
        outcome.Queues.Should().Be(3);
        outcome.IsComplete.Should().BeFalse();
        outcome.BadSamples.Should().Be(11);
        foreach (var name in new[] { "text", "object", "negative", "null" })
        {
            harness[name].Presence.Should().Be(QueuePresence.Unobserved);
        }

        harness["stats"].Presence.Should().Be(QueuePresence.Present);
        harness["stats"].Counters.IsKnown.Should().BeFalse();
        harness["float"].Ready.Should().Be(2);
        harness["float"].Counters.IsKnown.Should().BeTrue();
    }

    [Fact]
    public void With_several_virtual_hosts_one_that_fails_leaves_the_others()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [], Vhosts = ["/", "b", "c"] });
        harness.List($"[{Entry("q", 1)}]", "[{\"name\":\"half\",\"vhost\":\"b\",\"consumers\":0,\"messages_ready\":0,\"messages_unacknowledged\":0},", SourceReason.NotFound);
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Current.Read("b", "half").Presence.Should().NotBe(QueuePresence.Present);
        harness.Current.CompleteSweepAt.Should().Be(default);
    }

    private static string List(string name, long ready, long ack = 0) => $"[{Entry(name, ready, ack)}]";

    private static string Entry(string name, long ready, long ack = 0) =>
        $$$"""{"consumers":1,"message_stats":{"ack":{{{ack}}}},"messages_ready":{{{ready}}},"messages_unacknowledged":0,"name":"{{{name}}}","type":"classic","vhost":"/"}""";
}
