namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>What became of a passive declare.</summary>
internal enum DeclareResult : byte
{
    /// <summary>The queue exists; the figures are live.</summary>
    Found,

    /// <summary>The broker says that there is no such queue.</summary>
    NoSuchQueue,

    /// <summary>The queue exists, but its node is down, its process stopped, or it is exclusive to another connection.</summary>
    Unreachable,

    /// <summary>The user may not look.</summary>
    Refused,

    /// <summary>No answer in time.</summary>
    TimedOut,

    /// <summary>The connection is gone.</summary>
    Lost,
}

/// <summary>The answer to a passive declare; the figures are those of <see cref="DeclareResult.Found"/>.</summary>
internal readonly record struct DeclareAnswer(DeclareResult Result, long Ready = 0, long Consumers = 0);

/// <summary>A consumer that came or went (T5).</summary>
/// <param name="Queue">Its queue.</param>
/// <param name="Id">What tells it apart from others of the queue: channel and consumer tag.</param>
/// <param name="IsCreated">Whether it came.</param>
/// <param name="Prefetch">Messages it may hold, 0 for no limit; of one that came.</param>
/// <param name="IsAutoAck">Whether its messages are acknowledged on delivery; of one that came.</param>
internal readonly record struct ConsumerEvent(QueueName Queue, string Id, bool IsCreated, int Prefetch, bool IsAutoAck);

/// <summary>Makes connections to the configured broker. What is behind it is outside the process.</summary>
internal interface IAmqpConnector
{
    /// <summary>Connects to a virtual host; a reason instead of a connection, never an exception.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    Task<(SourceReason Reason, IAmqpConnection? Connection)> ConnectAsync(string vhost, CancellationToken cancellationToken);

    /// <summary>
    /// Looks every few seconds at the files that hold the password and the authorities. What connections are made with now,
    /// as a fingerprint; empty before that is settled. Files that do not answer are not waited for.
    /// </summary>
    Task<string> LookAtSecretsAsync(CancellationToken cancellationToken);
}

/// <summary>A connection to one virtual host.</summary>
internal interface IAmqpConnection
{
    /// <summary>Fingerprint of the secrets it was made with: one that is not <see cref="IAmqpConnector.LookAtSecretsAsync"/>'s is outdated.</summary>
    string Secrets { get; }

    /// <summary>Whether it is connected and was not given up.</summary>
    bool IsOpen { get; }

    /// <summary>A new channel; null if the connection is gone or does not answer.</summary>
    Task<IAmqpChannel?> OpenChannelAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Hands consumer events on until the connection ends; the reason if it cannot. Whatever ends the listening ends the
    /// connection.
    /// </summary>
    Task<SourceReason> ListenAsync(Action<ConsumerEvent> onEvent, CancellationToken cancellationToken);

    /// <summary>
    /// Makes sure that events still come: an exchange that is deleted takes its bindings with it without a word. The reason
    /// if they do not.
    /// </summary>
    Task<SourceReason> ConfirmListeningAsync(CancellationToken cancellationToken);

    /// <summary>Gives the connection up without waiting for the broker's consent. May be called twice.</summary>
    void Abandon();
}

/// <summary>A channel, for one declare at a time.</summary>
internal interface IAmqpChannel
{
    /// <summary>Whether it can take another declare: the broker closes it with each that it refuses.</summary>
    bool IsUsable { get; }

    /// <summary>
    /// Asks for a queue. A channel that timed out is of no further use: its late answer would be taken for the next one's.
    /// </summary>
    Task<DeclareAnswer> DeclareAsync(string queue, CancellationToken cancellationToken);

    /// <summary>Gives the channel up without waiting.</summary>
    void Abandon();
}
