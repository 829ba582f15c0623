using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>T5: prefetch and automatic acknowledgement, from the consumer list and from events.</summary>
public class ConsumerTests
{
    private static string Page(long consumers) => new PageText("n1").WithInfo().WithCounters().Queue("q", 0, 0, consumers).ToString();

    [Theory]
    [InlineData("10", 10, false)]
    [InlineData("1 10 5", 10, false)]
    [InlineData("10 0 5", 0, false)]
    [InlineData("3 7!", 7, true)]
    public void The_list_gives_the_largest_prefetch_no_limit_being_the_largest(string consumers, int prefetch, bool autoAck)
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(consumers.Split(' ').Length));
        harness.ConsumersAreDue.Should().BeTrue();

        harness.Consumers(List(consumers)).Succeeded.Should().BeTrue();

        harness["q"].Should().BeEquivalentTo(new { Prefetch = prefetch, HasAutoAck = autoAck });
        harness.Current.Choice.Prefetch.Should().Be(RabbitMqEndpoint.ManagementConsumers);
        harness.Sweep(Page(9));
        harness["q"].Prefetch.Should().Be(prefetch, "sweeps leave it alone");
        harness.Wait(290);
        harness.ConsumersAreDue.Should().BeFalse();
        harness.Wait(8);
        harness.ConsumersAreDue.Should().BeTrue();
    }

    [Fact]
    public void A_new_list_replaces_the_old_one_and_a_broken_one_changes_nothing()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(1));
        harness.Consumers(List("10 20!"));
        harness.Consumers("[{\"ack_required\":true,").Reason.Should().Be(SourceReason.MalformedAnswer);
        harness["q"].Should().BeEquivalentTo(new { Prefetch = 20, HasAutoAck = true });
        harness.Consumers(List("5"));
        harness["q"].Should().BeEquivalentTo(new { Prefetch = 5, HasAutoAck = false });
        harness.Consumers("""[{"ack_required":true,"prefetch_count":1,"queue":{"name":"other","vhost":"/"}}]""");
        harness["q"].Prefetch.Should().BeNull();
        harness.Current.Fault.Should().BeNull();
    }

    /// <summary>As 3.10.8 answers a user with the tag management: an empty list, or its own consumers.</summary>
    [Fact]
    public void T6_a_list_without_consumers_that_there_are_teaches_nothing()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(3));
        harness.Consumers("[]").Faults.Should().BeEmpty();
        harness.Current.Choice.Prefetch.Should().Be(RabbitMqEndpoint.None);
        harness.Current.ConsumersFault!.Reason.Should().Be(SourceReason.ConsumersHidden);
        harness.Current.Fault.Should().BeNull();

        harness.Consumers(List("1"));
        harness["q"].Prefetch.Should().BeNull("two of three may hold more");
        harness.Current.ConsumersFault.Should().BeNull();
        harness.Wait(30);
        harness.ConsumersAreDue.Should().BeTrue("it may merely have been a little older than the page");
        harness.Consumers(List("1"));
        harness.Wait(30);
        harness.ConsumersAreDue.Should().BeFalse("it was not");
    }

    [Theory]
    [InlineData("""[{"prefetch_count":1,"ack_required":true,"queue":{"name":"other","vhost":"/"}}]""")]
    [InlineData("""[{"prefetch_count":"1","ack_required":true,"queue":{"name":"q","vhost":"/"}}]""")]
    [InlineData("""[{"prefetch_count":-1,"ack_required":true,"queue":{"name":"q","vhost":"/"}}]""")]
    [InlineData("""[{"prefetch_count":1,"ack_required":null,"queue":{"name":"q","vhost":"/"}}]""")]
    [InlineData("""[{"prefetch_count":1,"ack_required":true,"queue":"q"},{"prefetch_count":1,"ack_required":true,"queue":{}},7,[[]],null]""")]
    [InlineData("""[{"prefetch_count":1,"ack_required":true,"queue":{"name":["q"],"vhost":{"a":"/"}}}]""")]
    public void Odd_entries_teach_nothing(string json)
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(1));
        harness.Consumers(json).Succeeded.Should().BeTrue();
        harness["q"].Prefetch.Should().BeNull();
        harness.Current.TryFindSlot("/", "other", out _).Should().BeFalse("the list adds no queues");
    }

    [Fact]
    public void They_are_forgotten_when_the_consumers_are_known_to_be_gone()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(1));
        harness.Consumers(List("10"));
        harness.Sweep(Page(0));
        harness["q"].Prefetch.Should().Be(10, "a page is some seconds old");
        harness.Wait(10);
        harness.Sweep(Page(0));
        harness["q"].Prefetch.Should().BeNull();
    }

    [Fact]
    public void Events_add_to_the_list_and_take_away_from_it()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page(2));
        harness.Events();
        harness.Consumers(List("10 10!"));
        harness.Wait(1);

        harness.Events(Created("c1", 50));
        harness.Sweep(Page(3));
        harness["q"].Should().BeEquivalentTo(new { Prefetch = 50, HasAutoAck = true });
        harness.Current.Choice.Prefetch.Should().Be(RabbitMqEndpoint.AmqpEvents);

        harness.Events(Deleted("c1"), Deleted("old1"));
        harness.Sweep(Page(1));
        harness["q"].Prefetch.Should().Be(10);
        harness.Events(Deleted("old2"));
        harness.Sweep(Page(1));
        harness["q"].Should().BeEquivalentTo(new { Prefetch = (int?)null, HasAutoAck = false });
    }

    [Fact]
    public void Without_a_list_prefetch_is_known_when_all_consumers_are()
    {
        var harness = new BrokerHarness(BrokerHarness.All with { Management = null });
        harness.Sweep(Page(2));
        harness.Events(Created("c1", 5));
        harness.Sweep(Page(2));
        harness["q"].Prefetch.Should().BeNull("the other consumer may hold more");
        harness.Events(Created("c2", 1));
        harness.Sweep(Page(2));
        harness["q"].Prefetch.Should().Be(5);
    }

    [Fact]
    public void A_consumer_that_comes_before_its_queue_was_ever_seen_is_remembered_for_a_while()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(new PageText("n1").WithInfo().Queue("other").ToString());
        harness.Events(Created("c1", 4));
        harness.Wait(4);
        harness.Events();
        harness.Sweep(Page(1));
        harness.Events();
        harness.Sweep(Page(1));
        harness["q"].Prefetch.Should().Be(4);
    }

    [Fact]
    public void A_refused_exchange_is_said_and_is_no_fault()
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page(1));
        harness.Events(false, SourceReason.NotFound);
        harness.Declare();
        harness.Current.EventsFault!.Sentence.Should().Contain("amq.rabbitmq.event");
        harness.Current.Fault.Should().BeNull();
        harness.Events();
        harness.Declare();
        harness.Current.EventsFault.Should().BeNull();
        harness.Wait(30);
        harness.ConsumersAreDue.Should().BeTrue("what was before we listened is in the list alone");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Once_events_are_lost_a_prefetch_is_not_known_until_a_list_tells_it(bool isOpen)
    {
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(Page(2));
        harness.Events();
        harness.Wait(1);
        harness.Consumers(List("10 10!"));
        harness.Wait(1);
        harness.Events(Created("c1", 20));
        harness.Sweep(Page(3));
        harness["q"].Prefetch.Should().Be(20);

        Lose();
        harness.Sweep(Page(3));
        harness["q"].Should().BeEquivalentTo(new { Prefetch = (int?)null, HasAutoAck = true }, "one of 100 may have come");
        harness.Events(isOpen, SourceReason.None, Created("c2", 1));
        harness.Sweep(Page(4));
        harness["q"].Prefetch.Should().BeNull("the others are not known");
        harness.Consumers(List("10 10 20 1"), age: 5);
        harness.Sweep(Page(4));
        harness["q"].Prefetch.Should().BeNull("the list was asked for before");
        harness.Wait(30);
        harness.ConsumersAreDue.Should().BeTrue();
        harness.Consumers(List("10 10 100 1"));
        harness["q"].Should().BeEquivalentTo(new { Prefetch = 100, HasAutoAck = false });

        void Lose()
        {
            if (isOpen)
            {
                harness.LostEvents(Created("c9", 5));
            }
            else
            {
                harness.Events(false, SourceReason.ConnectionFailed, Created("c9", 5));
            }
        }
    }

    [Fact]
    public void Once_events_are_lost_and_no_list_is_there_consumers_that_come_later_tell_when_they_are_all()
    {
        var harness = new BrokerHarness(BrokerHarness.All with { Management = null });
        harness.Events(Created("c1", 5));
        harness.Sweep(Page(1));
        harness.Events();
        harness.Sweep(Page(1));
        harness["q"].Prefetch.Should().Be(5);
        harness.LostEvents();
        harness.Events(Created("c2", 7));
        harness.Sweep(Page(2));
        harness["q"].Prefetch.Should().BeNull();
        harness.Events(Created("c3", 8));
        harness.Sweep(Page(2));
        harness["q"].Prefetch.Should().Be(8);
    }

    [Fact]
    public void T6_a_list_of_none_but_our_own_takes_nothing_away_and_is_read_ever_more_rarely()
    {
        const string own = """[{"ack_required":false,"prefetch_count":0,"queue":{"name":"amq.gen-Xa1","vhost":"/"}}]""";
        var page = new PageText("n1").WithInfo().WithCounters().Queue("q", 0, 0, 1).Queue("amq.gen-Xa1", 0, 0, 1).ToString();
        var harness = new BrokerHarness(BrokerHarness.All);
        harness.Sweep(page);
        harness.Events(Created("c1", 4));
        harness.Sweep(page);
        harness["q"].Prefetch.Should().Be(4);
        harness.Wait(1);
        harness.Consumers(own).Succeeded.Should().BeTrue();
        harness["q"].Prefetch.Should().Be(4, "events tell it all the same");
        harness.Current.ConsumersFault!.Reason.Should().Be(SourceReason.ConsumersHidden);

        foreach (var seconds in new[] { 60, 120, 240, 300, 300 })
        {
            harness.Wait(seconds - 1);
            harness.ConsumersAreDue.Should().BeFalse();
            harness.Wait(1);
            harness.ConsumersAreDue.Should().BeTrue();
            harness.Consumers(own);
        }

        // Nobody else consumes: then nothing is hidden.
        var quiet = new BrokerHarness(BrokerHarness.All);
        quiet.Sweep(new PageText("n1").WithInfo().WithCounters().Queue("q").Queue("amq.gen-Xa1", 0, 0, 1).ToString());
        quiet.Consumers(own);
        quiet.Current.ConsumersFault.Should().BeNull();
    }

    private static ConsumerEvent Created(string id, int prefetch) => new(new QueueName("/", "q"), id, true, prefetch, false);

    private static ConsumerEvent Deleted(string id) => new(new QueueName("/", "q"), id, false, 0, false);

    /// <summary>Consumers by prefetch; an exclamation mark is automatic acknowledgement.</summary>
    private static string List(string consumers) => "[" + string.Join(',', consumers.Split(' ').Select(static one =>
        $$$"""{"ack_required":{{{(one.EndsWith('!') ? "false" : "true")}}},"prefetch_count":{{{one.TrimEnd('!')}}},"queue":{"name":"q","vhost":"/"}}""")) + "]";
}
