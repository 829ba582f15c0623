using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>
/// Reads one broker for every workload at once. Run <see cref="RunAsync"/> once; read <see cref="Current"/> from anywhere.
/// </summary>
/// <remarks>
/// Primary source are the metrics of every node (T1). The management list supplies what they lack: counters on 3.10
/// (T4), everything where there are no metrics or they have failed three times in a row (T2), and queues whose node's
/// metrics cannot be read. Lists of totals and passive declares make that younger; declares alone serve where there is
/// nothing else, and wake queues sooner where there is (T3). The cost of a sweep does not depend on the number of
/// workloads.
/// </remarks>
public sealed class RabbitMqSource : ISource
{
    private const string Families =
        "family=queue_coarse_metrics&family=queue_consumer_count&family=queue_delivery_metrics&family=queue_exchange_metrics";

    private readonly MonotonicClock _clock;
    private readonly Action<SweepOutcome>? _onSweep;
    private readonly NamedAddresses _nodes;
    private readonly BrokerState _state;
    private readonly EndpointClient _metricsClient;
    private readonly EndpointClient _managementClient;
    private readonly EndpointClient _detailsClient;
    private readonly AmqpReader? _amqp;
    private readonly string _metricsQuery;
    private readonly Uri[] _metricsUrls;
    private readonly Uri[] _listUrls;
    private readonly Uri[] _totalsUrls;
    private readonly TaskCompletionSource _firstMetricsSweep = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="options">The connection.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    public RabbitMqSource(RabbitMqConnectionOptions options, MonotonicClock clock, Action<SweepOutcome>? onSweep = null)
        : this(options, clock, onSweep, Dns.GetHostAddressesAsync, connector: null)
    {
    }

    internal RabbitMqSource(
        RabbitMqConnectionOptions options,
        MonotonicClock clock,
        Action<SweepOutcome>? onSweep,
        Func<string, CancellationToken, Task<IPAddress[]>> resolve,
        IAmqpConnector? connector = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        Options = options;
        _clock = clock;
        _onSweep = onSweep;
        _nodes = new NamedAddresses(options.MetricsDns, options.NodeTimeout, clock.TimeProvider, resolve);
        _state = new BrokerState(options);
        _metricsClient = new EndpointClient(options.MetricsCaFile, clock.TimeProvider);
        _managementClient = new EndpointClient(options.Management?.CaFile, clock.TimeProvider);

        // A list that hangs must not hold up the totals.
        _detailsClient = new EndpointClient(options.Management?.CaFile, clock.TimeProvider);
        _amqp = options.Amqp is not { } amqp ? null
            : new AmqpReader(options, amqp, Interest, connector ?? new AmqpConnector(options.Name, amqp, clock.TimeProvider), clock);

        // T7: EscapeDataString writes a space as %20 and a slash as %2F.
        _metricsQuery = Families + string.Concat(options.Vhosts.Select(vhost => $"&vhost={Uri.EscapeDataString(vhost)}"));
        _metricsUrls = [.. options.MetricsUrls.Select(url => Join(url, $"/metrics/detailed?{_metricsQuery}"))];
        _listUrls = ListUrls(options, $"columns={ManagementList.Columns}");
        _totalsUrls = ListUrls(options, ManagementList.TotalsQuery);
    }

    /// <summary>The connection this source reads.</summary>
    public RabbitMqConnectionOptions Options { get; }

    /// <summary>What workloads want of this source; used where AMQP is configured.</summary>
    public QueueInterest Interest { get; } = new();

    /// <summary>The newest readings; replaced as a whole by each sweep, never null.</summary>
    public BrokerReadings Current => _state.Current;

    /// <summary>
    /// Sweeps until cancelled, at once and then at fixed intervals; sweeps of one endpoint never overlap. Faults of the
    /// broker end up in <see cref="Current"/> and never end the loop.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Task RunAsync(CancellationToken cancellationToken) =>
        Task.WhenAll(
            RunMetricsAsync(cancellationToken),
            RunManagementAsync(cancellationToken),
            RunDetailsAsync(cancellationToken),
            RunAmqpAsync(cancellationToken));

    /// <inheritdoc/>
    public void Dispose()
    {
        _metricsClient.Dispose();
        _managementClient.Dispose();
        _detailsClient.Dispose();
        _amqp?.Abandon();
    }

    /// <summary>Reads every node's metrics once.</summary>
    internal async Task<SweepOutcome> SweepMetricsAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        var reason = await _metricsClient.PrepareAsync(cancellationToken);
        if (reason != SourceReason.None)
        {
            return _state.ApplyMetrics(
                startedAt, startedAt, _clock.Now, [new NodeAnswer("", new EndpointAnswer(reason))], allAsked: false);
        }

        var urls = new List<Uri>(_metricsUrls);
        var answers = new List<NodeAnswer>();
        var allAsked = await AddAddressesAsync(urls, answers, cancellationToken);
        var sentAt = _clock.Now;
        var requests = urls.ConvertAll(url => _metricsClient.GetAsync(url, null, Options.NodeTimeout, Options.MaxResponseBytes, cancellationToken));
        var pages = await Task.WhenAll(requests);
        answers.AddRange(urls.Zip(pages, (url, page) => new NodeAnswer(FaultSentences.EndpointOf(url), page)));
        try
        {
            return _state.ApplyMetrics(startedAt, sentAt, _clock.Now, answers, allAsked);
        }
        finally
        {
            Release(pages);
        }
    }

    /// <summary>Reads the management list once.</summary>
    internal async Task<SweepOutcome> SweepManagementAsync(CancellationToken cancellationToken)
    {
        var management = Options.Management ?? throw new InvalidOperationException("No management endpoint is configured.");
        var startedAt = _clock.Now;
        var endpoint = FaultSentences.EndpointOf(management.Url);
        var reason = await _managementClient.PrepareAsync(cancellationToken);
        var authorization = default(AuthenticationHeaderValue);
        if (reason == SourceReason.None)
        {
            (reason, authorization) = await ReadCredentialsAsync(management, cancellationToken);
        }

        if (reason != SourceReason.None)
        {
            return _state.ApplyManagement(
                startedAt, _clock.Now, endpoint, [new EndpointAnswer(reason)], statisticsDisabled: false);
        }

        var lists = await Task.WhenAll(_listUrls.Select(url => GetManagementAsync(_managementClient, url, authorization, cancellationToken)));
        try
        {
            var statisticsDisabled = LacksStatistics(lists)
                && await AreStatisticsDisabledAsync(management.Url, authorization, cancellationToken);
            return _state.ApplyManagement(startedAt, _clock.Now, endpoint, lists, statisticsDisabled);
        }
        finally
        {
            Release(lists);
        }
    }

    /// <summary>Reads the list of totals once.</summary>
    internal async Task<SweepOutcome> SweepTotalsAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        var (endpoint, answers) = await GetDetailsAsync(_totalsUrls, cancellationToken);
        try
        {
            return _state.ApplyTotals(startedAt, _clock.Now, endpoint, answers);
        }
        finally
        {
            Release(answers);
        }
    }

    /// <summary>Reads the consumer list once.</summary>
    internal async Task<SweepOutcome> SweepConsumersAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
        var url = Join(Options.Management!.Url, $"/api/consumers?{ConsumerList.Query}");
        var (endpoint, answers) = await GetDetailsAsync([url], cancellationToken);
        try
        {
            return _state.ApplyConsumers(startedAt, _clock.Now, endpoint, answers[0]);
        }
        finally
        {
            Release(answers);
        }
    }

    /// <summary>Takes the consumer events that came, and declares what is due.</summary>
    internal async Task<SweepOutcome> SweepAmqpAsync(CancellationToken cancellationToken)
    {
        var reader = _amqp ?? throw new InvalidOperationException("No AMQP endpoint is configured.");
        var endpoint = FaultSentences.EndpointOf(Options.Amqp!);
        reader.KeepListening(cancellationToken);
        var events = new List<ConsumerEvent>();
        var isWhole = reader.TakeEvents(events);
        _state.ApplyConsumerEvents(events, reader.IsListening, isWhole, reader.ListenReason, endpoint, _clock.Now);
        var pass = await reader.DeclareAsync(_state.DeclaresServeGauges, _state.DeclareAllInterval, cancellationToken);
        return _state.ApplyDeclares(pass, endpoint, _clock.Now);
    }

    private static Uri[] ListUrls(RabbitMqConnectionOptions options, string query) => options.Management is not { } management ? []
        : options.Vhosts.Count == 0 ? [Join(management.Url, $"/api/queues?{query}")]
        : [.. options.Vhosts.Select(vhost => Join(management.Url, $"/api/queues/{Uri.EscapeDataString(vhost)}?{query}"))];

    /// <summary>Base URL plus path: user information and query of the base are dropped.</summary>
    private static Uri Join(Uri baseUrl, string pathAndQuery) =>
        new(baseUrl.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped).TrimEnd('/') + pathAndQuery);

    private static void Release(EndpointAnswer[] answers)
    {
        foreach (var answer in answers)
        {
            answer.Dispose();
        }
    }

    /// <summary>
    /// Whether lists name queues but hold no statistics. Only then is the overview asked why; a queue's name cannot
    /// look like the key, because its quotes are escaped.
    /// </summary>
    private static bool LacksStatistics(EndpointAnswer[] lists) =>
        Array.Exists(lists, list => list.Body.IndexOf("\"name\":"u8) >= 0)
        && !Array.Exists(lists, list => list.Body.IndexOf("\"consumers\":"u8) >= 0);

    private static async Task<(SourceReason Reason, AuthenticationHeaderValue? Header)> ReadCredentialsAsync(
        RabbitMqManagementOptions management, CancellationToken cancellationToken)
    {
        if (management.Username is null)
        {
            return (SourceReason.None, null);
        }

        try
        {
            // Read each time: a mounted secret changes by a swapped link, which leaves no other trace.
            var password = management.PasswordFile is null
                ? ""
                : await File.ReadAllTextAsync(management.PasswordFile, cancellationToken);
            var credentials = Encoding.UTF8.GetBytes($"{management.Username}:{password.TrimEnd('\r', '\n')}");
            return (SourceReason.None, new AuthenticationHeaderValue("Basic", Convert.ToBase64String(credentials)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (SourceReason.CredentialsUnreadable, null);
        }
    }

    private Task<EndpointAnswer> GetManagementAsync(
        EndpointClient client, Uri url, AuthenticationHeaderValue? authorization, CancellationToken cancellationToken) =>
        client.GetAsync(url, authorization, Options.ManagementTimeout, Options.MaxResponseBytes, cancellationToken);

    private async Task<(string Endpoint, EndpointAnswer[] Answers)> GetDetailsAsync(Uri[] urls, CancellationToken cancellationToken)
    {
        var management = Options.Management ?? throw new InvalidOperationException("No management endpoint is configured.");
        var endpoint = FaultSentences.EndpointOf(management.Url);
        var reason = await _detailsClient.PrepareAsync(cancellationToken);
        var authorization = default(AuthenticationHeaderValue);
        if (reason == SourceReason.None)
        {
            (reason, authorization) = await ReadCredentialsAsync(management, cancellationToken);
        }

        return reason != SourceReason.None
            ? (endpoint, [new EndpointAnswer(reason)])
            : (endpoint, await Task.WhenAll(urls.Select(url => GetManagementAsync(_detailsClient, url, authorization, cancellationToken))));
    }

    private async Task<bool> AreStatisticsDisabledAsync(
        Uri baseUrl, AuthenticationHeaderValue? authorization, CancellationToken cancellationToken)
    {
        using var overview =
            await GetManagementAsync(_managementClient, Join(baseUrl, "/api/overview?columns=disable_stats"), authorization, cancellationToken);
        return overview.Body.IndexOf("\"disable_stats\":true"u8) >= 0;
    }

    /// <summary>Adds the present addresses of the configured name; false if it does not resolve now.</summary>
    private async Task<bool> AddAddressesAsync(List<Uri> urls, List<NodeAnswer> answers, CancellationToken cancellationToken)
    {
        var resolved = await _nodes.ResolveAsync(cancellationToken);
        if (!resolved)
        {
            answers.Add(new NodeAnswer(_nodes.Name, new EndpointAnswer(SourceReason.Dns)));
        }

        urls.AddRange(_nodes.Urls($"/metrics/detailed?{_metricsQuery}"));
        return resolved;
    }

    private async Task RunMetricsAsync(CancellationToken cancellationToken)
    {
        if (!Options.HasMetrics)
        {
            return;
        }

        using var timer = new PeriodicTimer(Options.Interval, _clock.TimeProvider);
        do
        {
            await GuardAsync(RabbitMqEndpoint.Metrics, SweepMetricsAsync, cancellationToken);
            _firstMetricsSweep.TrySetResult();
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    private async Task RunManagementAsync(CancellationToken cancellationToken)
    {
        if (Options.Management is null)
        {
            return;
        }

        if (Options.HasMetrics)
        {
            // Only they can tell whether the list is needed.
            await _firstMetricsSweep.Task.WaitAsync(cancellationToken);
        }

        using var timer = new PeriodicTimer(Options.HasMetrics ? Options.Interval : Options.ManagementInterval, _clock.TimeProvider);
        do
        {
            if (_state.ManagementIsDue(_clock.Now))
            {
                await GuardAsync(RabbitMqEndpoint.Management, SweepManagementAsync, cancellationToken);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <summary>The lists that are cheap or rare: totals and consumers.</summary>
    private async Task RunDetailsAsync(CancellationToken cancellationToken)
    {
        if (Options.Management is null)
        {
            return;
        }

        if (Options.HasMetrics)
        {
            await _firstMetricsSweep.Task.WaitAsync(cancellationToken);
        }

        var interval = Options.HasMetrics && Options.Interval < Options.TotalsInterval ? Options.Interval : Options.TotalsInterval;
        using var timer = new PeriodicTimer(interval, _clock.TimeProvider);
        do
        {
            if (_state.TotalsAreDue(_clock.Now))
            {
                await GuardAsync(RabbitMqEndpoint.ManagementTotals, SweepTotalsAsync, cancellationToken);
            }

            if (_state.ConsumersAreDue(_clock.Now))
            {
                await GuardAsync(RabbitMqEndpoint.ManagementConsumers, SweepConsumersAsync, cancellationToken);
            }
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    private async Task RunAmqpAsync(CancellationToken cancellationToken)
    {
        if (Options.Amqp is not { } amqp)
        {
            return;
        }

        using var timer = new PeriodicTimer(amqp.Interval, _clock.TimeProvider);
        try
        {
            do
            {
                await GuardAsync(RabbitMqEndpoint.Amqp, SweepAmqpAsync, cancellationToken);
            }
            while (await timer.WaitForNextTickAsync(cancellationToken));
        }
        finally
        {
            _amqp?.Abandon();
        }
    }

    /// <summary>Keeps the loop alive through defects of ours: a source that stops reading would never tell why.</summary>
    private async Task GuardAsync(
        RabbitMqEndpoint kind, Func<CancellationToken, Task<SweepOutcome>> sweep, CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
#pragma warning disable CA1031 // Whatever it was, it becomes a fault with a sentence.
        SweepOutcome outcome;
        try
        {
            outcome = await sweep(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e)
        {
            outcome = _state.ApplyDefect(kind, startedAt, _clock.Now, e);
        }

        try
        {
            _onSweep?.Invoke(outcome);
        }
        catch (Exception e)
        {
            _ = _state.ApplyDefect(kind, startedAt, _clock.Now, e);
        }
#pragma warning restore CA1031
    }
}
