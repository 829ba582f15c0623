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
            SourceReason.ConnectionRefused => $"{subject} refused the connection; nothing listens there.",
            SourceReason.ConnectionFailed => $"{subject} could not be reached, or broke the connection before answering.",
            SourceReason.Timeout => $"{subject} gave no complete answer within {options.Timeout.TotalSeconds:0.###} s.",
            SourceReason.Dns => $"{subject} could not be found: the name does not resolve.",
            SourceReason.Tls => $"{subject} failed the TLS handshake: its certificate is not trusted, has expired, or is another host's.",
            SourceReason.CaUnreadable => $"{subject} were not asked: the CA file cannot be read or holds no certificate.",
            SourceReason.Unauthorized => $"{subject} demands credentials (HTTP 401).",
            SourceReason.Forbidden => $"{subject} forbids this (HTTP 403).",
            SourceReason.NotFound => $"{subject} has no such page (HTTP 404); are its metrics enabled?",
            SourceReason.HttpStatus => $"{subject} answered with HTTP status {status}.",
            SourceReason.RedirectRefused => $"{subject} answered with a redirect (HTTP {status}), which is never followed; configure its final address.",
            SourceReason.NotExposition => $"{subject} answered, but not with a page of metrics.",
            SourceReason.MalformedAnswer => $"{subject} gave an answer that cannot be read.",
            SourceReason.Truncated => $"{subject} broke off in the middle of its page.",
            SourceReason.TooLarge => $"{subject} answered with more than {options.MaxResponseBytes} bytes.",
            _ => $"{subject} could not be read because of a defect in this program.",
        };
    }

    /// <summary>Why Prometheus told nothing.</summary>
    public string Describe(PrometheusFaultSentences prometheus, PrometheusAnswer answer) =>
        $"{Connection}, read through Prometheus. {prometheus.Describe(answer)}";

    public string DescribeDefect(Exception exception) => $"{Describe("", SourceReason.Unexpected)[..^1]} ({exception.GetType().Name}).";
}
