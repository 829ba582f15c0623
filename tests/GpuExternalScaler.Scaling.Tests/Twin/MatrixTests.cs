using GpuExternalScaler.Scaling.Policy;
using Xunit.Abstractions;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>
/// Every kind of work, every way to hand it out, every mishap. A fleet of 8 busy replicas wakes from zero, is hit by three times the load
/// together with the mishap, goes back, and falls asleep.
/// </summary>
public class MatrixTests(ITestOutputHelper output)
{
    private const double ColdStart = 60;

    public static TheoryData<double, int, string> Cells()
    {
        var cells = new TheoryData<double, int, string>();
        foreach (var serviceTime in (double[])[2, 60, 600])
        {
            foreach (var prefetch in (int[])[1, 10])
            {
                foreach (var mishap in (string[])["maximum", "no-gpus", "outage", "retry-loop"])
                {
                    cells.Add(serviceTime, prefetch, mishap);
                }
            }
        }

        return cells;
    }

    [Theory]
    [MemberData(nameof(Cells))]
    public void The_answer_stays_near_what_is_needed_above_busy_work_and_awake(double serviceTime, int prefetch, string mishap)
    {
        var log = TwinRun.Of(Cell(serviceTime, prefetch, mishap));
        var excess = TwinJudge.LongestExcess(log);
        var below = TwinJudge.BelowBusyWork(log);
        var asleep = TwinJudge.Deactivations(log);
        output.WriteLine($"longest above twice what is needed {excess.Seconds} s until {excess.Until} (at worst {excess.Worst:F1} times); below busy work {below.Seconds} s first {below.First}");
        output.WriteLine($"fell asleep {asleep.Seen}, with messages {asleep.WithMessages}; replica time ÷ work {log.ReplicaSecondsPerWork:F2}; late {log.LateShare:P1}; churn {log.Churn}; lost {log.Fleet.WorkLost:F0} s");
        output.WriteLine(TwinJudge.Reasons(log));

        excess.Seconds.Should().BeLessThanOrEqualTo((int)(3 * ColdStart), "of the answer at {0}", excess.Until);
        below.Seconds.Should().Be(0, "at {0}", below.First);

        // Work never ceases before the end, so it falls asleep once and then for good.
        asleep.WithMessages.Should().Be(0);
        asleep.Seen.Should().Be(1);
        log.Seconds[^1].IsActive.Should().BeFalse();
    }

    internal static TwinScenario Cell(double serviceTime, int prefetch, string mishap)
    {
        // Long work takes as long again to make itself known, and to be gone.
        var high = 2400 + (4 * serviceTime);
        var low = high + 2400 + (2 * serviceTime);
        var end = low + 1800 + (2 * serviceTime);
        var scenario = new TwinScenario
        {
            Policy = ScalingPolicy.Default with { ColdStart = TimeSpan.FromSeconds(ColdStart) },
            Seconds = (int)(end + 1800 + (4 * serviceTime)),
            ArrivalsPerSecond = t => t >= end ? 0 : (t >= high && t < low ? 24 : 8) / serviceTime,
            ServiceTime = serviceTime,
            Prefetch = prefetch,
            PodStart = ColdStart - 15,
        };
        return mishap switch
        {
            "maximum" => scenario with { Maximum = 16 },
            "no-gpus" => scenario with { WithoutGpus = new Span(high, high + 1200) },
            "outage" => scenario with { Outage = new Span(high + 600, high + 1200) },
            "retry-loop" => scenario with { Rejecting = new Span(high, high + 600) },
            _ => throw new ArgumentOutOfRangeException(nameof(mishap)),
        };
    }
}
