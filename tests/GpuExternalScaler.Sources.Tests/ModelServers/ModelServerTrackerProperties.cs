using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.ModelServers;

namespace GpuExternalScaler.Sources.Tests.ModelServers;

public class ModelServerTrackerProperties
{
    private static readonly DateTimeOffset Start = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan StaleAfter = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan HoldFor = TimeSpan.FromDays(1);
    private static readonly Arbitrary<int> Seeds = Gen.Choose(0, int.MaxValue - 1).ToArbitrary();

    [Fact]
    public void What_pods_that_still_exist_have_said_is_never_lost() => Prop
        .ForAll(Seeds, static seed =>
        {
            var random = new Random(seed);
            var world = new World(random, isDirect: seed % 3 == 0);
            var tracker = new ModelServerTracker(null);
            for (var step = 1; step <= 40; step++)
            {
                world.Step();
                var now = Start.AddSeconds(15 * step);
                tracker.Follow(world.Sweep(now), random.Next(2) == 0 ? null : world.Alive, now, StaleAfter, HoldFor);
                if (!(tracker.Current.Waiting is null or >= 0) || (tracker.Current.Waiting ?? 0) < world.Promised)
                {
                    throw new InvalidOperationException($"step {step}: {tracker.Current.Waiting} of {world.Promised}");
                }
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Without_discovery_and_replicas_nothing_is_ever_proven() => Prop
        .ForAll(Seeds, static seed =>
        {
            var random = new Random(seed);
            var world = new World(random, isDirect: false);
            var tracker = new ModelServerTracker(null);
            var highest = 0.0;
            for (var step = 1; step <= 40; step++)
            {
                world.Step();
                var now = Start.AddSeconds(15 * step);
                var sweep = world.Sweep(now);
                tracker.Follow(Without(sweep), null, now, StaleAfter, HoldFor);
                var waiting = tracker.Current.Waiting ?? 0;
                if (waiting < highest || tracker.Current.Reading.Presence == FleetPresence.ProvenAbsent)
                {
                    throw new InvalidOperationException($"step {step}: {waiting} after {highest}");
                }

                highest = waiting;
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(200));

    [Fact]
    public void Whatever_is_claimed_the_reading_holds_together() => Prop
        .ForAll(Seeds, static seed =>
        {
            var random = new Random(seed);
            var one = new World(random, isDirect: false);
            var other = new World(random, isDirect: true);
            var tracker = new ModelServerTracker(random.Next(2) == 0 ? null : PodSelector.ForPattern("ml", "p[0-4]"));
            var hadPods = false;
            for (var step = 1; step <= 40; step++)
            {
                one.Step();
                other.Step();

                // Time goes back, connections change, replicas are made up.
                var now = Start.AddSeconds(random.Next(-1000, 100_000));
                tracker.Follow((random.Next(9) == 0 ? other : one).Sweep(now), random.Next(-1, 9), now, StaleAfter, TimeSpan.FromSeconds(random.Next(100)));
                var current = tracker.Current;
                var holds = current.Reading.Presence == FleetPresence.Present
                    ? current.Pods > 0 && current.Waiting is >= 0 && (current.CacheFill is null || current.CacheFill <= current.Pods * current.HighestCacheFill)
                    : current is { Pods: 0, Waiting: null, Running: null, CacheFill: null, HighestCacheFill: null };
                hadPods |= current.Pods > 0;
                if (!holds || (hadPods && current.Reading.Presence is FleetPresence.NeverSeen or FleetPresence.Unobserved))
                {
                    throw new InvalidOperationException($"step {step}: {current}");
                }
            }
        })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(300));

    private static ModelServerFleet Without(ModelServerFleet fleet) => new([.. fleet.Pods], [])
    {
        HasSwept = true,
        Succeeded = fleet.Succeeded,
        IsPartial = fleet.IsPartial,
        SweptAt = fleet.SweptAt,
    };

    /// <summary>
    /// Pods that come and go under three scrape configurations, which come and go too, and honest sweeps of them: what is said is
    /// true, and nothing says that it is all. Each pod has as many requests waiting as its number says.
    /// </summary>
    private sealed class World(Random random, bool isDirect)
    {
        private readonly Dictionary<int, string> _alive = [];
        private readonly HashSet<int> _told = [];
        private readonly HashSet<string> _jobs = ["x", "y", "z"];
        private ModelServerFleet? _last;
        private int _next;

        public int Alive => _alive.Count;

        /// <summary>Requests that pods have told of which still exist.</summary>
        public int Promised => _alive.Keys.Where(_told.Contains).Sum();

        public void Step()
        {
            foreach (var pod in _alive.Keys.Where(_ => random.Next(8) == 0).ToArray())
            {
                _alive.Remove(pod);
            }

            while (random.Next(3) == 0)
            {
                _alive[_next++] = "xyz"[random.Next(3)..][..1];
            }

            if (random.Next(6) == 0)
            {
                var job = "xyz"[random.Next(3)..][..1];
                _ = _jobs.Remove(job) || _jobs.Add(job);
            }
        }

        public ModelServerFleet Sweep(DateTimeOffset now)
        {
            if (_last is not null && random.Next(6) == 0)
            {
                return _last = new ModelServerFleet([.. _last.Pods], [.. _last.Discovered]) { HasSwept = true, SweptAt = _last.SweptAt, IsDirect = isDirect };
            }

            var isPartial = random.Next(5) == 0;
            var pods = new List<ModelServerPod>();
            var discovered = new List<DiscoveredServer>();
            var @namespace = isDirect ? "" : "ml";
            foreach (var (pod, job) in _alive)
            {
                if ((!isDirect && !_jobs.Contains(job)) || (isPartial && random.Next(2) == 0))
                {
                    continue;
                }

                var isUp = random.Next(4) > 0;
                discovered.Add(new DiscoveredServer(@namespace, $"p{pod}", isDirect ? "" : job, isUp));
                if (isUp)
                {
                    _told.Add(pod);
                    double? fill = random.Next(3) == 0 ? null : random.NextDouble();
                    pods.Add(new ModelServerPod { Namespace = @namespace, Pod = $"p{pod}", Waiting = pod, CacheFill = fill, SampledAt = now });
                }
            }

            return _last = new ModelServerFleet(pods, discovered)
            {
                HasSwept = true,
                Succeeded = !isDirect || pods.Count > 0,
                IsPartial = isPartial,
                SweptAt = now,
                IsDirect = isDirect,
            };
        }
    }
}
