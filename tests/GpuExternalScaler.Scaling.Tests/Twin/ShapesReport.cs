using System.Globalization;
using GpuExternalScaler.Scaling.Policy;
using Xunit.Abstractions;

namespace GpuExternalScaler.Scaling.Tests.Twin;

/// <summary>
/// What forecasts cost and bring, by the shape of the load, for whoever changes them. Asserts nothing; runs where <c>TWIN_REPORT</c>
/// is set, to the part of a row's name that is wanted, or to <c>all</c>.
/// </summary>
public class ShapesReport(ITestOutputHelper output)
{
    private static readonly (double ServiceTime, double ColdStart)[] Works = [(2, 60), (2, 180), (8, 180), (60, 180)];

    // Busy replicas by time, between 20 and 50 on average, and for how long.
    private static readonly (string Name, int Seconds, Func<double, double> Busy)[] Shapes =
    [
        ("viral 7x in 15 min", 4 * 3600, static t => 12 * (t < 3600 ? 1 : t < 4500 ? 1 + (6 * (t - 3600) / 900) : t < 8100 ? 7 : Math.Max(1, 7 - (6 * (t - 8100) / 3600)))),
        ("step 4x", 4 * 3600, static t => t % 4800 is > 2400 and < 3600 ? 60 : 15),
        ("daily sine", 24 * 3600, static t => 35 - (25 * Math.Cos(2 * Math.PI * t / 86_400))),
        ("flapping 5 min", 3 * 3600, static t => t % 600 < 300 ? 60 : 6),
        ("constant", 3 * 3600, static _ => 35),
    ];

    [Fact]
    public void Print()
    {
        if (Environment.GetEnvironmentVariable("TWIN_REPORT") is not { Length: > 0 } wanted)
        {
            return;
        }

        output.WriteLine($"{"shape",-20} {"W",3} {"L",4} {"forecast",-9} {"÷ work",7} {"over 10 s",10} {"churn",7} {"busy",5} {"peak",5}");
        foreach (var (name, seconds, busy) in Shapes)
        {
            foreach (var (serviceTime, coldStart) in Works)
            {
                foreach (var mode in (ForecastMode[])[ForecastMode.Off, ForecastMode.Auto])
                {
                    if (wanted == "all" || $"{name} W={serviceTime} L={coldStart} {mode}".Contains(wanted, StringComparison.OrdinalIgnoreCase))
                    {
                        Row(name, Of(seconds, busy, serviceTime, coldStart, mode));
                    }
                }
            }
        }
    }

    private void Row(string name, TwinScenario scenario)
    {
        var log = TwinRun.Of(scenario);
        var policy = scenario.Policy;
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-20} {scenario.ServiceTime,3} {policy.ColdStart.TotalSeconds,4} {policy.Forecast,-9} {log.ReplicaSecondsPerWork,7:F2} {log.LateShare,10:P2} {log.Churn,7} {log.Fleet.WorkDone / scenario.Seconds,5:F0} {log.Seconds.Max(static second => second.Wanted),5}"));
    }

    private static TwinScenario Of(int seconds, Func<double, double> busy, double serviceTime, double coldStart, ForecastMode mode) => new()
    {
        Policy = ScalingPolicy.Default with { ColdStart = TimeSpan.FromSeconds(coldStart), Forecast = mode },
        Seconds = seconds,
        ArrivalsPerSecond = t => busy(t) / serviceTime,
        ServiceTime = serviceTime,
        PodStart = coldStart - 15,
        WorkersDrain = true,
    };
}
