namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Puts faults into words. Sentences are made of the connection's name, <c>host:port</c> and our own words only: what a server or
/// an exception says may hold credentials, or the query.
/// </summary>
internal sealed class PrometheusFaultSentences(PrometheusConnectionOptions options)
{
    /// <summary><c>host:port</c>.</summary>
    public string Endpoint { get; } = $"{options.Url.Host}:{options.Url.Port}";

    private string Subject => $"Prometheus connection '{options.Name}': the server at {Endpoint}";

    /// <summary>Why there is no result; for an answer without one.</summary>
    public string Describe(PrometheusAnswer answer) => answer.Reason switch
    {
        SourceReason.Timeout when answer.Error.Type == PrometheusErrorType.Timeout =>
            $"{Subject} gave up a query that took longer than {answer.Allowed.TotalSeconds * 0.9:0.###} s.",
        SourceReason.Tls => $"{Subject} failed the TLS handshake: its certificate is not trusted, has expired, or is another host's, or it does not accept ours.",
        SourceReason.CredentialsUnreadable => $"{Subject} was not asked: the token or password file cannot be read, or holds no token.",
        SourceReason.CertificateUnreadable => $"{Subject} was not asked: the client certificate or its key cannot be read, or they do not belong together.",
        SourceReason.Unauthorized => $"{Subject} refused the credentials, or demands some (HTTP 401).",
        SourceReason.NotFound => $"{Subject} has no query API there (HTTP 404); does its path prefix belong to the URL?",
        SourceReason.QueryRejected => $"{Subject} rejected the query (HTTP {answer.Status}, {TypeOf(answer.Error.Type)}){ComplaintOf(answer.Error)}.",
        SourceReason.TooManyRequests => $"{Subject} answers that there are too many requests (HTTP 429).",
        SourceReason.Unavailable => $"{Subject} cannot answer now (HTTP {answer.Status}).",
        SourceReason.MalformedAnswer => $"{Subject} gave an answer that is not the query API's; is a login page or another program in between?",
        SourceReason.TooLarge => $"{Subject} answered with more than is accepted: {options.MaxResponseBytes} bytes, {options.MaxSeries} series ({options.MaxSuppliedSeries} for a query of a workload) or {options.MaxPoints} points.",
        SourceReason.CircuitOpen => $"{Subject} was not asked again yet; the last attempt ended with {answer.Cause.Code()}, and there is one each {options.Interval.TotalSeconds:0.###} s.",
        SourceReason.Unexpected when answer.Defect is { } defect => $"{Subject} could not be read because of a defect in this program ({defect}).",
        _ => FaultWords.Describe(Subject, answer.Reason, answer.Status, answer.Allowed, options.MaxResponseBytes),
    };

    /// <summary>What to know about an answer that is there; null if there is nothing.</summary>
    public string? DescribePartial(PrometheusResult result) => !result.IsPartial ? null
        : $"{Subject} gave an answer that may be incomplete ({result.Warnings} warnings, {result.BadSeries} series that could not be read): it is used for growing, not for shrinking.";

    /// <summary>Why an answer to a query of a workload is not the one number that was asked for.</summary>
    public string DescribeNoNumber(string what) =>
        $"{Subject} answered a query of a workload with {what}, where one number that is not negative is needed; aggregate in the query.";

    /// <summary>That there are more queries than are asked.</summary>
    public string DescribeExcess(int count, int most) =>
        $"Prometheus connection '{options.Name}': {count} queries of workloads are not asked, because there are more than {most}.";

    /// <summary>That there are more queries than can be asked in time.</summary>
    public string DescribeLate(int count) =>
        $"{Subject} is too slow: {count} queries of workloads had no turn within {options.Interval.TotalSeconds:0.###} s; they come first next time.";

    /// <summary>A defect outside of any query.</summary>
    public string DescribeDefect(Exception exception) =>
        Describe(new PrometheusAnswer { Reason = SourceReason.Unexpected, Defect = exception.GetType().Name });

    private static string TypeOf(PrometheusErrorType type) => type switch
    {
        PrometheusErrorType.BadData => "bad_data",
        PrometheusErrorType.Execution => "execution",
        PrometheusErrorType.Timeout => "timeout",
        PrometheusErrorType.Canceled => "canceled",
        PrometheusErrorType.Internal => "internal",
        PrometheusErrorType.Unavailable => "unavailable",
        PrometheusErrorType.NotFound => "not_found",
        PrometheusErrorType.NotAcceptable => "not_acceptable",
        PrometheusErrorType.TooManyRequests => "too_many_requests",
        _ => "an error of another type",
    };

    private static string ComplaintOf(PrometheusError error) => error.Complaint switch
    {
        PrometheusComplaint.Syntax when error.Line > 0 => $": it is not PromQL, from line {error.Line}, character {error.Column}",
        PrometheusComplaint.Syntax => ": it is not PromQL",
        PrometheusComplaint.ManyToMany => ": several series on both sides of an operator have the same labels",
        PrometheusComplaint.DuplicateSeries => ": its result has several series with the same labels",
        PrometheusComplaint.TooManySamples => ": it would load more samples than the server allows",
        PrometheusComplaint.TooManyPoints => ": it asks for more points than the server gives for one series",
        PrometheusComplaint.TooManySeries => ": it touches more series than the server allows",
        PrometheusComplaint.BadRegex => ": a regular expression in it is not one",
        PrometheusComplaint.BadParameter => ": a parameter is not valid",
        PrometheusComplaint.TooLongRange => ": it spans more time than the server allows",
        PrometheusComplaint.QueryTimedOut => ": it took too long",
        _ => "",
    };
}
