using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Tests.Kubernetes;

public class KedaActivationTests
{
    /// <summary>
    /// Polls: when, what the scaler said (<c>+</c> active, <c>-</c> not, <c>?</c> undecided, <c>!</c> pushed), replicas before and after.
    /// </summary>
    [Theory]
    [InlineData("0-0>0 30+0>1 60+7>7", 1, 0, "it wakes one replica and leaves more to the HPA")]
    [InlineData("0+5>5 60-5>5 90-5>5 91-5>0", 1, 0, "the cooldown has to be exceeded, and everything goes at once")]
    [InlineData("0+1>1 80+1>1 120-1>1 171-1>0", 1, 0, "activity begins it anew")]
    [InlineData("0-5>0", 1, 0, "what was never active needs no cooldown")]
    [InlineData("0+5>5 100?5>5 130-5>0", 1, 0, "undecided changes nothing, and does not stop the cooldown either")]
    [InlineData("0?0>0 30?5>5 600?5>5", 1, 0, "undecided from the beginning")]
    [InlineData("0+0>1 100!1>1 130-1>1 191-1>0", 1, 0, "a push is activity")]
    [InlineData("10!0>1 15!1>1", 1, 0, "and wakes")]
    [InlineData("0+0>3 30+2>2 60+5>5", 3, null, "it wakes the minimum; some, but fewer, are the HPA's business")]
    [InlineData("0-0>3 30-2>3 600-5>5", 3, null, "without idle replicas never below the minimum, and at once")]
    [InlineData("0?0>0", 3, null, "except undecided")]
    [InlineData("0+0>3 30+1>3 60-3>3 121-3>0 151-0>0", 3, 0, "a minimum while active, zero when idle")]
    [InlineData("0+1>3 30-8>8 91-8>1 121-1>1 151-0>0 181+1>3", 3, 1, "idle replicas, not reached from below")]
    public void Replicas_after_polls(string polls, int minimum, int? idle, string why)
    {
        var keda = new KedaActivation(new ScaledObjectSpec { IdleReplicas = idle, CooldownSeconds = 90, Autoscaler = new AutoscalerSpec { MinReplicas = minimum } });
        foreach (var poll in polls.Split(' '))
        {
            var said = poll.IndexOfAny(['+', '-', '?', '!']);
            var (now, replicas) = (TimeSpan.FromSeconds(int.Parse(poll[..said])), poll[(said + 1)..].Split('>'));
            var current = int.Parse(replicas[0]);
            bool? active = poll[said] == '?' ? null : poll[said] == '+';
            var wanted = poll[said] == '!' ? keda.Push(now, current) : keda.Poll(now, active, current);
            wanted.Should().Be(int.Parse(replicas[1]), "of {0}: {1}", poll, why);
        }
    }

    [Fact]
    public void The_first_poll_is_at_once_and_a_push_is_none()
    {
        var keda = new KedaActivation(new ScaledObjectSpec { PollingSeconds = 20 });
        keda.NextPollAt.Should().Be(TimeSpan.Zero);
        keda.Push(TimeSpan.Zero, 0);
        keda.NextPollAt.Should().Be(TimeSpan.Zero);
        keda.Poll(TimeSpan.Zero, active: false, 0);
        keda.NextPollAt.Should().Be(TimeSpan.FromSeconds(20));
        keda.Poll(TimeSpan.FromSeconds(21), active: null, 0);
        keda.NextPollAt.Should().Be(TimeSpan.FromSeconds(41), "from the poll, not from when it was due");

        new KedaActivation(new ScaledObjectSpec(), TimeSpan.FromSeconds(30)).NextPollAt.Should().Be(TimeSpan.FromSeconds(30));
    }
}
