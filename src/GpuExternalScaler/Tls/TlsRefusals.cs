using System.Net;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.Observability;

namespace GpuExternalScaler.Tls;

/// <summary>Why a connection did not get through TLS.</summary>
internal enum TlsRefusal
{
    /// <summary>The handshake failed: no TLS, another version, a client that does not trust us, or silence.</summary>
    Handshake,

    /// <summary>The client does not offer HTTP/2.</summary>
    NoHttp2,

    /// <summary>The client shows no certificate.</summary>
    NoCertificate,

    /// <summary>Its certificate, or one above it, has expired or is not valid yet.</summary>
    Expired,

    /// <summary>Its certificate is of an authority that is not trusted.</summary>
    UnknownAuthority,

    /// <summary>Its certificate is of a trusted authority, and not for this.</summary>
    Unfit,
}

/// <summary>
/// Counts connections that did not get through TLS, and tells of them: KEDA only says that the scaler cannot be reached.
/// Once for each address and reason, until the certificates change: port scanners and probes call again and again.
/// </summary>
internal sealed class TlsRefusals(ScalerMetrics metrics, ILogger logger)
{
    // Of each reason: probes of a port that hang up must not hide the one client whose authority is missing.
    private const int MostTold = 64;

    private readonly Lock _gate = new();
    private readonly HashSet<(IPAddress? Address, TlsRefusal Reason)> _told = [];

    /// <summary>Notes one.</summary>
    public void Note(TlsRefusal reason, EndPoint? caller)
    {
        metrics.TlsRefused(Code(reason));
        var address = (caller as IPEndPoint)?.Address;
        lock (_gate)
        {
            if (_told.Count(told => told.Reason == reason) >= MostTold || !_told.Add((address, reason)))
            {
                return;
            }
        }

        logger.TlsRefused(address?.ToString() ?? "?", Code(reason), Explanation(reason));
    }

    /// <summary>Tells again of those that are told.</summary>
    public void TellAgain()
    {
        lock (_gate)
        {
            _told.Clear();
        }
    }

    /// <summary>Why a client's certificate is not accepted.</summary>
    public static TlsRefusal ReasonOf(X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            return TlsRefusal.NoCertificate;
        }

        const X509ChainStatusFlags Unknown = X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid;
        var status = chain?.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, static (all, one) => all | one.Status) ?? X509ChainStatusFlags.NoError;
        return (status & Unknown) != X509ChainStatusFlags.NoError ? TlsRefusal.UnknownAuthority
            : status.HasFlag(X509ChainStatusFlags.NotTimeValid) ? TlsRefusal.Expired
            : TlsRefusal.Unfit;
    }

    private static string Code(TlsRefusal reason) => reason switch
    {
        TlsRefusal.NoHttp2 => "no_http2",
        TlsRefusal.NoCertificate => "no_certificate",
        TlsRefusal.Expired => "expired",
        TlsRefusal.UnknownAuthority => "unknown_authority",
        TlsRefusal.Unfit => "unfit",
        _ => "handshake",
    };

    private static string Explanation(TlsRefusal reason) => reason switch
    {
        TlsRefusal.NoHttp2 => "it does not offer HTTP/2 (ALPN h2)",
        TlsRefusal.NoCertificate => "it shows no certificate, and clientCaFile asks for one",
        TlsRefusal.Expired => "its certificate, or one above it, has expired or is not valid yet",
        TlsRefusal.UnknownAuthority => "its certificate is of an authority that is not in clientCaFile",
        TlsRefusal.Unfit => "its certificate is not for clients (extended key usage), or breaks a rule of its authority",
        _ => "the handshake failed: it speaks no TLS, or none from 1.2 up, does not trust our certificate, or said nothing",
    };
}
