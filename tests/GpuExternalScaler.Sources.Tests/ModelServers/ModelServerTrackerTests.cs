using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Sources.Tests.ModelServers;

/// <summary>T21: missing is not zero, and zero is believed only with proof.</summary>
public class ModelServerTrackerTests
{
    private static readonly DateTimeOffset Start = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan HoldFor = TimeSpan.FromMinutes(30);

    /// <summary>
    /// Sweep before, sweep now (pods, then what discovery knows as pod@job, a minus in front if down; ! partial, ? failed), replicas,
    /// and what the sums are then: pods, waiting, whether partial.
    /// </summary>
    public static TheoryData<string, string, int?, string> Vanishings => new()
    {
        // Nothing vanished.
        { "a b | a@j b@j", "a b | a@j b@j", null, "2 pods, 3 waiting" },
        { "a b | a@j b@j", "a b | a@j b@j ", 7, "2 pods, 3 waiting" },
        { "a b | a@j b@j", "a b ! a@j b@j", null, "2 pods, 3 waiting, partial" },

        // Discovery tells deleted pods from those that cannot be scraped.
        { "a b | a@j b@j", "a | a@j", null, "1 pods, 1 waiting" },
        { "a b | a@j b@j", "a | a@j -b@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "a | a@j b@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "a | a@j -b@k", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "a ! a@j", null, "2 pods, 3 waiting, partial" },

        // A scrape configuration that is gone proves nothing, whatever else is known of the namespace.
        { "a b | a@j b@k", "a | a@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@k", "a | a@j web@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@k b@j", "a | a@j", null, "1 pods, 1 waiting" },
        { "a b |", "a |", null, "2 pods, 3 waiting, partial" },

        // As many as there should be.
        { "a b |", "a |", 1, "1 pods, 1 waiting" },
        { "a b |", "a |", 2, "2 pods, 3 waiting, partial" },
        { "a b |", "a |", 0, "2 pods, 3 waiting, partial" },
        { "a b |", "a !", 1, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "a | a@j -b@j", 1, "2 pods, 3 waiting, partial" },

        // The last of them.
        { "a b | a@j b@j", "|", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "|", 0, "absent" },
        { "a b | a@j b@j", "!", 0, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "| web@j", null, "absent" },
        { "a b | a@j b@j", "| web@k", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@k", "| web@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "| web@j -c@j", null, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "| web@j", 2, "2 pods, 3 waiting, partial" },
        { "a b | a@j b@j", "! web@j", null, "2 pods, 3 waiting, partial" },

        // A pod that is down and was never seen may have work too.
        { "a | a@j", "a | a@j -c@j", null, "1 pods, 1 waiting, partial" },
        { "a | a@j", "a | a@j c@j", null, "1 pods, 1 waiting" },
        { "a | a@j", "a | a@j -web@j", null, "1 pods, 1 waiting" },

        // One replaces another.
        { "a | a@j", "c | c@j", null, "1 pods, 4 waiting" },
        { "a | a@j", "c | c@j -a@j", null, "2 pods, 5 waiting, partial" },

        // A sweep that failed shows the same pods, and takes nothing for proof.
        { "a b | a@j b@j", "a b ? a@j b@j", 1, "2 pods, 3 waiting" },
    };

    [Theory]
    [MemberData(nameof(Vanishings))]
    public void A_pod_counts_until_it_is_known_to_be_gone(string before, string after, int? replicas, string expected)
    {
        var tracker = Tracker();

        tracker.Follow(Fleet(before, 0), null, At(0), StaleAfter, HoldFor);
        tracker.Follow(Fleet(after, 15), replicas, At(15), StaleAfter, HoldFor);

        Text(tracker.Current).Should().Be(expected);
        tracker.Follow(Fleet(after, 30), replicas, At(30), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be(expected, "the same again changes nothing");
    }

    /// <summary>The same read directly: no namespaces, no jobs, one list of endpoints.</summary>
    public static TheoryData<string, string, int?, string> DirectVanishings => new()
    {
        { "a b | a b", "a | a", null, "1 pods, 1 waiting" },
        { "a b | a b", "a | a -b", null, "2 pods, 3 waiting, partial" },
        { "a b | a b", "a | a -b", 1, "1 pods, 1 waiting" },
        { "a b | a b", "a ! a", null, "2 pods, 3 waiting, partial" },
        { "a | a", "? -c", null, "1 pods, 1 waiting, partial" },
        { "a | a", "c | c", null, "1 pods, 4 waiting" },
        { "a b | a b", "? -a -b", null, "2 pods, 3 waiting, partial" },
        { "a b | a b", "? -a -b", 0, "absent" },
        { "a b | a b", "? -a -b", 1, "2 pods, 3 waiting, partial" },
    };

    [Theory]
    [MemberData(nameof(DirectVanishings))]
    public void Read_directly_an_address_that_left_DNS_is_gone(string before, string after, int? replicas, string expected)
    {
        var tracker = new ModelServerTracker(PodSelector.ForTarget("ml", "not-theirs"));

        tracker.Follow(Fleet(before, 0, isDirect: true), null, At(0), StaleAfter, HoldFor);
        tracker.Follow(Fleet(after, 15, isDirect: true), replicas, At(15), StaleAfter, HoldFor);

        Text(tracker.Current).Should().Be(expected);
    }

    [Fact]
    public void Without_a_sweep_nothing_is_observed_and_without_pods_nothing_was_seen()
    {
        var tracker = Tracker();
        tracker.Current.Reading.Presence.Should().Be(FleetPresence.Unobserved);

        tracker.Follow(new ModelServerFleet([], []), 0, At(0), StaleAfter, HoldFor);
        tracker.Current.Reading.Should().Be(new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = StaleAfter });

        tracker.Follow(Fleet("web | web@j", 0), 0, At(0), StaleAfter, HoldFor);
        tracker.Current.Reading.Should().Be(new FleetReading { Presence = FleetPresence.NeverSeen, StaleAfter = StaleAfter });
        tracker.Current.Waiting.Should().BeNull();
    }

    [Fact]
    public void A_connection_that_begins_anew_does_not_lose_what_is_held()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet("a b | a@j b@j", 0), null, At(0), StaleAfter, HoldFor);

        tracker.Follow(new ModelServerFleet([], []), 0, At(15), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("2 pods, 3 waiting, partial");
        tracker.Follow(Fleet("a b | a@j b@j", 30), null, At(30), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("2 pods, 3 waiting");
    }

    [Fact]
    public void What_nobody_proves_is_held_for_a_while_and_only_if_others_are_fresh_not_longer()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet("a b | a@j b@j", 0), null, At(0), StaleAfter, HoldFor);
        tracker.Follow(Fleet("a | a@j -b@j", 15), null, At(15), StaleAfter, HoldFor);

        tracker.Follow(Fleet("a | a@j -b@j", 1815), null, At(1815), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("2 pods, 3 waiting, partial");
        tracker.Follow(Fleet("a ? a@j -b@j", 1815), null, At(1900), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("2 pods, 3 waiting, partial", "the other is stale");
        tracker.Follow(Fleet("a | a@j -b@j", 1905), null, At(1905), StaleAfter, HoldFor);
        Text(tracker.Current).Should().StartWith("1 pods, 1 waiting");

        tracker.Follow(Fleet("|", 9000), null, At(9000), StaleAfter, HoldFor);
        tracker.Follow(Fleet("|", 99000), null, At(99000), StaleAfter, HoldFor);
        Text(tracker.Current).Should().StartWith("1 pods, 1 waiting", "the last one never goes by time alone");
        tracker.Current.Reading.IsFresh(At(99000)).Should().BeFalse();
        tracker.Current.Reading.ObservedAt.Should().Be(At(1905));
    }

    [Fact]
    public void A_pod_that_never_comes_up_stops_mattering_too()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet("a | a@j -c@j", 0), null, At(0), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("1 pods, 1 waiting, partial");
        tracker.Follow(Fleet("a | a@j -c@j", 1815), null, At(1815), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("1 pods, 1 waiting");
    }

    [Fact]
    public void Absence_is_as_young_as_its_last_proof_and_ends_with_the_next_pod()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet("a b | a@j b@j", 0), null, At(0), StaleAfter, HoldFor);
        tracker.Follow(Fleet("|", 15), 0, At(15), StaleAfter, HoldFor);
        tracker.Follow(Fleet("|", 30), 0, At(30), StaleAfter, HoldFor);
        tracker.Current.Reading.Should().Be(
            new FleetReading { Presence = FleetPresence.ProvenAbsent, ObservedAt = At(30), StaleAfter = StaleAfter });

        tracker.Follow(Fleet("|", 45), 1, At(45), StaleAfter, HoldFor);
        tracker.Current.Reading.ObservedAt.Should().Be(At(30), "there is a replica now");
        tracker.Follow(Fleet("c | c@j", 60), 1, At(60), StaleAfter, HoldFor);
        Text(tracker.Current).Should().Be("1 pods, 4 waiting");
    }

    [Fact]
    public void A_figure_that_a_pod_gives_no_more_counts_as_it_was()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet([Pod("a", 1, 2, 0.5), Pod("b", 3, 4, 0.25)], 0), null, At(0), StaleAfter, HoldFor);
        tracker.Current.Should().Be(new ModelServerReading
        {
            Reading = new FleetReading { Presence = FleetPresence.Present, ObservedAt = At(0), StaleAfter = StaleAfter },
            Pods = 2,
            Waiting = 4,
            Running = 6,
            CacheFill = 0.75,
            HighestCacheFill = 0.5,
        });

        tracker.Follow(Fleet([Pod("a", null, 1, null), Pod("b", 3, 4, 0.25)], 15), null, At(15), StaleAfter, HoldFor);
        (tracker.Current.Waiting, tracker.Current.Running, tracker.Current.CacheFill).Should().Be((4, 5, 0.75));
        tracker.Current.Reading.IsPartial.Should().BeTrue();
    }

    [Fact]
    public void What_no_pod_tells_is_not_known_and_neither_is_a_fill_that_one_does_not_tell()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet([Pod("a", 1, null, 0.5), Pod("b", null, null, null)], 0), null, At(0), StaleAfter, HoldFor);

        (tracker.Current.Waiting, tracker.Current.Running, tracker.Current.CacheFill, tracker.Current.HighestCacheFill)
            .Should().Be((1, null, null, 0.5));
        tracker.Current.Reading.IsPartial.Should().BeFalse();
    }

    [Fact]
    public void Figures_are_as_young_as_the_newest_that_is_not_only_held()
    {
        var tracker = Tracker();
        tracker.Follow(Fleet([Pod("a", 1, 1, 1, -20), Pod("b", 1, 1, 1, -5)], 0), null, At(0), StaleAfter, HoldFor);
        tracker.Current.Reading.ObservedAt.Should().Be(At(-5));

        tracker.Follow(Fleet([Pod("a", 1, 1, 1, -20)], 0), null, At(0), StaleAfter, HoldFor);
        tracker.Current.Reading.ObservedAt.Should().Be(At(-20));
    }

    [Fact]
    public void Only_the_workloads_own_pods_count_and_without_a_selector_all_do()
    {
        var fleet = Fleet("a b web | a@j", 0);
        var tracker = Tracker();
        tracker.Follow(fleet, null, At(0), StaleAfter, HoldFor);
        tracker.Current.Pods.Should().Be(2);

        var all = new ModelServerTracker(null);
        all.Follow(fleet, null, At(0), StaleAfter, HoldFor);
        all.Current.Pods.Should().Be(3);
        all.Follow(Fleet("a b web | a@j b@j web@j -node-exporter@k", 15), null, At(15), StaleAfter, HoldFor);
        Text(all.Current).Should().EndWith(" waiting", "what else is down there is no server");
    }

    private static ModelServerTracker Tracker() => new(PodSelector.ForPattern("ml", "[a-d]"));

    private static DateTimeOffset At(int seconds) => Start.AddSeconds(seconds);

    private static string Text(ModelServerReading reading) => reading.Reading.Presence switch
    {
        FleetPresence.Present => $"{reading.Pods} pods, {reading.Waiting} waiting{(reading.Reading.IsPartial ? ", partial" : "")}",
        FleetPresence.ProvenAbsent => "absent",
        var other => other.ToString(),
    };

    /// <summary>Pods a, b, c … with 1, 2, 4 … requests waiting.</summary>
    private static ModelServerFleet Fleet(string text, int at, bool isDirect = false)
    {
        var middle = text.IndexOfAny(['|', '!', '?']);
        var @namespace = isDirect ? "" : "ml";
        return new ModelServerFleet(
            Words(text[..middle]).Select(pod => Pod(pod, 1 << (pod[0] - 'a'), null, null, at) with { Namespace = @namespace }),
            Words(text[(middle + 1)..]).Select(word => word.TrimStart('-').Split('@')).Zip(
                Words(text[(middle + 1)..]),
                (parts, word) => new DiscoveredServer(@namespace, parts[0], isDirect ? "" : parts[1], word[0] != '-')))
        {
            HasSwept = true,
            Succeeded = text[middle] != '?',
            IsPartial = text[middle] == '!',
            SweptAt = At(at),
            IsDirect = isDirect,
        };
    }

    private static ModelServerFleet Fleet(ModelServerPod[] pods, int at) =>
        new(pods, []) { HasSwept = true, Succeeded = true, SweptAt = At(at) };

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static ModelServerPod Pod(string name, double? waiting, double? running, double? fill, int at = 0) =>
        new() { Namespace = "ml", Pod = name, Waiting = waiting, Running = running, CacheFill = fill, SampledAt = At(at) };
}
