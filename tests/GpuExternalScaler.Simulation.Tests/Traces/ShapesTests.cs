using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests.Traces;

public class ShapesTests
{
    public static TheoryData<string> Names => [.. Shapes.Known.Select(static shape => shape.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_is_one_message_a_second_and_the_same_each_time(string name)
    {
        var shape = Shapes.Create(name);

        shape.Mean.Should().BeApproximately(1, 1e-9);
        shape.IsMeasured.Should().BeFalse();
        shape.Name.Should().Be(name);
        Shapes.Create(name).PerSecond.Should().Equal(shape.PerSecond);
    }

    [Theory]
    [InlineData("viral", 4, 7)]
    [InlineData("step", 4, 4)]
    [InlineData("flapping", 3, 10)]
    [InlineData("constant", 3, 1)]
    public void How_long_and_how_steep(string name, int hours, double ratio)
    {
        var seconds = Shapes.Create(name).PerSecond;

        seconds.Should().HaveCount(hours * 3600);
        (seconds.Max() / seconds.Min()).Should().BeApproximately(ratio, 1e-6);
    }

    [Fact]
    public void Idle_is_idle()
    {
        var seconds = Shapes.Create("idle-to-busy").PerSecond;

        seconds.Should().HaveCount(4 * 3600);
        seconds.Count(static messages => messages == 0).Should().Be(4 * 1200);
    }

    [Fact]
    public void A_day_has_no_jumps()
    {
        var seconds = Shapes.Create("daily").PerSecond;

        seconds.Should().HaveCount(86_400);
        (seconds.Max() / seconds.Min()).Should().BeInRange(2, 12);
        seconds.Zip(seconds.Skip(1), static (one, next) => Math.Abs(one - next)).Max().Should().BeLessThan(0.1);
    }

    [Fact]
    public void Another_name_is_refused()
    {
        var create = () => Shapes.Create("vrial");

        create.Should().Throw<FormatException>().WithMessage("*viral, step, daily*");
    }
}
