using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace GpuExternalScaler.Sources;

/// <summary>
/// Gets pages from configured endpoints within limits of time and size. Never follows a redirect (it could carry
/// credentials elsewhere) and never asks a proxy. Every failure is an <see cref="EndpointAnswer"/>, never an exception.
/// </summary>
internal sealed class EndpointClient(string? caFile, TimeProvider timeProvider) : IDisposable
{
    private HttpClient? _client;
    private byte[] _caBytes = [];

    /// <summary>
    /// Gets one page. To be called by one sweep at a time per <see cref="PrepareAsync"/>, with any number of requests at once.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller's token was cancelled; not on a timeout.</exception>
    public async Task<EndpointAnswer> GetAsync(
        Uri uri,
        AuthenticationHeaderValue? authorization,
        TimeSpan timeout,
        long maxBytes,
        CancellationToken cancellationToken)
    {
        var client = _client ?? throw new InvalidOperationException("Prepare the client first.");
        using var limit = new CancellationTokenSource(timeout, timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        var headersRead = false;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, uri);
            request.Headers.Authorization = authorization;
            using var response =
                await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, linked.Token).ConfigureAwait(false);
            headersRead = true;
            if (response.StatusCode != HttpStatusCode.OK)
            {
                return new EndpointAnswer(Classify(response.StatusCode), (int)response.StatusCode);
            }

            if (response.Content.Headers.ContentLength > maxBytes)
            {
                return new EndpointAnswer(SourceReason.TooLarge);
            }

            return await ReadBodyAsync(response.Content, maxBytes, linked.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return new EndpointAnswer(SourceReason.Timeout);
        }
        catch (HttpRequestException e)
        {
            return new EndpointAnswer(Classify(e, headersRead));
        }
        catch (InvalidDataException)
        {
            return new EndpointAnswer(SourceReason.MalformedAnswer);
        }
        catch (IOException)
        {
            return new EndpointAnswer(headersRead ? SourceReason.Truncated : SourceReason.ConnectionFailed);
        }
    }

    /// <summary>Readies the client for a sweep: reads the CA file again and, if it changed, starts anew.</summary>
    public async Task<SourceReason> PrepareAsync(CancellationToken cancellationToken)
    {
        if (caFile is null)
        {
            _client ??= CreateClient(trusted: null);
            return SourceReason.None;
        }

        try
        {
            var bytes = await File.ReadAllBytesAsync(caFile, cancellationToken).ConfigureAwait(false);
            if (_client is not null && bytes.AsSpan().SequenceEqual(_caBytes))
            {
                return SourceReason.None;
            }

            if (TrustedAuthorities.Parse(bytes) is not { } trusted)
            {
                return SourceReason.CaUnreadable;
            }

            var previous = _client;
            _client = CreateClient(trusted);
            _caBytes = bytes;
            previous?.Dispose();
            return SourceReason.None;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return SourceReason.CaUnreadable;
        }
    }

    public void Dispose() => _client?.Dispose();

    private static HttpClient CreateClient(X509Certificate2Collection? trusted)
    {
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.GZip,
            ActivityHeadersPropagator = null,
            // An answer given up is not worth reading on for the sake of its connection.
            MaxResponseDrainSize = 0,
            // A name behind one URL may move to another address while its old one still accepts connections.
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        };
        if (trusted is not null)
        {
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = TrustedAuthorities.Policy(trusted) };
        }

        return new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
    }

    private static async Task<EndpointAnswer> ReadBodyAsync(HttpContent content, long maxBytes, CancellationToken cancellationToken)
    {
        var stream = await content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        var chunk = ArrayPool<byte>.Shared.Rent(64 * 1024);
        var page = new PageBuffer();
        try
        {
            while (true)
            {
                var read = await stream.ReadAsync(chunk, cancellationToken).ConfigureAwait(false);
                if (read == 0)
                {
                    var answer = new EndpointAnswer(page);
                    page = null;
                    return answer;
                }

                if (page.Length + read > maxBytes)
                {
                    return new EndpointAnswer(SourceReason.TooLarge);
                }

                page.Append(chunk.AsSpan(0, read));
            }
        }
        finally
        {
            page?.Dispose();
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    private static SourceReason Classify(HttpStatusCode status) => (int)status switch
    {
        401 => SourceReason.Unauthorized,
        403 => SourceReason.Forbidden,
        404 => SourceReason.NotFound,
        >= 300 and < 400 => SourceReason.RedirectRefused,
        _ => SourceReason.HttpStatus,
    };

    private static SourceReason Classify(HttpRequestException e, bool headersRead) => e.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => SourceReason.Dns,
        HttpRequestError.SecureConnectionError => SourceReason.Tls,
        HttpRequestError.ConfigurationLimitExceeded => SourceReason.TooLarge,
        HttpRequestError.InvalidResponse => SourceReason.MalformedAnswer,
        HttpRequestError.ResponseEnded when headersRead => SourceReason.Truncated,
        _ => e.InnerException switch
        {
            SocketException { SocketErrorCode: SocketError.ConnectionRefused } => SourceReason.ConnectionRefused,
            SocketException { SocketErrorCode: SocketError.TimedOut } => SourceReason.Timeout,
            SocketException { SocketErrorCode: SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData } => SourceReason.Dns,
            AuthenticationException => SourceReason.Tls,
            _ => headersRead ? SourceReason.Truncated : SourceReason.ConnectionFailed,
        },
    };
}

/// <summary>A page, or the reason why there is none. Dispose to give its memory back.</summary>
internal readonly struct EndpointAnswer : IDisposable
{
    private readonly PageBuffer? _page;

    /// <summary>A page, which is disposed of with the answer.</summary>
    public EndpointAnswer(PageBuffer page) => _page = page;

    public EndpointAnswer(SourceReason reason, int status = 0)
    {
        Reason = reason;
        Status = status;
    }

    public SourceReason Reason { get; }

    /// <summary>HTTP status where that is the reason, else 0.</summary>
    public int Status { get; }

    public ReadOnlySpan<byte> Body => _page is null ? default : _page.Bytes;

    public void Dispose() => _page?.Dispose();
}
