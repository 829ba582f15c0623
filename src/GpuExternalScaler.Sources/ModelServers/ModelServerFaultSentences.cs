using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.ModelServers;

/// <summary>Puts faults into words of our own: what a server says may hold anything.</summary>
internal sealed class ModelServerFaultSentences(ModelServerConnectionOptions options)
{
    private string Connection => $"Model server connection '{options.Name}'";

    /// <summary>Why the page of an endpoint was not to be had; of the connection as a whole with an empty one.</summary>
    public string Describe(string endpoint, SourceReason reason, int status = 0)
    {
        var subject = endpoint.Length == 0 ? $"{Connection}: the servers" : $"{Connection}: the server at {endpoint}";
        return reason switch
        {
            SourceReason.CaUnreadable => $"{subject} were not asked: the CA file cannot be read or holds no certificate.",
            SourceReason.NotFound => $"{subject} has no such page (HTTP 404); are its metrics enabled?",
            SourceReason.NotExposition => $"{subject} answered, but not with a page of metrics.",
            _ => FaultWords.Describe(subject, reason, status, options.Timeout, options.MaxResponseBytes),
        };
    }

    /// <summary>Why Prometheus told nothing.</summary>
    public string Describe(PrometheusFaultSentences prometheus, PrometheusAnswer answer) =>
        $"{Connection}: {prometheus.Describe(answer)}";

    public string DescribeDefect(Exception exception) => FaultWords.WithDefect(Describe("", SourceReason.Unexpected), exception);
}
