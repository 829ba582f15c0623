using System.Net;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// Reads the accelerator exporters of one connection for every workload at once. Run <see cref="RunAsync"/> once; read
/// <see cref="Current"/> from anywhere. The cost of a sweep does not depend on the number of workloads.
/// </summary>
/// <remarks>
/// <para>
/// Direct: every exporter's page, many at a time. An exporter that fails is a fault, and its devices are not in the sweep: what they
/// held is for <see cref="PodMemoryTracker"/> to hold on to (T21). A sweep in which none answered has failed.
/// </para>
/// <para>
/// Through Prometheus: one query tells which of the kind's metrics exist, then one for each that does brings all their series, at the
/// same instant (T8, T17, T18). If any of them fails, the sweep has failed: half of a sweep would be devices without a size.
/// </para>
/// </remarks>
public sealed class GpuSource : ISource
{
    // Nodes by the hundred may be down at once, each for its whole time limit.
    private const int RequestsAtOnce = 64;

    private const int MostFaults = 8;

    private static readonly string[] LabelNames =
        [.. GpuLabels.Names.Select(static label => label.Name).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    private readonly MonotonicClock _clock;
    private readonly PrometheusClient? _prometheus;
    private readonly Action<FleetSweep>? _onSweep;
    private readonly NamedAddresses _named;
    private readonly EndpointClient _client;
    private readonly GpuSampleReader _reader;
    private readonly GpuFaultSentences _sentences;
    private readonly Dictionary<string, GpuMetric> _metrics;
    private List<SourceFault> _faults = [];
    private volatile AcceleratorFleet _current = AcceleratorFleet.Unswept;
    private long _version;

    /// <summary>Prepares a source; nothing is contacted before <see cref="RunAsync"/>.</summary>
    /// <param name="options">The connection.</param>
    /// <param name="clock">The program's one clock.</param>
    /// <param name="prometheus">What it is read through, if the options name one; not disposed of with this source.</param>
    /// <param name="onSweep">Called after each sweep, on the sweep's thread: be quick and do not throw.</param>
    internal GpuSource(GpuConnectionOptions options, MonotonicClock clock, PrometheusClient? prometheus, Action<FleetSweep>? onSweep = null)
        : this(options, clock, prometheus, onSweep, Dns.GetHostAddressesAsync)
    {
    }

    internal GpuSource(
        GpuConnectionOptions options,
        MonotonicClock clock,
        PrometheusClient? prometheus,
        Action<FleetSweep>? onSweep,
        Func<string, CancellationToken, Task<IPAddress[]>> resolve)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        if (options.Prometheus is not null && prometheus is null)
        {
            throw new ArgumentNullException(nameof(prometheus), "The connection is read through Prometheus.");
        }

        Options = options;
        _clock = clock;
        _prometheus = options.Prometheus is null ? null : prometheus;
        _onSweep = onSweep;
        _named = new NamedAddresses(options.Dns, options.Timeout, clock.TimeProvider, resolve);
        _client = new EndpointClient(options.CaFile, clock.TimeProvider);
        _reader = new GpuSampleReader(options.StaleAfter, options.Kind);
        _sentences = new GpuFaultSentences(options);
        _metrics = GpuMetric.Of(options.Kind).ToDictionary(static metric => metric.Name, StringComparer.Ordinal);
    }

    /// <summary>The connection this source reads.</summary>
    public GpuConnectionOptions Options { get; }

    /// <summary>The newest fleet; replaced as a whole by each sweep, never null.</summary>
    public AcceleratorFleet Current => _current;

    private TimeSpan Interval => _prometheus?.Options.Interval ?? Options.Interval;

    /// <summary>
    /// Sweeps until cancelled, at once and then at fixed intervals; sweeps never overlap. Faults end up in <see cref="Current"/> and
    /// never end the loop.
    /// </summary>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval, _clock.TimeProvider);
        do
        {
            await GuardAsync(cancellationToken);
        }
        while (await timer.WaitForNextTickAsync(cancellationToken));
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    /// <summary>Sweeps once. One at a time.</summary>
    internal async Task<FleetSweep> SweepAsync(CancellationToken cancellationToken)
    {
        var sweep = new Sweep(_clock.Now);
        if (_prometheus is null)
        {
            await ReadExportersAsync(sweep, cancellationToken);
        }
        else
        {
            await ReadPrometheusAsync(_prometheus, sweep, cancellationToken);
        }

        return Apply(sweep);
    }

    private async Task ReadExportersAsync(Sweep sweep, CancellationToken cancellationToken)
    {
        var reason = await _client.PrepareAsync(cancellationToken);
        if (reason != SourceReason.None)
        {
            sweep.Fail("", reason, _sentences.Describe("", reason));
            return;
        }

        var urls = await FindExportersAsync(sweep, cancellationToken);
        sweep.Asked += urls.Count;
        sweep.AskedAt = _clock.Now;
        _reader.Begin(sweep.AskedAt);
        var several = new ParallelOptions { MaxDegreeOfParallelism = RequestsAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(urls, several, async (url, token) =>
        {
            // Read as it comes and given back at once: pages of hundreds of exporters together would be a lot.
            using var answer = await _client.GetAsync(url, null, Options.Timeout, Options.MaxResponseBytes, token);
            lock (sweep)
            {
                Take(sweep, $"{url.Host}:{url.Port}", answer);
            }
        });
    }

    private void Take(Sweep sweep, string endpoint, EndpointAnswer answer)
    {
        sweep.Bytes += answer.Body.Length;
        var reason = answer.Reason;
        if (reason == SourceReason.None && _reader.TakePage(answer.Body, endpoint) == 0)
        {
            reason = SourceReason.NotExposition;
        }

        if (reason != SourceReason.None)
        {
            sweep.Fail(endpoint, reason, _sentences.Describe(endpoint, reason, answer.Status));
            return;
        }

        sweep.Answered++;
        sweep.Succeeded = true;
    }

    /// <summary>The exporters configured and every address of the name; of one that does not resolve now, those it last had.</summary>
    private async Task<List<Uri>> FindExportersAsync(Sweep sweep, CancellationToken cancellationToken)
    {
        var urls = new List<Uri>(Options.Exporters);
        if (!await _named.ResolveAsync(cancellationToken))
        {
            sweep.Asked++;
            sweep.Fail(_named.Name, SourceReason.Dns, _sentences.Describe(_named.Name, SourceReason.Dns));
        }

        urls.AddRange(_named.Urls("/metrics"));
        return urls;
    }

    private async Task ReadPrometheusAsync(PrometheusClient prometheus, Sweep sweep, CancellationToken cancellationToken)
    {
        var queries = new MetricSweep(prometheus);
        sweep.Succeeded = await queries.ReadAsync(
            [.. _metrics.Keys],
            LabelNames,
            _reader.Begin,
            (metric, labels, value, sampledAt) => _reader.Take(_metrics[metric], labels.Pairs, value, sampledAt),
            cancellationToken);
        sweep.Asked = queries.Asked;
        sweep.Answered = queries.Answered;
        sweep.Bytes = queries.Bytes;
        sweep.IsPartial = queries.IsPartial || queries.AnyVanished;
        sweep.AskedAt = queries.SentAt;
        if (queries.Failed is { } failed)
        {
            var sentences = new PrometheusFaultSentences(prometheus.Options);
            sweep.Fail(sentences.Endpoint, failed.Reason, _sentences.DescribeQuery(sentences.Describe(failed)));
        }
    }

    private FleetSweep Apply(Sweep sweep)
    {
        var faults = FaultRuns.Continue(_faults, sweep.Faults.DistinctBy(static fault => fault.Endpoint).OrderBy(static fault => fault.Endpoint, StringComparer.Ordinal));
        _faults = faults;
        var reading = new AcceleratorReading();
        if (sweep.Succeeded)
        {
            reading = _reader.Finish();
            _current = AcceleratorFleet.Of(reading, sweep.AskedAt, sweep.IsPartial, ++_version, faults.FirstOrDefault());
        }
        else
        {
            _current = _current.WithFault(faults.FirstOrDefault());
        }

        return new FleetSweep
        {
            Connection = Options.Name,
            Source = FleetSource.Gpu,
            StartedAt = sweep.StartedAt,
            Duration = _clock.Now - sweep.StartedAt,
            Bytes = sweep.Bytes,
            Rows = reading.Shares.Count + reading.Unallocated.Count,
            Asked = sweep.Asked,
            Answered = sweep.Answered,
            Refused = reading.Refused,
            Succeeded = sweep.Succeeded,
            IsPartial = sweep.IsPartial || reading.IsOverfull,
            Faults = [.. faults.Take(MostFaults)],
        };
    }

    /// <summary>Keeps the loop alive through defects of ours: a source that stops reading would never tell why.</summary>
    private async Task GuardAsync(CancellationToken cancellationToken)
    {
        var startedAt = _clock.Now;
#pragma warning disable CA1031 // Whatever it was, it becomes a fault with a sentence.
        FleetSweep sweep;
        try
        {
            sweep = await SweepAsync(cancellationToken);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e)
        {
            sweep = Apply(Defect(startedAt, e));
        }

        try
        {
            _onSweep?.Invoke(sweep);
        }
        catch (Exception e)
        {
            _ = Apply(Defect(startedAt, e));
        }
#pragma warning restore CA1031
    }

    private Sweep Defect(DateTimeOffset startedAt, Exception exception)
    {
        var sweep = new Sweep(startedAt);
        sweep.Fail("", SourceReason.Unexpected, _sentences.DescribeDefect(exception));
        return sweep;
    }

    private sealed class Sweep(DateTimeOffset startedAt)
    {
        public DateTimeOffset StartedAt { get; } = startedAt;

        public DateTimeOffset AskedAt { get; set; } = startedAt;

        public long Bytes { get; set; }

        public int Asked { get; set; }

        public int Answered { get; set; }

        public bool Succeeded { get; set; }

        public bool IsPartial { get; set; }

        public List<SourceFault> Faults { get; } = [];

        public void Fail(string endpoint, SourceReason reason, string sentence) =>
            Faults.Add(new SourceFault(reason, endpoint, sentence, StartedAt));
    }
}
