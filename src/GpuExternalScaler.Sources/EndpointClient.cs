using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GpuExternalScaler.Sources;

/// <summary>
/// Gets pages from configured endpoints within limits of time and size. Never follows a redirect (it could carry
/// credentials elsewhere) and never asks a proxy. Every failure is an <see cref="EndpointAnswer"/>, never an exception.
/// </summary>
internal sealed class EndpointClient(string? caFile, TimeProvider timeProvider, ClientCertificateFiles? certificateFiles = null) : IDisposable
{
    /// <summary>The largest answer that is ever read, in bytes: an array can hold 2 GiB, and buffers are doubled.</summary>
    public const long LargestBytes = 512L * 1024 * 1024;

    private HttpClient? _client;
    private HttpClient? _previous;
    private byte[] _fingerprint = [];

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
        using var request = new HttpRequestMessage(HttpMethod.Get, uri);
        request.Headers.Authorization = authorization;
        return await SendAsync(request, timeout, maxBytes, maxErrorBytes: 0, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Sends one request. Where the status is not 200, the answer carries a body of up to <paramref name="maxErrorBytes"/>
    /// all the same; a longer one is left unread.
    /// </summary>
    /// <exception cref="OperationCanceledException">The caller's token was cancelled; not on a timeout.</exception>
    public async Task<EndpointAnswer> SendAsync(
        HttpRequestMessage request, TimeSpan timeout, long maxBytes, int maxErrorBytes, CancellationToken cancellationToken)
    {
        var client = _client ?? throw new InvalidOperationException("Prepare the client first.");
        maxBytes = Math.Min(maxBytes, LargestBytes);
        using var limit = new CancellationTokenSource(timeout, timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        var headersRead = false;
        try
        {
            using var response =
                await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, linked.Token).ConfigureAwait(false);
            headersRead = true;
            if (response.StatusCode != HttpStatusCode.OK)
            {
                var reason = Classify(response.StatusCode);
                var status = (int)response.StatusCode;
                return maxErrorBytes == 0 || response.Content.Headers.ContentLength > maxErrorBytes
                    ? new EndpointAnswer(reason, status)
                    : (await ReadBodyAsync(response.Content, maxErrorBytes, linked.Token).ConfigureAwait(false)).As(reason, status);
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

    /// <summary>
    /// Readies the client for a sweep: reads the CA file and the client's certificate again and, if they changed, starts
    /// anew. Requests under way end on the connections they began on.
    /// </summary>
    public async Task<SourceReason> PrepareAsync(CancellationToken cancellationToken)
    {
        byte[] authorities = [];
        if (caFile is not null)
        {
            try
            {
                authorities = await File.ReadAllBytesAsync(caFile, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return SourceReason.CaUnreadable;
            }
        }

        var own = default(ClientCertificate);
        if (certificateFiles is not null)
        {
            own = await ClientCertificate.ReadAsync(certificateFiles, cancellationToken).ConfigureAwait(false);
            if (own is null)
            {
                return SourceReason.CertificateUnreadable;
            }
        }

        byte[] fingerprint = [.. SHA256.HashData(authorities), .. own?.Fingerprint ?? []];
        if (_client is not null && fingerprint.AsSpan().SequenceEqual(_fingerprint))
        {
            return SourceReason.None;
        }

        var trusted = default(X509Certificate2Collection);
        if (caFile is not null && (trusted = TrustedAuthorities.Parse(authorities)) is null)
        {
            return SourceReason.CaUnreadable;
        }

        SslStreamCertificateContext? context = null;
        if (own is not null && (context = own.Load()) is null)
        {
            return SourceReason.CertificateUnreadable;
        }

        _previous?.Dispose();
        _previous = _client;
        _client = CreateClient(trusted, context);
        _fingerprint = fingerprint;
        return SourceReason.None;
    }

    public void Dispose()
    {
        _client?.Dispose();
        _previous?.Dispose();
    }

    private static HttpClient CreateClient(X509Certificate2Collection? trusted, SslStreamCertificateContext? own)
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
        if (trusted is not null || own is not null)
        {
            handler.SslOptions = new SslClientAuthenticationOptions
            {
                CertificateChainPolicy = trusted is null ? null : TrustedAuthorities.Policy(trusted),
                ClientCertificateContext = own,
            };
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
        : this(null, reason, status)
    {
    }

    private EndpointAnswer(PageBuffer? page, SourceReason reason, int status)
    {
        _page = page;
        Reason = reason;
        Status = status;
    }

    public SourceReason Reason { get; }

    /// <summary>HTTP status where that is the reason, else 0.</summary>
    public int Status { get; }

    /// <summary>The page; with another status than 200, what came with it if it was asked for.</summary>
    public ReadOnlySpan<byte> Body => _page is null ? default : _page.Bytes;

    /// <summary>This body as one that came with another status than 200.</summary>
    public EndpointAnswer As(SourceReason reason, int status) => new(_page, reason, status);

    public void Dispose() => _page?.Dispose();
}
