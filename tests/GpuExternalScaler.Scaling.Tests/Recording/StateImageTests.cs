using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Recording;

namespace GpuExternalScaler.Scaling.Tests.Recording;

public sealed class StateImageTests
{
    private static readonly Config Quick = Config.QuickThrowOnFailure.WithMaxTest(100);
    private static readonly Arbitrary<int> Seeds = Arb.From(Gen.Choose(0, int.MaxValue - 10));

    [Fact]
    public void A_state_that_was_read_back_decides_as_the_one_it_is_an_image_of() => Prop.ForAll(Seeds, seed =>
    {
        // At every step a copy made of bytes goes on beside the one it was made of.
        WorkloadState? copy = null;
        var steps = 0;
        RecordedRun.Walk(seed, 80, (WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
        {
            copy = copy is null || steps++ % 7 == 0 ? StateImage.Read<WorkloadState>(StateImage.Write(state)) : copy;
            var decision = DecisionFold.Step(state, snapshot, policy, now);
            DecisionFold.Step(copy, snapshot, policy, now).Should().Be(decision);
            StateImage.Write(copy).Should().Equal(StateImage.Write(state));
            return decision;
        });
    }).Check(Quick);

    [Fact]
    public void A_clone_is_equal_and_shares_nothing_that_changes() => Prop.ForAll(Seeds, seed => RecordedRun.Walk(
        seed, 60, static (WorkloadState state, in WorkloadSnapshot snapshot, ScalingPolicy policy, DateTimeOffset now) =>
        {
            var clone = state.Clone();
            var image = StateImage.Write(state);
            StateImage.Write(clone).Should().Equal(image);
            References(clone).Intersect(References(state), ReferenceEqualityComparer.Instance).Should().BeEmpty();

            var decision = DecisionFold.Step(state, snapshot, policy, now);
            StateImage.Write(clone).Should().Equal(image, "a step changes its own state alone");
            return decision;
        })).Check(Config.QuickThrowOnFailure.WithMaxTest(20));

    [Fact]
    public void Texts_are_left_out()
    {
        var policy = ScalingPolicy.Default with { LatencyQuery = "sum(s3cret)", Query = null, Concurrency = 7 };

        var image = StateImage.Write(policy);

        System.Text.Encoding.UTF8.GetString(image).Should().NotContain("s3cret");
        StateImage.Read<ScalingPolicy>(image).Should().Be(policy with { LatencyQuery = "(not recorded)" });
    }

    [Fact]
    public void Members_that_came_or_went_are_as_in_a_new_one_or_skipped()
    {
        var before = new Before
        {
            Kept = 3,
            Gone = 4.5,
            Colour = OldColours.Red,
            Inner = new(1, 2),
            Ring = [new(5, 6), new(7, 8)],
            Lost = [[1, 2], null],
            Texts = 9,
        };

        var after = StateImage.Read<After>(StateImage.Write(before));

        after.Kept.Should().Be(3);
        after.Colour.Should().Be(NewColours.Red, "members of an enumeration go by name");
        after.Inner.Should().Be(new NewInner(0, 2));
        after.Ring.Should().Equal(new NewInner(0, 6), new NewInner(0, 8));
        after.Fresh.Should().Be(17, "what was not there is as in a new one");
        after.FreshRing.Should().Equal(1.5);
        after.Texts.Should().Be("same name, another kind");
    }

    [Fact]
    public void Everything_a_state_may_be_made_of_comes_back()
    {
        var all = new Everything();
        all.Fill();

        var back = StateImage.Read<Everything>(StateImage.Write(all));

        StateImage.Write(back).Should().Equal(StateImage.Write(all));
        back.Eight[7].Should().Be(0.5f);
        back.Jagged.Should().BeEquivalentTo(all.Jagged);
        back.Should().Match<Everything>(b => b.At == all.At && b.Since == all.Since && b.Span == all.Span && b.Large == all.Large && b.Small == -128 && b.Reason == all.Reason);
        back.Listed.Should().Equal(all.Listed);
    }

    [Theory]
    [InlineData(typeof(HasDictionary))]
    [InlineData(typeof(HasObject))]
    [InlineData(typeof(HasOpenClass))]
    [InlineData(typeof(HasDecimal))]
    public void What_cannot_be_recorded_is_said_and_not_left_out(Type type)
    {
        var write = () => typeof(StateImage).GetMethod(nameof(StateImage.Write))!.MakeGenericMethod(type).Invoke(null, [Activator.CreateInstance(type)]);

        write.Should().Throw<TargetInvocationException>().WithInnerException<NotSupportedException>();
    }

    [Fact]
    public void An_image_that_is_none_is_an_error_of_its_own()
    {
        var image = StateImage.Write(new WorkloadState());
        for (var length = 0; length < image.Length; length++)
        {
            var read = () => StateImage.Read<WorkloadState>(image.AsMemory(0, length));
            read.Should().Throw<InvalidDataException>();
        }
    }

    // Whatever a walk over the fields finds that is an object: classes and arrays.
    private static HashSet<object> References(object root)
    {
        var found = new HashSet<object>(ReferenceEqualityComparer.Instance);
        Visit(root);
        return found;

        void Visit(object? value)
        {
            if (value is null or string || value.GetType().IsPrimitive || value.GetType().IsEnum || (value is Array { Length: 0 }))
            {
                return;
            }

            if (!value.GetType().IsValueType && !found.Add(value))
            {
                return;
            }

            if (value is IEnumerable elements and Array)
            {
                foreach (var element in elements)
                {
                    Visit(element);
                }

                return;
            }

            foreach (var field in value.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
            {
                Visit(field.GetValue(value));
            }
        }
    }

    internal enum OldColours : byte
    {
        Green,
        Red,
    }

    internal enum NewColours : byte
    {
        Green,
        Blue,
        Red,
    }

    internal readonly record struct OldInner(int Gone, int Right);

    internal readonly record struct NewInner(int Left, int Right)
    {
        public int More { get; init; }
    }

    internal sealed class Before
    {
        public int Kept { get; set; }

        public double Gone { get; set; }

        public OldColours Colour { get; set; }

        public OldInner Inner { get; set; }

        public OldInner[] Ring { get; set; } = [];

        public int[]?[] Lost { get; set; } = [];

        public int Texts { get; set; }
    }

    internal sealed class After
    {
        public NewInner[] Ring { get; set; } = [];

        public int Fresh { get; set; } = 17;

        public double[] FreshRing { get; set; } = [1.5];

        public NewColours Colour { get; set; }

        public NewInner Inner { get; set; }

        public int Kept { get; set; }

        public string Texts { get; set; } = "same name, another kind";
    }

    [InlineArray(8)]
    internal struct EightFloats
    {
        private float _first;
    }

    internal sealed class Everything
    {
        private readonly (long Ticks, double Value)?[] _pairs = new (long, double)?[3];
        private readonly Everything?[] _others = new Everything?[2];

        public EightFloats Eight;

        public DateTimeOffset At { get; private set; }

        public DateTimeOffset? Since { get; private set; }

        public TimeSpan? Span { get; private set; }

        public double Real { get; private set; }

        public ulong Large { get; private set; }

        public sbyte Small { get; private set; }

        public bool Flag { get; private set; }

        public short[][] Jagged { get; private set; } = [];

        public List<double> Listed { get; private set; } = [];

        public DecisionReason? Reason { get; private set; }

        public void Fill()
        {
            _pairs[1] = (long.MinValue, double.NaN);
            _others[1] = new Everything { Real = 1e-300 };
            Eight[7] = 0.5f;
            (At, Since, Span) = (DateTimeOffset.MaxValue.ToUniversalTime(), DateTimeOffset.MinValue, TimeSpan.MinValue);
            (Real, Large, Small, Flag) = (double.NegativeInfinity, ulong.MaxValue, -128, true);
            (Jagged, Listed, Reason) = ([[1, -2], []], [1, 2.5], DecisionReason.Holding);
        }
    }

    internal sealed class HasDictionary
    {
        public Dictionary<string, int> Values { get; } = [];
    }

    internal sealed class HasObject
    {
        public object Value { get; } = 3;
    }

    internal class Open;

    internal sealed class MoreOpen : Open;

    internal sealed class HasOpenClass
    {
        public Open Value { get; } = new MoreOpen();
    }

    internal sealed class HasDecimal
    {
        public decimal Value { get; } = 3;
    }
}
