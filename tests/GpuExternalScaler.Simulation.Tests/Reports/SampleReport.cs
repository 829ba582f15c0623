using GpuExternalScaler.Simulation.Reports;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Tests.Reports;

/// <summary>Reports of made-up runs.</summary>
internal static class SampleReport
{
    public static SimulationReport Of(int policies, int seconds, string name = "viral", string setting = "1") => new(
        new SimulationSetup { Trace = new ArrivalTrace(name, [.. Enumerable.Repeat(10.0, seconds)], isMeasured: false), ServiceTime = 2, ColdStart = 60 },
        [.. Enumerable.Range(0, policies).Select(policy => new PolicyOutcome
        {
            Policy = policy == 0 ? "ahead" : "keda-queue-length",
            Settings = policy == 0 ? [] : [KeyValuePair.Create("value", setting + policy)],
            Result = Result(policy, seconds),
        })]);

    private static SimulationResult Result(int policy, int seconds) => new()
    {
        Messages = 10L * seconds,
        Late = 0.01 * policy,
        WaitP50 = 0.2,
        WaitP99 = 3 + policy,
        ReplicaHours = 100 - policy,
        ReplicaHoursPerWork = policy == 3 ? double.NaN : 1.5,
        Churn = 12,
        KilledWorkSeconds = 0,
        Seconds = [.. Enumerable.Range(0, seconds).Select(second => new SimulatedSecond(10 + (second % 3), 20, second == 5 ? float.NaN : 25.25f, 26 + (second / 60 % 5), 25, 20 + (second % 4), second % 7 * policy))],
        Waits = [.. Enumerable.Range(0, 120).Select(wait => (long)(10_000 / Math.Pow(1 + wait, 2)))],
    };
}
