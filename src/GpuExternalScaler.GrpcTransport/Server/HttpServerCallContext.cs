using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>
/// One call: its metadata, its deadline, and the one place that writes to its response.
/// </summary>
/// <remarks>
/// A call is ended by its handler or by its deadline, whichever is first. The deadline's timer runs beside the handler,
/// so whatever touches the response does so under <c>_gate</c>, and after the end nothing touches it any more. The
/// request delegate returns only when the handler has, since Kestrel uses the HTTP context again for another stream.
/// </remarks>
[SuppressMessage("Design", "CA1001", Justification = "The token source holds no timer or handle; its registration is freed.")]
[SuppressMessage("Reliability", "CA2213", Justification = "As above; a late timer may still cancel it.")]
internal sealed class HttpServerCallContext : ServerCallContext, IDisposable
{
    private readonly Lock _gate = new();
    private readonly HttpContext _httpContext;
    private readonly IMethod _method;
    private readonly ServingServices _services;

    private Metadata? _requestHeaders;
    private Metadata? _responseTrailers;
    private Dictionary<object, object>? _userState;

    private DateTime _deadline = DateTime.MaxValue;
    private CancellationTokenSource? _deadlineSource;
    private CancellationTokenRegistration _abortRegistration;
    private ITimer? _deadlineTimer;
    private CancellationToken? _token;

    private bool _anythingWritten;
    private bool _writePending;
    private bool _ended;
    private bool _deadlinePassed;
    private Task? _endedByDeadline;

    public HttpServerCallContext(HttpContext httpContext, IMethod method, ServingServices services)
    {
        _httpContext = httpContext;
        _method = method;
        _services = services;
    }

    public HttpContext HttpContext => _httpContext;

    public PipeReader RequestBody => _httpContext.Request.BodyReader;

    public MessageFormat RequestFormat { get; private set; }

    /// <summary>How the call ended; OK until it has.</summary>
    public StatusCode FinalStatusCode { get; private set; }

    /// <summary>Fires at the deadline only: a reset stream makes a read of the body fail by itself.</summary>
    public CancellationToken DeadlineToken => _deadlineSource?.Token ?? CancellationToken.None;

    protected override string MethodCore => _method.FullName;

    protected override string HostCore => _httpContext.Request.Host.Value ?? "";

    protected override string PeerCore
    {
        get
        {
            var connection = _httpContext.Connection;
            return connection.RemoteIpAddress switch
            {
                null => "unknown",
                { IsIPv4MappedToIPv6: true } mapped => $"ipv4:{mapped.MapToIPv4()}:{connection.RemotePort}",
                { AddressFamily: AddressFamily.InterNetworkV6 } v6 => $"ipv6:{new IPEndPoint(v6, connection.RemotePort)}",
                var v4 => $"ipv4:{v4}:{connection.RemotePort}",
            };
        }
    }

    protected override DateTime DeadlineCore => _deadline;

    protected override Metadata RequestHeadersCore => _requestHeaders ??= ReadRequestHeaders();

    protected override CancellationToken CancellationTokenCore
    {
        get
        {
            lock (_gate)
            {
                return GetToken();
            }
        }
    }

    protected override Metadata ResponseTrailersCore => _responseTrailers ??= [];

    protected override Status StatusCore { get; set; }

    protected override WriteOptions? WriteOptionsCore { get; set; }

    protected override IDictionary<object, object> UserStateCore => _userState ??= [];

    /// <summary>Reads what the request's headers say about encoding and deadline.</summary>
    /// <exception cref="RpcException">The encoding is unknown, the deadline malformed or past.</exception>
    public void Begin()
    {
        var headers = _httpContext.Request.Headers;
        var encoding = (string?)headers.GrpcEncoding;
        var isGzip = string.Equals(encoding, ProtocolHeaders.Gzip, StringComparison.OrdinalIgnoreCase);
        if (!isGzip && encoding is not null &&
            !string.Equals(encoding, ProtocolHeaders.Identity, StringComparison.OrdinalIgnoreCase))
        {
            _httpContext.Response.Headers.GrpcAcceptEncoding = ProtocolHeaders.AcceptedEncodings;
            throw new RpcException(new Status(
                StatusCode.Unimplemented,
                "The request's grpc-encoding is not supported; identity and gzip are."));
        }

        RequestFormat = new MessageFormat(isGzip, _services.MaxReceiveMessageBytes);
        if ((string?)headers.GrpcTimeout is { } text)
        {
            BeginDeadline(text);
        }
    }

    /// <summary>
    /// Lifts Kestrel's limits on bodies. Messages have their own limit, and the requests of a stream may be hours apart.
    /// The least rate must go for single requests too: Kestrel ends the whole connection for one that stalls, and with
    /// it every stream KEDA has open (K1).
    /// </summary>
    public void LiftBodyLimits()
    {
        if (_httpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
        {
            size.MaxRequestBodySize = null;
        }

        if (_httpContext.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }
    }

    /// <summary>Writes the one response of a call whose end follows at once, so that both leave in one piece.</summary>
    public void WriteLastMessage<T>(T message, Marshaller<T> marshaller)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                FrameWriter.Write(_httpContext.Response.BodyWriter, message, marshaller);
                _anythingWritten = true;
            }
        }
    }

    /// <summary>Writes one message of a stream and waits until there is room for another.</summary>
    /// <exception cref="InvalidOperationException">The call is over, or another write is pending.</exception>
    /// <exception cref="OperationCanceledException">
    /// The call was cancelled or its deadline passed; or <paramref name="cancellationToken"/> ended the wait, in which
    /// case the message is still sent.
    /// </exception>
    public Task WriteMessageAsync<T>(
        T message,
        Marshaller<T> marshaller,
        WriteOptions? writeOptions,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        ValueTask<FlushResult> flush;
        CancellationToken callToken;
        lock (_gate)
        {
            callToken = ThrowIfUnwritable(cancellationToken);
            FrameWriter.Write(_httpContext.Response.BodyWriter, message, marshaller);
            _anythingWritten = true;
            if (((writeOptions ?? WriteOptionsCore)?.Flags & WriteFlags.BufferHint) == WriteFlags.BufferHint)
            {
                return Task.CompletedTask;
            }

            // Not given the token: Kestrel resets the stream when that fires, and the caller would see an error where
            // the handler means to end well.
            flush = _httpContext.Response.BodyWriter.FlushAsync(CancellationToken.None);
            if (flush.IsCompletedSuccessfully)
            {
                flush.GetAwaiter().GetResult();
                return callToken.IsCancellationRequested ? Task.FromCanceled(callToken) : Task.CompletedTask;
            }

            _writePending = true;
        }

        return AwaitFlushAsync(flush, callToken, cancellationToken);
    }

    /// <summary>Ends the call, unless its deadline already has.</summary>
    public Task EndAsync(Status status, Metadata? moreTrailers = null)
    {
        lock (_gate)
        {
            if (_endedByDeadline is not null)
            {
                return _endedByDeadline;
            }

            _ended = true;
            WriteStatus(_deadlinePassed ? DeadlineStatus() : status, moreTrailers);
            return Task.CompletedTask;
        }
    }

    /// <summary>Ends the call as the exception of its handler, or of the transport, says.</summary>
    public Task FailAsync(Exception exception)
    {
        switch (exception)
        {
            case RpcException rpc:
                GrpcLog.CallEndedWithStatus(_services.Logger, Method, rpc.StatusCode, rpc.Status.Detail);
                return EndAsync(rpc.Status, rpc.Trailers);
            case OperationCanceledException when HasPassedDeadline():
                return EndAsync(DeadlineStatus());
            case OperationCanceledException or IOException when _httpContext.RequestAborted.IsCancellationRequested:
                return EndAsync(new Status(StatusCode.Cancelled, "The call was cancelled."));
            default:
                GrpcLog.HandlerFailed(_services.Logger, Method, exception);
                return EndAsync(new Status(StatusCode.Internal, "Exception was thrown by handler."));
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _ended = true;
            _token ??= new CancellationToken(canceled: true);
        }

        _deadlineTimer?.Dispose();
        _abortRegistration.Dispose();
    }

    protected override async Task WriteResponseHeadersAsyncCore(Metadata responseHeaders)
    {
        ArgumentNullException.ThrowIfNull(responseHeaders);
        if (StatusWriter.FirstUnsendable(responseHeaders) is { } entry)
        {
            throw new ArgumentException($"The value of {entry.Key} cannot be sent.", nameof(responseHeaders));
        }

        ValueTask<FlushResult> flush;
        CancellationToken callToken;
        lock (_gate)
        {
            callToken = ThrowIfUnwritable(CancellationToken.None);
            if (_anythingWritten)
            {
                throw new InvalidOperationException("The response headers have been sent already.");
            }

            StatusWriter.AddAll(_httpContext.Response.Headers, responseHeaders);
            _anythingWritten = true;
            _writePending = true;
            flush = _httpContext.Response.BodyWriter.FlushAsync(CancellationToken.None);
        }

        await AwaitFlushAsync(flush, callToken, CancellationToken.None);
    }

    private static Status DeadlineStatus() => new(StatusCode.DeadlineExceeded, "The deadline has passed.");

    private async Task AwaitFlushAsync(
        ValueTask<FlushResult> flush,
        CancellationToken callToken,
        CancellationToken cancellationToken)
    {
        try
        {
            await using var registration = cancellationToken.UnsafeRegister(
                static call => ((HttpServerCallContext)call!).GiveUpPendingWrite(),
                this);
            await flush;
        }
        finally
        {
            lock (_gate)
            {
                _writePending = false;
                if (_deadlinePassed && !_ended)
                {
                    EndByDeadline();
                }
            }
        }

        // Kestrel does not pass on whether the flush was given up, so the tokens tell.
        callToken.ThrowIfCancellationRequested();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private void GiveUpPendingWrite()
    {
        lock (_gate)
        {
            if (_writePending && !_ended)
            {
                _httpContext.Response.BodyWriter.CancelPendingFlush();
            }
        }
    }

    private CancellationToken ThrowIfUnwritable(CancellationToken cancellationToken)
    {
        if (_ended || _deadlinePassed)
        {
            throw _deadlinePassed
                ? new OperationCanceledException("The deadline has passed.", GetToken())
                : new InvalidOperationException("The call is over.");
        }

        if (_writePending)
        {
            throw new InvalidOperationException("A write is pending; only one may be.");
        }

        cancellationToken.ThrowIfCancellationRequested();
        var callToken = GetToken();
        callToken.ThrowIfCancellationRequested();
        return callToken;
    }

    private CancellationToken GetToken()
    {
        if (_token is { } token)
        {
            return token;
        }

        var aborted = _httpContext.RequestAborted;
        if (_deadlineSource is null)
        {
            _token = aborted;
            return aborted;
        }

        // Registered only when somebody asks for the token: most handlers answer from memory and never do.
        _token = _deadlineSource.Token;
        _abortRegistration = aborted.UnsafeRegister(
            static source => ((CancellationTokenSource)source!).Cancel(),
            _deadlineSource);
        return _deadlineSource.Token;
    }

    private void BeginDeadline(string text)
    {
        if (!GrpcTimeout.TryParse(text, out var timeout))
        {
            throw WireStatus.Internal("The request's grpc-timeout is malformed.");
        }

        if (timeout == TimeSpan.Zero)
        {
            throw new RpcException(DeadlineStatus());
        }

        var now = _services.TimeProvider.GetUtcNow().UtcDateTime;
        if (timeout > GrpcTimeout.LongestTimer)
        {
            _deadline = timeout < DateTime.MaxValue - now ? now + timeout : DateTime.MaxValue;
            return;
        }

        _deadline = now + timeout;
        _deadlineSource = new CancellationTokenSource();
        _deadlineTimer = _services.TimeProvider.CreateTimer(
            static call => ((HttpServerCallContext)call!).OnDeadline(),
            this,
            timeout,
            Timeout.InfiniteTimeSpan);
    }

    private void OnDeadline()
    {
        try
        {
            lock (_gate)
            {
                if (_ended)
                {
                    return;
                }

                _deadlinePassed = true;
                if (_writePending)
                {
                    // The status has to wait until the write has given up.
                    _httpContext.Response.BodyWriter.CancelPendingFlush();
                }
                else
                {
                    EndByDeadline();
                }
            }

            _deadlineSource!.Cancel();
        }
        catch (Exception exception)
        {
            // Nothing above a timer would catch it, and it would end the process.
            GrpcLog.DeadlineFailed(_services.Logger, Method, exception);
        }
    }

    // Answers for a handler that may not be listening. Its own end is awaited by the request delegate all the same.
    private void EndByDeadline()
    {
        _ended = true;
        WriteStatus(DeadlineStatus(), null);
        _endedByDeadline = _httpContext.Response.CompleteAsync();
    }

    private void WriteStatus(Status status, Metadata? moreTrailers)
    {
        var unsendable = StatusWriter.FirstUnsendable(_responseTrailers) ?? StatusWriter.FirstUnsendable(moreTrailers);
        if (unsendable is not null)
        {
            GrpcLog.UnsendableTrailer(_services.Logger, Method, unsendable.Key);
            status = new Status(StatusCode.Internal, "Exception was thrown by handler.");
        }

        FinalStatusCode = status.StatusCode;
        StatusWriter.Write(
            _httpContext.Response,
            _anythingWritten || _httpContext.Response.HasStarted,
            status,
            unsendable is null ? _responseTrailers : null,
            unsendable is null ? moreTrailers : null);
    }

    private bool HasPassedDeadline()
    {
        lock (_gate)
        {
            return _deadlinePassed;
        }
    }

    private Metadata ReadRequestHeaders()
    {
        var metadata = new Metadata();
        foreach (var (name, values) in _httpContext.Request.Headers)
        {
            if (MetadataEncoding.IsReserved(name))
            {
                continue;
            }

            foreach (var value in values)
            {
                MetadataEncoding.AddTo(metadata, name, value ?? "");
            }
        }

        return metadata;
    }
}
