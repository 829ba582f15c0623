using System.Globalization;
using GpuExternalScaler.Scaling.Deciding;

namespace GpuExternalScaler.Demo;

/// <summary>One line of the demo's table.</summary>
internal sealed record DemoRow
{
    /// <summary>Simulated time since the beginning.</summary>
    public required TimeSpan At { get; init; }

    /// <summary>The workload's phase.</summary>
    public required DemoPhase Phase { get; init; }

    /// <summary>The decision in force, with what it rests on; null before the first.</summary>
    public required ScalingDecision? Decision { get; init; }

    /// <summary>What KEDA was told last, or null before it asked.</summary>
    public required KedaAnswer? Answer { get; init; }

    /// <summary>The value one replica is worth.</summary>
    public required double Target { get; init; }

    /// <summary>Pods wanted.</summary>
    public required int Wanted { get; init; }

    /// <summary>Pods that consume.</summary>
    public required int Serving { get; init; }

    /// <summary>Replicas the answer asks for, before the HPA's tolerance and limits; null without an answer.</summary>
    public int? AnswerReplicas => Answer?.Value is { } value ? (int)Math.Ceiling(value / Target) : null;

    /// <summary>The cells, in the order of <see cref="Columns"/>.</summary>
    public IReadOnlyList<string> Cells =>
    [
        Time(At),
        Phase.ToString().ToLowerInvariant(),
        Figure(static decision => decision.Ready),
        Figure(static decision => decision.Unacked),
        Figure(static decision => decision.Consumers),
        Decision is { IsDecided: true, Consumers: > 0 } decided ? decided.Saturation.ToString("0%", CultureInfo.InvariantCulture) : "-",
        Answer?.Value?.ToString("0.##", CultureInfo.InvariantCulture) ?? "-",
        AnswerReplicas?.ToString(CultureInfo.InvariantCulture) ?? "-",
        Wanted.ToString(CultureInfo.InvariantCulture),
        Serving.ToString(CultureInfo.InvariantCulture),
        Answer?.Error ?? Decision?.Reason.Code() ?? "-",
    ];

    /// <summary>
    /// Names, names for a narrow terminal (without one the column is left out there), and widths; the last column takes
    /// what is left.
    /// </summary>
    public static IReadOnlyList<(string Name, string? Narrow, int Width)> Columns { get; } =
    [
        ("time", "time", 5),
        ("phase", null, 6),
        ("ready", "ready", 5),
        ("unacked", "un-\nacked", 7),
        ("consumers", "con-\nsumers", 9),
        ("saturation", "satu-\nration", 10),
        ("answer", "answer", 6),
        ("needs", "needs", 5),
        ("wanted", "wanted", 6),
        ("serving", "serving", 7),
        ("reason", "reason", 0),
    ];

    /// <summary>Minutes and seconds.</summary>
    public static string Time(TimeSpan at) => string.Create(CultureInfo.InvariantCulture, $"{(int)at.TotalMinutes:00}:{at.Seconds:00}");

    private string Figure(Func<ScalingDecision, long> figure) =>
        Decision is { IsDecided: true } decision ? figure(decision).ToString(CultureInfo.InvariantCulture) : "-";
}
