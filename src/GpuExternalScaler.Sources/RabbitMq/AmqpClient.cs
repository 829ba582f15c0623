using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;
using RabbitMQ.Client.Exceptions;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>Speaks AMQP through RabbitMQ.Client, whose waits are not all bounded: every one of them is bounded here.</summary>
internal sealed class AmqpConnector(string name, RabbitMqAmqpOptions options, TimeProvider time) : IAmqpConnector
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    // The reply code for a virtual host that does not exist or that the user may not enter, and for a limit that is reached.
    private const ushort NotAllowed = 530;

    private readonly SettledSecrets _secrets = new(options, time);

    /// <inheritdoc/>
    public Task<string> LookAtSecretsAsync(CancellationToken cancellationToken) => _secrets.LookAsync(cancellationToken);

    /// <inheritdoc/>
    public async Task<(SourceReason Reason, IAmqpConnection? Connection)> ConnectAsync(string vhost, CancellationToken cancellationToken)
    {
        var sockets = new OwnedSockets();
        var factory = new ConnectionFactory
        {
            SocketFactory = sockets.Make,
            HostName = options.Url.Host,
            Port = options.Port,
            VirtualHost = vhost,
            ClientProvidedName = $"gpu-external-scaler {name}",
            AutomaticRecoveryEnabled = false,
            TopologyRecoveryEnabled = false,
            RequestedHeartbeat = TimeSpan.FromSeconds(10),
            RequestedConnectionTimeout = ConnectTimeout,
            HandshakeContinuationTimeout = ConnectTimeout,

            // Longer than we wait: a declare that was given up must keep its channel until it is answered.
            ContinuationTimeout = TimeSpan.FromMinutes(1),
        };
        var secrets = await _secrets.TakeAsync(cancellationToken).ConfigureAwait(false);
        if (secrets.Reason != SourceReason.None)
        {
            return (secrets.Reason, null);
        }

        Use(factory, options, secrets);
        Task<IConnection>? connecting = null;
        try
        {
            connecting = factory.CreateConnectionAsync(cancellationToken);
            var connection = await connecting.WaitAsync(ConnectTimeout, time, cancellationToken).ConfigureAwait(false);
            var own = new AmqpConnection(connection, sockets, time, secrets.Fingerprint);

            // The client does not wait for the broker's word on the virtual host; the first channel shows it.
            if (await own.OpenChannelAsync(cancellationToken).ConfigureAwait(false) is { } channel)
            {
                channel.Abandon();
                return (SourceReason.None, own);
            }

            var reason = Classify(connection.CloseReason);
            own.Abandon();
            return (reason, null);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            GiveUp();
            throw;
        }
#pragma warning disable CA1031 // The client throws more than it documents; to us it is all the same: no connection.
        catch (Exception e)
#pragma warning restore CA1031
        {
            // The client's own limits do not cover a server that accepts and says nothing.
            GiveUp();
            return (Classify(e), null);
        }

        void GiveUp()
        {
            if (connecting is not null)
            {
                AmqpConnection.AbandonLate(connecting);
            }

            sockets.Dispose();
        }
    }

    /// <summary>What the broker's reason for closing a connection says; null if it has said nothing.</summary>
    internal static SourceReason Classify(ShutdownEventArgs? reason) => reason switch
    {
        null => SourceReason.Timeout,

        // A limit of connections of the node, the virtual host or the user. Names stand in the text, but never at its end.
        { ReplyCode: NotAllowed } => reason.ReplyText.EndsWith(" is reached", StringComparison.Ordinal) ? SourceReason.LimitReached : SourceReason.NotFound,
        _ => SourceReason.ConnectionFailed,
    };

    private static SourceReason Classify(Exception? exception)
    {
        for (; exception is not null; exception = exception is AggregateException { InnerExceptions: [var first, ..] } ? first : exception.InnerException)
        {
            switch (exception)
            {
                case AuthenticationFailureException or PossibleAuthenticationFailureException:
                    return SourceReason.Unauthorized;
                case AuthenticationException:
                    return SourceReason.Tls;
                case PacketNotRecognizedException or ProtocolVersionMismatchException:
                    return SourceReason.MalformedAnswer;
                case SocketException { SocketErrorCode: SocketError.ConnectionRefused }:
                    return SourceReason.ConnectionRefused;
                case SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData }:
                    return SourceReason.Dns;
                case SocketException { SocketErrorCode: SocketError.TimedOut } or TimeoutException or OperationCanceledException:
                    return SourceReason.Timeout;
                default:
                    break;
            }
        }

        return SourceReason.ConnectionFailed;
    }

    private static void Use(ConnectionFactory factory, RabbitMqAmqpOptions options, AmqpSecrets secrets)
    {
        if (options.Username is not null)
        {
            factory.UserName = options.Username;
            factory.Password = secrets.Password ?? "";
        }

        if (!options.UsesTls)
        {
            return;
        }

        factory.Ssl = new SslOption(options.Url.Host, enabled: true) { Version = SslProtocols.None };
        if (secrets.Authorities is { } authorities)
        {
            factory.Ssl.CertificateValidationCallback = (_, certificate, chain, errors) =>
                TrustedAuthorities.Accepts(authorities, certificate, chain, errors);
        }
    }
}

/// <summary>
/// The sockets of one attempt to connect. The client keeps them open for as long as it waits for an answer, which may be for
/// ever, so whoever gives a connection up closes them.
/// </summary>
internal sealed class OwnedSockets : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Socket> _sockets = [];
    private bool _isDisposed;

    /// <summary>A new socket for the client; closed already if the attempt was given up.</summary>
    public ITcpClient Make(AddressFamily family)
    {
        var socket = new Socket(family, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        lock (_gate)
        {
            if (_isDisposed)
            {
                socket.Dispose();
            }
            else
            {
                _sockets.Add(socket);
            }
        }

        return new TcpClientAdapter(socket);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Socket[] sockets;
        lock (_gate)
        {
            _isDisposed = true;
            sockets = [.. _sockets];
            _sockets.Clear();
        }

        foreach (var socket in sockets)
        {
            socket.Dispose();
        }
    }
}

/// <summary>A connection of RabbitMQ.Client.</summary>
internal sealed class AmqpConnection(IConnection connection, OwnedSockets sockets, TimeProvider time, string secrets = "") : IAmqpConnection
{
    private const string EventExchange = "amq.rabbitmq.event";
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(2);

    // A little more than the client is given to end it politely.
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(3);
    private int _abandoned;
    private IChannel? _events;
    private string _eventQueue = "";

    /// <inheritdoc/>
    public string Secrets => secrets;

    /// <inheritdoc/>
    public bool IsOpen => Volatile.Read(ref _abandoned) == 0 && connection.IsOpen;

    /// <inheritdoc/>
    public async Task<IAmqpChannel?> OpenChannelAsync(CancellationToken cancellationToken) =>
        await OpenAsync(cancellationToken).ConfigureAwait(false) is { } channel ? new AmqpChannel(channel) : null;

    /// <inheritdoc/>
    public async Task<SourceReason> ListenAsync(Action<ConsumerEvent> onEvent, CancellationToken cancellationToken)
    {
        var isListening = false;
        try
        {
            var reason = await TryListenAsync(onEvent, cancellationToken).ConfigureAwait(false);
            isListening = reason == SourceReason.None;
            return reason;
        }
        finally
        {
            if (!isListening)
            {
                Abandon();
            }
        }
    }

    /// <inheritdoc/>
    public async Task<SourceReason> ConfirmListeningAsync(CancellationToken cancellationToken)
    {
        if (_events is not { IsOpen: true } channel)
        {
            Abandon();
            return SourceReason.ConnectionFailed;
        }

        // To bind again changes nothing, and is refused when there is no exchange any more.
        var reason = await AskAsync(token => BindAsync(channel, _eventQueue, token), cancellationToken).ConfigureAwait(false);
        if (reason != SourceReason.None)
        {
            Abandon();
        }

        return reason;
    }

    private async Task<SourceReason> TryListenAsync(Action<ConsumerEvent> onEvent, CancellationToken cancellationToken) =>
        await OpenAsync(cancellationToken).ConfigureAwait(false) is { } channel
            ? await AskAsync(token => SubscribeAsync(channel, onEvent, token), cancellationToken).ConfigureAwait(false)
            : SourceReason.ConnectionFailed;

    private async Task<SourceReason> AskAsync(Func<CancellationToken, Task> ask, CancellationToken cancellationToken)
    {
        try
        {
            using var limit = new CancellationTokenSource(AnswerTimeout, time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
            await ask(linked.Token).WaitAsync(AnswerTimeout, time, cancellationToken).ConfigureAwait(false);
            return SourceReason.None;
        }
        catch (OperationInterruptedException e)
        {
            return e.ShutdownReason?.ReplyCode switch
            {
                403 => SourceReason.Forbidden,
                404 => SourceReason.NotFound,
                _ => SourceReason.ConnectionFailed,
            };
        }
        catch (Exception e) when (e is RabbitMQClientException or IOException or TimeoutException
            || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return SourceReason.Timeout;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return SourceReason.ConnectionFailed;
        }
    }

    /// <inheritdoc/>
    public void Abandon()
    {
        if (Interlocked.Exchange(ref _abandoned, 1) == 0)
        {
            _ = EndWithSocketsAsync();
        }
    }

    /// <summary>Gives up a connection that may still come about.</summary>
    public static void AbandonLate(Task<IConnection> connecting) => _ = EndLateAsync(connecting);

    private static async Task EndLateAsync(Task<IConnection> connecting)
    {
#pragma warning disable CA1031 // Nobody waits for this, and nothing could be done about it.
        try
        {
            await EndAsync(await connecting.ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (Exception)
        {
        }
    }

    private static async Task EndAsync(IConnection connection)
    {
        try
        {
            await connection.AbortAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(false);
            await connection.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
        }
#pragma warning restore CA1031
    }

    private async Task EndWithSocketsAsync()
    {
        await Task.WhenAny(EndAsync(connection), Task.Delay(EndTimeout, time)).ConfigureAwait(false);
        sockets.Dispose();
    }

    private async Task SubscribeAsync(IChannel channel, Action<ConsumerEvent> onEvent, CancellationToken cancellationToken)
    {
        // Bounded: a broker that restarts with thousands of consumers must not pile up events that nobody reads.
        var queue = await channel.QueueDeclareAsync(
            "", durable: false, exclusive: true, autoDelete: true, new Dictionary<string, object?>(StringComparer.Ordinal) { ["x-max-length"] = 100_000 },
            cancellationToken: cancellationToken).ConfigureAwait(false);
        await BindAsync(channel, queue.QueueName, cancellationToken).ConfigureAwait(false);
        var consumer = new AsyncEventingBasicConsumer(channel);
        consumer.ReceivedAsync += (_, delivery) =>
        {
            if (Read(delivery.RoutingKey, delivery.BasicProperties.Headers) is { } read)
            {
                onEvent(read);
            }

            return Task.CompletedTask;
        };

        // The connection may outlive the channel, and the channel the consumer, whose queue somebody may delete.
        consumer.UnregisteredAsync += (_, _) => EndedAsync();
        channel.ChannelShutdownAsync += (_, _) => EndedAsync();
        await channel.BasicConsumeAsync(queue.QueueName, autoAck: true, consumer, cancellationToken).ConfigureAwait(false);
        (_events, _eventQueue) = (channel, queue.QueueName);

        Task EndedAsync()
        {
            Abandon();
            return Task.CompletedTask;
        }
    }

    private static async Task BindAsync(IChannel channel, string queue, CancellationToken cancellationToken)
    {
        // Departures first: whoever is seen to come is then also seen to go.
        await channel.QueueBindAsync(queue, EventExchange, "consumer.deleted", cancellationToken: cancellationToken).ConfigureAwait(false);
        await channel.QueueBindAsync(queue, EventExchange, "consumer.created", cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    private static ConsumerEvent? Read(string routingKey, IDictionary<string, object?>? headers)
    {
        if (headers is null || Text(headers, "vhost") is not { } vhost || Text(headers, "queue") is not { Length: > 0 } queue
            || Text(headers, "consumer_tag") is not { } tag)
        {
            return null;
        }

        var isCreated = routingKey == "consumer.created";
        var prefetch = headers.TryGetValue("prefetch_count", out var value) && value is long count and >= 0 and <= int.MaxValue ? (int)count : -1;
        var acks = headers.TryGetValue("ack_required", out var required) && required is bool flag ? flag : (bool?)null;
        return isCreated && (prefetch < 0 || acks is null)
            ? null
            : new ConsumerEvent(new QueueName(vhost, queue), $"{Text(headers, "channel")} {tag}", isCreated, Math.Max(0, prefetch), acks == false);
    }

    private static string? Text(IDictionary<string, object?> headers, string key) =>
        headers.TryGetValue(key, out var value) && value is byte[] bytes ? Encoding.UTF8.GetString(bytes) : null;

    private async Task<IChannel?> OpenAsync(CancellationToken cancellationToken)
    {
        try
        {
            var opening = connection.CreateChannelAsync(options: null, CancellationToken.None);
            return await opening.WaitAsync(AnswerTimeout, time, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }
}

/// <summary>A channel of RabbitMQ.Client.</summary>
internal sealed class AmqpChannel(IChannel channel) : IAmqpChannel
{
    /// <inheritdoc/>
    public bool IsUsable => channel.IsOpen;

    /// <inheritdoc/>
    public async Task<DeclareAnswer> DeclareAsync(string queue, CancellationToken cancellationToken)
    {
        try
        {
            var declared = await channel.QueueDeclarePassiveAsync(queue, cancellationToken).ConfigureAwait(false);

            // The answer to another question, however it came here, must not become this queue's figures.
            return declared.QueueName == queue
                ? new DeclareAnswer(DeclareResult.Found, declared.MessageCount, declared.ConsumerCount)
                : new DeclareAnswer(DeclareResult.Lost);
        }
        catch (OperationInterruptedException e)
        {
            return new DeclareAnswer(Classify(e.ShutdownReason));
        }
        catch (Exception e) when (e is TimeoutException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return new DeclareAnswer(DeclareResult.TimedOut);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return new DeclareAnswer(DeclareResult.Lost);
        }
    }

    /// <inheritdoc/>
    public void Abandon() => _ = EndAsync();

    /// <summary>What the broker's reason for closing a channel says about the queue.</summary>
    internal static DeclareResult Classify(ShutdownEventArgs? reason) => reason switch
    {
        { Initiator: not ShutdownInitiator.Peer } or null => DeclareResult.Lost,

        // 404 is also "home node … is down or inaccessible" and "queue … process is stopped": there the queue exists.
        { ReplyCode: 404 } => reason.ReplyText.StartsWith("NOT_FOUND - no queue", StringComparison.Ordinal) ? DeclareResult.NoSuchQueue : DeclareResult.Unreachable,
        { ReplyCode: 405 or 541 or 506 } => DeclareResult.Unreachable,
        { ReplyCode: 403 } => DeclareResult.Refused,
        _ => DeclareResult.Lost,
    };

    private async Task EndAsync()
    {
#pragma warning disable CA1031 // Nobody waits for this, and nothing could be done about it.
        try
        {
            await channel.AbortAsync(CancellationToken.None).ConfigureAwait(false);
            await channel.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
        }
#pragma warning restore CA1031
    }
}
