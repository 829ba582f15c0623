using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Scaling.Recording;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests.Traces;

public class RecordedArrivalsTests
{
    private static readonly DateTimeOffset Start = new(2026, 1, 5, 9, 0, 0, TimeSpan.Zero);

    [Fact]
    public void What_counters_grow_by_has_arrived()
    {
        using var recording = Record(0, 300, static second => Counters(published: 3 * second, completed: 2 * second));

        var trace = Read(recording);

        trace.PerSecond.Should().HaveCount(295).And.OnlyContain(static messages => Math.Abs(messages - 3) < 1e-6);
        trace.IsMeasured.Should().BeFalse();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_counts_of_publishing_it_is_what_is_there_and_what_left(bool hasDeliveries)
    {
        // 2 a second are worked off, so 1 a second is left.
        using var recording = Record(0, 300, second => Counters(published: -1, completed: 2 * second, messages: second, delivered: hasDeliveries ? 2 * second : -1));

        Read(recording).PerSecond.Should().OnlyContain(static messages => Math.Abs(messages - 3) < 1e-6);
    }

    [Fact]
    public void Retries_through_a_dead_letter_exchange_do_not_count_as_published()
    {
        // The broker counts no dead-lettering as publishing; of three accounts the largest holds.
        using var recording = Record(0, 300, static second => Counters(published: second, completed: 4 * second));

        Read(recording).Mean.Should().BeApproximately(4, 1e-6);
    }

    [Fact]
    public void A_gap_in_which_counting_went_on_has_what_was_counted()
    {
        using var recording = Record(0, 100, static second => Counters(published: second, completed: second));
        Record(400, 500, static second => Counters(published: second, completed: second), recording);

        var trace = Read(recording);

        trace.PerSecond.Should().HaveCount(495).And.OnlyContain(static messages => Math.Abs(messages - 1) < 1e-6);
    }

    [Fact]
    public void A_gap_after_which_counters_began_anew_has_the_mean_of_before_and_after()
    {
        using var recording = Record(0, 100, static second => Counters(published: 2 * second, completed: 2 * second));
        Record(400, 500, static second => Counters(published: 6 * (second - 400), completed: 6 * (second - 400)), recording);

        var trace = Read(recording);

        trace.PerSecond[50].Should().BeApproximately(2, 1e-6);
        trace.PerSecond[450].Should().BeApproximately(6, 1e-6);
        trace.PerSecond.Skip(100).Take(295).Average().Should().BeApproximately(4, 0.1);
    }

    [Fact]
    public void A_queue_that_is_gone_takes_nothing_away()
    {
        using var recording = Record(0, 100, static second => Counters(published: 2 * second, completed: 2 * second) with { Presence = second is > 40 and < 60 ? QueuePresence.Absent : QueuePresence.Present });

        Read(recording).Mean.Should().BeApproximately(2, 1e-6);
    }

    [Fact]
    public void Without_counters_it_is_not_known()
    {
        using var recording = Record(0, 100, static _ => new QueueReading { Presence = QueuePresence.Present, Ready = 5 });
        var read = () => Read(recording);

        read.Should().Throw<FormatException>().WithMessage("night.gsr: no counters*genai/w*");
    }

    [Fact]
    public void Another_workload_is_not_in_it()
    {
        using var recording = Record(0, 100, static second => Counters(second, second));
        recording.Position = 0;
        var read = () => RecordedArrivals.Read(recording, "genai/other", "night.gsr");

        read.Should().Throw<FormatException>().WithMessage("night.gsr: nothing was recorded of genai/other");
    }

    [Fact]
    public void Several_triggers_are_told_apart()
    {
        using var recording = Record(0, 100, static second => Counters(second, second));
        Record(0, 100, static second => Counters(2 * second, second), recording, "u");
        var read = () => Read(recording);

        read.Should().Throw<FormatException>().WithMessage("*several triggers: genai/w#t, genai/w#u");
        recording.Position = 0;
        RecordedArrivals.Read(recording, "genai/w#u", "night.gsr").Mean.Should().BeApproximately(2, 1e-6);
    }

    [Theory]
    [InlineData("")]
    [InlineData("seconds,arrivals\n0,1\n")]
    public void What_is_no_recording_is_refused(string text)
    {
        var read = () => RecordedArrivals.Read(new MemoryStream(System.Text.Encoding.UTF8.GetBytes(text)), "genai/w", "night.gsr");

        read.Should().Throw<InvalidDataException>();
    }

    private static ArrivalTrace Read(MemoryStream recording)
    {
        recording.Position = 0;
        return RecordedArrivals.Read(recording, "genai/w", "night.gsr");
    }

    private static QueueReading Counters(long published, long completed, long messages = 0, long delivered = QueueCounters.Unknown) => new()
    {
        Presence = QueuePresence.Present,
        FreshFor = TimeSpan.FromSeconds(10),
        StaleAfter = TimeSpan.FromSeconds(60),
        Counters = new QueueCounters
        {
            StaleAfter = TimeSpan.FromSeconds(60),
            Published = published,
            Completed = completed,
            Messages = messages,
            Delivered = delivered,
            Redelivered = delivered < 0 ? QueueCounters.Unknown : 0,
            AutoAcked = 0,
        },
    };

    // Steps every second, counters every five.
    private static MemoryStream Record(int from, int to, Func<int, QueueReading> reading, MemoryStream? into = null, string trigger = "t")
    {
        into ??= new MemoryStream();
        into.Position = into.Length;
        var encoder = new RecordingEncoder("test");
        using var writer = new RecordingWriter(into);
        writer.BeginSegment(encoder.Header.Span, continues: into.Length > 0);
        var state = new WorkloadState();
        var recorded = encoder.Begin(new RecordedName("genai", "w", trigger), state, ScalingPolicy.Default, Start.AddSeconds(from));
        for (var second = from; second < to; second++)
        {
            var (now, at) = (Start.AddSeconds(second), Start.AddSeconds(second / 5 * 5));
            var queue = reading(second / 5 * 5);
            queue = queue with { ObservedAt = now, Counters = queue.Counters.StaleAfter == default ? default : queue.Counters with { ObservedAt = at } };
            var snapshot = new WorkloadSnapshot { Queues = new[] { queue } };
            encoder.Step(recorded, snapshot, ScalingPolicy.Default, now, DecisionFold.Step(state, snapshot, ScalingPolicy.Default, now));
        }

        var (bytes, length) = encoder.Take();
        writer.Write(bytes.AsSpan(0, length));
        return into;
    }
}
