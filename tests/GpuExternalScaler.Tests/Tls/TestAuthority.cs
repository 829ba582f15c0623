using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GpuExternalScaler.Tests.Tls;

/// <summary>An authority that issues certificates for tests.</summary>
internal sealed class TestAuthority
{
    public const string ForServers = "1.3.6.1.5.5.7.3.1";
    public const string ForClients = "1.3.6.1.5.5.7.3.2";

    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    private readonly ECDsa _key;
    private readonly X509Certificate2 _certificate;

    private TestAuthority(ECDsa key, X509Certificate2 certificate)
    {
        _key = key;
        _certificate = certificate;
    }

    public string Pem => _certificate.ExportCertificatePem();

    public DateTimeOffset Expires => new(_certificate.NotAfter);

    /// <summary>A root. Days are counted from now.</summary>
    public static TestAuthority Create(string name, double fromDay = -400, double toDay = 400)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new TestAuthority(key, Sign(Request(name, key), new X500DistinguishedName($"CN={name}"), key, fromDay, toDay));
    }

    /// <summary>An authority that this one vouches for.</summary>
    public TestAuthority Intermediate(string name)
    {
        var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new TestAuthority(key, Sign(Request(name, key), _certificate.SubjectName, _key, -400, 400));
    }

    /// <summary>A certificate for 127.0.0.1, localhost and a name.</summary>
    public TestCertificate Issue(
        string name, string? usage = ForServers, AsymmetricAlgorithm? key = null, double fromDay = -300, double toDay = 30, bool withNames = true)
    {
        key ??= ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = key is RSA rsa
            ? new CertificateRequest($"CN={name}", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest($"CN={name}", (ECDsa)key, HashAlgorithmName.SHA256);
        if (usage is not null)
        {
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], critical: false));
        }

        if (withNames)
        {
            var names = new SubjectAlternativeNameBuilder();
            names.AddDnsName(name);
            names.AddDnsName("localhost");
            names.AddIpAddress(IPAddress.Loopback);
            request.CertificateExtensions.Add(names.Build());
        }

        return new TestCertificate(Sign(request, _certificate.SubjectName, _key, fromDay, toDay), key);
    }

    private static CertificateRequest Request(string name, ECDsa key)
    {
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        return request;
    }

    private static X509Certificate2 Sign(CertificateRequest request, X500DistinguishedName issuer, ECDsa issuerKey, double fromDay, double toDay) =>
        request.Create(issuer, X509SignatureGenerator.CreateForECDsa(issuerKey), Now.AddDays(fromDay), Now.AddDays(toDay), RandomNumberGenerator.GetBytes(12));
}

/// <summary>A certificate and its key, as files hold them.</summary>
internal sealed record TestCertificate(X509Certificate2 Certificate, AsymmetricAlgorithm PrivateKey)
{
    public string Pem => Certificate.ExportCertificatePem();

    /// <summary>PKCS#8.</summary>
    public string Key => PrivateKey.ExportPkcs8PrivateKeyPem();

    /// <summary>PKCS#1, or SEC 1 with ECDSA.</summary>
    public string OlderKey => PrivateKey is RSA rsa ? rsa.ExportRSAPrivateKeyPem() : ((ECDsa)PrivateKey).ExportECPrivateKeyPem();

    public string EncryptedKey =>
        PrivateKey.ExportEncryptedPkcs8PrivateKeyPem("passphrase", new PbeParameters(PbeEncryptionAlgorithm.Aes256Cbc, HashAlgorithmName.SHA256, 1000));

    public string Serial => Certificate.SerialNumber;

    public DateTimeOffset Expires => new(Certificate.NotAfter);
}
