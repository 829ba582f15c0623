using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

public class MergeTests
{
    [Fact]
    public void T1_nodes_show_their_own_queues_and_together_all_of_them()
    {
        var harness = new BrokerHarness();
        var outcome = harness.Sweep(
            new PageText("n1").Queue("a", 1, 2, 3).ToString(), new PageText("n2").Queue("b", 4, 5, 6).ToString());

        outcome.Queues.Should().Be(2);
        outcome.IsComplete.Should().BeTrue();
        harness["a"].Should().BeEquivalentTo(new { Ready = 1L, Unacked = 2L, Consumers = 3L });
        harness["b"].Should().BeEquivalentTo(new { Ready = 4L, Unacked = 5L, Consumers = 6L });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_queue_on_two_nodes_is_the_leaders_even_if_the_other_shows_more(bool swapped)
    {
        var leader = new PageText("n1").Queue("q", 1, 1, 2).Info("q", "leader").ToString();
        var follower = new PageText("n2").Queue("q", 900, 9, 7).Info("q", "follower").ToString();
        var harness = new BrokerHarness();

        harness.Sweep(swapped ? [follower, leader] : [leader, follower]);

        harness["q"].Should().BeEquivalentTo(new { Ready = 1L, Unacked = 1L, Consumers = 2L, Kind = QueueKind.Quorum });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_queue_on_two_nodes_without_membership_is_the_larger(bool swapped)
    {
        var small = new PageText("n1").Queue("q", 1, 1, 2).ToString();
        var large = new PageText("n2").Queue("q", 900, 9, 7).ToString();
        var harness = new BrokerHarness();

        harness.Sweep(swapped ? [large, small] : [small, large]);

        harness["q"].Should().BeEquivalentTo(new { Ready = 900L, Unacked = 9L, Consumers = 7L });
    }

    [Fact]
    public void Two_addresses_of_one_node_are_read_once()
    {
        var harness = new BrokerHarness();
        var page = new PageText("n1").Queue("q").Counters("q", acked: 5).ToString();
        harness.Sweep(page, page);
        page = new PageText("n1").Queue("q").Counters("q", acked: 8).ToString();
        harness.Sweep(page, page).IsComplete.Should().BeTrue();
        harness["q"].Counters.Completed.Should().Be(3);
    }

    [Fact]
    public void Orphan_consumer_series_do_not_make_a_deleted_queue_present()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 5, 1, 2).Queue("other").ToString());

        // Last up to two minutes after the queue is gone.
        harness.Sweep(new PageText("n1").WithInfo().Consumers("q", 2).Queue("other").ToString());

        harness["q"].Should().BeEquivalentTo(new
        {
            Presence = QueuePresence.Absent,
            Ready = 5L,
            Unacked = 1L,
            Consumers = 2L,
            ObservedAt = harness.Now,
            LastPresentAt = harness.Now.AddSeconds(-2),
        });
    }

    [Fact]
    public void Gauges_without_consumers_are_not_a_reading_but_prove_existence()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q", 5, 1, 2).Queue("other").ToString());
        var before = harness["q"];
        harness.Wait(60);

        harness.Sweep(new PageText("n1").Queue("q", 7, 7, null).Queue("other").ToString());

        harness["q"].Should().Be(before);
    }

    [Fact]
    public void A_queue_named_by_queue_info_but_without_figures_exists()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q", 5).Queue("other").Info("q", "leader").ToString());
        var before = harness["q"];

        // Its leader is moving, or on a node that is not configured.
        harness.Sweep(new PageText("n1").Queue("other").Info("q", "follower").ToString()).IsComplete.Should().BeTrue();

        harness["q"].Should().Be(before);
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("+Inf")]
    [InlineData("-1")]
    [InlineData("1e300")]
    public void T16_values_that_are_no_counts_are_dropped_and_counted(string value)
    {
        var harness = new BrokerHarness();
        var outcome = harness.Sweep(new PageText("n1")
            .Queue("other")
            .Raw($"rabbitmq_detailed_queue_messages_ready{{vhost=\"/\",queue=\"q\"}} {value}")
            .Line("messages_unacked", "q", 1)
            .Consumers("q", 1)
            .ToString());
        outcome.BadSamples.Should().Be(1);
        outcome.Queues.Should().Be(1);
        harness["q"].Presence.Should().Be(QueuePresence.Unobserved);
    }

    /// <summary>3.10 does not escape quotes in names, so the line of such a queue cannot be read.</summary>
    [Fact]
    public void A_page_with_unreadable_lines_proves_no_absence()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("q").Queue("other").ToString());
        harness.Wait(60);

        var outcome = harness.Sweep(new PageText("n1").Queue("other").Raw("rabbitmq_detailed_queue_messages_ready{vhost=\"/\",queue=\"q\"uo\\te\"} 0").ToString());

        outcome.Succeeded.Should().BeTrue();
        outcome.IsComplete.Should().BeFalse();
        harness["q"].Presence.Should().Be(QueuePresence.Present);
    }

    [Theory]
    [InlineData("a b/c%d+é", "a b/c%d+é")]
    [InlineData("q\\\"uo\\\\te\\n", "q\"uo\\te\n")]
    [InlineData("日本語 🐇", "日本語 🐇")]
    [InlineData("a,b={}", "a,b={}")]
    public void T7_odd_names_are_found_by_their_text(string onPage, string name)
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue(onPage, 3, vhost: "gen ai").Queue(onPage, 4).ToString());
        harness.Current.Read("gen ai", name).Ready.Should().Be(3);
        harness.Current.Read("/", name).Ready.Should().Be(4);
        harness.Current.Names.ToArray().Should().Equal(new QueueName("gen ai", name), new QueueName("/", name));
    }

    [Fact]
    public void Vhost_and_name_are_not_confused()
    {
        var harness = new BrokerHarness();
        harness.Sweep(new PageText("n1").Queue("bc", 1, vhost: "a").Queue("c", 2, vhost: "ab").ToString());
        harness.Current.Read("a", "bc").Ready.Should().Be(1);
        harness.Current.Read("ab", "c").Ready.Should().Be(2);
        harness.Current.TryFindSlot("abc", "", out _).Should().BeFalse();
        harness.Current.TryFindSlot("", new string('x', 300), out _).Should().BeFalse();
    }
}
