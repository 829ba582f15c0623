namespace GpuExternalScaler.Sources;

/// <summary>Why a source could not be read: feeds the log, the metric label, the status page and assertions.</summary>
public enum SourceReason : byte
{
    /// <summary>Nothing is wrong.</summary>
    None,

    /// <summary>Nobody listens on the port.</summary>
    ConnectionRefused,

    /// <summary>The connection could not be made, or broke before an answer: unreachable, reset.</summary>
    ConnectionFailed,

    /// <summary>No complete answer within the time allowed.</summary>
    Timeout,

    /// <summary>The host name could not be resolved.</summary>
    Dns,

    /// <summary>The TLS handshake failed: certificate not trusted, expired, or of another host.</summary>
    Tls,

    /// <summary>The password file could not be read.</summary>
    CredentialsUnreadable,

    /// <summary>The CA file could not be read, or holds no certificate.</summary>
    CaUnreadable,

    /// <summary>The client certificate or its key could not be read, or they do not belong together.</summary>
    CertificateUnreadable,

    /// <summary>HTTP 401: wrong user or password, or no access to this virtual host.</summary>
    Unauthorized,

    /// <summary>HTTP 403.</summary>
    Forbidden,

    /// <summary>HTTP 404: the plugin is not enabled, or the virtual host does not exist.</summary>
    NotFound,

    /// <summary>Another HTTP status than 200.</summary>
    HttpStatus,

    /// <summary>A redirect, which is never followed: it could carry the credentials elsewhere.</summary>
    RedirectRefused,

    /// <summary>The answer is no Prometheus page, or not one of the server expected there.</summary>
    NotExposition,

    /// <summary>The answer is not the JSON expected, or not HTTP.</summary>
    MalformedAnswer,

    /// <summary>The answer ended early.</summary>
    Truncated,

    /// <summary>The answer, unpacked, is larger than the limit.</summary>
    TooLarge,

    /// <summary>The broker shows no queues at all (T6): permission lost, or the wrong virtual host.</summary>
    NoQueuesVisible,

    /// <summary>The management plugin's statistics are switched off (<c>disable_stats</c>).</summary>
    StatisticsDisabled,

    /// <summary>The management list names queues but has no statistics for any of them, as in a broker's first seconds.</summary>
    StatisticsMissing,

    /// <summary>The broker knows a queue but cannot tell its figures: its node is down, or it is exclusive to another connection.</summary>
    QueueUnreachable,

    /// <summary>The endpoint in use can list no queues, so a pattern finds none.</summary>
    CannotList,

    /// <summary>The management API shows the user no consumers although there are some: it needs the tag <c>monitoring</c>.</summary>
    ConsumersHidden,

    /// <summary>The broker takes no more connections: a limit of the node, the virtual host or the user is reached.</summary>
    LimitReached,

    /// <summary>The server refused the query itself (T19): asking again would not help.</summary>
    QueryRejected,

    /// <summary>HTTP 429: too many requests, of ours or of a tenant's.</summary>
    TooManyRequests,

    /// <summary>HTTP 502, 503 or 504: the server, or what stands before it, cannot answer now.</summary>
    Unavailable,

    /// <summary>The server was not asked because it did not answer a moment ago; one attempt is made per interval.</summary>
    CircuitOpen,

    /// <summary>A defect of this program; the sentence names the exception's type.</summary>
    Unexpected,
}

/// <summary>Text of <see cref="SourceReason"/>.</summary>
public static class SourceReasonCodes
{
    /// <summary>The stable code in snake case, for example <c>connection_refused</c>.</summary>
    public static string Code(this SourceReason reason) => reason switch
    {
        SourceReason.None => "none",
        SourceReason.ConnectionRefused => "connection_refused",
        SourceReason.ConnectionFailed => "connection_failed",
        SourceReason.Timeout => "timeout",
        SourceReason.Dns => "dns",
        SourceReason.Tls => "tls",
        SourceReason.CredentialsUnreadable => "credentials_unreadable",
        SourceReason.CaUnreadable => "ca_unreadable",
        SourceReason.CertificateUnreadable => "certificate_unreadable",
        SourceReason.Unauthorized => "unauthorized",
        SourceReason.Forbidden => "forbidden",
        SourceReason.NotFound => "not_found",
        SourceReason.HttpStatus => "http_status",
        SourceReason.RedirectRefused => "redirect_refused",
        SourceReason.NotExposition => "not_exposition",
        SourceReason.MalformedAnswer => "malformed_answer",
        SourceReason.Truncated => "truncated",
        SourceReason.TooLarge => "too_large",
        SourceReason.NoQueuesVisible => "no_queues_visible",
        SourceReason.StatisticsDisabled => "statistics_disabled",
        SourceReason.StatisticsMissing => "statistics_missing",
        SourceReason.QueueUnreachable => "queue_unreachable",
        SourceReason.CannotList => "cannot_list",
        SourceReason.ConsumersHidden => "consumers_hidden",
        SourceReason.LimitReached => "limit_reached",
        SourceReason.QueryRejected => "query_rejected",
        SourceReason.TooManyRequests => "too_many_requests",
        SourceReason.Unavailable => "unavailable",
        SourceReason.CircuitOpen => "circuit_open",
        _ => "unexpected",
    };
}

/// <summary>A fault of a source, in words for its operator.</summary>
/// <param name="Reason">The code.</param>
/// <param name="Endpoint"><c>host:port</c> it concerns; empty if it concerns the source as a whole.</param>
/// <param name="Sentence">
/// One sentence naming the connection and the endpoint. Never holds credentials, query strings or exception texts.
/// </param>
/// <param name="Since">When this run of failures began, on the program's clock.</param>
public sealed record SourceFault(SourceReason Reason, string Endpoint, string Sentence, DateTimeOffset Since);
