using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>T2, T3: what stands in for the metrics, what each lacks, and what a live look may change.</summary>
public class StandInTests
{
    private static readonly RabbitMqConnectionOptions ManagementOnly = BrokerHarness.Both with { MetricsUrls = [] };
    private static readonly RabbitMqConnectionOptions ManagementAndAmqp = BrokerHarness.All with { MetricsUrls = [] };

    private static string Page => new PageText("n1").WithInfo().WithCounters().Queue("q", 1, 2, 3).ToString();

    [Fact]
    public void Metrics_die_totals_and_declares_serve_then_the_list_then_declares_alone_and_all_the_way_back()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page);
        harness.Declare(("q", BrokerHarness.Found(1, 3)));
        harness.Current.Choice.Should().Be(new SourceChoice(RabbitMqEndpoint.Metrics, RabbitMqEndpoint.Metrics, RabbitMqEndpoint.Metrics, RabbitMqEndpoint.None));
        harness.DeclaresServeGauges.Should().BeFalse();

        // Two failures are no reason; the third is.
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.DeclaresServeGauges.Should().BeFalse();
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.DeclaresServeGauges.Should().BeTrue();
        harness.TotalsAreDue.Should().BeTrue();

        harness.Totals(Totals("q", 10, 20));
        harness.Declare(("q", BrokerHarness.Found(10, 5)));
        harness["q"].Should().BeEquivalentTo(new { Ready = 10L, Unacked = 20L, Consumers = 5L, Missing = QueueGauges.None });
        harness.Current.Choice.Should().BeEquivalentTo(new { Gauges = RabbitMqEndpoint.ManagementTotals, Consumers = RabbitMqEndpoint.Amqp });
        harness.TotalsAreDue.Should().BeFalse("they have just been read");

        // The totals break: once they are no longer fresh, the statistics are better than nothing.
        harness.Wait(13);
        harness.Totals(SourceReason.Timeout);
        harness.Declare(("q", BrokerHarness.Found(11, 6)));
        harness.List(List("q", 100, 200, 300));
        harness["q"].Should().BeEquivalentTo(new { Ready = 100L, Unacked = 200L, Consumers = 6L, Missing = QueueGauges.None });
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Management);

        // The management API is gone altogether: only what is live is left, and it has no unacknowledged.
        harness.Wait(31);
        harness.List(SourceReason.ConnectionRefused);
        harness.Declare(("q", BrokerHarness.Found(12, 7)));
        harness["q"].Should().BeEquivalentTo(new { Ready = 12L, Unacked = 0L, Consumers = 7L, Missing = QueueGauges.Unacked, ObservedAt = harness.Now });
        harness.Current.Choice.Should().Be(new SourceChoice(RabbitMqEndpoint.Amqp, RabbitMqEndpoint.Amqp, RabbitMqEndpoint.None, RabbitMqEndpoint.None));
        harness.Current.Choice.Missing.Should().Be(QueueGauges.Unacked);

        // And back up, as soon as something better works.
        harness.Wait(1);
        harness.List(List("q", 101, 201, 301));
        harness["q"].Should().BeEquivalentTo(new { Ready = 101L, Unacked = 201L, Consumers = 7L, Missing = QueueGauges.None });
        harness.Wait(1);
        harness.Totals(Totals("q", 13, 23));
        harness["q"].Should().BeEquivalentTo(new { Unacked = 23L, Consumers = 7L, Missing = QueueGauges.None });
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.ManagementTotals);
        harness.Wait(8);
        harness.Sweep(Page);
        harness["q"].Should().BeEquivalentTo(new { Ready = 1L, Unacked = 2L, Consumers = 3L, Missing = QueueGauges.None });
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Metrics);
        harness.DeclaresServeGauges.Should().BeFalse();
    }

    [Theory]
    [InlineData(RabbitMqEndpoint.Metrics, 4, 20)]
    [InlineData(RabbitMqEndpoint.ManagementTotals, 12.5, 20)]
    [InlineData(RabbitMqEndpoint.Management, 25, 30)]
    [InlineData(RabbitMqEndpoint.Amqp, 7, 20)]
    public void Each_has_ages_of_its_own(RabbitMqEndpoint endpoint, double freshFor, double staleAfter)
    {
        var harness = new BrokerHarness(endpoint switch
        {
            RabbitMqEndpoint.Metrics => BrokerHarness.Both,
            RabbitMqEndpoint.Amqp => BrokerHarness.AmqpOnly,
            _ => ManagementOnly,
        });
        _ = endpoint switch
        {
            RabbitMqEndpoint.Metrics => harness.Sweep(Page),
            RabbitMqEndpoint.Amqp => harness.Declare(("q", BrokerHarness.Found(1, 1))),
            RabbitMqEndpoint.ManagementTotals => harness.Totals(Totals("q", 1, 1)),
            _ => harness.List(List("q", 1, 1, 1)),
        };

        harness["q"].FreshFor.Should().Be(TimeSpan.FromSeconds(freshFor));
        harness["q"].StaleAfter.Should().Be(TimeSpan.FromSeconds(staleAfter));
    }

    [Fact]
    public void Declares_that_come_round_rarely_are_believed_for_three_rounds()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly) { Rotation = TimeSpan.FromSeconds(20) };
        harness.Declare(("q", BrokerHarness.Found(1, 1)));
        harness["q"].Should().BeEquivalentTo(new { FreshFor = TimeSpan.FromSeconds(52), StaleAfter = TimeSpan.FromSeconds(60) });
    }

    [Fact]
    public void Totals_are_no_fresher_than_the_lists_consumers_in_them()
    {
        var harness = new BrokerHarness(ManagementOnly);
        harness.List(List("q", 1, 1, 9));
        harness.Wait(20);
        harness.Totals(Totals("q", 1, 1));
        harness["q"].FreshFor.Should().Be(TimeSpan.FromSeconds(5));
        harness.List(List("q", 1, 1, 9));
        harness["q"].FreshFor.Should().Be(TimeSpan.FromSeconds(12.5));
    }

    [Fact]
    public void Long_intervals_are_believed_for_three_of_them()
    {
        var slow = BrokerHarness.AmqpOnly with { Interval = TimeSpan.FromSeconds(30) };
        var harness = new BrokerHarness(slow);
        harness.Declare(("q", BrokerHarness.Found(1, 1)));
        harness["q"].StaleAfter.Should().Be(TimeSpan.FromSeconds(90));
        var lists = new BrokerHarness(ManagementOnly with { ManagementInterval = TimeSpan.FromSeconds(60) });
        lists.Totals(Totals("q", 1, 1));
        lists["q"].StaleAfter.Should().Be(TimeSpan.FromSeconds(90));
    }

    [Fact]
    public void Totals_without_anything_that_knows_consumers_say_that_they_are_missing()
    {
        var harness = new BrokerHarness(ManagementOnly);

        harness.List(true, """[{"name":"q","type":"classic","vhost":"/"}]""");
        harness.Totals(Totals("q", 4, 2));

        harness["q"].Should().BeEquivalentTo(new { Presence = QueuePresence.Present, Ready = 4L, Unacked = 2L, Consumers = 0L, Missing = QueueGauges.Consumers });
        harness.Current.Choice.Missing.Should().Be(QueueGauges.Consumers);
        harness.Current.Fault!.Reason.Should().Be(SourceReason.StatisticsDisabled);
    }

    [Fact]
    public void With_management_alone_consumers_are_the_lists_and_go_missing_with_it()
    {
        var harness = new BrokerHarness(ManagementOnly);
        harness.TotalsAreDue.Should().BeFalse("they would be gauges without consumers");
        harness.List(List("q", 1, 1, 9));
        harness.TotalsAreDue.Should().BeTrue();
        harness.Wait(5);
        harness.Totals(Totals("q", 50, 60));
        harness["q"].Should().BeEquivalentTo(new { Ready = 50L, Unacked = 60L, Consumers = 9L, Missing = QueueGauges.None, ObservedAt = harness.Now });

        // A list of the same moment is older than it looks: its consumers count, its messages do not.
        harness.Wait(5);
        harness.List(List("q", 1, 1, 10));
        harness["q"].Should().BeEquivalentTo(new { Ready = 50L, Unacked = 60L, Consumers = 10L });

        for (var i = 0; i < 6; i++)
        {
            harness.Wait(5);
            harness.List(SourceReason.Timeout);
            harness.Totals(Totals("q", 70, 80));
        }

        harness["q"].Should().BeEquivalentTo(new { Ready = 70L, Unacked = 80L, Missing = QueueGauges.Consumers });
    }

    [Fact]
    public void A_live_look_never_lowers_ready_and_makes_nothing_else_younger()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 5, 2, 3).ToString());
        var sweptAt = harness.Now;
        harness.Wait(1);

        harness.Declare(("q", BrokerHarness.Found(0, 0)));

        harness["q"].Should().BeEquivalentTo(new { Ready = 5L, Unacked = 2L, Consumers = 3L, ObservedAt = sweptAt, ReadyAt = harness.Now });
    }

    [Fact]
    public void A_live_look_raises_ready_until_sweeps_have_had_time_to_see_it()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        var empty = new PageText("n1").WithInfo().Queue("q").ToString();
        harness.Sweep(empty);
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(4, 0)));
        harness["q"].Ready.Should().Be(4);

        for (var age = 2; age <= 6; age += 2)
        {
            harness.Sweep(empty);
            harness["q"].Ready.Should().Be(4, $"the page shows how it was, {age} s after the look");
            harness["q"].ObservedAt.Should().Be(harness.Now);
        }

        harness.Sweep(empty);
        harness["q"].Ready.Should().Be(0);
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 9).ToString());
        harness["q"].Ready.Should().Be(9);
    }

    [Fact]
    public void Where_there_are_consumers_two_looks_in_a_row_must_see_messages_wait()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 0, 6, 10).ToString());
        harness.Declare(("q", BrokerHarness.Found(3, 10)));
        harness["q"].Ready.Should().Be(0, "they may be on their way to a consumer");
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(0, 10)));
        harness["q"].Ready.Should().Be(0);
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(5, 10)));
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(8, 10)));
        harness["q"].Ready.Should().Be(5);
    }

    [Fact]
    public void A_queue_no_sweep_has_shown_yet_is_present_once_it_is_declared()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        var without = new PageText("n1").WithInfo().Queue("other").ToString();
        harness.Sweep(without);
        harness["new"].Presence.Should().Be(QueuePresence.Absent);

        harness.Declare(("new", BrokerHarness.Found(3, 0)));
        harness["new"].Should().BeEquivalentTo(new { Presence = QueuePresence.Present, Ready = 3L, Missing = QueueGauges.Unacked });

        // Its statistics are on their way; complete pages without it prove nothing.
        harness.Sweep(without);
        harness["new"].Presence.Should().Be(QueuePresence.Present);
        harness.Declare(("new", BrokerHarness.Found(4, 0)));
        harness.Sweep(without);
        harness["new"].Ready.Should().Be(4);
        harness.Sweep(new PageText("n1").WithInfo().Queue("other").Queue("new", 2, 1, 1).ToString());
        harness["new"].Should().BeEquivalentTo(new { Unacked = 1L, Missing = QueueGauges.None });
    }

    [Fact]
    public void The_brokers_word_that_there_is_no_such_queue_is_proof_until_a_later_page_shows_it()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page);
        harness.Wait(1);
        var before = harness["q"];
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Should().Be(before, "it may be declared anew at this moment");
        harness.Declare(("q", BrokerHarness.Found(1, 3)));
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Wait(1);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Should().BeEquivalentTo(new { Presence = QueuePresence.Absent, Ready = 1L, Unacked = 2L, ObservedAt = harness.Now });
        harness.Current.Fault.Should().BeNull();

        harness.Sweep(Page);
        harness["q"].Presence.Should().Be(QueuePresence.Present);
    }

    [Theory]
    [InlineData(DeclareResult.TimedOut, SourceReason.Timeout)]
    [InlineData(DeclareResult.Lost, SourceReason.ConnectionFailed)]
    internal void No_answer_at_all_is_a_fault_and_leaves_the_reading_to_grow_old(DeclareResult result, SourceReason reason)
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        harness.Declare(("q", BrokerHarness.Found(3, 1)));
        var before = harness["q"];
        var sweptAt = harness.Now;
        harness.Wait(21);

        var outcome = harness.Declare(("q", new DeclareAnswer(result)));

        harness["q"].Should().Be(before);
        harness["q"].IsUsable(harness.Now).Should().BeFalse();
        outcome.Should().BeEquivalentTo(new { Reason = reason, Succeeded = false });
        harness.Current.LastSuccessAt.Should().Be(sweptAt);
        harness.Current.Fault!.Sentence.Should().StartWith("RabbitMQ connection 'main': the AMQP endpoint at n1:5672 ");
        harness.Declare(("q", BrokerHarness.Found(0, 1)));
        harness.Current.Fault.Should().BeNull();
    }

    [Theory]
    [InlineData(DeclareResult.Unreachable, SourceReason.QueueUnreachable)]
    [InlineData(DeclareResult.Refused, SourceReason.Forbidden)]
    [InlineData(DeclareResult.TimedOut, SourceReason.Timeout)]
    internal void One_queue_that_cannot_be_looked_at_is_its_own_fault_and_not_the_connections(DeclareResult result, SourceReason reason)
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        harness.Declare(("bad", BrokerHarness.Found(3, 1)), ("q", BrokerHarness.Found(3, 1)));
        var before = harness["bad"];
        harness.Wait(21);
        harness.Declare(("bad", new DeclareAnswer(result)), ("q", BrokerHarness.Found(3, 1))).Succeeded.Should().BeTrue();

        harness["bad"].Should().Be(before);
        harness.Current.Fault.Should().BeNull();
        harness.Current.FaultOf(new QueueName("/", "bad"))!.Reason.Should().Be(reason);
        harness.Current.FaultOf(new QueueName("/", "q")).Should().BeNull();
        var sentence = harness.Current.AmqpFault!.Sentence;
        sentence.Should().StartWith("RabbitMQ connection 'main': the AMQP endpoint at n1:5672 answers, but cannot show everything: queues ").And.EndWith(" (1).");

        // Said without a break, though passes ask for others, until it is well or nobody asks for it any more.
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(3, 1)));
        harness.Declare();
        harness.Current.AmqpFault!.Sentence.Should().Be(sentence);
        harness.Declare(("bad", BrokerHarness.Found(1, 1)));
        harness.Current.AmqpFault.Should().BeNull();
        harness.Declare(("bad", new DeclareAnswer(result)), ("q", BrokerHarness.Found(3, 1)));
        harness.Wait(31);
        harness.Declare(("q", BrokerHarness.Found(3, 1)));
        harness.Current.AmqpFault.Should().BeNull();
        harness.Current.FaultOf(new QueueName("/", "bad")).Should().BeNull();
    }

    [Fact]
    public void A_virtual_host_that_is_not_there_is_the_fault_of_those_who_name_it()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        var found = new DeclareOutcome(new QueueName("/", "q"), BrokerHarness.Found(1, 1), harness.Now);
        var vhosts = new Dictionary<string, SourceReason>(StringComparer.Ordinal) { ["a"] = SourceReason.NotFound, ["b"] = SourceReason.NotFound };
        harness.Declare(new DeclarePass(harness.Now, [found], 1, true, vhosts));

        harness.Current.Fault.Should().BeNull();
        harness.Current.AmqpFault.Should().BeEquivalentTo(new { Reason = SourceReason.NotFound });
        harness.Current.AmqpFault!.Sentence.Should().EndWith("answers, but cannot show everything: virtual hosts that do not exist or are closed to the user (2).");
        harness.Current.FaultOf(new QueueName("b", "any"))!.Sentence.Should().EndWith("has no such virtual host, or the user may not use it.");

        // A broker that is not there is another matter, and the virtual hosts are not.
        harness.Declare(new DeclarePass(harness.Now, [], 1, false, new Dictionary<string, SourceReason>(vhosts, StringComparer.Ordinal) { ["/"] = SourceReason.Timeout }));
        harness.Current.Fault!.Reason.Should().Be(SourceReason.Timeout);
        harness.Current.Fault.Sentence.Should().NotContain("more failed");
    }

    [Fact]
    public void A_pass_that_asked_for_nothing_says_nothing_about_who_serves()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.Totals(Totals("q", 1, 1));
        harness.Declare();
        harness.Current.Choice.Consumers.Should().Be(RabbitMqEndpoint.None);
        harness.Declare(("q", BrokerHarness.Found(1, 1)));
        harness.Current.Choice.Consumers.Should().Be(RabbitMqEndpoint.Amqp);
        var sweptAt = harness.Current.LastSuccessAt;
        harness.Wait(5);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.TimedOut)));
        harness.Wait(3);
        harness.Declare();
        harness.Totals(SourceReason.Timeout);
        harness.Current.Choice.Consumers.Should().Be(RabbitMqEndpoint.None);
        harness.Current.LastSuccessAt.Should().Be(sweptAt + TimeSpan.FromSeconds(8), "the broker is there");
    }

    [Fact]
    public void Declares_alone_fall_at_once_and_are_never_a_zero_of_unacknowledged()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        harness.Declare(("q", BrokerHarness.Found(30, 2)));
        harness.Wait(2);
        harness.Declare(("q", BrokerHarness.Found(1, 2)));
        harness["q"].Should().BeEquivalentTo(new { Ready = 1L, Consumers = 2L, Missing = QueueGauges.Unacked, ObservedAt = harness.Now });
        harness.Current.HasCounters.Should().BeFalse();
        harness.Current.ListFault!.Sentence.Should().Contain("cannot list queues");
        harness["never"].Presence.Should().Be(QueuePresence.Unobserved);
        new BrokerHarness(BrokerHarness.All).Current.ListFault.Should().BeNull();
    }

    [Fact]
    public void Declares_alone_count_as_waiting_what_two_looks_in_a_row_have_seen_where_there_are_consumers()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        harness.Declare(("q", BrokerHarness.Found(0, 5)));
        harness.Wait(2);
        harness.Declare(("q", BrokerHarness.Found(1, 5)));
        harness["q"].Ready.Should().Be(0, "it may be on its way to one of five idle consumers");
        harness.Wait(2);
        harness.Declare(("q", BrokerHarness.Found(7, 5)));
        harness["q"].Ready.Should().Be(1);
        harness.Wait(2);
        harness.Declare(("q", BrokerHarness.Found(9, 0)));
        harness["q"].Ready.Should().Be(9, "nothing is on its way to nobody");
    }

    [Theory]
    [InlineData(3, 0)]
    [InlineData(60, 3)]
    public void A_first_look_is_compared_with_what_another_endpoint_said_while_that_is_believed(double age, long ready)
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(new PageText("n1").WithInfo().Queue("q", 0, 0, 5).ToString());
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Sweep(SourceReason.ConnectionRefused);
        harness.Wait(age);
        harness.Declare(("q", BrokerHarness.Found(3, 5)));
        harness["q"].Should().BeEquivalentTo(new { Ready = ready, Missing = QueueGauges.Unacked });
    }

    [Fact]
    public void What_a_declare_saw_outlasts_the_change_back_to_the_metrics()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        var empty = new PageText("n1").WithInfo().Queue("q").ToString();
        harness.Sweep(empty);
        harness.Sweep(SourceReason.Timeout);
        harness.Sweep(SourceReason.Timeout);
        harness.Sweep(SourceReason.Timeout);
        harness.Declare(("q", BrokerHarness.Found(0, 0)));
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(40, 0)));
        harness["q"].Should().BeEquivalentTo(new { Ready = 40L, Missing = QueueGauges.Unacked });

        // The metrics are back, with figures that the broker made up to 5 s ago.
        harness.Sweep(empty);
        harness["q"].Ready.Should().Be(40, "the page shows how it was before the look");
    }

    [Fact]
    public void What_a_declare_saw_outlasts_the_change_back_to_the_list()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.List(List("q", 0, 0, 0));
        harness.Wait(31);
        harness.List(SourceReason.Timeout);
        harness.Declare(("q", BrokerHarness.Found(0, 0)));
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(40, 0)));
        harness["q"].Ready.Should().Be(40);
        harness.Wait(1);
        harness.List(List("q", 0, 0, 0));
        harness["q"].Ready.Should().Be(40, "the list is 9 s old on average");
    }

    [Fact]
    public void A_queue_that_declares_find_is_not_gone_because_lists_lack_it()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.List("[" + List("q", 3, 2, 2)[1..^1] + "," + List("other", 0, 0, 0)[1..^1] + "]");
        for (var t = 2; t <= 60; t += 2)
        {
            harness.Wait(1.9);
            harness.Declare(("q", BrokerHarness.Found(3, 2)));
            harness.Wait(0.1);
            if (t % 10 == 0)
            {
                harness.List(List("other", 0, 0, 0));
            }

            harness["q"].Presence.Should().Be(QueuePresence.Present, $"the broker found it 0.1 s ago, at {t} s");
        }
    }

    [Fact]
    public void A_404_of_long_ago_is_not_the_first_of_two_in_a_row()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness.Declare(("q", new DeclareAnswer(DeclareResult.Lost)));
        for (var t = 0; t < 3600; t += 2)
        {
            harness.Sweep(Page);
        }

        harness.Wait(1);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Presence.Should().Be(QueuePresence.Present, "it may be declared anew at this moment");
    }

    [Fact]
    public void A_workload_woken_over_AMQP_does_not_fall_asleep_when_the_metrics_are_back()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        var state = new WorkloadState();
        ScalingDecision Step() => DecisionFold.Step(
            state,
            new WorkloadSnapshot { Queues = new[] { harness["q"] } },
            ScalingPolicy.Default,
            harness.Now);
        var empty = new PageText("n1").WithInfo().Queue("q").ToString();
        harness.Sweep(empty);
        Step();
        for (var i = 0; i < 3; i++)
        {
            harness.Sweep(SourceReason.Timeout);
            Step();
        }

        harness.Declare(("q", BrokerHarness.Found(0, 0)));
        Step();
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(40, 0)));
        var awake = Step();
        awake.IsActive.Should().BeTrue();
        harness.Sweep(empty);
        var after = Step();
        after.IsActive.Should().BeTrue();
    }

    [Fact]
    public void After_half_an_hour_without_any_answer_zero_is_not_a_figure()
    {
        // However long a turn may be.
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly) { Rotation = TimeSpan.FromSeconds(1067) };
        harness.Declare(("q", BrokerHarness.Found(0, 0)));
        var state = new WorkloadState();
        for (var i = 0; i < 180; i++)
        {
            harness.Wait(10);
            harness.Declare(SourceReason.ConnectionRefused);
        }

        var decision = DecisionFold.Step(
            state,
            new WorkloadSnapshot { Queues = new[] { harness["q"] } },
            ScalingPolicy.Default,
            harness.Now);
        decision.IsDecided.Should().BeFalse();
    }

    [Fact]
    public void However_slowly_declares_come_round_they_are_not_believed_for_ever()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly) { Rotation = TimeSpan.FromHours(1) };
        harness.Declare(("q", BrokerHarness.Found(1, 1)), ("gone", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Should().BeEquivalentTo(new { FreshFor = TimeSpan.FromSeconds(60), StaleAfter = TimeSpan.FromMinutes(3) });
        harness["gone"].Should().BeEquivalentTo(new { Presence = QueuePresence.Absent, FreshFor = TimeSpan.FromSeconds(60), StaleAfter = TimeSpan.FromMinutes(3) });
    }

    [Fact]
    public void Two_looks_in_a_row_may_be_a_slow_turn_apart()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly) { Rotation = TimeSpan.FromSeconds(90) };
        harness.Declare(("q", BrokerHarness.Found(0, 5)));
        harness.Wait(90);
        harness.Declare(("q", BrokerHarness.Found(40, 5)));
        harness["q"].Ready.Should().Be(0);
        harness.Wait(90);
        harness.Declare(("q", BrokerHarness.Found(40, 5)));
        harness["q"].Ready.Should().Be(40);
    }

    [Fact]
    public void What_declares_saw_fall_is_not_raised_again_by_the_change_back()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.Declare(("q", BrokerHarness.Found(40, 0)));
        harness.Wait(1);
        harness.Declare(("q", BrokerHarness.Found(2, 0)));
        harness["q"].Ready.Should().Be(2);
        harness.Totals(Totals("q", 0, 0));
        harness["q"].Ready.Should().Be(2);
        harness.Wait(8);
        harness.Totals(Totals("q", 0, 0));
        harness["q"].Ready.Should().Be(0);
    }

    [Fact]
    public void A_page_between_two_404s_begins_the_count_anew()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness.Sweep(Page);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Wait(1);
        harness.Declare(("q", new DeclareAnswer(DeclareResult.NoSuchQueue)));
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void A_list_that_could_not_be_read_for_a_defect_breaks_the_row_that_proves_absence()
    {
        var harness = new BrokerHarness(ManagementOnly);
        harness.List(List("q", 1, 0, 0));
        harness.Wait(10);
        harness.List(List("other", 1, 0, 0));
        harness.Wait(5);
        harness.Defect(RabbitMqEndpoint.Management);
        harness.Wait(5);
        harness.List(List("other", 1, 0, 0));
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness.Wait(10);
        harness.List(List("other", 1, 0, 0));
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void A_broker_that_lets_us_in_is_swept_even_when_nothing_is_asked_for()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        harness.Declare().Succeeded.Should().BeTrue();
        harness.Current.HasSwept.Should().BeTrue();
        var unreachable = new BrokerHarness(BrokerHarness.AmqpOnly);
        unreachable.Declare(SourceReason.ConnectionRefused).Succeeded.Should().BeFalse();
        unreachable.Current.Should().BeEquivalentTo(new { HasSwept = false, Fault = new { Reason = SourceReason.ConnectionRefused } });
    }

    [Fact]
    public void Metrics_that_come_back_take_over_from_declares_and_totals_of_the_same_moment()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.Declare(("q", BrokerHarness.Found(8, 1)));
        harness["q"].Missing.Should().Be(QueueGauges.Unacked);
        harness.Totals(Totals("q", 8, 5));
        harness["q"].Should().BeEquivalentTo(new { Ready = 8L, Unacked = 5L, Consumers = 1L, Missing = QueueGauges.None });
    }

    /// <summary>The broker leaves queues out of the totals whose node has just stopped answering it.</summary>
    [Fact]
    public void Totals_prove_no_absence_and_a_fresh_declare_outweighs_lists_that_do()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);
        harness.Totals($"[{Total("q", 1, 0)},{Total("other", 1, 0)}]");
        for (var i = 0; i < 12; i++)
        {
            harness.Wait(5);
            harness.Totals(Totals("other", 1, 0));
        }

        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness["never"].Presence.Should().Be(QueuePresence.Unobserved);

        harness.List(List("other", 1, 0, 0));
        harness.Wait(10);
        harness.Declare(("q", BrokerHarness.Found(1, 0)));
        harness.List(List("other", 1, 0, 0));
        harness["q"].Presence.Should().Be(QueuePresence.Present);
        harness["never"].Presence.Should().Be(QueuePresence.Absent);
        harness.Wait(10);
        harness.List(List("other", 1, 0, 0));
        harness["q"].Presence.Should().Be(QueuePresence.Absent);
    }

    [Fact]
    public void A_captured_list_of_totals_gives_gauges_kinds_and_who_works_alone()
    {
        var harness = new BrokerHarness(ManagementAndAmqp);

        harness.Totals(BrokerHarness.Data("310_totals.json")).Should().BeEquivalentTo(new { Queues = 3, IsComplete = true, BadSamples = 0 });

        harness["cl"].Should().BeEquivalentTo(new { Kind = QueueKind.Classic, Ready = 3L, IsSingleActive = false });
        harness["qq"].Should().BeEquivalentTo(new { Kind = QueueKind.Quorum, Ready = 0L });
        harness["sac"].IsSingleActive.Should().BeTrue();
        harness["st"].Should().BeEquivalentTo(new { Kind = QueueKind.Stream, Presence = QueuePresence.Unobserved });
    }

    [Fact]
    public void Secrets_that_do_not_work_are_a_fault_while_the_connection_before_them_serves()
    {
        var harness = new BrokerHarness(BrokerHarness.AmqpOnly);
        var found = new DeclareOutcome(new QueueName("/", "a"), BrokerHarness.Found(3, 1), harness.Now);
        var pass = new DeclarePass(harness.Now, [found], 1, IsConnected: true, new Dictionary<string, SourceReason>(StringComparer.Ordinal)) { Renewal = SourceReason.Unauthorized };

        var outcome = harness.Declare(pass);

        outcome.Should().BeEquivalentTo(new { Succeeded = true, Reason = SourceReason.Unauthorized });
        harness.Current.Fault.Should().BeEquivalentTo(new { Reason = SourceReason.Unauthorized });
        harness.Current.Fault!.Sentence.Should().Contain("refused the user or password").And.Contain("go on");
        harness["a"].Should().BeEquivalentTo(new { Presence = QueuePresence.Present, Ready = 3L, Consumers = 1L });

        harness.Declare(pass with { Renewal = SourceReason.None }).Reason.Should().Be(SourceReason.None);
        harness.Current.Fault.Should().BeNull();
    }

    [Fact]
    public void How_queues_were_declared_is_asked_rarely_and_soon_after_new_ones_appear()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page);
        harness.TotalsAreDue.Should().BeTrue();
        harness.Totals("""[{"arguments":{"x-single-active-consumer":true},"name":"q","vhost":"/","messages_ready":9,"messages_unacknowledged":9}]""");
        harness["q"].Should().BeEquivalentTo(new { IsSingleActive = true, Ready = 1L });
        for (var i = 0; i < 20; i++)
        {
            harness.Sweep(Page);
            harness.TotalsAreDue.Should().BeFalse();
        }

        harness["q"].IsSingleActive.Should().BeTrue("sweeps leave it alone");
        harness.Sweep(new PageText("n1").WithInfo().WithCounters().Queue("q").Queue("new").ToString());
        harness.TotalsAreDue.Should().BeTrue();
        harness.Totals("""[{"arguments":{},"name":"q","vhost":"/","messages_ready":9,"messages_unacknowledged":9}]""");
        harness.Wait(299);
        harness.TotalsAreDue.Should().BeFalse();
        harness.Wait(1);
        harness.TotalsAreDue.Should().BeTrue();
    }

    private static string Totals(string name, long ready, long unacked) => $"[{Total(name, ready, unacked)}]";

    private static string Total(string name, long ready, long unacked) =>
        $$"""{"arguments":{},"messages_ready":{{ready}},"messages_unacknowledged":{{unacked}},"name":"{{name}}","type":"classic","vhost":"/"}""";

    private static string List(string name, long ready, long unacked, long consumers) =>
        $$"""[{"arguments":{},"consumers":{{consumers}},"messages_ready":{{ready}},"messages_unacknowledged":{{unacked}},"name":"{{name}}","type":"classic","vhost":"/"}]""";
}
