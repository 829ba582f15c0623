using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace GpuExternalScaler.Sources;

/// <summary>Where the certificate is that this program shows to a server, and its key.</summary>
public sealed record ClientCertificateFiles
{
    /// <summary>PEM file: the certificate first, then any intermediate ones. Read again before each request.</summary>
    public required string CertFile { get; init; }

    /// <summary>PEM file with the unencrypted private key.</summary>
    public required string KeyFile { get; init; }
}

/// <summary>What the files held when they were read.</summary>
internal sealed class ClientCertificate
{
    private readonly byte[] _certificate;
    private readonly byte[] _key;

    private ClientCertificate(byte[] certificate, byte[] key)
    {
        _certificate = certificate;
        _key = key;
        Fingerprint = [.. SHA256.HashData(certificate), .. SHA256.HashData(key)];
    }

    /// <summary>The same for the same content, and nothing else can be learned from it.</summary>
    public byte[] Fingerprint { get; }

    /// <summary>Reads both files; null if one cannot be read.</summary>
    public static async Task<ClientCertificate?> ReadAsync(ClientCertificateFiles files, CancellationToken cancellationToken)
    {
        try
        {
            return new ClientCertificate(
                await File.ReadAllBytesAsync(files.CertFile, cancellationToken).ConfigureAwait(false),
                await File.ReadAllBytesAsync(files.KeyFile, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The certificate with its key and its intermediates; null if the files are no such thing, or of two pairs.</summary>
    public SslStreamCertificateContext? Load()
    {
        try
        {
            var certificates = Encoding.UTF8.GetString(_certificate);
            var leaf = X509Certificate2.CreateFromPem(certificates, Encoding.UTF8.GetString(_key));
            var chain = new X509Certificate2Collection();
            chain.ImportFromPem(certificates);
            return SslStreamCertificateContext.Create(leaf, chain, offline: true);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return null;
        }
    }
}
