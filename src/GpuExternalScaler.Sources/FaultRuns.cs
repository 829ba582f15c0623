namespace GpuExternalScaler.Sources;

/// <summary>Joins the faults of one sweep to those of the sweep before.</summary>
internal static class FaultRuns
{
    /// <summary>Faults reported of one sweep; more of the same kind would only fill the log.</summary>
    public const int Most = 5;

    /// <summary>The newest faults, each as old as the run of failures of its endpoint.</summary>
    public static List<SourceFault> Continue(IReadOnlyList<SourceFault> before, IEnumerable<SourceFault> newest) =>
        [.. newest.Select(fault => Continue(before.FirstOrDefault(earlier => earlier.Endpoint == fault.Endpoint), fault))];

    /// <summary>The same for a single one.</summary>
    public static SourceFault Continue(SourceFault? before, SourceFault newest) => before is null ? newest : newest with { Since = before.Since };
}
