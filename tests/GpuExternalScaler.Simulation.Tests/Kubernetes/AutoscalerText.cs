using System.Globalization;
using GpuExternalScaler.Simulation.Kubernetes;

namespace GpuExternalScaler.Simulation.Tests.Kubernetes;

/// <summary>Reads what the rows of a table say, so that a row is a line.</summary>
internal static class AutoscalerText
{
    /// <summary>
    /// Metrics with spaces between: <c>1500/100</c> is a value and a target for each replica, <c>v15/10</c> a value and a target for all,
    /// <c>?/100</c> one that cannot be had.
    /// </summary>
    public static ExternalMetric[] Metrics(string text) => [.. Words(text).Select(static word =>
    {
        var isValue = word.StartsWith('v');
        var parts = word[(isValue ? 1 : 0)..].Split('/');
        return new ExternalMetric(isValue ? TargetType.Value : TargetType.AverageValue, parts[0] == "?" ? null : Number(parts[0]), Number(parts[1]));
    })];

    /// <summary>
    /// What differs from the defaults: <c>min:2 max:40 up:4pods/15s,100%/60s up-select:min up-window:60 up-tolerance:0.05</c>, the same with
    /// <c>down</c>, <c>tolerance:0.2</c>, <c>no-behavior</c>.
    /// </summary>
    public static AutoscalerSpec Spec(string text)
    {
        var spec = new AutoscalerSpec();
        foreach (var word in Words(text))
        {
            var parts = word.Split(':');
            spec = parts[0] switch
            {
                "min" => spec with { MinReplicas = Whole(parts[1]) },
                "max" => spec with { MaxReplicas = Whole(parts[1]) },
                "tolerance" => spec with { Tolerance = Number(parts[1]) },
                "no-behavior" => spec with { HasBehavior = false },
                ['u', 'p', .. var key] => spec with { ScaleUp = Rules(spec.ScaleUp, key, parts[1]) },
                ['d', 'o', 'w', 'n', .. var key] => spec with { ScaleDown = Rules(spec.ScaleDown, key, parts[1]) },
                _ => throw new ArgumentException(word, nameof(text)),
            };
        }

        return spec;
    }

    /// <summary>Earlier syncs: <c>0s 10&lt;-1500/100; 15s 15&lt;-?/100</c>, when, with how many replicas, what the metrics were.</summary>
    public static IEnumerable<(TimeSpan At, int Current, ExternalMetric[] Metrics)> History(string text) =>
        text.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(static sync =>
        {
            var parts = sync.Split("<-");
            var head = Words(parts[0]);
            return (TimeSpan.FromSeconds(Number(head[0].TrimEnd('s'))), Whole(head[1]), Metrics(parts[1]));
        });

    private static ScalingRules Rules(ScalingRules rules, string key, string value) => key switch
    {
        "" => rules with { Policies = [.. value.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Policy)] },
        "-window" => rules with { StabilizationWindowSeconds = Whole(value) },
        "-select" => rules with { Select = Enum.Parse<PolicySelect>(value, ignoreCase: true) },
        "-tolerance" => rules with { Tolerance = Number(value) },
        _ => throw new ArgumentException(key, nameof(key)),
    };

    private static ScalingLimit Policy(string text)
    {
        var parts = text.Split('/');
        var type = parts[0].EndsWith('%') ? PolicyType.Percent : PolicyType.Pods;
        return new ScalingLimit(type, Whole(parts[0].Replace("%", "", StringComparison.Ordinal).Replace("pods", "", StringComparison.Ordinal)), Whole(parts[1].TrimEnd('s')));
    }

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    private static int Whole(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
