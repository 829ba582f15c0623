using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Gpu;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>A cluster that changes, seen through exporters that fail, and what the tracker makes of it.</summary>
public class PodMemoryTrackerPropertyTests
{
    private const double GiB = 1L << 30;

    private static readonly TimeSpan Forever = TimeSpan.FromDays(1000);
    private static readonly Arbitrary<int> Seeds = Gen.Choose(0, int.MaxValue - 1).ToArbitrary();

    [Fact]
    public void T21_a_pod_that_lives_is_never_lost_once_it_was_seen() => Prop
        .ForAll(Seeds, static seed =>
        {
            var cluster = new Cluster(new Random(seed));
            var tracker = new PodMemoryTracker(PodSelector.ForTarget("ml", "llm"));
            for (var sweep = 1; sweep <= 30; sweep++)
            {
                cluster.Change();
                var fleet = cluster.Observe(sweep, canFail: true);
                tracker.Follow(fleet, cluster.Random.Next(3) == 0 ? cluster.Ours.Count() : null, fleet.SweptAt, GpuSweep.StaleAfter, Forever);

                Total(tracker.Pods).Should().BeGreaterThanOrEqualTo(cluster.Told * GiB, "of sweep {0} of seed {1}", sweep, seed);
                (tracker.Reading.Presence == FleetPresence.Present || cluster.Told == 0).Should().BeTrue("of sweep {0} of seed {1}", sweep, seed);
            }

            // And when everything is seen again, exactly what lives is there, since every other pod's device is shown.
            var clear = cluster.Observe(31, canFail: false);
            tracker.Follow(clear, cluster.Ours.Count(), clear.SweptAt, GpuSweep.StaleAfter, Forever);
            Total(tracker.Pods).Should().Be(cluster.Ours.Sum(static pod => pod.Used.Sum()) * GiB, "of seed {0}", seed);
            tracker.Reading.IsPartial.Should().BeFalse();
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    [Fact]
    public void T21_without_proof_the_sum_never_falls() => Prop
        .ForAll(Seeds, static seed =>
        {
            // Nothing changes in the cluster: whatever falls, falls without proof.
            var cluster = new Cluster(new Random(seed));
            cluster.Fill();
            var tracker = new PodMemoryTracker(PodSelector.ForTarget("ml", "llm"));
            var before = 0.0;
            for (var sweep = 1; sweep <= 20; sweep++)
            {
                var fleet = cluster.Observe(sweep, canFail: true);
                tracker.Follow(fleet, null, fleet.SweptAt, GpuSweep.StaleAfter, Forever);
                Total(tracker.Pods).Should().BeGreaterThanOrEqualTo(before, "of sweep {0} of seed {1}", sweep, seed);
                before = Total(tracker.Pods);
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void The_order_of_samples_does_not_matter() => Prop
        .ForAll(Seeds, static seed =>
        {
            var random = new Random(seed);
            var (one, other) = (new PodMemoryTracker(PodSelector.ForTarget("ml", "llm")), new PodMemoryTracker(PodSelector.ForTarget("ml", "llm")));
            for (var sweep = 1; sweep <= 6; sweep++)
            {
                var rows = Garbage(random).DistinctBy(static row => (row.Device, row.Instance, row.Namespace, row.Pod)).ToArray();
                var isPartial = random.Next(4) == 0;
                Follow(one, rows, sweep, isPartial);
                random.Shuffle(rows);
                Follow(other, rows, sweep, isPartial);

                // Sums of numbers in another order differ in their last digits; sorted rows leave no other order.
                one.Pods.ToArray().Should().Equal(other.Pods.ToArray());
                one.Reading.Should().Be(other.Reading);
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void Whatever_the_rows_say_the_figures_are_numbers() => Prop
        .ForAll(Seeds, static seed =>
        {
            var random = new Random(seed);
            var tracker = new PodMemoryTracker(PodSelector.ForPattern("ml", "llm-.*")!);
            for (var sweep = 1; sweep <= 10; sweep++)
            {
                Follow(tracker, Garbage(random), sweep, random.Next(4) == 0);
                foreach (var pod in tracker.Pods)
                {
                    var isWell = double.IsFinite(pod.UsedBytes) && pod.UsedBytes >= 0 && double.IsFinite(pod.UsableBytes) && pod.UsableBytes > 0
                        && pod.FullestUsedBytes <= pod.UsedBytes && pod.FullestUsableBytes is var usable && usable > 0 && usable <= pod.UsableBytes
                        && pod.Accelerators >= 1 && pod.Utilisation is null or (>= 0 and <= 1);
                    isWell.Should().BeTrue("of {0}, seed {1}", pod, seed);
                }

                (tracker.Reading.Presence == FleetPresence.ProvenAbsent && tracker.Pods.Length > 0).Should().BeFalse();
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    private static void Follow(PodMemoryTracker tracker, AcceleratorShare[] rows, int sweep, bool isPartial)
    {
        var at = GpuSweep.Now.AddSeconds(10 * sweep);
        var reading = new AcceleratorReading { Shares = [.. rows.Where(static row => row.Pod is not null)], Unallocated = [.. rows.Where(static row => row.Pod is null)] };
        tracker.Follow(AcceleratorFleet.Of(reading, at, isPartial, sweep), null, at, GpuSweep.StaleAfter, TimeSpan.FromSeconds(30));
    }

    private static AcceleratorShare[] Garbage(Random random) =>
    [
        .. Enumerable.Range(0, random.Next(12)).Select(_ =>
        {
            var pod = Pick(random, null, "llm-0", "llm-1", "llm-2", "web-0");
            return new AcceleratorShare
            {
                Namespace = pod is null ? null : Pick(random, "ml", "ml", "ml", "dev", ""),
                Pod = pod,
                Device = Pick(random, "a", "b", "c")!,
                Instance = Pick(random, "", "", "1")!,
                Exporter = Pick(random, "n1", "n2", "")!,
                UsedBytes = Pick(random, null, "-1", "0", "7", "100", "9223372036854775807") is { } used ? long.Parse(used) : null,
                UsableBytes = Pick(random, null, "-1", "0", "80", "100", "9223372036854775807") is { } usable ? long.Parse(usable) : null,
                Utilisation = random.Next(3) switch { 0 => null, 1 => double.NaN, _ => random.NextDouble() },
                IsPart = random.Next(5) == 0,
                SampledAt = GpuSweep.Now.AddSeconds(random.Next(100)),
            };
        }),
    ];

    private static string? Pick(Random random, params string?[] choices) => choices[random.Next(choices.Length)];

    private static double Total(ReadOnlySpan<PodMemory> pods)
    {
        var sum = 0.0;
        foreach (var pod in pods)
        {
            sum += pod.UsedBytes;
        }

        return sum;
    }

    private sealed record Pod(string Namespace, string Name, int Node, int[] Devices, int[] Used);

    /// <summary>Nodes with four GPUs of 80 GiB each. A pod holds one or two of one node.</summary>
    private sealed class Cluster(Random random)
    {
        private const int Nodes = 3;
        private const int DevicesOfNode = 4;
        private readonly List<Pod> _pods = [];
        private readonly HashSet<(string Pod, int Device)> _told = [];
        private int _born;

        public Random Random => random;

        public IEnumerable<Pod> Ours => _pods.Where(static pod => pod.Namespace == "ml");

        /// <summary>What the pods of ours that live use of the devices that were ever told of.</summary>
        public int Told => Ours.Sum(pod => pod.Devices.Zip(pod.Used, (device, used) => _told.Contains((pod.Name, device)) ? used : 0).Sum());

        public void Fill()
        {
            for (var births = 0; births < 20; births++)
            {
                Bear();
            }
        }

        public void Change()
        {
            if (_pods.Count > 0 && random.Next(2) == 0)
            {
                _pods.RemoveAt(random.Next(_pods.Count));
            }

            if (random.Next(2) == 0)
            {
                Bear();
            }
        }

        public AcceleratorFleet Observe(int sweep, bool canFail)
        {
            var at = GpuSweep.Now.AddSeconds(10 * sweep);
            var isPartial = canFail && random.Next(5) == 0;
            List<AcceleratorShare> shares = [], free = [];
            for (var node = 0; node < Nodes; node++)
            {
                var trouble = canFail ? random.Next(5) : 0;
                if (trouble == 4)
                {
                    continue;
                }

                for (var device = 0; device < DevicesOfNode; device++)
                {
                    if (isPartial && random.Next(3) == 0)
                    {
                        continue;
                    }

                    // Trouble 3 is an exporter that has lost the kubelet. Figures may be missing once there are some to hold on to.
                    var pod = _pods.Find(pod => pod.Node == node && pod.Devices.Contains(device));
                    var used = pod is null ? 0 : pod.Used[Array.IndexOf(pod.Devices, device)];
                    var isTold = trouble < 3;
                    var isLost = canFail && random.Next(10) == 0 && (pod is null || !isTold || _told.Contains((pod.Name, device)));
                    var row = new AcceleratorShare
                    {
                        Namespace = isTold ? pod?.Namespace : null,
                        Pod = isTold ? pod?.Name : null,
                        Device = $"GPU-{node}-{device}",
                        Exporter = $"n{node}:9400",
                        UsedBytes = isLost ? null : (long)(used * GiB),
                        UsableBytes = (long)(80 * GiB),
                        SampledAt = at,
                    };
                    (row.Pod is null ? free : shares).Add(row);
                    if (row.Pod is not null)
                    {
                        _told.Add((row.Pod, device));
                    }
                }
            }

            return AcceleratorFleet.Of(new AcceleratorReading { Shares = shares, Unallocated = free }, at, isPartial, sweep);
        }

        private void Bear()
        {
            var node = random.Next(Nodes);
            var devices = Enumerable.Range(0, DevicesOfNode).Where(device => !_pods.Exists(pod => pod.Node == node && pod.Devices.Contains(device))).Take(random.Next(1, 3)).ToArray();
            if (devices.Length > 0)
            {
                var isOurs = random.Next(3) > 0;
                var name = isOurs ? $"llm-{_born++}" : $"web-{_born++}";
                _pods.Add(new Pod(isOurs ? "ml" : "dev", name, node, devices, [.. devices.Select(_ => random.Next(5, 70))]));
            }
        }
    }
}
