namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// Puts faults of exporters into words, made of the connection's name, <c>host:port</c> and our own words only: what a server or an
/// exception says may hold credentials.
/// </summary>
internal sealed class GpuFaultSentences(GpuConnectionOptions options)
{
    public string Describe(string endpoint, SourceReason reason, int status = 0)
    {
        var subject = endpoint.Length == 0
            ? $"GPU connection '{options.Name}'"
            : $"GPU connection '{options.Name}': the exporter at {endpoint}";
        return reason switch
        {
            SourceReason.Dns => $"{subject} could not be found: the name does not resolve, or has no addresses.",
            SourceReason.NotFound => $"{subject} knows no such page (HTTP 404); is the path that of its metrics?",
            SourceReason.NotExposition => $"{subject} answered, but not with a page of metrics of the kind {options.Kind.ToString().ToLowerInvariant()}.",
            _ => FaultWords.Describe(subject, reason, status, options.Timeout, options.MaxResponseBytes),
        };
    }

    public string DescribeDefect(Exception exception) => FaultWords.WithDefect(Describe("", SourceReason.Unexpected), exception);

    /// <summary>Why Prometheus gave nothing.</summary>
    public string DescribeQuery(string sentence) => $"GPU connection '{options.Name}': {sentence}";
}
