namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// The virtual hosts that are asked over AMQP, each over a connection of its own. Where none are configured triggers name
/// them, so one that cannot be entered must take nothing from the others: it gives its place up, and is tried again.
/// </summary>
internal sealed class VhostPool(RabbitMqConnectionOptions options, IAmqpConnector connector, MonotonicClock clock)
{
    /// <summary>Most virtual hosts at once.</summary>
    internal const int Most = 32;

    /// <summary>Most in one pass that are tried again.</summary>
    internal const int MostRetries = 4;

    /// <summary>How long one is kept that nobody asks for.</summary>
    internal static readonly TimeSpan UnusedFor = TimeSpan.FromMinutes(2);

    private const int Many = 100;
    private static readonly TimeSpan FirstRetry = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LastRetry = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan FirstRenewal = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LastRetryOfMany = TimeSpan.FromMinutes(5);

    private readonly Dictionary<string, Place> _places = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Refusal> _refused = new(StringComparer.Ordinal);
    private DateTimeOffset _now;
    private int _retries;
    private (string Vhost, string Secrets, Task<(SourceReason Reason, IAmqpConnection? Connection)> Connecting)? _renewal;
    private string _renewedFor = "";
    private DateTimeOffset _renewAt;
    private TimeSpan _renewDelay;
    private string? _madeRoom;

    /// <summary>Whether some virtual host is connected.</summary>
    public bool IsConnected => _places.Values.Any(static place => place.Declarer.IsConnected);

    /// <summary>
    /// Whether the broker is there and takes the user, be it only to say that it has no such virtual host. Of configured ones
    /// one must be open.
    /// </summary>
    public bool IsReached => IsConnected
        || (options.Vhosts.Count == 0
            && _refused.Values.Any(static refusal => refusal.Reason == SourceReason.NotFound)
            && _places.Values.All(static place => place.Declarer.Reason == SourceReason.None));

    /// <summary>One that is connected.</summary>
    public string? Connected => _places.FirstOrDefault(static pair => pair.Value.Declarer.IsConnected).Key;

    public VhostDeclarer this[string name] => _places[name].Declarer;

    /// <summary>Whether a virtual host has a place and is connected.</summary>
    public bool Has(string name) => _places.TryGetValue(name, out var place) && place.Declarer.IsConnected;

    /// <summary>Begins a pass: gives up what nobody has asked for lately.</summary>
    public void Begin(DateTimeOffset now)
    {
        _now = now;
        _retries = 0;
        foreach (var (name, place) in _places)
        {
            if (now - place.UsedAt > UnusedFor && _places.Count > 1)
            {
                place.Declarer.Disconnect();
                _places.Remove(name);
            }
        }

        foreach (var (name, refusal) in _refused)
        {
            if (now - refusal.UsedAt > UnusedFor)
            {
                _refused.Remove(name);
            }
        }
    }

    /// <summary>Why connections are still those made with secrets that were replaced since; none if they are not.</summary>
    public SourceReason RenewalReason { get; private set; }

    /// <summary>Whether some virtual host is connected with these secrets, so that they are known to work.</summary>
    public bool HasProven(string secrets) => _places.Values.Any(place => place.Declarer.IsConnected && !place.Declarer.IsOutdated(secrets));

    /// <summary>
    /// Brings connections to new secrets, without waiting for it: each is made anew beside the one in use, which serves until
    /// then, and goes on if the new secrets do not work. One at a time, so that a wrong password is one refused login and not
    /// thirty. To be called after <see cref="Begin"/>.
    /// </summary>
    public void Renew(string secrets, CancellationToken cancellationToken)
    {
        if (_renewal is { Connecting.IsCompleted: true } renewal)
        {
            _renewal = null;
            FinishRenewal(renewal.Vhost, renewal.Secrets, renewal.Connecting);
        }

        // Also where nothing is to be done: secrets that failed and come again after others are tried at once.
        if (secrets != _renewedFor)
        {
            _renewedFor = secrets;
            _renewAt = _now;
            _renewDelay = FirstRenewal;
        }

        if (_renewal is not null)
        {
            return;
        }

        var outdated = secrets.Length == 0 ? null : _places.FirstOrDefault(pair => pair.Value.Declarer.IsOutdated(secrets)).Key;
        if (outdated is null)
        {
            RenewalReason = SourceReason.None;
            return;
        }

        if (_now >= _renewAt)
        {
            _renewal = (outdated, secrets, connector.ConnectAsync(outdated, cancellationToken));
        }
    }

    /// <summary>Whether a virtual host is one the operator lets us read, and can be asked now. Takes no place for it.</summary>
    public bool MayUse(string name)
    {
        if (_places.ContainsKey(name))
        {
            return true;
        }

        if (!_refused.TryGetValue(name, out var refusal))
        {
            return _places.Count < Most && (options.Vhosts.Count == 0 || options.Vhosts.Contains(name, StringComparer.Ordinal));
        }

        refusal.UsedAt = _now;
        return _now >= refusal.RetryAt && _retries < MostRetries && _places.Count < Most;
    }

    /// <summary>The same, and takes a place for it.</summary>
    /// <param name="name">The virtual host.</param>
    /// <param name="isGuess">Whether nobody has named it: then it is no fault if it does not exist.</param>
    public bool TryUse(string name, bool isGuess = false)
    {
        if (!MayUse(name))
        {
            return false;
        }

        if (!_places.TryGetValue(name, out var place))
        {
            _retries += _refused.ContainsKey(name) ? 1 : 0;
            _places[name] = place = new Place(new VhostDeclarer(connector, name, clock));
        }

        place.IsGuess = isGuess;
        place.UsedAt = _now;
        return true;
    }

    /// <summary>
    /// Ends a pass: those that could not be entered give their places up, unless none could, which is the broker's fault and
    /// not theirs.
    /// </summary>
    public void End()
    {
        var isConnected = IsConnected;
        foreach (var (name, place) in _places)
        {
            var declarer = place.Declarer;
            if (declarer.IsConnected)
            {
                _refused.Remove(name);
            }
            else if (declarer.Reason == SourceReason.NotFound || (isConnected && declarer.Reason != SourceReason.None))
            {
                var delay = _refused.TryGetValue(name, out var before) ? 2 * before.Delay : FirstRetry;
                var longest = _refused.Count > Many ? LastRetryOfMany : LastRetry;
                delay = delay < longest ? delay : longest;
                _refused[name] = new Refusal(declarer.Reason, _now + delay, delay, place.IsGuess) { UsedAt = place.UsedAt };
                declarer.Disconnect(declarer.Reason);
                _places.Remove(name);
            }
        }
    }

    /// <summary>Why virtual hosts that somebody wants cannot be asked.</summary>
    public Dictionary<string, SourceReason> Faults()
    {
        var faults = new Dictionary<string, SourceReason>(StringComparer.Ordinal);
        foreach (var (name, refusal) in _refused)
        {
            if (!refusal.IsGuess)
            {
                faults[name] = refusal.Reason;
            }
        }

        foreach (var (name, place) in _places)
        {
            if (place.Declarer.Reason != SourceReason.None)
            {
                faults[name] = place.Declarer.Reason;
            }
        }

        return faults;
    }

    /// <summary>Gives every connection up.</summary>
    public void Abandon()
    {
        foreach (var place in _places.Values)
        {
            place.Declarer.Disconnect();
        }

        if (_renewal is { } renewal)
        {
            _renewal = null;
            _ = AbandonLateAsync(renewal.Connecting);
        }
    }

    private static async Task AbandonLateAsync(Task<(SourceReason Reason, IAmqpConnection? Connection)> connecting)
    {
        await ((Task)connecting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (connecting.IsCompletedSuccessfully)
        {
            (await connecting).Connection?.Abandon();
        }
    }

    private void FinishRenewal(string vhost, string secrets, Task<(SourceReason Reason, IAmqpConnection? Connection)> connecting)
    {
        var (reason, successor) = connecting.IsCompletedSuccessfully ? connecting.Result : (SourceReason.ConnectionFailed, null);
        if (successor is { IsOpen: false })
        {
            // It ended between two passes. The one in use may well go on.
            successor.Abandon();
            (reason, successor) = (SourceReason.ConnectionFailed, null);
        }

        if (successor is not null)
        {
            RenewalReason = SourceReason.None;
            _renewDelay = FirstRenewal;
            if (_places.TryGetValue(vhost, out var place))
            {
                place.Declarer.Adopt(successor);
            }
            else
            {
                successor.Abandon();
            }

            return;
        }

        if (reason == SourceReason.NotFound || (reason == SourceReason.LimitReached && MayMakeRoom()))
        {
            // The secrets were taken. What is in the way is the virtual host itself, or perhaps the connection in use.
            _madeRoom = reason == SourceReason.LimitReached ? vhost : _madeRoom;
            if (_places.TryGetValue(vhost, out var place))
            {
                place.Declarer.Disconnect(reason);
            }

            return;
        }

        RenewalReason = reason;
        if (secrets != _renewedFor)
        {
            return;
        }

        _renewAt = _now + _renewDelay;
        _renewDelay = 2 * _renewDelay < LastRetry ? 2 * _renewDelay : LastRetry;
    }

    /// <summary>
    /// Whether a connection may be given up for a limit. Not while the last one that was has not come back: then others fill
    /// the limit, and would have the rest as well, one after another.
    /// </summary>
    private bool MayMakeRoom() =>
        _madeRoom is null || Has(_madeRoom) || (!_places.ContainsKey(_madeRoom) && !_refused.ContainsKey(_madeRoom));

    private sealed class Place(VhostDeclarer declarer)
    {
        public VhostDeclarer Declarer => declarer;

        public DateTimeOffset UsedAt { get; set; }

        public bool IsGuess { get; set; }
    }

    private sealed class Refusal(SourceReason reason, DateTimeOffset retryAt, TimeSpan delay, bool isGuess)
    {
        public SourceReason Reason => reason;

        public DateTimeOffset RetryAt => retryAt;

        public TimeSpan Delay => delay;

        public bool IsGuess => isGuess;

        public DateTimeOffset UsedAt { get; set; }
    }
}
