using System.Globalization;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>Configuration and calls that the end-to-end tests share.</summary>
internal static class ScalerSetup
{
    /// <summary>A connection to a broker, with short intervals.</summary>
    public static string Connection(RabbitMqBroker broker, string name = "main", string interval = "250ms", string staleAfter = "5s", string more = "") =>
        Connection([broker], broker, name, interval, staleAfter, more);

    /// <summary>A connection to the metrics of all nodes of a cluster and the management API of the first.</summary>
    public static string Connection(RabbitMqCluster cluster, string name = "main", string interval = "250ms", string staleAfter = "5s", string more = "") =>
        Connection(cluster.Nodes, cluster.Nodes[0], name, interval, staleAfter, more);

    /// <summary>A whole file.</summary>
    public static string Configuration(string connections, string more = "") =>
        $$"""
        rabbitmq:
        {{connections}}
        evaluation: { interval: 100ms }
        log: { format: json, level: debug }
        {{more}}
        """;

    private static string Connection(
        IEnumerable<RabbitMqBroker> nodes, RabbitMqBroker management, string name, string interval, string staleAfter, string more) =>
        $$"""
          {{name}}:
            metrics: { urls: [{{string.Join(", ", nodes.Select(static node => $"\"{node.MetricsUri.ToString().TrimEnd('/')}\""))}}] }
            management:
              url: "{{management.ManagementUri.ToString().TrimEnd('/')}}"
              username: {{RabbitMqBroker.ScalerUser}}
              passwordFile: "{{management.ScalerPasswordFile}}"
              interval: 1s
            interval: {{interval}}
            staleAfter: {{staleAfter}}
            {{more}}

        """;

    public static Task<ScalerProcess> StartAsync(RabbitMqBroker broker, string more = "") =>
        ScalerProcess.StartAsync(Configuration(Connection(broker), more));

    public static GoWorkload Workload(string queue, string name = "workers", params (string Key, string Value)[] metadata)
    {
        var workload = new GoWorkload("genai", name, new Dictionary<string, string>(StringComparer.Ordinal) { ["queue"] = queue });
        return metadata.Aggregate(workload, static (w, pair) => w.With(pair.Key, pair.Value));
    }

    /// <summary>Asks until there is an answer that is accepted; Unavailable and other values are asked again.</summary>
    public static Task<GoCall> UntilAsync(this ScalerProcess scaler, GoWorkload workload, Func<long, bool> accept, string what, TimeSpan? limit = null) =>
        Eventually.SeesAsync(
            () => scaler.Grpc.GetMetricsAsync(workload),
            call => call.Ok && accept(call.Value.MetricValue),
            what,
            limit);

    /// <summary>
    /// The first answer there is, of a workload that nobody asked about before: waits for two sweeps first, since what
    /// the test has just seen at the broker may be newer than the sweep the server has.
    /// </summary>
    public static async Task<GoCall> FirstAnswerAsync(this ScalerProcess scaler, GoWorkload workload)
    {
        var sweeps = await SweepsAsync(scaler);
        await Eventually.SeesAsync(() => SweepsAsync(scaler), now => now >= sweeps + 2, "two sweeps");
        return await scaler.UntilAsync(workload, static _ => true, "an answer");
    }

    /// <summary>Sweeps of the metrics so far.</summary>
    public static async Task<double> SweepsAsync(this ScalerProcess scaler) =>
        await scaler.SeriesAsync("gpu_scaler_source_sweep_duration_seconds_count", "endpoint=\"metrics\"") ?? 0;

    /// <summary>The value of a series on the metrics page; null when it is not there.</summary>
    public static async Task<double?> SeriesAsync(this ScalerProcess scaler, string name, params string[] labels) =>
        Series(await scaler.ReadMetricsAsync(), name, labels);

    /// <summary>The value of a series on a metrics page; null when it is not there.</summary>
    public static double? Series(string page, string name, params string[] labels)
    {
        foreach (var line in page.Split('\n'))
        {
            if ((line.StartsWith(name + "{", StringComparison.Ordinal) || line.StartsWith(name + " ", StringComparison.Ordinal)) &&
                labels.All(label => line.Contains(label, StringComparison.Ordinal)))
            {
                return double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
            }
        }

        return null;
    }
}
