using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Deciding;

/// <summary>Slots for a waiting objective, against worked examples, the formula term by term, and what must hold for all.</summary>
public class ErlangStaffingTests
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(300);

    // Loads of every size, from far below one message a day to beyond every fleet.
    private static readonly Arbitrary<double> Loads = Arb.From(Gen.Choose(-6000, 12_000).Select(static exponent => Math.Pow(10, exponent / 1000.0)));
    private static readonly Arbitrary<double> UsualLoads = Arb.From(Gen.Choose(1, 2_000_000).Select(static load => load / 1000.0));

    // 90 %, 99 % and so on, to nine nines; waiting from a thousandth of the service time to a thousand times.
    private static readonly Gen<double> Shares = Gen.Choose(0, 9_000).Select(static nines => 1 - Math.Pow(10, -nines / 1000.0));
    private static readonly Gen<double> Patiences = Gen.OneOf(Gen.Choose(-3000, 3000).Select(static exponent => Math.Pow(10, exponent / 1000.0)), Gen.Constant(0.0));
    private static readonly Arbitrary<(double Share, double Patience)> Objectives = Arb.From(Gen.Zip(Shares, Patiences));

    /// <summary>
    /// Probabilities of waiting at all. M/M/1: ρ. M/M/2: 2ρ² ÷ (1 + ρ). c = 3 and a = 2: 4/9, by hand. 5 and 4: 0.5541; 10 and 8: 0.4092
    /// (tables of the M/M/c queue). 55 and 48: 0.239 (Mitan, "Introduction to Erlang B and Erlang C": 0.2 calls/s of 240 s each).
    /// </summary>
    [Theory]
    [InlineData(1, 0.5, 0.5)]
    [InlineData(1, 0.9, 0.9)]
    [InlineData(2, 1, 1 / 3.0)]
    [InlineData(2, 1.5, 9 / 14.0)]
    [InlineData(3, 2, 4 / 9.0)]
    [InlineData(5, 4, 0.5541)]
    [InlineData(10, 8, 0.4092)]
    [InlineData(55, 48, 0.239)]
    public void With_no_patience_the_share_that_waits_is_that_of_the_tables(int slots, double load, double waiting)
    {
        Waiting(slots, load, 0).Should().BeApproximately(waiting, 0.0005);

        // Just above the table's value these slots do, just below they do not.
        Slots(load, 1 - waiting - 0.001, 0).Should().Be(slots);
        Slots(load, 1 - waiting + 0.001, 0).Should().Be(slots + 1);
    }

    /// <summary>
    /// Mitan's call centre: 54 agents leave 80 % within 15 s wanting, 55 answer 84.5 %. One GPU of 2 s jobs at half load keeps 5 s for
    /// all but 0.5·exp(−1.25) = 14 %; two for all but (1/10)·exp(−3.75) = 0.24 %.
    /// </summary>
    [Theory]
    [InlineData(48, 240, 0.80, 15, 55)]
    [InlineData(48, 240, 0.84, 15, 55)]
    [InlineData(48, 240, 0.85, 15, 56)]
    [InlineData(0.5, 2, 0.85, 5, 1)]
    [InlineData(0.5, 2, 0.86, 5, 2)]
    [InlineData(0.5, 2, 0.9975, 5, 2)]
    [InlineData(0.5, 2, 0.998, 5, 3)]
    public void Waiting_helps_by_what_frees_up_meanwhile(double load, double serviceTime, double share, double within, double slots) =>
        ErlangStaffing.Slots(load, serviceTime, new WaitObjective(share, TimeSpan.FromSeconds(within))).Should().Be(slots);

    [Fact]
    public void Small_fleets_get_slack_and_large_ones_do_not_pay_for_it()
    {
        // Jobs of two minutes, 99 % within 5 s: hardly anything frees up while one waits.
        double Utilisation(double load) => load / ErlangStaffing.Slots(load, 120, new WaitObjective(0.99, TimeSpan.FromSeconds(5)));

        Utilisation(0.5).Should().BeLessThan(0.2);
        Utilisation(5).Should().BeLessThan(0.5);
        Utilisation(50).Should().BeInRange(0.7, 0.8);
        Utilisation(1000).Should().BeGreaterThan(0.9);
        Utilisation(100_000).Should().BeGreaterThan(0.99);
    }

    [Fact]
    public void It_is_the_least_that_keeps_the_objective() => Prop.ForAll(UsualLoads, Objectives, static (load, objective) =>
    {
        var slots = Slots(load, objective.Share, objective.Patience);
        var late = 1 - objective.Share;
        Waiting((int)slots, load, objective.Patience).Should().BeLessThanOrEqualTo(late * (1 + 1e-9));
        if (slots - 1 > load)
        {
            Waiting((int)slots - 1, load, objective.Patience).Should().BeGreaterThan(late * (1 - 1e-9));
        }
    }).Check(Quick);

    [Fact]
    public void More_load_a_larger_share_or_less_patience_never_need_fewer() => Prop.ForAll(Loads, Objectives, static (load, objective) =>
    {
        var slots = Slots(load, objective.Share, objective.Patience);
        foreach (var more in (double[])[1 + 1e-12, 1.001, 1.1, 3])
        {
            Slots(load * more, objective.Share, objective.Patience).Should().BeGreaterThanOrEqualTo(slots);
            Slots(load, 1 - ((1 - objective.Share) / more), objective.Patience).Should().BeGreaterThanOrEqualTo(slots);
            Slots(load, objective.Share, objective.Patience / more).Should().BeGreaterThanOrEqualTo(slots);
        }
    }).Check(Quick);

    /// <summary>At 32,768 slots another rule begins: neither a step down, nor far from the formula.</summary>
    [Theory]
    [InlineData(0.5, 0)]
    [InlineData(0.99, 0)]
    [InlineData(0.99, 0.01)]
    [InlineData(0.99, 100)]
    [InlineData(0.999999999, 0)]
    [InlineData(0.999999999, 0.003)]
    public void Large_fleets_are_staffed_within_one_percent_of_the_formula(double share, double patience)
    {
        var before = 0.0;
        foreach (var load in (double[])[30_000, 32_767, 32_767.9, 32_768, 32_768.1, 32_769, 40_000, 65_536, 131_072, 262_144, 500_000])
        {
            var slots = Slots(load, share, patience);
            slots.Should().BeGreaterThanOrEqualTo(before);
            before = slots;

            // The formula's own least is between these two.
            Waiting((int)slots, load, patience).Should().BeLessThanOrEqualTo((1 - share) * (1 + 1e-6));
            var less = (int)(slots * 0.99);
            (less <= load || Waiting(less, load, patience) > 1 - share).Should().BeTrue("{0} of {1} would not do", less, load);
        }
    }

    [Fact]
    public void Every_finite_load_has_a_finite_number_of_slots_above_it()
    {
        double[] loads = [double.Epsilon, 1e-310, 1e-300, 1e-12, 0.5, 1, 2, 63.999, 64, 65, 4096, 32_768, 32_768.5, 1e6, 1e9, 1e12, 1e15, 1e300, double.MaxValue];
        double[] times = [double.Epsilon, 1e-300, 1e-3, 1, 600, 1e12, double.MaxValue];
        double[] shares = [-1, 0, double.Epsilon, 0.5, 0.99, 1 - 1e-12, Math.BitDecrement(1), 1, 2];
        TimeSpan[] patiences = [TimeSpan.MinValue, TimeSpan.Zero, new(1), TimeSpan.FromSeconds(1), TimeSpan.MaxValue];
        foreach (var load in loads)
        {
            foreach (var time in times)
            {
                foreach (var share in shares)
                {
                    foreach (var patience in patiences)
                    {
                        var slots = ErlangStaffing.Slots(load, time, new WaitObjective(share, patience));
                        double.IsFinite(slots).Should().BeTrue();
                        slots.Should().BeGreaterThanOrEqualTo(Math.Ceiling(load)).And.BeGreaterThanOrEqualTo(1);
                    }
                }
            }
        }

        Slots(0, 0.99, 1).Should().Be(0);
        Slots(-1, 0.99, 1).Should().Be(0);
    }

    [Fact]
    public void It_allocates_nothing()
    {
        Slots(200, 0.99, 0.1);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
        {
            Slots(200, 0.99, 0.1);
            Slots(1e9, 0.99, 0.1);
        }

        GC.GetAllocatedBytesForCurrentThread().Should().Be(before);
    }

    private static double Slots(double load, double share, double patience) =>
        ErlangStaffing.Slots(load, 1000, new WaitObjective(share, TimeSpan.FromSeconds(1000 * patience)));

    /// <summary>C(c, a)·exp(−(c − a)·T ÷ W), Erlang's B recursion from its beginning; patience is T ÷ W in ticks, as the function sees it.</summary>
    private static double Waiting(int slots, double load, double patience)
    {
        var loss = 1.0;
        for (var n = 1; n <= slots; n++)
        {
            loss = load * loss / (n + (load * loss));
        }

        var waiting = slots * loss / (slots - (load * (1 - loss)));
        return waiting * Math.Exp(-(slots - load) * TimeSpan.FromSeconds(1000 * patience).TotalSeconds / 1000);
    }
}
