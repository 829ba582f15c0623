namespace GpuExternalScaler.Sources;

/// <summary>
/// The sentences about a fault that mean the same whoever was asked. Whoever is read has some of its own, and asks here for the rest.
/// </summary>
internal static class FaultWords
{
    /// <summary>A sentence of our own words: what a server or an exception says may hold credentials.</summary>
    /// <param name="subject">Who was asked: the connection's name, and <c>host:port</c> where it is about one.</param>
    /// <param name="reason">What went wrong.</param>
    /// <param name="status">HTTP status where that is the reason.</param>
    /// <param name="timeout">The time that was allowed.</param>
    /// <param name="maxBytes">The largest answer that is accepted.</param>
    public static string Describe(string subject, SourceReason reason, int status, TimeSpan timeout, long maxBytes) => reason switch
    {
        SourceReason.ConnectionRefused => $"{subject} refused the connection; nothing listens there.",
        SourceReason.ConnectionFailed => $"{subject} could not be reached, or broke the connection before answering.",
        SourceReason.Timeout => $"{subject} gave no complete answer within {timeout.TotalSeconds:0.###} s.",
        SourceReason.Dns => $"{subject} could not be found: the name does not resolve.",
        SourceReason.Tls => $"{subject} failed the TLS handshake: its certificate is not trusted, has expired, or is another host's.",
        SourceReason.CaUnreadable => $"{subject} was not asked: the CA file cannot be read or holds no certificate.",
        SourceReason.Unauthorized => $"{subject} demands credentials (HTTP 401).",
        SourceReason.Forbidden => $"{subject} forbids this (HTTP 403).",
        SourceReason.HttpStatus => $"{subject} answered with HTTP status {status}.",
        SourceReason.RedirectRefused => $"{subject} answered with a redirect (HTTP {status}), which is never followed; configure its final address.",
        SourceReason.MalformedAnswer => $"{subject} gave an answer that cannot be read.",
        SourceReason.Truncated => $"{subject} broke off in the middle of its answer.",
        SourceReason.TooLarge => $"{subject} answered with more than {maxBytes} bytes.",
        _ => $"{subject} could not be read because of a defect in this program.",
    };

    /// <summary>The sentence about a defect, with the exception's type; its text may hold anything.</summary>
    public static string WithDefect(string sentence, Exception exception) => $"{sentence[..^1]} ({exception.GetType().Name}).";
}
