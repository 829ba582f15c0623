using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;
using GpuExternalScaler.GrpcTransport.Wire;
using Grpc.Core;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>One call of a client: sends the request, reads responses, and keeps how it ended.</summary>
internal sealed class ClientCall<TRequest, TResponse> : IDisposable
    where TRequest : class
    where TResponse : class
{
    private const string UserAgent = "gpu-external-scaler";

    private readonly Lock _gate = new();
    private readonly ClientConnection _connection;
    private readonly Method<TRequest, TResponse> _method;
    private readonly TaskCompletionSource<Metadata> _headers = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _cancellation;
    private readonly CancellationTokenRegistration _callerRegistration;
    private readonly StreamedRequestContent? _streamedRequests;
    private readonly Task<PipeReader> _responseBody;

    private volatile bool _cancelledByCaller;
    private HttpResponseMessage? _response;
    private MessageFormat _format;
    private (Status Status, Metadata Trailers)? _end;

    private ClientCall(
        ClientConnection connection,
        Method<TRequest, TResponse> method,
        CallOptions options,
        HttpContent content)
    {
        _connection = connection;
        _method = method;
        _streamedRequests = content as StreamedRequestContent;
        var timeout = RemainingTime(options.Deadline);
        _cancellation = timeout is { } delay && delay <= GrpcTimeout.LongestTimer
            ? new CancellationTokenSource(delay, connection.TimeProvider)
            : new CancellationTokenSource();
        CancellationToken = _cancellation.Token;
        _callerRegistration = CancelWith(options.CancellationToken);

        _responseBody = SendAsync(CreateRequest(content, options.Headers, timeout));
        Observe(_responseBody);
        Observe(_headers.Task);
    }

    public Task<Metadata> ResponseHeadersAsync => _headers.Task;

    /// <summary>Fires when the call is cancelled, past its deadline, or over.</summary>
    public CancellationToken CancellationToken { get; }

    public static ClientCall<TRequest, TResponse> Start(
        ClientConnection connection,
        Method<TRequest, TResponse> method,
        CallOptions options,
        TRequest request)
    {
        var buffer = new ArrayBufferWriter<byte>();
        FrameWriter.Write(buffer, request, method.RequestMarshaller);
        return new ClientCall<TRequest, TResponse>(
            connection, method, options, new ReadOnlyMemoryContent(buffer.WrittenMemory));
    }

    public static ClientCall<TRequest, TResponse> Start(
        ClientConnection connection,
        Method<TRequest, TResponse> method,
        CallOptions options,
        StreamedRequestContent requests) =>
        new(connection, method, options, requests);

    /// <summary>Reads the one response of a call and its end.</summary>
    public async Task<TResponse> ReadSingleAsync()
    {
        var response = await ReadNextAsync() ?? throw Fail(WireStatus.NoMessage().Status);
        return await ReadNextAsync() is null ? response : throw Fail(WireStatus.SecondMessage().Status);
    }

    /// <summary>Reads the next response; null after the last one.</summary>
    /// <exception cref="RpcException">The call ended with another status than OK.</exception>
    public async Task<TResponse?> ReadNextAsync()
    {
        var body = await _responseBody;
        lock (_gate)
        {
            if (_end is { } end)
            {
                return end.Status.StatusCode == StatusCode.OK ? null : throw new RpcException(end.Status, end.Trailers);
            }
        }

        try
        {
            var message = await MessageReading.ReadNextAsync(body, _method.ResponseMarshaller, _format, CancellationToken);
            if (message is not null)
            {
                return message;
            }
        }
        catch (RpcException exception) when (exception.Status.DebugException is IOException cause)
        {
            throw Fail(StatusOf(cause));
        }
        catch (RpcException exception)
        {
            throw Fail(exception.Status);
        }
        catch (Exception exception)
        {
            throw Fail(StatusOf(exception));
        }

        var (status, trailers) = ReadTrailers(_response!.TrailingHeaders);
        End(status, trailers);
        return status.StatusCode == StatusCode.OK ? null : throw new RpcException(status, trailers);
    }

    public Status GetStatus() => RequireEnd().Status;

    public Metadata GetTrailers() => RequireEnd().Trailers;

    /// <summary>Cancels the call when a token of its caller fires.</summary>
    public CancellationTokenRegistration CancelWith(CancellationToken cancellationToken) =>
        cancellationToken.UnsafeRegister(static call => ((ClientCall<TRequest, TResponse>)call!).Cancel(), this);

    /// <summary>The exception for a write that failed: how the call ended, if it has.</summary>
    public RpcException WriteFailed(Exception exception)
    {
        lock (_gate)
        {
            if (_end is { } end)
            {
                return new RpcException(end.Status, end.Trailers);
            }
        }

        return new RpcException(StatusOf(exception));
    }

    public void Dispose()
    {
        Cancel();
        End(Status.DefaultCancelled, []);
    }

    // A failed task that no caller looks at would be reported as unobserved when it is collected.
    private static void Observe(Task task) => _ = task.ContinueWith(
        static failed => _ = failed.Exception,
        CancellationToken.None,
        TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
        TaskScheduler.Default);

    private static (Status Status, Metadata Trailers) ReadTrailers(HttpResponseHeaders headers)
    {
        var detail = headers.TryGetValues(ProtocolHeaders.Message, out var messages)
            ? StatusEncoding.Decode(string.Concat(messages))
            : "";
        var status = headers.TryGetValues(ProtocolHeaders.Status, out var codes)
            ? new Status(StatusEncoding.ParseCode(codes.FirstOrDefault()), detail)
            : WireStatus.Internal("The server ended the call without a status.").Status;
        return (status, ReadMetadata(headers));
    }

    private static Metadata ReadMetadata(HttpResponseHeaders headers)
    {
        var metadata = new Metadata();
        foreach (var (name, values) in headers.NonValidated)
        {
            if (MetadataEncoding.IsReserved(name))
            {
                continue;
            }

            foreach (var value in values)
            {
                MetadataEncoding.AddTo(metadata, name, value);
            }
        }

        return metadata;
    }

    private TimeSpan? RemainingTime(DateTime? deadline)
    {
        if (deadline is not { } end || end == DateTime.MaxValue)
        {
            return null;
        }

        var remaining = end.ToUniversalTime() - _connection.TimeProvider.GetUtcNow().UtcDateTime;
        return remaining > TimeSpan.Zero ? remaining : TimeSpan.Zero;
    }

    private HttpRequestMessage CreateRequest(HttpContent content, Metadata? metadata, TimeSpan? timeout)
    {
        content.Headers.TryAddWithoutValidation("content-type", ProtocolHeaders.ContentType);
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_connection.Address, _method.FullName))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = content,
        };
        request.Headers.TryAddWithoutValidation("te", "trailers");
        request.Headers.TryAddWithoutValidation(ProtocolHeaders.AcceptEncoding, ProtocolHeaders.AcceptedEncodings);
        if (timeout is { } remaining)
        {
            request.Headers.TryAddWithoutValidation(ProtocolHeaders.Timeout, GrpcTimeout.Format(remaining));
        }

        foreach (var entry in metadata ?? [])
        {
            if (!MetadataEncoding.IsReserved(entry.Key))
            {
                request.Headers.TryAddWithoutValidation(entry.Key, MetadataEncoding.ValueText(entry));
            }
        }

        if (!request.Headers.Contains("user-agent"))
        {
            request.Headers.TryAddWithoutValidation("user-agent", UserAgent);
        }

        return request;
    }

    private async Task<PipeReader> SendAsync(HttpRequestMessage request)
    {
        try
        {
            // Not disposed here: that would take the body away from under a stream of requests.
            CancellationToken.ThrowIfCancellationRequested();
            _response = await _connection.Invoker.SendAsync(request, CancellationToken);
            if (IsOverAtOnce(_response))
            {
                return PipeReader.Create(Stream.Null);
            }

            var encoding = _response.Headers.TryGetValues(ProtocolHeaders.Encoding, out var values)
                ? values.FirstOrDefault()
                : null;
            _format = _connection.ResponseFormat(encoding == ProtocolHeaders.Gzip);
            var body = PipeReader.Create(await _response.Content.ReadAsStreamAsync(CancellationToken));
            _headers.TrySetResult(ReadMetadata(_response.Headers));
            return body;
        }
        catch (RpcException exception)
        {
            End(exception.Status, exception.Trailers);
            throw;
        }
        catch (Exception exception)
        {
            throw Fail(StatusOf(exception));
        }
    }

    // True for a call that ended well without a message: its caller gets the headers and an empty stream.
    private bool IsOverAtOnce(HttpResponseMessage response)
    {
        if (response.Headers.Contains(ProtocolHeaders.Status))
        {
            var (status, trailers) = ReadTrailers(response.Headers);
            if (status.StatusCode != StatusCode.OK)
            {
                throw new RpcException(status, trailers);
            }

            _headers.TrySetResult(trailers);
            End(status, trailers);
            return true;
        }

        if (response.StatusCode != HttpStatusCode.OK)
        {
            throw new RpcException(new Status(
                HttpStatusMapping.FromHttp(response.StatusCode),
                $"The server answered with the HTTP status {(int)response.StatusCode}."));
        }

        if (!ProtocolHeaders.IsGrpcContentType(response.Content.Headers.ContentType?.ToString()))
        {
            throw new RpcException(new Status(StatusCode.Unknown, "The server's answer is no gRPC."));
        }

        return false;
    }

    private Status StatusOf(Exception exception) => exception switch
    {
        _ when _cancelledByCaller => new Status(StatusCode.Cancelled, "The call was cancelled.", exception),
        _ when CancellationToken.IsCancellationRequested =>
            new Status(StatusCode.DeadlineExceeded, "The deadline has passed.", exception),
        _ => HttpStatusMapping.FromException(exception),
    };

    private void Cancel()
    {
        lock (_gate)
        {
            if (_end is not null)
            {
                return;
            }

            _cancelledByCaller = true;
        }

        _cancellation.Cancel();
    }

    private RpcException Fail(Status status)
    {
        End(status, []);
        return new RpcException(status);
    }

    private void End(Status status, Metadata trailers)
    {
        lock (_gate)
        {
            if (_end is not null)
            {
                return;
            }

            _end = (status, trailers);
        }

        _headers.TrySetException(new RpcException(status, trailers));
        _callerRegistration.Unregister();

        // A pending write must not wait for a server that has said its last word. The order matters: completed first,
        // the body ends in peace; then whoever still waits for anything is woken.
        _streamedRequests?.Complete();
        if (status.StatusCode != StatusCode.OK)
        {
            _cancellation.Cancel();
        }

        // Stops the deadline's timer. Not disposed, since a token of the caller may be cancelling it at this moment.
        _cancellation.CancelAfter(Timeout.InfiniteTimeSpan);
        _response?.Dispose();
    }

    private (Status Status, Metadata Trailers) RequireEnd()
    {
        lock (_gate)
        {
            return _end ?? throw new InvalidOperationException("The call is not over.");
        }
    }
}
