namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>What may be sent of PromQL that users write. Whether it is PromQL the server says.</summary>
public static class SuppliedQuery
{
    /// <summary>Longest text, in characters.</summary>
    public const int LongestText = PrometheusQuery.LongestSupplied;

    /// <summary>Whether a text may be sent: not blank, not too long, and without invisible characters.</summary>
    public static bool IsAllowed(string text) => PrometheusQuery.TrySupply(text, out _) == QueryTextProblem.None;
}
