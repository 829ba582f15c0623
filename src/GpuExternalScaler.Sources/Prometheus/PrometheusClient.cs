using System.Globalization;
using System.Net;

namespace GpuExternalScaler.Sources.Prometheus;

/// <summary>
/// Asks one Prometheus. Any number of queries at once. Whatever goes wrong is a reason in the answer; what is thrown is the
/// caller's cancellation and nothing else.
/// </summary>
public sealed class PrometheusClient : IDisposable
{
    private readonly PrometheusConnectionOptions _options;
    private readonly MonotonicClock _clock;
    private readonly EndpointClient _endpoint;
    private readonly PrometheusCircuit _fleetCircuit;
    private readonly PrometheusCircuit _suppliedCircuit;
    private readonly SemaphoreSlim _preparing = new(1);
    private readonly string _baseUrl;
    private volatile bool _usesGet;

    /// <summary>Prepares a client; nothing is contacted before a query.</summary>
    public PrometheusClient(PrometheusConnectionOptions options, MonotonicClock clock)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(clock);
        if (options.Problems() is [var problem, ..])
        {
            throw new ArgumentException(problem, nameof(options));
        }

        _options = options;
        _clock = clock;
        _endpoint = new EndpointClient(options.CaFile, clock.TimeProvider, options.ClientCertificate);
        var time = new MonotonicTimeProvider(clock);
        _fleetCircuit = new PrometheusCircuit(options.Interval, time);
        _suppliedCircuit = new PrometheusCircuit(options.Interval, time);
        _baseUrl = options.Url.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped).TrimEnd('/');
    }

    /// <summary>The connection.</summary>
    public PrometheusConnectionOptions Options => _options;

    /// <summary>An instant query (T17).</summary>
    /// <param name="query">What to ask.</param>
    /// <param name="time">
    /// The instant to evaluate at; null leaves it to the server, whose clock is the one that samples are stamped with.
    /// </param>
    /// <param name="cancellationToken">Cancels the query.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled; not on a timeout.</exception>
    internal Task<PrometheusAnswer> QueryAsync(PrometheusQuery query, DateTimeOffset? time, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(query);
        return AskAsync("/api/v1/query", query, time is { } at ? [new("time", Seconds(at))] : [], cancellationToken);
    }

    /// <summary>A range query: one matrix, the query evaluated at each instant of the range.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled; not on a timeout.</exception>
    internal Task<PrometheusAnswer> QueryRangeAsync(PrometheusQuery query, PrometheusRange range, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(query);
        return AskAsync(
            "/api/v1/query_range",
            query,
            [
                new("start", Seconds(range.Start)),
                new("end", Seconds(range.End)),
                new("step", range.Step.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture)),
            ],
            cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _endpoint.Dispose();
        _fleetCircuit.Dispose();
        _suppliedCircuit.Dispose();
        _preparing.Dispose();
    }

    private static string Seconds(DateTimeOffset at) =>
        (at.ToUnixTimeMilliseconds() / 1000m).ToString("0.###", CultureInfo.InvariantCulture);

    private async Task<PrometheusAnswer> AskAsync(
        string path, PrometheusQuery query, KeyValuePair<string, string>[] parameters, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var allowed = query.IsSupplied ? _options.SuppliedQueryTimeout : _options.Timeout;
        var maxSeries = query.IsSupplied ? _options.MaxSuppliedSeries : _options.MaxSeries;
        var askedAt = _clock.Now;
        long startedAt = 0;
        var request = new Request(
            path,
            [
                new("query", query.Text),
                .. parameters,
                new("timeout", (allowed.TotalSeconds * 0.9).ToString("0.###", CultureInfo.InvariantCulture)),

                // Where the server knows this (Prometheus 3), it need not send what would be refused. One more than that, or an answer
                // cut short would look whole.
                new("limit", ((long)maxSeries + 1).ToString(CultureInfo.InvariantCulture)),
            ],
            maxSeries);
        try
        {
            // The fleet's outage is everybody's; the other way round it need not be.
            var circuit = query.IsSupplied && !_fleetCircuit.IsResting ? _suppliedCircuit : _fleetCircuit;
            var isLeftOut = query.IsSupplied && circuit == _fleetCircuit;
            var answer = isLeftOut ? null : await circuit.RunAsync(
                async token =>
                {
                    startedAt = startedAt == 0 ? _clock.TimeProvider.GetTimestamp() : startedAt;
                    var left = allowed - _clock.TimeProvider.GetElapsedTime(startedAt);
                    return left > TimeSpan.Zero
                        ? await AttemptAsync(request, left, token).ConfigureAwait(false)
                        : new PrometheusAnswer { Reason = SourceReason.Timeout, SentAt = askedAt };
                },
                cancellationToken).ConfigureAwait(false);
            answer ??= new PrometheusAnswer { Reason = SourceReason.CircuitOpen, Cause = circuit.Cause, SentAt = askedAt };
            return answer with { Allowed = allowed };
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // Whatever it was, it becomes an answer with a reason.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return Unexpected(e) with { SentAt = askedAt, Allowed = allowed };
        }
    }

    private static PrometheusAnswer Unexpected(Exception exception) =>
        new() { Reason = SourceReason.Unexpected, Defect = exception.GetType().Name };

    private async Task<PrometheusAnswer> AttemptAsync(Request request, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var sentAt = _clock.Now;
        try
        {
            return await SendAsync(request, timeout, cancellationToken).ConfigureAwait(false) with { SentAt = sentAt };
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            throw;
        }
#pragma warning disable CA1031 // A defect of ours must not be taken for an outage.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return Unexpected(e) with { SentAt = sentAt };
        }
    }

    private async Task<PrometheusAnswer> SendAsync(Request request, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var reason = await PrepareAsync(cancellationToken).ConfigureAwait(false);
        if (reason != SourceReason.None)
        {
            return new PrometheusAnswer { Reason = reason };
        }

        var startedAt = _clock.TimeProvider.GetTimestamp();
        var usesGet = _usesGet;
        var answer = await SendOnceAsync(request, usesGet, timeout, cancellationToken).ConfigureAwait(false);
        if (answer.Status is not ((int)HttpStatusCode.MethodNotAllowed or (int)HttpStatusCode.NotImplemented))
        {
            return answer;
        }

        // Some proxies let nothing but GET through. If GET is what is not allowed any more, the next query tries POST again.
        _usesGet = !usesGet;
        var left = timeout - _clock.TimeProvider.GetElapsedTime(startedAt);
        return usesGet || left <= TimeSpan.Zero ? answer : await SendOnceAsync(request, asGet: true, left, cancellationToken).ConfigureAwait(false);
    }

    private async Task<PrometheusAnswer> SendOnceAsync(Request request, bool asGet, TimeSpan timeout, CancellationToken cancellationToken)
    {
        var (reason, authorization) = await PrometheusHeaders.ReadAuthorizationAsync(_options, cancellationToken).ConfigureAwait(false);
        if (reason != SourceReason.None)
        {
            return new PrometheusAnswer { Reason = reason };
        }

        using var message = request.ToMessage(_baseUrl, asGet);
        foreach (var (name, value) in _options.Headers)
        {
            message.Headers.TryAddWithoutValidation(name, value);
        }

        if (authorization is not null)
        {
            message.Headers.Authorization = authorization;
        }

        using var answer = await _endpoint.SendAsync(
            message, timeout, _options.MaxResponseBytes, PrometheusError.LargestBytes, cancellationToken).ConfigureAwait(false);
        return answer.Reason == SourceReason.None ? Read(answer, request.MaxSeries) : Refused(answer);
    }

    private PrometheusAnswer Read(EndpointAnswer answer, int maxSeries)
    {
        var reason = PrometheusResultReader.Read(answer.Body, maxSeries, _options.MaxPoints, out var result);
        return new PrometheusAnswer { Reason = reason, Result = result, Bytes = answer.Body.Length };
    }

    private static PrometheusAnswer Refused(EndpointAnswer answer)
    {
        var error = PrometheusError.Read(answer.Body);
        var reason = answer.Status switch
        {
            408 or 503 or 504 or 422 or 400 when error.Type == PrometheusErrorType.Timeout => SourceReason.Timeout,

            // Only Prometheus can tell that it is the query: a proxy's 400 is about something else.
            400 or 413 or 414 or 422 when error.Type != PrometheusErrorType.None => SourceReason.QueryRejected,
            429 => SourceReason.TooManyRequests,
            499 or 502 or 503 or 504 => SourceReason.Unavailable,
            _ => answer.Reason,
        };
        return new PrometheusAnswer { Reason = reason, Status = answer.Status, Error = error, Bytes = answer.Body.Length };
    }

    /// <summary>One query at a time looks at the certificates; a new pair is taken by whichever sees it first.</summary>
    private async Task<SourceReason> PrepareAsync(CancellationToken cancellationToken)
    {
        await _preparing.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await _endpoint.PrepareAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _preparing.Release();
        }
    }

    /// <summary>A query as it goes over the wire, by either method.</summary>
    private sealed record Request(string Path, KeyValuePair<string, string>[] Parameters, int MaxSeries)
    {
        public HttpRequestMessage ToMessage(string baseUrl, bool asGet) => asGet
            ? new HttpRequestMessage(HttpMethod.Get, new Uri($"{baseUrl}{Path}?{string.Join('&', Parameters.Select(Encode))}"))
            : new HttpRequestMessage(HttpMethod.Post, new Uri(baseUrl + Path)) { Content = new FormUrlEncodedContent(Parameters) };

        private static string Encode(KeyValuePair<string, string> parameter) => $"{parameter.Key}={Uri.EscapeDataString(parameter.Value)}";
    }
}
