using GpuExternalScaler.Demo;

namespace GpuExternalScaler.Tests.Demo;

public class KedaActivationTests
{
    private readonly KedaActivation _keda = new(TimeSpan.FromSeconds(90));

    [Fact]
    public void Active_wakes_one_replica_and_leaves_more_to_the_hpa()
    {
        Apply(0, active: false, current: 0).Should().Be(0);
        Apply(30, active: true, current: 0).Should().Be(1);
        Apply(60, active: true, current: 7).Should().Be(7);
    }

    [Fact]
    public void Everything_goes_at_once_when_the_cooldown_is_over()
    {
        Apply(0, active: true, current: 5);
        Apply(60, active: false, current: 5).Should().Be(5);
        Apply(90, active: false, current: 5).Should().Be(5, "the cooldown has to be exceeded");
        Apply(91, active: false, current: 5).Should().Be(0);
    }

    [Fact]
    public void Activity_begins_the_cooldown_anew()
    {
        Apply(0, active: true, current: 1);
        Apply(80, active: true, current: 1);
        Apply(120, active: false, current: 1).Should().Be(1);
    }

    private int Apply(double second, bool active, int current) => _keda.Apply(TimeSpan.FromSeconds(second), active, current);
}
