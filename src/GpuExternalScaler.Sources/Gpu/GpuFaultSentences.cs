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
            SourceReason.ConnectionRefused => $"{subject} refused the connection; nothing listens there.",
            SourceReason.ConnectionFailed => $"{subject} could not be reached, or broke the connection before answering.",
            SourceReason.Timeout => $"{subject} gave no complete answer within {options.Timeout.TotalSeconds:0.###} s.",
            SourceReason.Dns => $"{subject} could not be found: the name does not resolve, or has no addresses.",
            SourceReason.Tls => $"{subject} failed the TLS handshake: its certificate is not trusted, has expired, or is another host's.",
            SourceReason.CaUnreadable => $"{subject} was not asked: the CA file cannot be read or holds no certificate.",
            SourceReason.Unauthorized => $"{subject} demands credentials (HTTP 401).",
            SourceReason.Forbidden => $"{subject} forbids this (HTTP 403).",
            SourceReason.NotFound => $"{subject} knows no such page (HTTP 404); is the path that of its metrics?",
            SourceReason.HttpStatus => $"{subject} answered with HTTP status {status}.",
            SourceReason.RedirectRefused => $"{subject} answered with a redirect (HTTP {status}), which is never followed; configure its final address.",
            SourceReason.NotExposition => $"{subject} answered, but not with a page of metrics of the kind {options.Kind.ToString().ToLowerInvariant()}.",
            SourceReason.MalformedAnswer => $"{subject} gave an answer that cannot be read.",
            SourceReason.Truncated => $"{subject} broke off in the middle of its answer.",
            SourceReason.TooLarge => $"{subject} answered with more than {options.MaxResponseBytes} bytes.",
            _ => $"{subject} could not be read because of a defect in this program.",
        };
    }

    public string DescribeDefect(Exception exception) => $"{Describe("", SourceReason.Unexpected)[..^1]} ({exception.GetType().Name}).";

    /// <summary>Why Prometheus gave nothing.</summary>
    public string DescribeQuery(string sentence) => $"GPU connection '{options.Name}': {sentence}";
}
