namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>One queue's answer within a pass.</summary>
/// <param name="Queue">The queue.</param>
/// <param name="Answer">What the broker said.</param>
/// <param name="At">When it was asked.</param>
internal readonly record struct DeclareOutcome(QueueName Queue, DeclareAnswer Answer, DateTimeOffset At);

/// <summary>
/// Declares queues of one virtual host passively, over one connection with a few channels. A pass ends in bounded time
/// whatever the broker does; a connection that does not answer is given up and made anew, ever more rarely.
/// </summary>
internal sealed class VhostDeclarer(IAmqpConnector connector, string vhost, MonotonicClock clock)
{
    /// <summary>Declares under way at once: 64 make a broker no faster than 16.</summary>
    internal const int Channels = 16;

    /// <summary>How long a connection is believed to be alive after its last answer.</summary>
    internal static readonly TimeSpan ProbeInterval = TimeSpan.FromSeconds(5);

    private const int LateLimit = 64;
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly Stack<IAmqpChannel> _idle = new();
    private readonly HashSet<string> _late = new(StringComparer.Ordinal);
    private IAmqpConnection? _connection;
    private TimeSpan _backoff;
    private DateTimeOffset _retryAt;
    private DateTimeOffset _answeredAt;

    /// <summary>Why there is no connection, or none that answers; kept while a new attempt waits its turn.</summary>
    public SourceReason Reason { get; private set; }

    public bool IsConnected => _connection is { IsOpen: true };

    /// <summary>Whether it is connected with other secrets than these.</summary>
    public bool IsOutdated(string secrets) => _connection is { IsOpen: true } connection && connection.Secrets != secrets;

    /// <summary>Goes on over another connection. To be called between two passes.</summary>
    public void Adopt(IAmqpConnection successor)
    {
        _connection?.Abandon();
        _connection = successor;
        _answeredAt = clock.Now;
        Reason = SourceReason.None;
        ForgetChannels();
    }

    /// <summary>Connects if need be. False while there is no connection; <see cref="Reason"/> says why.</summary>
    public async Task<bool> ConnectAsync(CancellationToken cancellationToken)
    {
        if (IsConnected)
        {
            return true;
        }

        if (_connection is not null)
        {
            Disconnect(SourceReason.ConnectionFailed);
        }

        if (clock.Now < _retryAt)
        {
            return false;
        }

        var (reason, connection) = await connector.ConnectAsync(vhost, cancellationToken);
        if (connection is null)
        {
            Disconnect(reason);
            return false;
        }

        // The delay before the next attempt is kept until a pass succeeds: a broker may let us in and then say nothing.
        _connection = connection;
        _answeredAt = clock.Now;
        Reason = SourceReason.None;
        return true;
    }

    /// <summary>Connects if need be, and has the broker answer something if it has not for a while.</summary>
    public async Task ProbeAsync(CancellationToken cancellationToken)
    {
        if (!await ConnectAsync(cancellationToken) || clock.Now - _answeredAt < ProbeInterval || _connection is not { } connection)
        {
            return;
        }

        if (await connection.OpenChannelAsync(cancellationToken) is { } channel)
        {
            channel.Abandon();
            _answeredAt = clock.Now;
        }
        else
        {
            Disconnect(SourceReason.Timeout);
        }
    }

    /// <summary>Asks for queues, in order, until done or until the deadline; adds what was answered to the outcomes.</summary>
    public async Task DeclareAsync(
        IReadOnlyList<QueueName> queues, DateTimeOffset deadline, List<DeclareOutcome> outcomes, CancellationToken cancellationToken)
    {
        if (!await ConnectAsync(cancellationToken))
        {
            return;
        }

        var pass = new Pass(queues, deadline, outcomes);
        await Task.WhenAll(Enumerable.Range(0, Math.Min(Channels, queues.Count)).Select(_ => WorkAsync(pass, cancellationToken)));
        var isHung = pass.Answered == 0 && (pass.TimedOut > 0 || pass.IsSilent);
        if (pass.IsLost || isHung || !IsConnected || _late.Count > LateLimit)
        {
            Disconnect(isHung ? SourceReason.Timeout : SourceReason.ConnectionFailed);
        }
        else
        {
            Reason = SourceReason.None;
            _backoff = default;
            _answeredAt = pass.Answered > 0 ? clock.Now : _answeredAt;
        }
    }

    /// <summary>Gives the connection up.</summary>
    public void Disconnect(SourceReason reason = SourceReason.None)
    {
        Reason = reason;
        _backoff = _backoff == default ? TimeSpan.FromSeconds(1) : _backoff * 2 < LongestBackoff ? _backoff * 2 : LongestBackoff;
        _retryAt = clock.Now + _backoff;
        _connection?.Abandon();
        _connection = null;
        ForgetChannels();
    }

    private void ForgetChannels()
    {
        lock (_gate)
        {
            _idle.Clear();
            _late.Clear();
        }
    }

    private async Task WorkAsync(Pass pass, CancellationToken cancellationToken)
    {
        IAmqpChannel? channel = null;
        while (!pass.IsLost && clock.Now < pass.Deadline && pass.Next() is { } queue)
        {
            lock (_gate)
            {
                // Still unanswered from before: asking again would only hold up another channel.
                if (_late.Contains(queue.Name))
                {
                    pass.Note(new DeclareOutcome(queue, new DeclareAnswer(DeclareResult.TimedOut), clock.Now));
                    continue;
                }

                channel = channel is { IsUsable: true } ? channel : _idle.TryPop(out var idle) && idle.IsUsable ? idle : null;
            }

            channel ??= _connection is { } connection ? await connection.OpenChannelAsync(cancellationToken) : null;
            if (channel is null)
            {
                pass.IsSilent |= IsConnected;
                pass.IsLost = true;
                return;
            }

            var askedAt = clock.Now;
            var declaring = channel.DeclareAsync(queue.Name, cancellationToken);
            DeclareAnswer answer;
            try
            {
                answer = await declaring.WaitAsync(AmqpReader.DeclareTimeout, clock.TimeProvider, cancellationToken);
            }
            catch (TimeoutException)
            {
                // Its number must not be used again while the broker still works on it, so it is kept until it answers.
                answer = new DeclareAnswer(DeclareResult.TimedOut);
                _ = EndLateAsync(channel, queue.Name, declaring);
                channel = null;
            }

            pass.Note(new DeclareOutcome(queue, answer, askedAt));
        }

        if (channel is { IsUsable: true })
        {
            lock (_gate)
            {
                _idle.Push(channel);
            }
        }
    }

    private async Task EndLateAsync(IAmqpChannel channel, string queue, Task<DeclareAnswer> declaring)
    {
        lock (_gate)
        {
            _late.Add(queue);
        }

#pragma warning disable CA1031 // Nobody waits for this; whatever it was, the channel goes.
        try
        {
            await declaring;
        }
        catch (Exception)
        {
        }
#pragma warning restore CA1031

        channel.Abandon();
        lock (_gate)
        {
            _late.Remove(queue);
        }
    }

    private sealed class Pass(IReadOnlyList<QueueName> queues, DateTimeOffset deadline, List<DeclareOutcome> outcomes)
    {
        private int _next = -1;
        private volatile bool _isLost;
        private volatile bool _isSilent;

        public DateTimeOffset Deadline => deadline;

        public int Answered { get; private set; }

        public int TimedOut { get; private set; }

        public bool IsLost
        {
            get => _isLost;
            set => _isLost = value;
        }

        /// <summary>Whether an open connection gave no channel.</summary>
        public bool IsSilent
        {
            get => _isSilent;
            set => _isSilent = value;
        }

        public QueueName? Next()
        {
            var index = Interlocked.Increment(ref _next);
            return index < queues.Count ? queues[index] : null;
        }

        public void Note(in DeclareOutcome outcome)
        {
            lock (outcomes)
            {
                outcomes.Add(outcome);
                switch (outcome.Answer.Result)
                {
                    case DeclareResult.Lost:
                        _isLost = true;
                        break;
                    case DeclareResult.TimedOut:
                        TimedOut++;
                        break;
                    default:
                        Answered++;
                        break;
                }
            }
        }
    }
}
