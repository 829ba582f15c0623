using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Tests.Evaluation;

/// <summary>T3: which queues are worth a look every second.</summary>
public class LiveWatchTests
{
    [Theory]
    [InlineData(0, 0, true)] // asleep
    [InlineData(10, 5, false)] // 5 of 10 busy, 0.56 is near 0.7
    [InlineData(10, 6, true)]
    [InlineData(10, 60, true)]
    public void A_queue_at_zero_consumers_or_nearly_saturated(long consumers, long unacked, bool watched)
    {
        var queue = new QueueReading { Presence = QueuePresence.Present, Consumers = consumers, Unacked = unacked };
        LiveWatch.IsWorthWatching(in queue, ScalingPolicy.Default).Should().Be(watched);
    }

    [Fact]
    public void A_worker_of_four_messages_at_once_has_four_slots()
    {
        var queue = new QueueReading { Presence = QueuePresence.Present, Consumers = 10, Unacked = 6 };
        LiveWatch.IsWorthWatching(in queue, ScalingPolicy.Default with { Concurrency = 4 }).Should().BeFalse();
    }

    [Theory]
    [InlineData(QueuePresence.Unobserved, QueueGauges.None)]
    [InlineData(QueuePresence.Absent, QueueGauges.None)]
    [InlineData(QueuePresence.Present, QueueGauges.Unacked)]
    [InlineData(QueuePresence.Present, QueueGauges.Consumers)]
    public void A_queue_that_lacks_figures(QueuePresence presence, QueueGauges missing)
    {
        var queue = new QueueReading { Presence = presence, Consumers = 10, Missing = missing };
        LiveWatch.IsWorthWatching(in queue, ScalingPolicy.Default).Should().BeTrue();
    }

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(3, 5, false)]
    [InlineData(4, 5, true)]
    [InlineData(5, 5, true)]
    [InlineData(6, 5, false)]
    public void A_workload_that_a_few_more_messages_would_wake(double messages, double threshold, bool near) =>
        LiveWatch.IsNear(messages, threshold).Should().Be(near);

    [Fact]
    public void A_slot_is_new_once_until_the_marks_are_cleared_or_slots_are_renumbered()
    {
        var marks = new SlotMarks();
        marks.IsNew(3, 0).Should().BeTrue();
        marks.IsNew(3, 0).Should().BeFalse();
        marks.IsNew(5000, 0).Should().BeTrue();
        marks.IsNew(3, 0).Should().BeFalse("room for more changes nothing");
        marks.IsNew(3, 1).Should().BeTrue();
        marks.IsNew(3, 1).Should().BeFalse();
        marks.Clear();
        marks.IsNew(3, 1).Should().BeTrue();
        marks.IsNew(4, 1).Should().BeTrue();
    }
}
