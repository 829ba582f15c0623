using System.Globalization;
using GpuExternalScaler.Simulation.Traces;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Simulation;

/// <summary>What arrived, from the answer of a Prometheus to a query of the user's.</summary>
internal static class PrometheusArrivals
{
    /// <summary>Time between two instants that are asked for, unless that would be more than Prometheus gives.</summary>
    public static readonly TimeSpan Step = TimeSpan.FromSeconds(15);

    /// <summary>Asks for a range.</summary>
    /// <remarks>
    /// The query gives arrivals in 1/s at instants; between two of them the rate changes evenly. So it does over instants without a
    /// value: what is missing is not zero. Before the first and after the last value there is no trace.
    /// </remarks>
    /// <param name="client">The connection.</param>
    /// <param name="promQl">The query; it appears in no sentence.</param>
    /// <param name="from">The first instant.</param>
    /// <param name="to">The last one, later.</param>
    /// <param name="cancellation">Cancels the query.</param>
    /// <exception cref="FormatException">There is no answer that is arrivals; the sentence says why.</exception>
    public static async Task<ArrivalTrace> ReadAsync(PrometheusClient client, string promQl, DateTimeOffset from, DateTimeOffset to, CancellationToken cancellation)
    {
        if (PrometheusQuery.TrySupply(promQl, out var query) != QueryTextProblem.None)
        {
            throw new FormatException($"--query must be PromQL of at most {SuppliedQuery.LongestText} characters, none of them invisible");
        }

        var sentences = new PrometheusFaultSentences(client.Options);
        var answer = await client.QueryRangeAsync(query!, PrometheusRange.Covering(from, to, Step), cancellation);
        if (!answer.Succeeded)
        {
            throw new FormatException(sentences.Describe(answer));
        }

        var subject = $"Prometheus connection '{client.Options.Name}'";
        var result = answer.Result;
        return result.IsPartial ? throw new FormatException($"{subject}: the answer to --query may be incomplete, so it is not known what arrived")
            : result.Type != PrometheusResultType.Matrix || result.Series.Count == 0 ? throw new FormatException($"{subject}: --query has no series in that time")
            : result.Series.Count > 1 ? throw new FormatException($"{subject}: --query has {result.Series.Count} series, where one is needed; aggregate in the query")
            : ToTrace(subject, result.Series[0].Points);
    }

    private static ArrivalTrace ToTrace(string subject, IReadOnlyList<PrometheusPoint> points)
    {
        if (points.Count < 2)
        {
            throw new FormatException($"{subject}: --query has fewer than two values in that time");
        }

        if (points.Any(static point => point.Value is < 0 or > TraceLimits.PerSecond))
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{subject}: --query must give arrivals in 1/s, from 0 to {TraceLimits.PerSecond}"));
        }

        var seconds = new double[(int)(points[^1].At - points[0].At).TotalSeconds];
        var next = 1;
        for (var second = 0; second < seconds.Length; second++)
        {
            var at = points[0].At + TimeSpan.FromSeconds(second + 0.5);
            while (points[next].At < at)
            {
                next++;
            }

            var (before, after) = (points[next - 1], points[next]);
            seconds[second] = before.Value + ((after.Value - before.Value) * ((at - before.At) / (after.At - before.At)));
        }

        return seconds.Length == 0 ? throw new FormatException($"{subject}: --query has less than a second of values in that time")
            : new ArrivalTrace(subject, seconds, isMeasured: false);
    }
}
