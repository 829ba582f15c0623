using System.Runtime.CompilerServices;
using System.Text;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

public class QueueTableTests
{
    [Fact]
    public void A_snapshot_never_changes_while_sweeps_go_on()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(0, 3));
        var first = harness.Current;
        var names = first.Names.ToArray();
        var reading = first[1];

        harness.Sweep(Page(0, 2000));

        first.Count.Should().Be(3);
        first.Names.ToArray().Should().Equal(names);
        first[1].Should().Be(reading);
        first.TryFindSlot("/", "q1500", out _).Should().BeFalse();
        first.Invoking(readings => readings[3]).Should().Throw<ArgumentOutOfRangeException>();
        harness.Current.Count.Should().Be(2000);
        harness.Current.Names[..3].ToArray().Should().Equal(names, "names are only added");
        harness.Current.Generation.Should().Be(first.Generation);
        harness.Current.NamesVersion.Should().NotBe(first.NamesVersion);
        for (var i = 0; i < 2000; i++)
        {
            harness.Current.TryFindSlot("/", $"q{i}", out var slot).Should().BeTrue();
            harness.Current[slot].Ready.Should().Be(i);
            harness.Current.Names[slot].Name.Should().Be($"q{i}");
        }
    }

    [Fact]
    public void The_names_version_stands_while_no_name_is_added()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(0, 3));
        var before = harness.Current.NamesVersion;
        harness.Sweep(Page(0, 2));
        harness.Sweep(Page(1, 3));
        harness.Current.NamesVersion.Should().Be(before);
    }

    [Fact]
    public void Queues_absent_for_a_day_lose_their_slots_and_the_others_keep_their_figures()
    {
        var harness = new BrokerHarness();
        harness.Sweep(Page(0, 4));
        harness.Wait(3600 * 23);
        harness.Sweep(Page(2, 4));
        harness.Current.Generation.Should().Be(0);
        harness["q0"].LastPresentAt.Should().NotBe(default);
        harness.Wait(3600 * 2);

        harness.Sweep(Page(2, 4));

        harness.Current.Generation.Should().Be(1);
        harness.Current.Names.ToArray().Select(name => name.Name).Should().Equal("q2", "q3");
        harness["q0"].Should().Be(harness.Current.AbsentReading());
        harness["q3"].Should().BeEquivalentTo(new { Ready = 3L, Presence = QueuePresence.Present });
        harness["q3"].Counters.Completed.Should().Be(0);
        harness.Sweep(Page(2, 4, acked: 5));
        harness["q3"].Counters.Completed.Should().Be(5, "baselines move along with their slots");
    }

    [Fact]
    public void A_crowd_of_absent_queues_is_halved_beginning_with_the_longest_gone()
    {
        var harness = new BrokerHarness(absentLimit: 10);
        harness.Sweep(Page(0, 20));
        harness.Sweep(Page(10, 20));
        harness.Current.Generation.Should().Be(0, "half is no majority");
        harness.Sweep(Page(18, 20));

        harness.Current.Generation.Should().Be(1);
        harness.Current.Count.Should().BeLessThan(15);
        harness["q19"].Presence.Should().Be(QueuePresence.Present);
        harness["q0"].LastPresentAt.Should().Be(default);
        harness["q12"].LastPresentAt.Should().NotBe(default);
    }

    /// <summary>What a sweep of 1,200 known queues may allocate: the published copy and little else.</summary>
    [Fact]
    public void A_sweep_over_known_queues_allocates_little_more_than_its_snapshot()
    {
        var harness = new BrokerHarness();
        var page = Encoding.UTF8.GetBytes(Page(0, 1200));
        harness.Sweep(page);
        harness.Sweep(page);
        var least = long.MaxValue;
        for (var i = 0; i < 8; i++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            harness.Sweep(page);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        // The least, for the runtime itself allocates a little in one sweep or another while it compiles anew what has run often.
        least.Should().BeLessThan((1200 * Unsafe.SizeOf<QueueReading>()) + 8192);
    }

    private static string Page(int from, int to, long acked = 0)
    {
        var page = new PageText("n1").WithInfo();
        for (var i = from; i < to; i++)
        {
            page.Queue($"q{i}", i).Counters($"q{i}", acked);
        }

        return page.ToString();
    }
}
