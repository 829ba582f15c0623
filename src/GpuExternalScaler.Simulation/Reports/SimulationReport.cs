namespace GpuExternalScaler.Simulation.Reports;

/// <summary>What a policy is called, and what came of it.</summary>
public sealed record PolicyOutcome
{
    /// <summary>Its name, such as <c>keda-queue-length</c>.</summary>
    public required string Policy { get; init; }

    /// <summary>What it was told, in the order in which it was.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Settings { get; init; } = [];

    /// <summary>What came of it. The page and the table of seconds need <see cref="SimulationResult.Seconds"/>.</summary>
    public required SimulationResult Result { get; init; }

    /// <summary>Name and settings, as people write them.</summary>
    public string Label => Settings.Count == 0 ? Policy : $"{Policy}:{string.Join(',', Settings.Select(static setting => $"{setting.Key}={setting.Value}"))}";
}

/// <summary>One setup, and what came of it under several policies.</summary>
/// <param name="Setup">What was simulated.</param>
/// <param name="Outcomes">The policies, in the order in which they were given.</param>
public sealed record SimulationReport(SimulationSetup Setup, IReadOnlyList<PolicyOutcome> Outcomes);
