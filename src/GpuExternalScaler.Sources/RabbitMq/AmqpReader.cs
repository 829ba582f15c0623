using System.Collections.Concurrent;
using System.Text;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>What one pass of declares came to.</summary>
/// <param name="StartedAt">When it began.</param>
/// <param name="Outcomes">One for each queue that was asked for and got to.</param>
/// <param name="Asked">Queues it was to ask for.</param>
/// <param name="IsConnected">Whether the broker is there and takes the user.</param>
/// <param name="Vhosts">The virtual hosts that are wanted and cannot be asked, and why.</param>
internal sealed record DeclarePass(
    DateTimeOffset StartedAt,
    IReadOnlyList<DeclareOutcome> Outcomes,
    int Asked,
    bool IsConnected,
    IReadOnlyDictionary<string, SourceReason> Vhosts)
{
    /// <summary>Time from one declare of a wanted queue to the next, while declares stand in for the metrics; else zero.</summary>
    public TimeSpan Rotation { get; init; }

    /// <summary>
    /// Why the broker is asked over connections made with secrets that were replaced since; none if it is not.
    /// </summary>
    public SourceReason Renewal { get; init; }
}

/// <summary>
/// Asks a broker over AMQP for the queues that matter: every second those worth watching (T3), and while declares stand
/// in for the metrics all that are wanted (T2). Passes never overlap and each ends in bounded time.
/// </summary>
internal sealed class AmqpReader(
    RabbitMqConnectionOptions options, RabbitMqAmqpOptions amqp, QueueInterest interest, IAmqpConnector connector, MonotonicClock clock)
{
    /// <summary>Time allowed for one declare.</summary>
    internal static readonly TimeSpan DeclareTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Time after which a pass begins no further declare; the rest comes first in the next.</summary>
    internal static readonly TimeSpan PassLimit = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Time between two declares of a queue that does not exist: each writes an error into the broker's log. Only the first
    /// is repeated in the next pass, because a queue may be gone for an instant.
    /// </summary>
    internal static readonly TimeSpan AbsentInterval = TimeSpan.FromSeconds(10);

    /// <summary>Most watched queues in one pass: about 20 ms of the broker's time.</summary>
    internal const int MostWatched = 256;

    /// <summary>
    /// Most declares a second while they stand in for the metrics: about a tenth of a core of the broker. More wanted
    /// queues take turns, and what is known of each is older.
    /// </summary>
    internal const int MostPerSecond = 1500;

    /// <summary>Time between two checks that events still come, and after which a missing exchange is asked for again.</summary>
    internal static readonly TimeSpan ListenConfirm = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan RefusedRetry = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ListenReconnect = TimeSpan.FromSeconds(15);

    /// <summary>How long the listeners before and after a change of secrets both listen: events that are under way arrive.</summary>
    private static readonly TimeSpan HandOver = TimeSpan.FromSeconds(1);
    private const int MostEvents = 100_000;

    private readonly VhostPool _vhosts = new(options, connector, clock);
    private readonly Dictionary<QueueName, Absence> _absent = [];
    private readonly HashSet<QueueName> _queues = [];

    /// <summary>The wanted queues that have yet to be asked for, in order, before all have another turn.</summary>
    private readonly List<QueueName> _round = [];
    private readonly ConcurrentQueue<ConsumerEvent> _events = new();
    private readonly Lock _gate = new();
    private string _secrets = "";
    private string? _madeRoomFor;
    private ConsumerListener? _listening;
    private ConsumerListener? _successor;
    private Task? _listenAttempt;
    private DateTimeOffset _listenAt;
    private DateTimeOffset _succeedAt;
    private bool _isAbandoned;
    private bool _eventsLost;
    private DateTimeOffset _roundAt;
    private TimeSpan _lastRound;

    /// <summary>Whether consumer events come in.</summary>
    public bool IsListening => _listening is { IsOpen: true };

    /// <summary>Why they do not.</summary>
    public SourceReason ListenReason { get; private set; }

    /// <summary>One pass. An unreachable broker is a reason in it, never an exception.</summary>
    /// <param name="serveGauges">Whether declares stand in for the metrics.</param>
    /// <param name="allInterval">Time between two passes over all wanted queues in that case.</param>
    /// <param name="cancellationToken">Ends it at once.</param>
    public async Task<DeclarePass> DeclareAsync(bool serveGauges, TimeSpan allInterval, CancellationToken cancellationToken)
    {
        _secrets = await connector.LookAtSecretsAsync(cancellationToken);
        var startedAt = clock.Now;
        ForgetUnused(startedAt);
        _vhosts.Begin(startedAt);
        _vhosts.Renew(_secrets, cancellationToken);
        var byVhost = Choose(serveGauges, allInterval, startedAt, out var asked);
        var deadline = startedAt + PassLimit;
        var passes = byVhost.Select(pair => DeclareAsync(_vhosts[pair.Key], pair.Value, deadline, cancellationToken)).ToList();
        var outcomes = (await Task.WhenAll(passes)).SelectMany(static list => list).ToList();
        _vhosts.End();
        foreach (var outcome in outcomes)
        {
            if (outcome.Answer.Result == DeclareResult.NoSuchQueue)
            {
                var isSecond = _absent.TryGetValue(outcome.Queue, out var before)
                    && (before.IsConfirmed || outcome.At - before.At <= AbsentInterval);
                _absent[outcome.Queue] = new Absence(outcome.At, isSecond);
            }
            else if (outcome.Answer.Result == DeclareResult.Found)
            {
                _absent.Remove(outcome.Queue);
            }
        }

        // Those that were not reached in time keep their turn, and have it before anyone has another.
        var late = byVhost.Where(pair => _vhosts.Has(pair.Key)).SelectMany(static pair => pair.Value).ToHashSet();
        late.ExceptWith(outcomes.Select(static outcome => outcome.Queue));
        if (_round.RemoveAll(queue => _queues.Contains(queue) && !late.Contains(queue)) > 0 && _round.Count == 0)
        {
            _lastRound = clock.Now - _roundAt;
        }

        return new DeclarePass(startedAt, outcomes, asked, _vhosts.IsReached, _vhosts.Faults())
        {
            Rotation = serveGauges ? Rotation(allInterval) : default,
            Renewal = _vhosts.RenewalReason,
        };
    }

    /// <summary>
    /// Keeps listening to consumer events, without waiting for it, and makes sure every minute that they still come. An
    /// exchange that is missing is asked for again in a minute, one that is refused in five.
    /// </summary>
    public void KeepListening(CancellationToken cancellationToken)
    {
        if (_listenAttempt is { IsCompleted: false })
        {
            return;
        }

        var now = clock.Now;
        if (_listening is { } listening)
        {
            if (!listening.IsOpen)
            {
                // The successor of one that ended too early may have missed something in between.
                _eventsLost = true;
                listening.Connection?.Abandon();
                _listening = TakeSuccessor();
                _listening?.Follow();
                if (_listening is null && ListenReason == SourceReason.None)
                {
                    ListenReason = SourceReason.ConnectionFailed;
                    _listenAt = now + ListenReconnect;
                }
            }
            else if (_successor is not null)
            {
                if (now >= _succeedAt && TakeSuccessor() is { } successor)
                {
                    _eventsLost |= !listening.HandOverTo(successor);
                    _listening = successor;
                    _listenAt = now + ListenConfirm;
                }
                else if (_successor is null)
                {
                    listening.Forget();
                }
            }
            else if (now >= _succeedAt && listening.Connection?.Secrets != _secrets && _vhosts.HasProven(_secrets))
            {
                _listenAttempt = SucceedAsync(listening, cancellationToken);
            }
            else if (now >= _listenAt)
            {
                _listenAttempt = ListenAsync(listening, cancellationToken);
            }

            return;
        }

        if (now >= _listenAt)
        {
            _listenAttempt = ListenAsync(null, cancellationToken);
        }
    }

    /// <summary>The events since the last time; false if some were lost.</summary>
    public bool TakeEvents(List<ConsumerEvent> taken)
    {
        var lost = _eventsLost || _events.Count >= MostEvents;
        _eventsLost = false;
        while (taken.Count < MostEvents && _events.TryDequeue(out var one))
        {
            taken.Add(one);
        }

        return !lost;
    }

    /// <summary>Gives every connection up.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            _isAbandoned = true;
        }

        _listening?.Connection?.Abandon();
        _successor?.Connection?.Abandon();
        _vhosts.Abandon();
    }

    private static async Task<List<DeclareOutcome>> DeclareAsync(
        VhostDeclarer declarer, List<QueueName> queues, DateTimeOffset deadline, CancellationToken cancellationToken)
    {
        var outcomes = new List<DeclareOutcome>(queues.Count);
        if (queues.Count == 0)
        {
            await declarer.ProbeAsync(cancellationToken);
        }
        else
        {
            await declarer.DeclareAsync(queues, deadline, outcomes, cancellationToken);
        }

        return outcomes;
    }

    private Dictionary<string, List<QueueName>> Choose(bool serveGauges, TimeSpan allInterval, DateTimeOffset now, out int asked)
    {
        ChooseQueues(serveGauges, allInterval, now);
        asked = 0;
        var byVhost = new Dictionary<string, List<QueueName>>(StringComparer.Ordinal);
        foreach (var queue in _queues)
        {
            if (CanBeAsked(queue, now) && _vhosts.TryUse(queue.Vhost))
            {
                asked++;
                (byVhost.TryGetValue(queue.Vhost, out var list) ? list : byVhost[queue.Vhost] = []).Add(queue);
            }
        }

        // With nothing to ask for it still matters whether the broker can be reached.
        if (byVhost.Count == 0)
        {
            var named = _vhosts.Connected
                ?? options.Vhosts.FirstOrDefault(_vhosts.MayUse)
                ?? interest.Wanted.Select(static queue => queue.Vhost).FirstOrDefault(vhost => CanBeDeclared(vhost) && _vhosts.MayUse(vhost));
            if (_vhosts.TryUse(named ?? "/", isGuess: named is null))
            {
                byVhost[named ?? "/"] = [];
            }
        }

        return byVhost;
    }

    /// <summary>
    /// Chooses the queues of a pass: those just said to be absent, and then all wanted ones, if they are few. Of many a pass
    /// takes as many as the broker can bear, and those worth watching first.
    /// </summary>
    private void ChooseQueues(bool serveGauges, TimeSpan allInterval, DateTimeOffset now)
    {
        _queues.Clear();
        _queues.UnionWith(_absent.Where(static pair => !pair.Value.IsConfirmed).Select(static pair => pair.Key).Take(MostWatched));
        if (!serveGauges)
        {
            _round.Clear();
            _roundAt = default;
            _lastRound = default;
        }
        else if (_round.Count == 0 && now - _roundAt >= allInterval - (amqp.Interval / 2))
        {
            // Half an interval of tolerance: a timer that comes a millisecond early must not skip a whole turn.
            _round.AddRange(interest.Wanted.Where(queue => CanBeAsked(queue, now)));
            _roundAt = now;
        }

        var most = Math.Max(1, (int)(MostPerSecond * amqp.Interval.TotalSeconds));
        var watched = new List<QueueName>();
        if (_round.Count == 0 || _round.Count > most || _roundAt < now)
        {
            interest.TakeWatched(MostWatched, watched, queue => CanBeAsked(queue, now));
        }

        // The watched ones are of the same number, but must not take every place, nor all of the time of a slow broker.
        most = Math.Max(most - _queues.Count - watched.Count, (most + 1) / 2);
        for (var i = 0; i < watched.Count || (i < _round.Count && most > 0); i++)
        {
            if (i < watched.Count)
            {
                _queues.Add(watched[i]);
            }

            if (i < _round.Count && most > 0)
            {
                most -= _queues.Add(_round[i]) ? 1 : 0;
            }
        }
    }

    private TimeSpan Rotation(TimeSpan allInterval)
    {
        var planned = TimeSpan.FromSeconds(interest.Wanted.Count / (double)MostPerSecond);
        var measured = _round.Count > 0 && clock.Now - _roundAt > _lastRound ? clock.Now - _roundAt : _lastRound;
        var longest = planned > measured ? planned : measured;
        return longest > allInterval ? longest : allInterval;
    }

    /// <summary>Whether a queue may be asked for now: its names fit, its virtual host is open to us, and it was not just said to be absent.</summary>
    private bool CanBeAsked(QueueName queue, DateTimeOffset now) =>
        !(_absent.TryGetValue(queue, out var absence) && absence.IsConfirmed && now - absence.At < AbsentInterval)
        && CanBeDeclared(queue.Name)
        && CanBeDeclared(queue.Vhost)
        && _vhosts.MayUse(queue.Vhost);

    /// <summary>
    /// Whether a name from a trigger may be put on the wire: AMQP has no longer ones, and takes an empty one for the queue
    /// that the channel declared last.
    /// </summary>
    private static bool CanBeDeclared(string name) =>
        name.Length > 0 && Encoding.UTF8.GetByteCount(name) <= QueueTable.LongestName;

    /// <summary>Forgets absent queues that nobody has asked for since.</summary>
    private void ForgetUnused(DateTimeOffset now)
    {
        foreach (var (queue, absence) in _absent)
        {
            if (now - absence.At >= VhostPool.UnusedFor)
            {
                _absent.Remove(queue);
            }
        }
    }

    /// <summary>The one that is ready to follow, if it still listens; it does not wait any longer either way.</summary>
    private ConsumerListener? TakeSuccessor()
    {
        var successor = _successor;
        _successor = null;
        if (successor is { IsOpen: false })
        {
            successor.Connection?.Abandon();
            successor = null;
            _succeedAt = clock.Now + ListenReconnect;
        }

        return successor;
    }

    /// <summary>Confirms that a listener still listens, or makes one.</summary>
    private async Task ListenAsync(ConsumerListener? confirmed, CancellationToken cancellationToken)
    {
        var listener = confirmed ?? new ConsumerListener(_events, MostEvents, isSuccessor: false);
        var reason = await AskAsync(
            listener,
            token => confirmed?.Connection is { } connection ? connection.ConfirmListeningAsync(token) : BeginAsync(listener, token),
            cancellationToken);
        ListenReason = reason;
        if (reason == SourceReason.None)
        {
            Settle(ref _listening, listener);
            _listenAt = clock.Now + ListenConfirm;
            return;
        }

        _listenAt = clock.Now + RetryAfter(reason);
    }

    /// <summary>
    /// Has another connection, made with the secrets of now, listen as well. Known to work elsewhere, they are no reason that
    /// it does not; the one that listens goes on either way.
    /// </summary>
    private async Task SucceedAsync(ConsumerListener listening, CancellationToken cancellationToken)
    {
        var secrets = _secrets;
        listening.Remember();
        var successor = new ConsumerListener(_events, MostEvents, isSuccessor: true);
        var reason = await AskAsync(successor, token => BeginAsync(successor, token), cancellationToken);
        if (reason == SourceReason.None)
        {
            // One that does not answer may have had events that never came: it ends here, and they count as lost.
            try
            {
                await AskAsync(listening, token => listening.Connection!.ConfirmListeningAsync(token), cancellationToken);
            }
            catch (OperationCanceledException)
            {
                successor.Connection?.Abandon();
                throw;
            }

            Settle(ref _successor, successor);
            _succeedAt = clock.Now + HandOver;
            return;
        }

        listening.Forget();
        _succeedAt = clock.Now + RetryAfter(reason);
        if (reason == SourceReason.LimitReached && _madeRoomFor != secrets)
        {
            // There is no room for both. Once: it may be others that take it.
            _madeRoomFor = secrets;
            listening.Connection?.Abandon();
        }
    }

    /// <summary>Puts a listener where <see cref="Abandon"/> finds it; gives it up if that has been.</summary>
    private void Settle(ref ConsumerListener? place, ConsumerListener listener)
    {
        lock (_gate)
        {
            if (!_isAbandoned)
            {
                place = listener;
                return;
            }
        }

        listener.Connection?.Abandon();
    }

    private async Task<SourceReason> BeginAsync(ConsumerListener listener, CancellationToken cancellationToken)
    {
        (var reason, listener.Connection) = await connector.ConnectAsync(amqp.EventVhost, cancellationToken);
        return listener.Connection is { } connection ? await connection.ListenAsync(listener.Take, cancellationToken) : reason;
    }

    private async Task<SourceReason> AskAsync(
        ConsumerListener listener, Func<CancellationToken, Task<SourceReason>> ask, CancellationToken cancellationToken)
    {
        SourceReason reason;
        try
        {
            reason = await ask(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            listener.Connection?.Abandon();
            throw;
        }
#pragma warning disable CA1031 // Nobody waits for this: the reason is all that is ever seen of it.
        catch (Exception)
#pragma warning restore CA1031
        {
            reason = SourceReason.ConnectionFailed;
        }

        if (reason != SourceReason.None || _isAbandoned)
        {
            listener.Connection?.Abandon();
        }

        return reason;
    }

    private static TimeSpan RetryAfter(SourceReason reason) => reason switch
    {
        SourceReason.Forbidden => RefusedRetry,
        SourceReason.NotFound => ListenConfirm,
        _ => ListenReconnect,
    };

    /// <summary>That a queue does not exist, and whether it was said twice in a row.</summary>
    private readonly record struct Absence(DateTimeOffset At, bool IsConfirmed);
}
