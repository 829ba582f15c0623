using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Spares a server that does not answer, and us the waiting: one quick second try where the connection failed; and once nothing at all
/// gets through, one attempt per interval, whatever the number of queries.
/// </summary>
internal sealed class PrometheusCircuit : IDisposable
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(200);

    // The least that a circuit breaker of Polly takes.
    private static readonly TimeSpan ShortestBreak = TimeSpan.FromMilliseconds(500);

    private readonly TimeProvider _time;
    private readonly TimeSpan _break;
    private readonly CircuitBreakerStateProvider _state = new();
    private readonly ResiliencePipeline<PrometheusAnswer> _pipeline;
    private readonly SemaphoreSlim _probe = new(1);
    private long _lastAttemptAt;
    private long _openedAt;
    private long _openFor;
    private volatile int _cause;

    /// <param name="interval">Time between two sweeps.</param>
    /// <param name="time">Its wall clock is to be monotonic: breaks are measured by it.</param>
    public PrometheusCircuit(TimeSpan interval, TimeProvider time)
    {
        _time = time;

        // A little less than the interval, or the next sweep could come just before the end of the break, every time.
        _break = Longest(interval * 0.9, ShortestBreak);
        _pipeline = new ResiliencePipelineBuilder<PrometheusAnswer> { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions<PrometheusAnswer>
            {
                MaxRetryAttempts = 1,
                Delay = RetryDelay,
                BackoffType = DelayBackoffType.Constant,
                ShouldHandle = static arguments => ValueTask.FromResult(
                    arguments.Outcome.Result is { Reason: SourceReason.ConnectionRefused or SourceReason.ConnectionFailed }),
            })
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<PrometheusAnswer>
            {
                // All of them: a server that answers some queries is not dead, and the others have a reason of their own.
                FailureRatio = 1,
                MinimumThroughput = 2,

                // Shorter than the interval, or the good answers of the last sweep would vouch for this one.
                SamplingDuration = Longest(interval / 2, ShortestBreak),
                BreakDurationGenerator = _ => ValueTask.FromResult(NextBreak()),
                ShouldHandle = static arguments => ValueTask.FromResult(
                    arguments.Outcome.Exception is not null || IsOutage(arguments.Outcome.Result!)),
                StateProvider = _state,
            })
            .Build();
    }

    /// <summary>Whether the server is not to be asked just now.</summary>
    public bool IsResting => _state.CircuitState == CircuitState.Open
        && _time.GetElapsedTime(Volatile.Read(ref _openedAt)).Ticks < Volatile.Read(ref _openFor);

    /// <summary>What the last outage was.</summary>
    public SourceReason Cause => (SourceReason)_cause;

    /// <summary>Runs an attempt, twice if need be; null if the server is not to be asked now.</summary>
    /// <param name="attempt">Never throws but on cancellation.</param>
    /// <param name="cancellationToken">The caller's.</param>
    public async Task<PrometheusAnswer?> RunAsync(
        Func<CancellationToken, Task<PrometheusAnswer>> attempt, CancellationToken cancellationToken)
    {
        if (_state.CircuitState == CircuitState.Closed)
        {
            return await ExecuteAsync(attempt, cancellationToken).ConfigureAwait(false);
        }

        // The first of a sweep finds out for all of them. Otherwise the rest would be turned away while it does, and the fleet
        // would be blind for an interval more than the server was down.
        await _probe.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            if (_state.CircuitState != CircuitState.Closed)
            {
                return await ExecuteAsync(attempt, cancellationToken).ConfigureAwait(false);
            }
        }
        finally
        {
            _probe.Release();
        }

        return await ExecuteAsync(attempt, cancellationToken).ConfigureAwait(false);
    }

    public void Dispose() => _probe.Dispose();

    /// <summary>An outage, as against an answer that we do not like (T19).</summary>
    private static bool IsOutage(PrometheusAnswer answer) => answer.Reason switch
    {
        SourceReason.ConnectionRefused or SourceReason.ConnectionFailed or SourceReason.Dns or SourceReason.Tls => true,
        SourceReason.Unavailable or SourceReason.TooManyRequests => true,

        // A server that says itself that a query took too long is alive.
        SourceReason.Timeout => answer.Error.Type == PrometheusErrorType.None,
        _ => false,
    };

    private static TimeSpan Longest(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private async Task<PrometheusAnswer?> ExecuteAsync(
        Func<CancellationToken, Task<PrometheusAnswer>> attempt, CancellationToken cancellationToken)
    {
        PrometheusAnswer? last = null;
        try
        {
            return await _pipeline.ExecuteAsync(
                async token =>
                {
                    Volatile.Write(ref _lastAttemptAt, _time.GetTimestamp());
                    last = await attempt(token).ConfigureAwait(false);
                    if (IsOutage(last))
                    {
                        _cause = (int)last.Reason;
                    }

                    return last;
                },
                cancellationToken).ConfigureAwait(false);
        }
        catch (BrokenCircuitException)
        {
            // Before the first try, or between it and the second.
            return last;
        }
    }

    /// <summary>A break counts from the beginning of the attempt: one that took long has had part of the interval.</summary>
    private TimeSpan NextBreak()
    {
        var rest = Longest(_break - _time.GetElapsedTime(Volatile.Read(ref _lastAttemptAt)), ShortestBreak);
        Volatile.Write(ref _openedAt, _time.GetTimestamp());
        Volatile.Write(ref _openFor, rest.Ticks);
        return rest;
    }
}

/// <summary>A clock whose wall time is the program's own, for what would measure durations by a wall clock that can be set.</summary>
internal sealed class MonotonicTimeProvider(MonotonicClock clock) : TimeProvider
{
    public override long TimestampFrequency => clock.TimeProvider.TimestampFrequency;

    public override DateTimeOffset GetUtcNow() => clock.Now;

    public override long GetTimestamp() => clock.TimeProvider.GetTimestamp();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        clock.TimeProvider.CreateTimer(callback, state, dueTime, period);
}
