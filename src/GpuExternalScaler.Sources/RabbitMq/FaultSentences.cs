namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Puts faults into words. Sentences are made of the connection's name, <c>host:port</c> and our own words only: what a
/// server or an exception says may hold credentials.
/// </summary>
internal sealed class FaultSentences(RabbitMqConnectionOptions options)
{
    public string Describe(RabbitMqEndpoint kind, string endpoint, SourceReason reason, int status = 0)
    {
        var what = kind switch
        {
            RabbitMqEndpoint.Metrics => "metrics endpoint",
            RabbitMqEndpoint.Amqp or RabbitMqEndpoint.AmqpEvents => "AMQP endpoint",
            _ => "management API",
        };
        var isAmqp = kind is RabbitMqEndpoint.Amqp or RabbitMqEndpoint.AmqpEvents;
        var timeout = kind == RabbitMqEndpoint.Metrics ? options.NodeTimeout
            : isAmqp ? AmqpReader.DeclareTimeout
            : options.ManagementTimeout;
        var subject = endpoint.Length == 0
            ? $"RabbitMQ connection '{options.Name}': the {what}"
            : $"RabbitMQ connection '{options.Name}': the {what} at {endpoint}";
        return reason switch
        {
            SourceReason.CredentialsUnreadable => $"{subject} was not asked: the password file cannot be read.",
            SourceReason.Unauthorized when isAmqp => $"{subject} refused the user or password.",
            SourceReason.Forbidden when kind == RabbitMqEndpoint.AmqpEvents =>
                $"{subject} does not let the user listen to amq.rabbitmq.event; consumers are learned from the management API instead, where one is configured.",
            SourceReason.NotFound when kind == RabbitMqEndpoint.AmqpEvents =>
                $"{subject} has no exchange amq.rabbitmq.event; consumers are learned from the management API instead, where one is configured.",
            SourceReason.Forbidden when isAmqp => $"{subject} does not let the user look at a queue (ACCESS_REFUSED); from 4.3 on that takes some permission on it.",
            SourceReason.NotFound when isAmqp => $"{subject} has no such virtual host, or the user may not use it.",
            SourceReason.LimitReached => $"{subject} takes no more connections: a limit of the broker, the virtual host or the user is reached.",
            SourceReason.MalformedAnswer when isAmqp => $"{subject} does not speak AMQP 0-9-1.",
            SourceReason.QueueUnreachable => $"{subject} knows a queue but not its figures: its node is down, or it is exclusive to another connection.",
            SourceReason.ConsumersHidden => $"{subject} shows the user no consumers but its own; to learn their prefetch it needs the tag monitoring.",
            SourceReason.CannotList => $"{subject} is all there is to read, and it cannot list queues: a queueRegex finds only those that were known before. Configure metrics or management.",
            SourceReason.Unauthorized when kind != RabbitMqEndpoint.Metrics => $"{subject} refused the user or password, or access to a virtual host (HTTP 401).",
            SourceReason.NotFound => kind == RabbitMqEndpoint.Metrics
                ? $"{subject} knows no such page (HTTP 404); is the plugin rabbitmq_prometheus enabled?"
                : $"{subject} knows no such page (HTTP 404); is the plugin rabbitmq_management enabled, and do the virtual hosts exist?",
            SourceReason.NotExposition => $"{subject} answered, but not with a page of RabbitMQ's Prometheus plugin.",
            SourceReason.MalformedAnswer when kind != RabbitMqEndpoint.Metrics => $"{subject} gave an answer that is not the list in JSON.",
            SourceReason.NoQueuesVisible => $"{subject} shows no queues at all; the user's permissions or the virtual hosts are probably wrong.",
            SourceReason.StatisticsDisabled => $"{subject} has its statistics switched off (management_agent.disable_metrics_collector or management.disable_stats).",
            SourceReason.StatisticsMissing => $"{subject} lists queues but has no statistics for any of them yet.",
            _ => FaultWords.Describe(subject, reason, status, timeout, options.MaxResponseBytes),
        };
    }

    /// <summary>What cannot be looked at over AMQP while the rest can.</summary>
    public string DescribeTroubles(string endpoint, IEnumerable<string> parts) =>
        $"RabbitMQ connection '{options.Name}': the AMQP endpoint at {endpoint} answers, but cannot show everything: {string.Join(", ", parts)}.";

    /// <summary>Why the broker cannot be reached with the secrets that are in the files now, while it still is with those before.</summary>
    public string DescribeRenewal(string endpoint, SourceReason reason) =>
        $"{Describe(RabbitMqEndpoint.Amqp, endpoint, reason)} This is about the password and CA files as they are now; connections made before they changed go on.";

    public string DescribeDefect(RabbitMqEndpoint kind, Exception exception) =>
        FaultWords.WithDefect(Describe(kind, "", SourceReason.Unexpected), exception);

    /// <summary><c>host:port</c> of a URL, without anything else that may stand in it.</summary>
    public static string EndpointOf(Uri url) => $"{url.Host}:{url.Port}";

    /// <summary>The same where the scheme's port is AMQP's.</summary>
    public static string EndpointOf(RabbitMqAmqpOptions amqp) => $"{amqp.Url.Host}:{amqp.Port}";
}
