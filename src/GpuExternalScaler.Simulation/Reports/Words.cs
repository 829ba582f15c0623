using System.Globalization;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Reports;

/// <summary>Figures and setups as people read them.</summary>
public static class Words
{
    // A number and its unit stay on one line.
    private const string Of = "\u00A0";

    /// <summary>A share: <c>0 %</c>, <c>0.004 %</c>, <c>1.3 %</c>, <c>27 %</c>.</summary>
    public static string Percent(double share)
    {
        var percent = 100 * share;
        return !double.IsFinite(percent) ? "–"
            : percent == 0 ? $"0{Of}%"
            : percent < 0.001 ? $"<0.001{Of}%"
            : $"{Figure(percent, percent < 0.01 ? 3 : percent < 0.1 ? 2 : percent < 10 ? 1 : 0)}{Of}%";
    }

    /// <summary>A wait: <c>0 s</c>, <c>0.4 s</c>, <c>12 s</c>, <c>4 min 10 s</c>, <c>2 h 5 min</c>.</summary>
    public static string Wait(double seconds) =>
        !double.IsFinite(seconds) ? "–"
        : seconds < 0.05 ? $"0{Of}s"
        : seconds < 9.95 ? $"{Figure(seconds, 1)}{Of}s"
        : seconds < 119.5 ? $"{Figure(seconds, 0)}{Of}s"
        : Length(Math.Round(seconds));

    /// <summary>A length of time in its two largest units: <c>90 s</c>, <c>3 min</c>, <c>1 h 30 min</c>, <c>3 d 4 h</c>.</summary>
    public static string Length(double seconds)
    {
        (double Size, string Name)[] units = [(86_400, "d"), (3600, "h"), (60, "min")];
        for (var i = 0; i < units.Length; i++)
        {
            // 90 s reads better than 1 min 30 s; 24 h better than 1 d.
            if (seconds < 2 * units[i].Size && !(i > 0 && seconds >= units[i].Size && seconds % units[i].Size == 0))
            {
                continue;
            }

            var smaller = i + 1 < units.Length ? units[i + 1] : (Size: 1, Name: "s");
            var whole = Math.Floor(seconds / units[i].Size);
            var rest = Math.Floor((seconds - (whole * units[i].Size)) / smaller.Size);
            return $"{Figure(whole, 0)}{Of}{units[i].Name}" + (rest > 0 ? $"{Of}{Figure(rest, 0)}{Of}{smaller.Name}" : "");
        }

        return $"{Figure(seconds, 3)}{Of}s";
    }

    /// <summary>A moment of a trace: <c>0:05</c>, <c>13:40</c>, and the day before it in long ones.</summary>
    public static string Moment(double seconds, bool hasDays, bool hasSeconds = false)
    {
        var time = TimeSpan.FromSeconds(Math.Round(seconds));
        var clock = string.Create(CultureInfo.InvariantCulture, $"{(hasDays ? time.Hours : (int)time.TotalHours)}:{time.Minutes:00}") + (hasSeconds ? string.Create(CultureInfo.InvariantCulture, $":{time.Seconds:00}") : "");
        return hasDays ? string.Create(CultureInfo.InvariantCulture, $"day {time.Days + 1}, {clock}") : clock;
    }

    /// <summary>A number with thousands set apart, and no more decimals than it needs.</summary>
    public static string Figure(double value, int decimals)
    {
        if (!double.IsFinite(value))
        {
            return "–";
        }

        var text = Math.Round(value, decimals).ToString(decimals == 0 ? "#,0" : "#,0." + new string('#', decimals), CultureInfo.InvariantCulture);

        // A narrow space, as neither a comma nor a point means the same everywhere.
        return text.Replace(',', '\u202F');
    }

    /// <summary>Replica-hours: a decimal where there are few.</summary>
    public static string Hours(double hours) => hours < 99.95 ? hours.ToString("0.0", CultureInfo.InvariantCulture) : Figure(hours, 0);

    /// <summary>Hours divided by those of the work: <c>1.31 ×</c>.</summary>
    public static string Times(double factor) => double.IsFinite(factor) ? factor.ToString("0.00", CultureInfo.InvariantCulture) + Of + "×" : "–";

    /// <summary>What is simulated, in sentences.</summary>
    public static IReadOnlyList<string> Describe(SimulationSetup setup)
    {
        ArgumentNullException.ThrowIfNull(setup);
        var trace = setup.Trace;
        var messages = trace.Mean * trace.PerSecond.Count;
        var (scaled, hpa) = (setup.ScaledObject, setup.ScaledObject.Autoscaler);
        var spread = setup.ColdStartSpread > 0 ? $", give or take {Figure(100 * setup.ColdStartSpread, 0)}{Of}%" : "";
        return
        [
            $"{Length(trace.PerSecond.Count)} of arrivals: {Figure(messages, 0)} messages, {Figure(trace.Mean, trace.Mean < 10 ? 2 : 1)} a second on average"
                + (trace.IsMeasured ? ", as they were counted." : ", with chance drawn around them."),
            $"A message is {Length(setup.ServiceTime)} of work, so {Busy(trace.Mean * setup.ServiceTime)} on average. It is late when it waits for more than {Length(setup.LateAfter)}.",
            $"A new replica needs {Length(setup.ColdStart)}{spread}, from its creation to its first message. "
                + (setup.WorkersDrain ? "One that is taken away finishes what it works on." : "One that is taken away loses what it works on, and that is done again."),
            $"{Figure(hpa.MinReplicas, 0)} to {Figure(hpa.MaxReplicas, 0)} replicas" + (scaled.IdleReplicas is { } idle ? $", {Figure(idle, 0)} when nothing was to be done for {Length(scaled.CooldownSeconds)}" : "")
                + $". Shrinking is stabilised over {Length(hpa.ScaleDown.StabilizationWindowSeconds)}{(AtOnce(hpa.ScaleDown) ? "" : Limits(" and limited to ", hpa.ScaleDown))}; growing"
                + (hpa.ScaleUp.StabilizationWindowSeconds > 0 ? $" is stabilised over {Length(hpa.ScaleUp.StabilizationWindowSeconds)}{Limits(" and limited to ", hpa.ScaleUp)}" : $" is {Limits("limited to ", hpa.ScaleUp, "not limited")}")
                + $". The tolerance is {Figure(hpa.Tolerance, 3)}.",
        ];
    }

    private static string Busy(double replicas) => $"{Figure(replicas, replicas < 10 ? 1 : 0)} replicas are busy";

    // All of them in one period is no limit that anybody feels.
    private static bool AtOnce(ScalingRules rules) =>
        rules.Select == PolicySelect.Max && rules.Policies.Any(static limit => limit is { Type: PolicyType.Percent, Value: >= 100, PeriodSeconds: <= 15 });

    private static string Limits(string before, ScalingRules rules, string otherwise = "")
    {
        if (rules.Select == PolicySelect.Disabled)
        {
            return before + "nothing";
        }

        var limits = rules.Policies.Select(static limit => $"{Figure(limit.Value, 0)}{(limit.Type == PolicyType.Percent ? Of + "%" : limit.Value == 1 ? " pod" : " pods")} in {Length(limit.PeriodSeconds)}").ToArray();
        return limits.Length == 0 ? otherwise
            : before + string.Join(" or ", limits) + (limits.Length == 1 ? "" : rules.Select == PolicySelect.Max ? ", whichever is more" : ", whichever is less");
    }
}
