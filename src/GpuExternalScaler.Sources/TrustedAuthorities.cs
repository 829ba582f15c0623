using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace GpuExternalScaler.Sources;

/// <summary>The authorities of an operator's CA file, trusted instead of the system's.</summary>
internal static class TrustedAuthorities
{
    private const string ServerUsage = "1.3.6.1.5.5.7.3.1";

    /// <summary>The certificates in PEM text; null if there is none or they cannot be read.</summary>
    public static X509Certificate2Collection? Parse(byte[] pem)
    {
        try
        {
            var trusted = new X509Certificate2Collection();
            trusted.ImportFromPem(Encoding.UTF8.GetString(pem));
            return trusted.Count == 0 ? null : trusted;
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    /// <summary>A policy that trusts these alone. No revocation list is fetched: a cluster often cannot reach any.</summary>
    public static X509ChainPolicy Policy(X509Certificate2Collection trusted)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,

            // An intermediate certificate that was not sent is named by whoever answered, and nobody has verified him yet.
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(trusted);
        policy.ApplicationPolicy.Add(new Oid(ServerUsage));
        return policy;
    }

    /// <summary>Whether <see cref="Parse"/> makes anything of it.</summary>
    public static bool AreReadable(byte[] pem)
    {
        var trusted = Parse(pem);
        Dispose(trusted);
        return trusted is not null;
    }

    /// <summary>
    /// The same judgement for clients that take a callback and not a policy. The authorities are made from their text each
    /// time, and nothing of them is left: no one knows when such a client calls for the last time.
    /// </summary>
    public static bool Accepts(byte[] pem, X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        var trusted = Parse(pem);
        try
        {
            return trusted is not null && Accepts(trusted, certificate, presented, errors);
        }
        finally
        {
            Dispose(trusted);
        }
    }

    private static bool Accepts(X509Certificate2Collection trusted, X509Certificate? certificate, X509Chain? presented, SslPolicyErrors errors)
    {
        if (certificate is null || (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) != SslPolicyErrors.None)
        {
            return false;
        }

        using var chain = new X509Chain { ChainPolicy = Policy(trusted) };
        foreach (var element in presented?.ChainElements ?? Enumerable.Empty<X509ChainElement>())
        {
            chain.ChainPolicy.ExtraStore.Add(element.Certificate);
        }

        using var own = new X509Certificate2(certificate);
        return chain.Build(own);
    }

    private static void Dispose(X509Certificate2Collection? certificates)
    {
        foreach (var one in certificates ?? [])
        {
            one.Dispose();
        }
    }
}
