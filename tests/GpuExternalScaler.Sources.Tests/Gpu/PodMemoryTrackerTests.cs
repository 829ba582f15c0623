using System.Globalization;
using System.Text;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Gpu;
using static GpuExternalScaler.Sources.Tests.Gpu.GpuSweep;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>
/// A workload's sweeps one after the other, 10 s apart. Rows are <c>device[#instance] exporter pod used/usable</c> in GiB, a dash for no
/// pod or no figure; pods are of the namespace ml unless they say another.
/// </summary>
public class PodMemoryTrackerTests
{
    private const string A = "llm-7d4b9c6f5-aaaaa";
    private const string B = "llm-7d4b9c6f5-bbbbb";
    private const string C = "llm-7d4b9c6f5-ccccc";
    private const string Other = "web-5c8d7f9b4-zzzzz";

    public static TheoryData<string, string, string, int?, string> Vanishings => new()
    {
        {
            "all labels vanish from a live exporter with memory still in use",
            $"a n1 {A} 40/80|b n1 {B} 40/80", "a n1 - 40/80|b n1 - 40/80", null,
            "Present partial: 40/80 held, 40/80 held"
        },
        {
            "a node is gone with its exporter",
            $"a n1 {A} 40/80|b n2 {B} 40/80", $"b n2 {B} 40/80", null,
            "Present partial: 40/80 held, 40/80"
        },
        { "the only node is gone with its exporter", $"a n1 {A} 40/80", "", null, "Present partial: 40/80 held" },
        {
            "one of three is scaled in",
            $"a n1 {A} 40/80|b n1 {B} 40/80|c n1 {C} 40/80", $"a n1 {A} 40/80|b n1 - 40/80|c n1 {C} 40/80", null,
            "Present: 40/80, 40/80"
        },
        { "the last one, alone on its node, whose memory is freed", $"a n1 {A} 40/80", "a n1 - 0/80", null, "ProvenAbsent:" },
        { "the same with the driver's own left", $"a n1 {A} 40/80", "a n1 - 4/80", null, "ProvenAbsent:" },
        { "the same with some weights left", $"a n1 {A} 40/80", "a n1 - 4.5/80", null, "Present partial: 40/80 held" },
        { "memory of which nobody knows whether it is freed", $"a n1 {A} 40/80", "a n1 - -/80", null, "Present partial: 40/80 held" },
        { "a device that others took", $"a n1 {A} 40/80", $"a n1 {Other} 70/80", null, "ProvenAbsent:" },
        { "a device that its own took", $"a n1 {A} 40/80|b n2 {B} 30/80", $"a n1 {B} 40/80", null, "Present: 40/80 new" },
        { "others on the same exporter keep their labels", $"a n1 {A} 40/80", $"a n1 - 40/80|b n1 {Other} 9/80", null, "ProvenAbsent:" },
        { "others on another exporter keep their labels", $"a n1 {A} 40/80", $"a n1 - 40/80|b n2 {Other} 9/80", null, "Present partial: 40/80 held" },
        { "others, but of no exporter that is known", $"a ? {A} 40/80", $"a ? - 40/80|b ? {Other} 9/80", null, "Present partial: 40/80 held" },
        { "one of its two devices still held by nobody knows whom", $"a n1 {A} 40/80|b n2 {A} 30/80", $"a n1 {Other} 9/80", null, "Present partial: 70/160 held" },
        { "kube-state-metrics knows of none", $"a n1 {A} 40/80", "", 0, "ProvenAbsent:" },
        { "kube-state-metrics knows of the ones that are seen", $"a n1 {A} 40/80|b n2 {B} 40/80", $"b n2 {B} 40/80", 1, "Present: 40/80" },
        { "kube-state-metrics knows of more", $"a n1 {A} 40/80|b n2 {B} 40/80", $"b n2 {B} 40/80", 2, "Present partial: 40/80 held, 40/80" },
        { "kube-state-metrics knows of fewer than are seen", $"a n1 {A} 40/80|b n2 {B} 40/80", $"b n2 {B} 40/80", 0, "Present partial: 40/80 held, 40/80" },
        { "the namespace is not told any more", $"a n1 {A} 40/80", $"a n1 /{A} 40/80|b n1 {Other} 9/80", null, "Present partial: 40/80 held" },
        { "a pod of the same name in another namespace", $"a n1 {A} 40/80", $"a n1 dev/{A} 40/80", null, "ProvenAbsent:" },
        { "a GPU divided in another way, its own pods elsewhere", $"g#1 n1 {A} 5/10|g#2 n1 {Other} 5/10", $"g#7 n1 {Other} 5/20", null, "ProvenAbsent:" },
        { "a GPU divided in another way by an exporter without labels", $"g#1 n1 {A} 5/10", "g#7 n1 - 5/20", null, "Present partial: 5/10 held" },
        { "a GPU divided in another way with a pod of its own on it", $"g#1 n1 {A} 5/10", $"g#7 n1 {B} 5/20", null, "Present partial: 5/10 held, 5/20 new" },
        { "a GPU that is whole again and free", $"g#1 n1 {A} 5/10", $"g n1 - 0/80|b n1 {Other} 1/80", null, "ProvenAbsent:" },
        { "one device of two vanishes", $"a n1 {A} 40/80|b n1 {A} 30/80", $"a n1 {A} 40/80", null, "Present partial: 70/160" },
        { "one device of two is with another pod", $"a n1 {A} 40/80|b n1 {A} 30/80", $"a n1 {A} 40/80|b n1 {Other} 3/80", null, "Present: 40/80" },
        { "a pod by an old name on another node", "a n1 llm-0 40/80", "b n2 llm-0 2/80", null, "Present: 2/80 new" },
        { "a pod by an old name on the same node", "a n1 llm-0 40/80", "b n1 llm-0 2/80", null, "Present partial: 42/160" },
        { "the same, its old device with nobody", "a n1 llm-0 40/80", "a n1 - 0/80|b n1 llm-0 2/80", null, "Present: 2/80" },
        { "a figure is not told", $"a n1 {A} 40/80", $"a n1 {A} -/80", null, "Present partial: 40/80" },
        { "a size is not told", $"a n1 {A} 40/80", $"a n1 {A} 30/-", null, "Present partial: 40/80" },
        { "a figure is told for one device of two", $"a n1 {A} 40/80|b n1 {A} 30/80", $"a n1 {A} 50/80|b n1 {A} -/80", null, "Present partial: 80/160" },
        { "a figure was never told", $"a n1 {A} -/80", $"a n1 {A} -/80", null, "Present partial:" },
        { "a figure was never told, and the pod is gone", $"a n1 {A} -/80", "a n1 - 0/80", null, "ProvenAbsent:" },
        { "another pod comes", $"a n1 {A} 40/80", $"a n1 {A} 40/80|b n1 {B} 2/80", null, "Present: 40/80, 2/80 new" },
    };

    [Theory]
    [MemberData(nameof(Vanishings))]
    public void T21_a_pod_is_gone_when_that_is_proven(string what, string before, string after, int? existing, string expected)
    {
        var run = new Run();
        run.Sweep(before);
        run.Sweep(after, existing: existing);

        run.ToString().Should().Be(expected, "of {0}", what);
        run.Tracker.Reading.IsPartial.Should().Be(expected.Contains("partial", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Vanishings))]
    public void T19_in_a_partial_sweep_only_what_exists_counts_as_proof(string what, string before, string after, int? existing, string expected)
    {
        var run = new Run();
        run.Sweep(before);
        var pods = run.Tracker.Pods.Length;
        run.Sweep(after, isPartial: true, existing: existing);

        run.Tracker.Reading.IsPartial.Should().BeTrue("of {0}", what);
        if (existing is null)
        {
            run.Tracker.Pods.Length.Should().BeGreaterThanOrEqualTo(pods, "of {0}, else {1}", what, expected);
            run.Tracker.Reading.Presence.Should().Be(FleetPresence.Present);
        }
    }

    [Fact]
    public void Before_a_sweep_nothing_is_observed_and_what_was_never_there_is_never_seen()
    {
        var run = new Run();
        run.Follow();
        run.Tracker.Reading.Should().Be(new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = StaleAfter });

        run.Sweep($"a n1 {Other} 40/80");
        run.ToString().Should().Be("NeverSeen:");
        run.Tracker.Reading.IsFresh(run.Now).Should().BeFalse();

        // A pod of the first sweep may be of any age; one that comes later is new.
        run.Sweep($"a n1 {Other} 40/80|b n1 {A} 1/80");
        run.ToString().Should().Be("Present: 1/80 new");
        run.Tracker.Pods[0].FirstSeenAt.Should().Be(run.Fleet.SweptAt);
        run.Tracker.Reading.ObservedAt.Should().Be(run.Fleet.SweptAt);
    }

    [Fact]
    public void T21_what_is_only_held_grows_old()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80");
        var seenAt = run.Fleet.SweptAt;
        for (var sweeps = 0; sweeps < 20; sweeps++)
        {
            run.Sweep("a n1 - 40/80");
        }

        run.ToString().Should().Be("Present partial: 40/80 held", "the last one is never let go without proof");
        run.Tracker.Reading.ObservedAt.Should().Be(seenAt);
        run.Tracker.Pods[0].SampledAt.Should().Be(seenAt);
        run.Tracker.Reading.IsFresh(run.Now).Should().BeFalse();

        // Its labels are back.
        run.Sweep($"a n1 {A} 50/80");
        run.ToString().Should().Be("Present: 50/80");
        run.Tracker.Pods[0].FirstSeenAt.Should().Be(DateTimeOffset.MinValue);
    }

    [Fact]
    public void T21_beside_a_fresh_pod_one_is_held_for_a_while()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80|b n2 {B} 40/80");
        for (var sweeps = 0; sweeps < 30; sweeps++)
        {
            run.Sweep($"b n2 {B} 40/80");
            run.ToString().Should().Be("Present partial: 40/80 held, 40/80");
        }

        // At the end of the while, first a sweep that may lack something, then one that does not.
        run.Sweep($"b n2 {B} 40/80", isPartial: true);
        run.Tracker.Pods.Length.Should().Be(2);
        run.Sweep($"b n2 {B} 40/80");
        run.ToString().Should().Be("Present: 40/80");
    }

    [Fact]
    public void T21_time_passes_without_sweeps_and_a_stale_pod_lets_no_other_go()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80|b n2 {B} 40/80");
        run.Sweep($"b n2 {B} 40/80");
        run.Wait(TimeSpan.FromHours(1));
        run.Follow();
        run.ToString().Should().Be("Present partial: 40/80 held, 40/80");

        // What kube-state-metrics says in the meantime counts.
        run.Follow(existing: 1);
        run.ToString().Should().Be("Present: 40/80");
    }

    [Fact]
    public void A_device_of_a_pod_that_is_seen_is_held_for_a_while()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80|b n1 {A} 30/80");
        for (var sweeps = 0; sweeps < 30; sweeps++)
        {
            run.Sweep($"a n1 {A} 40/80");
            run.ToString().Should().Be("Present partial: 70/160");
            run.Tracker.Reading.IsFresh(run.Now).Should().BeTrue();
        }

        run.Sweep($"a n1 {A} 40/80");
        run.ToString().Should().Be("Present: 40/80");
    }

    [Fact]
    public void An_absence_is_confirmed_by_each_whole_sweep()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80");
        run.Sweep("a n1 - 0/80");
        var provenAt = run.Fleet.SweptAt;
        run.Tracker.Reading.ObservedAt.Should().Be(provenAt);

        run.Sweep("a n1 - 0/80", isPartial: true);
        run.Tracker.Reading.ObservedAt.Should().Be(provenAt);

        // The node goes too, as autoscalers have it.
        run.Sweep("");
        run.ToString().Should().Be("ProvenAbsent:");
        run.Tracker.Reading.ObservedAt.Should().Be(run.Fleet.SweptAt);
        run.Sweep($"a n1 {B} 1/80");
        run.ToString().Should().Be("Present: 1/80 new");
    }

    [Fact]
    public void Pods_go_one_by_one_and_the_last_one_proves_the_absence()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80|b n2 {B} 40/80");
        run.Sweep($"b n2 {B} 40/80");
        run.Sweep("b n2 - 0/80");
        run.ToString().Should().Be("Present partial: 40/80 held");
        run.Sweep("a n1 - 0/80|b n2 - 0/80");
        run.ToString().Should().Be("ProvenAbsent:");
    }

    [Fact]
    public void A_sweep_that_failed_and_a_source_that_starts_anew_change_nothing()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80");
        var seenAt = run.Fleet.SweptAt;
        run.Fleet = run.Fleet.WithFault(new SourceFault(SourceReason.Timeout, "n1:9400", "late", run.Now));
        run.Wait(TimeSpan.FromSeconds(30));
        run.Follow();
        run.ToString().Should().Be("Present: 40/80");
        run.Fleet = AcceleratorFleet.Unswept;
        run.Follow();
        run.ToString().Should().Be("Present: 40/80");
        run.Tracker.Reading.ObservedAt.Should().Be(seenAt);

        // A new source counts its sweeps from 1 again.
        run.Version = 0;
        run.Sweep($"a n1 {A} 50/80");
        run.ToString().Should().Be("Present: 50/80");
    }

    [Theory]
    [InlineData("two pods of one workload", $"a n1 {A} 40/80|a n1 {B} 40/80", "Present: 20/40, 20/40", 40)]
    [InlineData("pods of two workloads", $"a n1 {A} 40/80|a n1 {Other} 40/80", "Present: 40/80", 40)]
    [InlineData("three pods of two workloads", $"a n1 {A} 40/80|a n1 {B} 40/80|a n1 {Other} 40/80", "Present: 20/40, 20/40", 40)]
    [InlineData("processes told apart", $"a n1 {A} 30/80|a n1 {B} 10/80", "Present: 20/40, 20/40", 40)]
    [InlineData("two moments of one device", $"a n1 {A} 60/80|a n1 {B} 61/80", "Present: 30.5/40, 30.5/40", 61)]
    [InlineData("parts of one device", $"a n1 {A} 6/8 part|a n1 {B} 6/8 part", "Present: 6/8, 6/8", 12)]
    [InlineData("a shared and an own device", $"a n1 {A} 40/80|a n1 {B} 40/80|b n1 {B} 70/80", "Present: 20/40, 90/120", 110)]
    public void T11_a_device_counts_once_in_a_workload(string what, string rows, string expected, double used)
    {
        var run = new Run();
        run.Sweep(rows);

        run.ToString().Should().Be(expected, "of {0}", what);
        (Sum(run.Tracker.Pods, static pod => pod.UsedBytes) / (1L << 30)).Should().BeApproximately(used, 1e-9);
    }

    [Fact]
    public void A_pods_devices_are_added_up_and_the_fullest_is_told()
    {
        var run = new Run();
        run.Sweep($"a n1 {A} 40/80 busy 0.5|b n1 {A} 10/16 busy 0.9|c#3 n1 {A} 1/10", sampledSecondsAgo: [9, 4, 7]);

        run.Tracker.Pods.ToArray().Should().Equal(new PodMemory
        {
            UsedBytes = 51L << 30,
            UsableBytes = 106L << 30,
            Accelerators = 3,
            FullestUsedBytes = 10L << 30,
            FullestUsableBytes = 16L << 30,
            Utilisation = 0.9,
            FirstSeenAt = DateTimeOffset.MinValue,
            SampledAt = run.Fleet.SweptAt.AddSeconds(-9),
        });
        run.Tracker.Reading.ObservedAt.Should().Be(run.Fleet.SweptAt.AddSeconds(-9));
    }

    [Fact]
    public void Names_that_begin_alike_and_namespaces_are_kept_apart()
    {
        const string Rows =
            "a n1 llm-7d4b9c6f5-aaaaa 10/80|b n1 llm-chat-7d4b9c6f5-aaaaa 20/80|c n1 dev/llm-7d4b9c6f5-aaaaa 30/80|d n1 llm-0 40/80|e n1 llmx-7d4b9c6f5-aaaaa 50/80";
        foreach (var (@namespace, target, expected) in new[]
        {
            ("ml", "llm", "Present: 40/80, 10/80"), ("ml", "llm-chat", "Present: 20/80"), ("dev", "llm", "Present: 30/80"), ("dev", "llm-chat", "NeverSeen:"),
        })
        {
            var run = new Run(PodSelector.ForTarget(@namespace, target));
            run.Sweep(Rows);
            run.ToString().Should().Be(expected, "of {0}/{1}", @namespace, target);
        }

        var pattern = new Run(PodSelector.ForPattern("ml", "llmx?-.{15}")!);
        pattern.Sweep(Rows);
        pattern.ToString().Should().Be("Present: 10/80, 50/80");
    }

    [Fact]
    public void A_target_whose_name_is_cut_in_its_pods_has_them()
    {
        foreach (var length in new[] { 50, 56, 57, 58, 59, 63 })
        {
            var target = new string('m', length);
            var generated = $"{target}-7d4b9c6f5-";
            var run = new Run(PodSelector.ForTarget("ml", target));
            run.Sweep($"a n1 {generated[..Math.Min(58, generated.Length)]}x7k2p 10/80");
            run.ToString().Should().Be("Present: 10/80", "of a name of {0}", length);
        }
    }

    [Fact]
    public void T8_while_exporters_are_upgraded_no_number_is_wrong()
    {
        const string Labels = """{gpu="0",UUID="GPU-a",Hostname="n1",namespace="ml",pod="llm-7d4b9c6f5-aaaaa"} """;
        string[] older = [$"DCGM_FI_DEV_FB_USED{Labels}40960", $"DCGM_FI_DEV_FB_FREE{Labels}40960"];
        var newLabels = Labels.Replace("Hostname", "hostname", StringComparison.Ordinal);
        string[] newer = [$"DCGM_FI_DEV_FB_USED_BYTES{newLabels}{40L << 30}", $"DCGM_FI_DEV_FB_FREE_BYTES{newLabels}{40L << 30}"];
        string[][] pages =
        [
            older, [], [newer[0]], newer, [.. older, .. newer], [older[0], newer[1]], [newer[1]], [older[1], newer[0]],
            [newer[0], "DCGM_FI_DEV_FB_FREE" + Labels + "81920"], newer, older,
        ];
        var run = new Run();
        foreach (var page in pages)
        {
            run.Read(string.Join('\n', page));
            run.ToString().Should().StartWith("Present").And.Contain(": 40/80", "of {0}", (object)page);
            run.Tracker.Pods.Length.Should().Be(1);
        }

        run.ToString().Should().Be("Present: 40/80");
    }

    [Fact]
    public void T12_shares_of_HAMi_are_added_up()
    {
        const string Labels = """namespace="ml",container="c",device_uuid="GPU-a",vdevice_index="0" """;
        var run = new Run();
        run.Read($$"""
            hami_vgpu_memory_used_bytes{pod="{{A}}",{{Labels}}} {{3L << 30}}
            hami_vgpu_memory_limit_bytes{pod="{{A}}",{{Labels}}} {{8L << 30}}
            hami_vgpu_memory_used_bytes{pod="{{B}}",{{Labels}}} {{3L << 30}}
            hami_vgpu_memory_limit_bytes{pod="{{B}}",{{Labels}}} {{8L << 30}}
            hami_host_gpu_memory_used_bytes{device_uuid="GPU-a"} {{6L << 30}}
            """);

        run.ToString().Should().Be("Present: 3/8, 3/8");
    }

    [Fact]
    public void T10_MIG_instances_of_three_workloads_are_kept_apart()
    {
        var run = new Run();
        run.Sweep($"g#1 n1 {A} 5/10|g#2 n1 {Other} 6/10|g#3 n1 img-5c8d7f9b4-zzzzz 7/20");
        run.ToString().Should().Be("Present: 5/10");
        run.Sweep($"g#1 n1 - 5/10|g#2 n1 {Other} 6/10|g#3 n1 img-5c8d7f9b4-zzzzz 7/20");
        run.ToString().Should().Be("ProvenAbsent:");
    }

    [Fact]
    public void T20_samples_of_Ascend_that_linger_are_refused_and_the_pod_is_held()
    {
        var run = new Run();
        Read(0);
        run.ToString().Should().Be("Present: 20/64");
        var sampledAt = run.Fleet.SweptAt;
        run.Tracker.Reading.ObservedAt.Should().BeCloseTo(sampledAt, TimeSpan.FromMilliseconds(1));
        Read(61_000);
        run.ToString().Should().Be("Present partial: 20/64 held");
        run.Tracker.Reading.ObservedAt.Should().BeCloseTo(sampledAt, TimeSpan.FromMilliseconds(1));

        void Read(long age)
        {
            var at = (run.Now.AddSeconds(10).ToUnixTimeMilliseconds() - age).ToString(CultureInfo.InvariantCulture);
            var labels = $$"""{id="0",vdie_id="X-1",namespace="ml",pod_name="{{A}}",container_name="c"}""";
            run.Read($"npu_chip_info_hbm_used_memory{labels} 20480 {at}\nnpu_chip_info_hbm_total_memory{labels} 65536 {at}");
        }
    }

    [Fact]
    public void No_fleet_makes_it_throw()
    {
        var rows = new[] { null, "", "ml", "x" }.SelectMany(ns => new[] { null, "", A, "llm-0" }.SelectMany(pod => new long?[] { null, -5, 0, long.MaxValue }.Select(bytes =>
            new AcceleratorShare { Namespace = ns, Pod = pod, Device = pod ?? "d", Exporter = ns ?? "", UsedBytes = bytes, UsableBytes = bytes, Utilisation = double.NaN, SampledAt = DateTimeOffset.MaxValue }))).ToArray();
        var tracker = new PodMemoryTracker(PodSelector.ForTarget("ml", "llm"));
        foreach (var reading in new[] { new AcceleratorReading { Shares = rows }, new AcceleratorReading { Unallocated = rows }, new AcceleratorReading() })
        {
            foreach (var now in new[] { DateTimeOffset.MinValue, DateTimeOffset.MaxValue, Now })
            {
                tracker.Follow(AcceleratorFleet.Of(reading, now, isPartial: false, 1), -1, now, TimeSpan.MaxValue, TimeSpan.MinValue);
                foreach (var pod in tracker.Pods)
                {
                    (double.IsFinite(pod.UsedBytes) && pod.UsableBytes > 0 && pod.Utilisation is null).Should().BeTrue();
                }
            }
        }
    }

    [Fact]
    public void A_sweep_whose_pods_cannot_be_told_apart_yet_is_not_taken_in_by_half()
    {
        var time = new ManualTime();
        var budget = new MatchingBudget(time);
        var tracker = new PodMemoryTracker(PodSelector.ForPattern("ml", "(llm)-.*")!);
        Spend();
        tracker.Follow(Fleet("llm-a"), null, GpuSweep.Now, StaleAfter, TimeSpan.Zero, budget);
        tracker.Reading.Presence.Should().Be(FleetPresence.Unobserved, "there was no time for it");

        budget.Reset();
        tracker.Follow(Fleet("llm-a"), null, GpuSweep.Now, StaleAfter, TimeSpan.Zero, budget);
        (tracker.Pods.Length, tracker.Reading.IsPartial).Should().Be((1, false));

        // The one that is known still is there; nothing says that it is the only one.
        Spend();
        tracker.Follow(Fleet("llm-a", "llm-b"), null, GpuSweep.Now, StaleAfter, TimeSpan.Zero, budget);
        (tracker.Pods.Length, tracker.Reading.IsPartial).Should().Be((1, true));

        budget.Reset();
        tracker.Follow(Fleet("llm-a", "llm-b"), null, GpuSweep.Now, StaleAfter, TimeSpan.Zero, budget);
        (tracker.Pods.Length, tracker.Reading.IsPartial).Should().Be((2, false));

        void Spend()
        {
            var began = budget.Begin();
            time.Advance(TimeSpan.FromSeconds(1));
            budget.End(began);
        }

        static AcceleratorFleet Fleet(params string[] pods) => AcceleratorFleet.Of(
            new AcceleratorReading { Shares = [.. pods.Select(static pod => new AcceleratorShare { Namespace = "ml", Pod = pod, Device = pod, UsedBytes = 1, UsableBytes = 2, SampledAt = GpuSweep.Now })] },
            GpuSweep.Now,
            isPartial: false,
            1);
    }

    private static double Sum(ReadOnlySpan<PodMemory> pods, Func<PodMemory, double> figure)
    {
        var sum = 0.0;
        foreach (var pod in pods)
        {
            sum += figure(pod);
        }

        return sum;
    }

    /// <summary>One tracker and the sweeps it follows.</summary>
    private sealed class Run(PodSelector? selector = null)
    {
        private readonly GpuSampleReader _reader = new(StaleAfter);

        public PodMemoryTracker Tracker { get; } = new(selector ?? PodSelector.ForTarget("ml", "llm"));

        public AcceleratorFleet Fleet { get; set; } = AcceleratorFleet.Unswept;

        public DateTimeOffset Now { get; private set; } = GpuSweep.Now;

        public long Version { get; set; }

        public void Wait(TimeSpan time) => Now += time;

        public void Follow(int? existing = null) => Tracker.Follow(Fleet, existing, Now, StaleAfter, TimeSpan.FromMinutes(5));

        public void Sweep(string rows, bool isPartial = false, int? existing = null, int[]? sampledSecondsAgo = null)
        {
            Wait(TimeSpan.FromSeconds(10));
            var all = rows.Split('|', StringSplitOptions.RemoveEmptyEntries)
                .Select((row, i) => Row(row, Now.AddSeconds(-(sampledSecondsAgo?[i] ?? 0)))).ToLookup(static row => row.Pod is null);
            Fleet = AcceleratorFleet.Of(new AcceleratorReading { Shares = [.. all[false]], Unallocated = [.. all[true]] }, Now, isPartial, ++Version);
            Follow(existing);
        }

        public void Read(string page)
        {
            Wait(TimeSpan.FromSeconds(10));
            _reader.Begin(Now);
            _reader.TakePage(Encoding.UTF8.GetBytes(page.ReplaceLineEndings("\n") + "\n"), "n1:9400");
            Fleet = AcceleratorFleet.Of(_reader.Finish(), Now, isPartial: false, ++Version);
            Follow();
        }

        public override string ToString()
        {
            var pods = Tracker.Pods.ToArray().Select(static pod =>
                $" {Gibibytes(pod.UsedBytes)}/{Gibibytes(pod.UsableBytes)}{(pod.IsHeld ? " held" : "")}{(pod.FirstSeenAt > GpuSweep.Now.AddSeconds(10) ? " new" : "")}");
            return $"{Tracker.Reading.Presence}{(Tracker.Reading.IsPartial ? " partial" : "")}:{string.Join(',', pods)}";
        }

        private static string Gibibytes(double bytes) => (bytes / (1L << 30)).ToString(CultureInfo.InvariantCulture);

        private static AcceleratorShare Row(string text, DateTimeOffset sampledAt)
        {
            var words = text.Split(' ');
            var device = words[0].Split('#');
            var holder = words[2].Split('/');
            var figures = words[3].Split('/').Select(static figure =>
                figure == "-" ? (long?)null : (long)(double.Parse(figure, CultureInfo.InvariantCulture) * (1L << 30))).ToArray();
            return new AcceleratorShare
            {
                Namespace = words[2] == "-" ? null : holder.Length == 2 ? holder[0] : "ml",
                Pod = words[2] == "-" ? null : holder[^1],
                Device = device[0],
                Instance = device.Length == 2 ? device[1] : "",
                Exporter = words[1] == "?" ? "" : words[1],
                UsedBytes = figures[0],
                UsableBytes = figures[1],
                IsPart = words.Contains("part"),
                Utilisation = Array.IndexOf(words, "busy") is var busy and > 0 ? double.Parse(words[busy + 1], CultureInfo.InvariantCulture) : null,
                SampledAt = sampledAt,
            };
        }
    }
}
