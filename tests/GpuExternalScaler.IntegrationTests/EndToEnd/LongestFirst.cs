using Xunit.Abstractions;

[assembly: TestCollectionOrderer("GpuExternalScaler.IntegrationTests.EndToEnd.LongestFirst", "GpuExternalScaler.IntegrationTests")]

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Starts with the classes that take minutes, nearly all of them waiting; left to chance one of them might begin when all
/// the others are done.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Longest =
    [
        nameof(ScenarioTests4), nameof(ScenarioTests3), nameof(ServiceTimeTests4), nameof(ServiceTimeTests3), nameof(ColdStartTests), nameof(ClusterTests),
        nameof(Outage4Tests), nameof(Outage3Tests),
    ];

    /// <inheritdoc/>
    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections.OrderBy(static collection => Array.FindIndex(Longest, name => collection.DisplayName.EndsWith("." + name, StringComparison.Ordinal)) is >= 0 and var at ? at : Longest.Length);
}
