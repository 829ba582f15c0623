using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>Answers of real brokers, trimmed.</summary>
public class CaptureTests
{
    [Fact]
    public void T1_a_page_of_4_3_gives_gauges_counters_and_kinds()
    {
        var harness = new BrokerHarness();

        var outcome = harness.Sweep(BrokerHarness.Data("436_detailed.txt"));

        outcome.Should().BeEquivalentTo(new
        {
            Connection = "main",
            Endpoint = RabbitMqEndpoint.Metrics,
            Queues = 4,
            Asked = 1,
            Answered = 1,
            BadSamples = 0,
            Succeeded = true,
            IsComplete = true,
            Reason = SourceReason.None,
        });
        harness.Current.Names.ToArray().Should().Equal(
            new QueueName("wf", "wfq0250"), new QueueName("wf", "wfq0031"), new QueueName("wf", "wfq0822"), new QueueName("wf", "wfq1047"));
        harness.Current.CountersFrom.Should().Be(RabbitMqEndpoint.Metrics);
        harness.ManagementIsDue.Should().BeFalse();
        harness.Current.Read("wf", "wfq0822").Should().Be(new QueueReading
        {
            Presence = QueuePresence.Present,
            Kind = QueueKind.Classic,
            Ready = 0,
            Unacked = 0,
            Consumers = 2,
            ObservedAt = harness.Now,
            LastPresentAt = harness.Now,
            FreshFor = TimeSpan.FromSeconds(4),
            StaleAfter = TimeSpan.FromSeconds(20),
            Counters = new QueueCounters
            {
                ObservedAt = harness.Now,
                StaleAfter = TimeSpan.FromSeconds(20),
                Published = QueueCounters.Unknown,
            },
        });
    }

    [Fact]
    public void T4_a_page_of_3_10_has_no_counters_so_the_list_is_asked_for_them()
    {
        var harness = new BrokerHarness();

        harness.Sweep(BrokerHarness.Data("310_detailed.txt"));

        var reading = harness.Current.Read("wf", "wfq0178");
        reading.Presence.Should().Be(QueuePresence.Present);
        reading.Consumers.Should().Be(2);
        reading.Kind.Should().Be(QueueKind.Unknown);
        reading.Counters.IsKnown.Should().BeFalse();
        harness.Current.HasCounters.Should().BeFalse();
        harness.ManagementIsDue.Should().BeTrue();
    }

    [Fact]
    public void T2_the_list_of_3_10_gives_gauges_counters_kinds_and_odd_names()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });

        var outcome = harness.List(BrokerHarness.Data("310_list.json"));

        outcome.Queues.Should().Be(5);
        outcome.IsComplete.Should().BeTrue();
        outcome.BadSamples.Should().Be(0);
        var odd = harness["a b/c%d+é"];
        odd.Ready.Should().Be(2);
        odd.Kind.Should().Be(QueueKind.Classic);
        odd.FreshFor.Should().Be(TimeSpan.FromSeconds(25));
        odd.StaleAfter.Should().Be(TimeSpan.FromSeconds(30));
        odd.Counters.Should().BeEquivalentTo(new { ObservedAt = harness.Now, Messages = 2L, Completed = 0L, Published = 0L });
        harness["q\"uo\\tenl"].Presence.Should().Be(QueuePresence.Present);
        harness["q-quorum"].Kind.Should().Be(QueueKind.Quorum);
        harness["q-stream"].Kind.Should().Be(QueueKind.Stream);
        harness.Current.Read("gen ai", "a b/c%d+é").Presence.Should().Be(QueuePresence.Present);
        harness.Current.Names.Length.Should().Be(5);
        harness.Current.GaugesFrom.Should().Be(RabbitMqEndpoint.Management);
    }

    /// <summary>The first figures are a baseline: what came before is no rate of now.</summary>
    [Fact]
    public void T4_captured_message_stats_count_from_their_baseline_and_missing_keys_are_zero()
    {
        var harness = new BrokerHarness(BrokerHarness.Both with { MetricsUrls = [] });
        harness.List(BrokerHarness.Data("310_list.json"));
        harness.Wait(10);

        // As captured from a queue with publishers only, and from one in automatic acknowledgement mode.
        harness.List("""
            [{"consumers":0,"message_stats":{"publish":33},"messages_ready":32,"messages_unacknowledged":0,"name":"q-quorum","type":"quorum","vhost":"/"},
             {"consumers":2,"message_stats":{"ack":4,"deliver_get":36,"deliver_no_ack":30,"get_no_ack":3,"publish":40,"redeliver":2},
              "messages_ready":2,"messages_unacknowledged":1,"name":"a b/c%d+é","type":"classic","vhost":"/"}]
            """);

        harness["q-quorum"].Counters.Should().BeEquivalentTo(new { Messages = 32L, Completed = 0L, Delivered = 0L, Published = 33L });
        harness["a b/c%d+é"].Counters.Should().BeEquivalentTo(
            new { Messages = 3L, Completed = 4L + 30 + 3 - 1, Delivered = 35L, Redelivered = 2L, Published = 37L });
    }
}
