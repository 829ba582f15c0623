using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Tests.Kubernetes;

public class ReplicaArithmeticTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1000)]
    [InlineData(0.0004, 0)]
    [InlineData(0.0006, 1)]
    [InlineData(-0.0006, -1)]
    [InlineData(0.0625, 62)] // exactly between: to the even one
    [InlineData(0.1875, 188)]
    [InlineData(-0.0625, -62)]
    [InlineData(1.0005, 1000)] // in binary a hair below, which is lost when it is multiplied
    [InlineData(1000.0005, 1_000_000)]
    [InlineData(123456.7895, 123_456_789)]
    [InlineData(0.0005, 1)] // a hair above
    [InlineData(2.0015, 2002)]
    [InlineData(1e15, 1_000_000_000_000_000_000)]
    [InlineData(1e16, long.MaxValue)]
    [InlineData(-1e300, long.MinValue)]
    public void Values_are_carried_in_thousandths(double value, long expected) => ReplicaArithmetic.Thousandths(value).Should().Be(expected);

    [Theory]
    [InlineData(1e300, int.MaxValue)]
    [InlineData(-1e300, int.MinValue)]
    [InlineData(1.9, 1)]
    [InlineData(-1.9, -1)]
    public void Replicas_are_carried_in_32_bits(double value, int expected) => ReplicaArithmetic.Whole(value).Should().Be(expected);
}
