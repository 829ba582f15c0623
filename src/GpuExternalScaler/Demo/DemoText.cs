using System.Globalization;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Demo;

/// <summary>What the demo says before and after the table.</summary>
internal static class DemoText
{
    /// <summary>What is played, and with which settings.</summary>
    public static IReadOnlyList<string> Introduction(DemoSettings settings) =>
    [
        Line($"GPU External Scaler demo: {DemoRow.Time(settings.Duration)} simulated at {settings.Speed:0.##}x, about {settings.Duration.TotalSeconds / settings.Speed:0} s. Everything runs in this process, on 127.0.0.1."),
        Line($"  workload  queue {settings.Queue}: {settings.SteadyArrivalsPerSecond:0.##} messages/s, {settings.SpikeFactor:0.##}x that in the spike, {settings.ServiceTime.TotalSeconds:0.##} s of work each; prefetch 1"),
        Line($"  pods      one GPU each, {settings.ColdStart.TotalSeconds:0} s from asking to the first message (+/- {settings.Spread:0%}); from 0 to {settings.Hpa.MaxReplicas}"),
        Line($"  KEDA      pollingInterval {settings.ScaledObject.PollingSeconds} s, cooldownPeriod {settings.ScaledObject.CooldownSeconds} s (default 300 s), external-push"),
        Line($"  HPA       sync {settings.Hpa.SyncSeconds} s, tolerance {settings.Hpa.Tolerance:0.##}, up by max({Growth(settings.Hpa.ScaleUp)}), scale-down stabilisation {settings.Hpa.ScaleDown.StabilizationWindowSeconds} s (default 300 s)"),
        Line($"  columns   ready to saturation: as the server read them; answer, needs: value told to KEDA, in replicas; wanted, serving: pods"),
    ];

    /// <summary>What it came to.</summary>
    public static IReadOnlyList<string> Summary(DemoSummary summary, int asked, int unanswered, bool stopped) =>
    [
        Line($"{(stopped ? "Stopped" : "Done")} at {DemoRow.Time(summary.At)}"),
        Line($"  messages served       {summary.Served} of {summary.Published} published"),
        Line($"  waited over {summary.Patience.TotalSeconds:0} s      {summary.LateShare * 100:0.0} %"),
        Line($"  wait                  {summary.MedianWait.TotalSeconds:0.0} s (P50), {summary.NinetyNinthWait.TotalSeconds:0.0} s (P99)"),
        Line($"  peak replicas         {summary.PeakReplicas}"),
        Line($"  replica-hours         {summary.ReplicaTime.TotalHours:0.00}, of which {summary.WorkTime.TotalHours:0.00} were work"),
        Line($"  polls and syncs       {asked} over gRPC, {unanswered} of them without an answer"),
    ];

    private static string Growth(ScalingRules rules) =>
        string.Join(", ", rules.Policies.Select(static policy => Line($"+{policy.Value}{(policy.Type == PolicyType.Percent ? " %" : "")} per {policy.PeriodSeconds} s")));

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
