using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>T4: completions, differenced per node and added up.</summary>
public class CounterTests
{
    [Theory]
    // The first value is a baseline.
    [InlineData("100", 0)]
    [InlineData("100 100 130", 30)]
    // A node's counter that fell began again at zero.
    [InlineData("100 150 20 30", 50 + 20 + 10)]
    [InlineData("100 0 7", 7)]
    // One that is back at its old height was merely missing.
    [InlineData("1000 0 1010", 10)]
    [InlineData("1000 0 500 990 1010", 500 + 490 + 10)]
    [InlineData("100 0 100", 0)]
    // Unknown in between.
    [InlineData("100 -1 110", 10)]
    public void A_nodes_counter_over_its_resets(string values, long expected) => Grow(values, countFromZero: true).Should().Be(expected);

    [Theory]
    [InlineData("100 150 20 30", 50 + 0 + 10)]
    // One of two nodes drops out of the sum and returns: nobody completed 500,000 messages.
    [InlineData("1500000 1500010 500000 500020 1500050", 10 + 0 + 20 + 40)]
    public void A_sum_over_nodes_falls_without_counting_from_zero(string values, long expected) =>
        Grow(values, countFromZero: false).Should().Be(expected);

    [Fact]
    public void Completed_is_acks_and_deliveries_and_gets_in_automatic_mode()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").WithCounters().ToString());
        harness.Sweep(new PageText("n1")
            .Queue("q", 3, 4, 1)
            .Counters("q", acked: 10, autoAck: 200, autoGet: 3000, delivered: 15, gets: 40, redelivered: 7)
            .Published("q", "", 5)
            .Published("q", "amq.topic", 60)
            .ToString());

        harness["q"].Counters.Should().Be(new QueueCounters
        {
            ObservedAt = harness.Now,
            StaleAfter = TimeSpan.FromSeconds(20),
            Messages = 7,
            Unacked = 4,
            Completed = 3210,
            AutoAcked = 3200,
            Delivered = 200 + 3000 + 15 + 40,
            Redelivered = 7,
            Published = 65,
        });
    }

    [Fact]
    public void Published_is_unknown_where_the_broker_does_not_tell()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 5).ToString());
        harness["q"].Counters.Published.Should().Be(QueueCounters.Unknown);
    }

    /// <summary>In 4.x the acks stand on the node of the consumer's channel, the gauges on the leader.</summary>
    [Fact]
    public void Counters_of_several_nodes_are_differenced_apart_and_then_added()
    {
        var harness = new BrokerHarness();
        harness.Sweep(
            new PageText("n1").WithInfo().Queue("q", 9).Counters("q", 100).ToString(), new PageText("n2").Counters("q", 1000).ToString());
        harness.Sweep(
            new PageText("n1").WithInfo().Queue("q", 9).Counters("q", 105).ToString(), new PageText("n2").Counters("q", 1020).ToString());
        harness["q"].Counters.Completed.Should().Be(25);

        // n2 restarts: the sum of raw values falls, the total must not.
        harness.Sweep(
            new PageText("n1").WithInfo().Queue("q", 9).Counters("q", 110).ToString(), new PageText("n2").Counters("q", 3).ToString());
        harness["q"].Counters.Completed.Should().Be(33);
    }

    [Fact]
    public void A_restarted_broker_gives_no_negative_and_no_huge_rate()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 9, 1, 2).Counters("q", 1_000_000).ToString());
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Sweep(SourceReason.ConnectionRefused);

        // Up again: no queues for a moment, then the queue, then its consumers.
        harness.Sweep(new PageText("n1").WithCounters().WithInfo().ToString()).Reason.Should().Be(SourceReason.NoQueuesVisible);
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Sweep(new PageText("n1").WithCounters().WithInfo().Queue("q", 10, 0, 0).ToString());
        harness["q"].Counters.Completed.Should().Be(0);
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 8, 2, 2).Counters("q", 4).ToString());
        harness["q"].Counters.Completed.Should().Be(4);
    }

    [Fact]
    public void A_node_that_is_away_for_a_moment_holds_the_counters_back_instead_of_losing_some()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 0).ToString(), new PageText("n2").Counters("q", 0).ToString());
        var before = harness["q"].Counters;

        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 5).ToString(), SourceReason.Timeout);
        harness["q"].Counters.Should().Be(before);
        harness["q"].ObservedAt.Should().Be(harness.Now, "the gauges are n1's own");

        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 10).ToString(), new PageText("n2").Counters("q", 40).ToString());
        harness["q"].Counters.Completed.Should().Be(50);
        harness["q"].Counters.ObservedAt.Should().Be(harness.Now);
    }

    /// <summary>A node back after an hour would otherwise put an hour of acks into one step.</summary>
    [Fact]
    public void A_node_that_stays_away_is_left_out_and_begins_with_a_new_baseline()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 0).ToString(), new PageText("n2").Counters("q", 0).ToString());
        for (var i = 1; i <= 10; i++)
        {
            harness.Sweep(new PageText("n1").Queue("q").Counters("q", i).ToString(), SourceReason.Timeout);
        }

        harness["q"].Counters.Completed.Should().Be(10);
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 11).ToString(), new PageText("n2").Counters("q", 40_000).ToString());
        harness["q"].Counters.Completed.Should().Be(11);
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 12).ToString(), new PageText("n2").Counters("q", 40_002).ToString());
        harness["q"].Counters.Completed.Should().Be(14);
    }

    [Fact]
    public void A_pod_that_returns_with_another_address_is_the_same_node()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("rabbit@n1").Queue("q").Counters("q", 100).ToString(), new PageText("rabbit@n2").Counters("q", 7).ToString());
        harness.Sweep(new PageText("rabbit@n2").Counters("q", 8).ToString(), new PageText("rabbit@n1").Queue("q").Counters("q", 102).ToString());
        harness["q"].Counters.Completed.Should().Be(3);
    }

    [Fact]
    public void Changing_between_list_and_metrics_counts_nothing_twice()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").ToString());
        harness.List(Entry(ack: 100));
        harness.Wait(10);
        harness.List(Entry(ack: 110));
        harness["q"].Counters.Completed.Should().Be(10);
        harness.Current.CountersFrom.Should().Be(RabbitMqEndpoint.Management);

        // The broker is upgraded to 4.x: its metrics take over.
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 112).ToString());
        harness.Sweep(new PageText("n1").Queue("q").Counters("q", 115).ToString());
        harness["q"].Counters.Completed.Should().Be(13);
        harness.Current.CountersFrom.Should().Be(RabbitMqEndpoint.Metrics);

        // Its metrics port is closed: the list steps in again.
        for (var i = 0; i < 3; i++)
        {
            harness.Sweep(SourceReason.ConnectionRefused);
        }

        harness.List(Entry(ack: 120));
        harness.Wait(10);
        harness.List(Entry(ack: 121));
        harness["q"].Counters.Completed.Should().Be(14);
        harness.Current.CountersFrom.Should().Be(RabbitMqEndpoint.Management);
    }

    [Fact]
    public void Counters_of_a_list_that_stopped_answering_are_no_longer_claimed()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").ToString());
        harness.List(Entry(ack: 100));
        harness.Current.HasCounters.Should().BeTrue();
        harness.Wait(31);
        harness.List(SourceReason.Timeout);
        harness.Current.HasCounters.Should().BeFalse();
    }

    internal static string Entry(long ack, string name = "q") =>
        $$$"""[{"consumers":1,"message_stats":{"ack":{{{ack}}}},"messages_ready":0,"messages_unacknowledged":0,"name":"{{{name}}}","vhost":"/"}]""";

    private static long Grow(string values, bool countFromZero)
    {
        var counter = default(ResettingCounter);
        return values.Split(' ').Sum(value => counter.Advance(long.Parse(value), countFromZero));
    }
}
