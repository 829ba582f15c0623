using GpuExternalScaler.Configuration;

namespace GpuExternalScaler.Observability;

/// <summary>Every line the program logs about its work. Names, codes and numbers; never a metadata value or a secret.</summary>
internal static partial class LogMessages
{
    [LoggerMessage(1, LogLevel.Information, "Serving gRPC on {Grpc} and HTTP on {Http}; {Connections} connections, {Workloads} workloads at most")]
    public static partial void Serving(this ILogger logger, string grpc, string http, int connections, int workloads);

    [LoggerMessage(2, LogLevel.Information, "Stopping: open streams end with status OK")]
    public static partial void Stopping(this ILogger logger);

    [LoggerMessage(10, LogLevel.Information, "Workload {Namespace}/{ScaledObject} trigger {Trigger} registered, reading {Connections}")]
    public static partial void WorkloadRegistered(this ILogger logger, string @namespace, string scaledObject, string trigger, string connections);

    [LoggerMessage(11, LogLevel.Information, "Workload {Namespace}/{ScaledObject} trigger {Trigger} forgotten: nobody asked about it")]
    public static partial void WorkloadForgotten(this ILogger logger, string @namespace, string scaledObject, string trigger);

    [LoggerMessage(EventId = 12, Message = "Workload {Namespace}/{ScaledObject} trigger {Trigger} is undecided: {Reason}: {Explanation}")]
    public static partial void WorkloadUndecided(this ILogger logger, LogLevel level, string @namespace, string scaledObject, string trigger, string reason, string explanation);

    [LoggerMessage(13, LogLevel.Information, "Workload {Namespace}/{ScaledObject} trigger {Trigger} is decided again: {Reason}, value {Value}")]
    public static partial void WorkloadDecidedAgain(this ILogger logger, string @namespace, string scaledObject, string trigger, string reason, long value);

    [LoggerMessage(14, LogLevel.Debug, "Workload {Namespace}/{ScaledObject} trigger {Trigger} went from {Before} to {Reason}, value {Value}")]
    public static partial void WorkloadReasonChanged(this ILogger logger, string @namespace, string scaledObject, string trigger, string before, string reason, long value);

    [LoggerMessage(17, LogLevel.Warning, "Workload {Namespace}/{ScaledObject} trigger {Trigger} makes no progress: {Why}")]
    public static partial void WorkloadWithoutProgress(this ILogger logger, string @namespace, string scaledObject, string trigger, string why);

    [LoggerMessage(15, LogLevel.Warning, "Workload {Namespace}/{ScaledObject} trigger {Trigger} shares a queue with others, and their shares add up to {Shares}: demand is counted more than once; set share on each")]
    public static partial void SharesExceedOne(this ILogger logger, string @namespace, string scaledObject, string trigger, double shares);

    [LoggerMessage(16, LogLevel.Error, "Evaluating workload {Namespace}/{ScaledObject} trigger {Trigger} failed")]
    public static partial void EvaluationFailed(this ILogger logger, Exception exception, string @namespace, string scaledObject, string trigger);

    [LoggerMessage(20, LogLevel.Warning, "Trigger metadata of {Namespace}/{ScaledObject} holds keys that mean nothing here: {Keys}")]
    public static partial void UnknownKeys(this ILogger logger, string @namespace, string scaledObject, string keys);

    [LoggerMessage(21, LogLevel.Warning, "Trigger metadata of {Namespace}/{ScaledObject} holds metricType: KEDA ignores it there; it belongs beside metadata, and AverageValue is the default")]
    public static partial void MetricTypeInMetadata(this ILogger logger, string @namespace, string scaledObject);

    [LoggerMessage(30, LogLevel.Information, "First sweep of {Connection} by its {Endpoint} read {Queues} queues in {Milliseconds} ms")]
    public static partial void FirstSweep(this ILogger logger, string connection, string endpoint, int queues, double milliseconds);

    [LoggerMessage(39, LogLevel.Information, "First sweep of {Connection} ({Source}) read {Rows} rows in {Milliseconds} ms")]
    public static partial void FirstFleetSweep(this ILogger logger, string connection, string source, int rows, double milliseconds);

    [LoggerMessage(31, LogLevel.Warning, "Sweeping {Connection} by its {Endpoint} fails ({Reason}): {Explanation}")]
    public static partial void SweepFails(this ILogger logger, string connection, string endpoint, string reason, string explanation);

    [LoggerMessage(32, LogLevel.Information, "Sweeping {Connection} by its {Endpoint} works again after {Failures} failed sweeps")]
    public static partial void SweepWorksAgain(this ILogger logger, string connection, string endpoint, int failures);

    [LoggerMessage(33, LogLevel.Information, "Connection {Connection} now reads ready and unacknowledged from {Gauges}, consumers from {Consumers}, counters from {Counters}, prefetch from {Prefetch}; missing: {Missing}")]
    public static partial void SourceChanged(this ILogger logger, string connection, string gauges, string consumers, string counters, string prefetch, string missing);

    [LoggerMessage(18, LogLevel.Information, "Workload {Namespace}/{ScaledObject} trigger {Trigger} is evaluated because the configuration names its queue; no ScaledObject asks about it yet")]
    public static partial void ShadowBegins(this ILogger logger, string @namespace, string scaledObject, string trigger);

    [LoggerMessage(19, LogLevel.Information, "Workload {Namespace}/{ScaledObject} trigger {Trigger} is no longer evaluated for the configuration's sake: {Why}")]
    public static partial void ShadowEnds(this ILogger logger, string @namespace, string scaledObject, string trigger, string why);

    [LoggerMessage(41, LogLevel.Information, "Configuration {Hash} is in force; changed: {Keys}")]
    public static partial void ConfigurationInForce(this ILogger logger, string hash, string keys);

    [LoggerMessage(42, LogLevel.Error, "{File} is refused with {Errors} errors; the last good configuration stays in force")]
    public static partial void ConfigurationRefused(this ILogger logger, string file, int errors);

    [LoggerMessage(EventId = 43, Message = "{File}: {Finding}")]
    public static partial void ConfigurationFinding(this ILogger logger, LogLevel level, string file, ConfigurationFinding finding);

    [LoggerMessage(44, LogLevel.Error, "{Count} more findings in {File}; check-config shows all")]
    public static partial void MoreConfigurationFindings(this ILogger logger, int count, string file);

    [LoggerMessage(45, LogLevel.Warning, "{Key} has changed, which takes effect at the next start")]
    public static partial void NeedsRestart(this ILogger logger, string key);

    [LoggerMessage(46, LogLevel.Warning, "The change of configuration leaves {Count} workloads without a connection, such as {Namespace}/{ScaledObject}: they are refused until they name one that there is")]
    public static partial void WorkloadsDisconnected(this ILogger logger, int count, string @namespace, string scaledObject);

    [LoggerMessage(47, LogLevel.Warning, "Connections of {Address} to the gRPC port are refused: {Why}")]
    public static partial void ConnectionsRefused(this ILogger logger, string address, string why);

    [LoggerMessage(48, LogLevel.Warning, "{Count} workloads whose queues the configuration names are not evaluated: the {Limit} places (limits.workloads) are taken")]
    public static partial void ShadowsWithoutPlace(this ILogger logger, int count, int limit);

    [LoggerMessage(49, LogLevel.Warning, "{File} changes so often that it is never found the same twice; what was in force before stays")]
    public static partial void NeverSettles(this ILogger logger, string file);

    [LoggerMessage(40, LogLevel.Error, "Following files by {Follower} failed")]
    public static partial void ReloadFailed(this ILogger logger, Exception exception, string follower);

    [LoggerMessage(50, LogLevel.Information, "TLS on the gRPC port: the certificate expires {Expires:u}; client certificates: {ClientCertificates}")]
    public static partial void ServingTls(this ILogger logger, DateTime expires, string clientCertificates);

    [LoggerMessage(51, LogLevel.Information, "TLS on the gRPC port: {Keys} changed and holds for new connections; the certificate expires {Expires:u}")]
    public static partial void TlsTakenOver(this ILogger logger, string keys, DateTime expires);

    [LoggerMessage(52, LogLevel.Error, "TLS on the gRPC port: what changed is not taken over, and what was good stays in force: {Key}: {Problem}")]
    public static partial void TlsNotTakenOver(this ILogger logger, string key, string problem);

    [LoggerMessage(53, LogLevel.Information, "TLS on the gRPC port: the files hold what is in force again")]
    public static partial void TlsAsBefore(this ILogger logger);

    [LoggerMessage(54, LogLevel.Warning, "TLS on the gRPC port: {Key}: {Problem}")]
    public static partial void TlsDoubt(this ILogger logger, string key, string problem);

    [LoggerMessage(55, LogLevel.Warning, "TLS on the gRPC port: a client at {Address} was refused ({Reason}): {Explanation}")]
    public static partial void TlsRefused(this ILogger logger, string address, string reason, string explanation);

    [LoggerMessage(60, LogLevel.Information, "Decisions are recorded to {File}, at most {Limit} bytes")]
    public static partial void RecordingBegins(this ILogger logger, string file, long limit);

    [LoggerMessage(61, LogLevel.Warning, "Recording decisions to {File} has stopped: {Why}. Decisions go on, and it begins anew when it can")]
    public static partial void RecordingStopped(this ILogger logger, string file, string why);

    [LoggerMessage(62, LogLevel.Debug, "The recording was full and is {Older} now; a new one begins")]
    public static partial void RecordingRotated(this ILogger logger, string older);

    [LoggerMessage(63, LogLevel.Error, "Recording decisions failed")]
    public static partial void RecordingFailed(this ILogger logger, Exception exception);
}
