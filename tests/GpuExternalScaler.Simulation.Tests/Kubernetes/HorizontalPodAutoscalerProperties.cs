using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Tests.Kubernetes;

/// <summary>What holds for every specification and every history. Both are drawn from a seed.</summary>
public class HorizontalPodAutoscalerProperties
{
    private const double Target = 100;
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(300);
    private static readonly Arbitrary<int> Seeds = Arb.From(Gen.Choose(0, int.MaxValue));

    [Fact]
    public void Replicas_are_within_minimum_and_maximum_or_zero() => Prop.ForAll(Seeds, static seed =>
    {
        var walk = new Walk(seed);
        for (var i = 0; i < 200; i++)
        {
            var (current, wanted) = walk.Step();
            (current == 0 ? wanted == 0 : wanted >= walk.Spec.MinReplicas && wanted <= walk.Spec.MaxReplicas || (walk.IsUndecided && wanted == current))
                .Should().BeTrue("{0} of {1} by {2}", wanted, current, walk.Spec);
        }
    }).Check(Quick);

    [Fact]
    public void A_larger_value_never_means_fewer_replicas() => Prop.ForAll(Seeds, static seed =>
    {
        var random = new Random(seed);
        var (syncs, current, ready) = (random.Next(60), random.Next(1, 60), random.Next(60));
        double[] values = [.. Enumerable.Range(0, 8).Select(_ => random.NextDouble() * 10_000).Order()];
        var type = random.Next(2) == 0 ? TargetType.AverageValue : TargetType.Value;

        // Of what is ready a value above its target may be fewer than there are, which the tolerance hides: the known jump of Value.
        ready = type == TargetType.Value ? current : ready;
        var wanted = values.Select(value => new Walk(seed).After(syncs).Sync(current, ready, [new ExternalMetric(type, value, Target)])).ToList();
        wanted.Should().BeInAscendingOrder();
    }).Check(Quick);

    [Fact]
    public void It_never_shrinks_below_the_largest_recommendation_of_the_window() => Prop.ForAll(Seeds, static seed =>
    {
        var walk = new Walk(seed) { TellsOne = true };
        var recommended = new List<(TimeSpan At, int Replicas)>();
        for (var i = 0; i < 200; i++)
        {
            var (current, wanted) = walk.Step();
            if (walk.Value is { } value && current >= walk.Spec.MinReplicas && current <= walk.Spec.MaxReplicas && current > 0)
            {
                var within = value / (Target * current);
                var (down, up) = walk.Tolerances;

                // Values are multiples of 7: at no edge by a hair.
                recommended.Add((walk.Now, within >= 1 - down && within <= 1 + up ? current : (int)Math.Ceiling(value / Target)));
                var window = TimeSpan.FromSeconds(walk.Spec.ScaleDown.StabilizationWindowSeconds);
                var largest = recommended.Where(one => one.At > walk.Now - window || one.At == walk.Now).Max(static one => one.Replicas);
                wanted.Should().BeGreaterThanOrEqualTo(Math.Min(current, largest), "at {0} by {1}", walk.Now, walk.Spec);
            }
        }
    }).Check(Quick);

    [Fact]
    public void It_never_grows_beyond_what_a_policy_allows_in_its_period() => Prop.ForAll(Seeds, static seed =>
    {
        var walk = new Walk(seed) { IsLeftAlone = true };
        walk.Spec = walk.Spec with { HasBehavior = true, ScaleUp = walk.Spec.ScaleUp with { Policies = [new ScalingLimit(PolicyType.Pods, 3, 60)], Select = PolicySelect.Max } };
        var replicas = new List<(TimeSpan At, int Before)>();
        for (var i = 0; i < 200; i++)
        {
            var (current, wanted) = walk.Step();
            replicas.Add((walk.Now, current));
            var begin = replicas.Where(one => one.At > walk.Now - TimeSpan.FromSeconds(60)).Max(static one => one.Before);
            if (wanted > current && current >= walk.Spec.MinReplicas)
            {
                wanted.Should().BeLessThanOrEqualTo(begin + 3);
            }
        }
    }).Check(Quick);

    [Fact]
    public void The_order_of_metrics_does_not_matter() => Prop.ForAll(Seeds, static seed =>
    {
        var (one, other) = (new Walk(seed), new Walk(seed) { IsReversed = true });
        for (var i = 0; i < 100; i++)
        {
            one.Step().Should().Be(other.Step());
        }
    }).Check(Quick);

    [Fact]
    public void A_metric_that_cannot_be_had_never_lowers_it() => Prop.ForAll(Seeds, static seed =>
    {
        var random = new Random(seed);
        var (syncs, current) = (random.Next(60), random.Next(1, 60));
        var metric = new ExternalMetric(TargetType.AverageValue, random.Next(9000), Target);
        var with = new Walk(seed).After(syncs).Sync(current, current, [metric, metric with { Value = null }]);
        var without = new Walk(seed).After(syncs).Sync(current, current, [metric]);

        with.Should().BeGreaterThanOrEqualTo(Math.Min(current, without));
    }).Check(Quick);

    [Fact]
    public void Units_do_not_matter() => Prop.ForAll(Seeds, static seed =>
    {
        // Powers of two, and whole thousandths either way.
        var (one, other) = (new Walk(seed), new Walk(seed) { Unit = 64 });
        for (var i = 0; i < 100; i++)
        {
            one.Step().Should().Be(other.Step());
        }
    }).Check(Quick);

    [Fact]
    public void A_sync_allocates_nothing_once_the_windows_are_full()
    {
        var hpa = new HorizontalPodAutoscaler(new AutoscalerSpec { ScaleDown = ScalingRules.DefaultDown with { Policies = [new ScalingLimit(PolicyType.Pods, 1, 600)] } });
        var random = new Random(1);
        var replicas = 10;
        ExternalMetric[] metrics = [default, default];
        void Run(int from, int to)
        {
            for (var i = from; i < to; i++)
            {
                metrics[0] = new ExternalMetric(TargetType.AverageValue, random.Next(6000), Target);
                metrics[1] = new ExternalMetric(TargetType.Value, i % 50 == 0 ? null : 50, Target);
                replicas = hpa.Sync(TimeSpan.FromSeconds(15 * i), replicas, replicas, metrics);
            }
        }

        Run(0, 5_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Run(5_000, 10_000);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
    }

    /// <summary>An HPA on its way, and what it was last told.</summary>
    private sealed class Walk(int seed)
    {
        private readonly Random _random = new(seed);
        private HorizontalPodAutoscaler? _hpa;
        private int _replicas = 10;

        public AutoscalerSpec Spec { get; set; } = Draw(new Random(seed));

        public (double Down, double Up) Tolerances =>
            Spec.HasBehavior ? (Spec.ScaleDown.Tolerance ?? Spec.Tolerance, Spec.ScaleUp.Tolerance ?? Spec.Tolerance) : (Spec.Tolerance, Spec.Tolerance);

        public TimeSpan Now { get; private set; }

        /// <summary>Whether there is always one metric.</summary>
        public bool TellsOne { get; init; }

        /// <summary>Whether nobody else changes the replicas.</summary>
        public bool IsLeftAlone { get; init; }

        public bool IsReversed { get; init; }

        public double Unit { get; init; } = 1;

        /// <summary>What the first metric was; null when it could not be had.</summary>
        public double? Value { get; private set; }

        /// <summary>Whether one of the metrics could not be had.</summary>
        public bool IsUndecided { get; private set; }

        public Walk After(int syncs)
        {
            for (var i = 0; i < syncs; i++)
            {
                Step();
            }

            return this;
        }

        public (int Current, int Wanted) Step()
        {
            if (!IsLeftAlone && _random.Next(10) == 0)
            {
                _replicas = _random.Next(40);
            }

            var metrics = new ExternalMetric[TellsOne ? 1 : _random.Next(1, 4)];
            for (var i = 0; i < metrics.Length; i++)
            {
                var value = _random.Next(8) == 0 ? (double?)null : 7 * _random.Next(800);
                metrics[i] = new ExternalMetric(TellsOne || _random.Next(3) > 0 ? TargetType.AverageValue : TargetType.Value, value * Unit, Target * Unit);
            }

            Value = metrics[0].Value;
            IsUndecided = Array.Exists(metrics, static metric => metric.Value is null);
            if (IsReversed)
            {
                Array.Reverse(metrics);
            }

            var current = _replicas;
            return (current, Sync(current, Math.Min(current, _random.Next(60)), metrics));
        }

        public int Sync(int current, int ready, ReadOnlySpan<ExternalMetric> metrics)
        {
            Now += TimeSpan.FromSeconds(_random.Next(8) == 0 ? _random.Next(1, 400) : 15);
            _hpa ??= new HorizontalPodAutoscaler(Spec);
            return _replicas = _hpa.Sync(Now, current, ready, metrics);
        }

        private static AutoscalerSpec Draw(Random random)
        {
            var minimum = random.Next(1, 6);
            return new AutoscalerSpec
            {
                MinReplicas = minimum,
                MaxReplicas = minimum + random.Next(40),
                HasBehavior = random.Next(5) > 0,
                ScaleUp = Rules(random, [0, 0, 60, 300]),
                ScaleDown = Rules(random, [0, 60, 300, 3600]),
            };
        }

        private static ScalingRules Rules(Random random, ReadOnlySpan<int> windows) => new()
        {
            StabilizationWindowSeconds = windows[random.Next(windows.Length)],
            Select = random.Next(8) == 0 ? PolicySelect.Disabled : random.Next(3) == 0 ? PolicySelect.Min : PolicySelect.Max,
            Policies = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => new ScalingLimit(
                random.Next(2) == 0 ? PolicyType.Pods : PolicyType.Percent, random.Next(1, 120), random.Next(3) == 0 ? random.Next(1, 600) : 15))],
            Tolerance = random.Next(3) == 0 ? random.Next(30) / 100.0 : null,
        };
    }
}
