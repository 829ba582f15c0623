using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Reload;

namespace GpuExternalScaler.Tls;

/// <summary>
/// What the files of TLS hold, checked as a whole: a server's certificate with its key and the intermediate ones, and the
/// authorities of clients. Never changes; a rotation makes another.
/// </summary>
internal sealed class TlsMaterial
{
    // A few dozen certificates; the whole of a system's authorities is a quarter of it.
    private const long LargestFile = 1024 * 1024;

    private const string ServerUsage = "1.3.6.1.5.5.7.3.1";
    private const string AnyUsage = "2.5.29.37.0";

    private static readonly string[] PrivateKeyLabels = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

    private TlsMaterial(IReadOnlyList<FileContent> files, SslStreamCertificateContext certificate, X509Certificate2Collection? clientAuthorities)
    {
        Files = files;
        Certificate = certificate;
        ClientAuthorities = clientAuthorities;
    }

    /// <summary>The files it was made of, in the order of <see cref="KeysOf"/>.</summary>
    public IReadOnlyList<FileContent> Files { get; }

    /// <summary>The certificate, its key, and the intermediate certificates that clients are sent with it.</summary>
    public SslStreamCertificateContext Certificate { get; }

    /// <summary>The authorities of clients; null when clients need no certificate.</summary>
    public X509Certificate2Collection? ClientAuthorities { get; }

    /// <summary>When the server's certificate expires.</summary>
    public DateTimeOffset CertificateExpires => ExpiryOf(Certificate.TargetCertificate);

    /// <summary>When the first of the authorities of clients expires; null without any.</summary>
    public DateTimeOffset? ClientAuthoritiesExpire => ClientAuthorities?.Min<X509Certificate2, DateTimeOffset>(ExpiryOf);

    /// <summary>The keys that name files, of those there are.</summary>
    public static IReadOnlyList<string> KeysOf(TlsOptions options) =>
        options.ClientCaFile is null ? [FileKeys.TlsCertFile, FileKeys.TlsKeyFile] : [FileKeys.TlsCertFile, FileKeys.TlsKeyFile, FileKeys.TlsClientCaFile];

    /// <summary>Follows the files from what this was made of.</summary>
    public SettlingFiles Follow(TlsOptions options) => new(PathsOf(options), LargestFile, Files);

    /// <summary>Reads the files for the first time.</summary>
    public static async Task<(TlsMaterial? Material, IReadOnlyList<TlsProblem> Problems)> ReadAsync(TlsOptions options, CancellationToken cancellation) =>
        await ReadAsync(await SettlingFiles.ReadAsync(PathsOf(options), LargestFile, cancellation), cancellation);

    /// <summary>Makes it of what the files hold; null, with everything that is wrong, when it could not serve.</summary>
    public static async Task<(TlsMaterial? Material, IReadOnlyList<TlsProblem> Problems)> ReadAsync(IReadOnlyList<FileContent> files, CancellationToken cancellation)
    {
        var problems = new List<TlsProblem>();
        var certificates = ReadCertificates(FileKeys.TlsCertFile, files[0], problems);
        var key = ReadKey(files[1], problems);
        var clientAuthorities = files.Count > 2 ? ReadClientAuthorities(files[2], problems) : null;
        if (certificates is null || key is null || Pair(certificates[0], key, problems) is not { } certificate || problems.Count > 0)
        {
            return (null, problems);
        }

        // Offline: nothing is fetched to complete a chain or to staple an answer about revocation.
        certificates.RemoveAt(0);
        var context = SslStreamCertificateContext.Create(certificate, certificates, offline: true);
        if (!await TrialHandshake.SucceedsAsync(context, cancellation))
        {
            problems.Add(new TlsProblem(FileKeys.TlsCertFile, "cannot be served with: its key is too short, its signature too weak, or of a kind that TLS does not know"));
            return (null, problems);
        }

        return (new TlsMaterial(files, context, clientAuthorities), problems);
    }

    /// <summary>What is dubious about it: it can be served with, and clients will refuse it or be refused.</summary>
    /// <param name="now">The wall clock's time, which clients go by.</param>
    public IEnumerable<TlsProblem> Doubts(DateTimeOffset now)
    {
        var certificate = Certificate.TargetCertificate;
        if (certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().FirstOrDefault() is null)
        {
            yield return new TlsProblem(FileKeys.TlsCertFile, "has no subject alternative name: KEDA refuses it, whatever its common name");
        }

        if (certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is { } usages &&
            !usages.EnhancedKeyUsages.Cast<Oid>().Any(static usage => usage.Value is ServerUsage or AnyUsage))
        {
            yield return new TlsProblem(FileKeys.TlsCertFile, "is not for servers (its extended key usage has no serverAuth): KEDA refuses it");
        }

        if (Date(certificate, now) is { } date)
        {
            yield return new TlsProblem(FileKeys.TlsCertFile, $"{date}: clients refuse it");
        }

        foreach (var authority in (IEnumerable<X509Certificate2>?)ClientAuthorities ?? [])
        {
            if (Date(authority, now) is { } dateOfAuthority)
            {
                yield return new TlsProblem(FileKeys.TlsClientCaFile, $"holds an authority that {dateOfAuthority}: its clients are refused");
            }
        }
    }

    // The library's dates are local times.
    private static DateTimeOffset ExpiryOf(X509Certificate2 certificate) => new(certificate.NotAfter);

    private static string? Date(X509Certificate2 certificate, DateTimeOffset now)
    {
        var (begins, ends) = (new DateTimeOffset(certificate.NotBefore), ExpiryOf(certificate));
        return now > ends ? $"expired on {Written(ends)}" : now < begins ? $"is not valid before {Written(begins)}" : null;
    }

    private static string Written(DateTimeOffset at) => $"{at.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC";

    private static IReadOnlyList<string> PathsOf(TlsOptions options) =>
        options.ClientCaFile is null ? [options.CertFile, options.KeyFile] : [options.CertFile, options.KeyFile, options.ClientCaFile];

    private static X509Certificate2Collection? ReadCertificates(string path, FileContent file, List<TlsProblem> problems)
    {
        if (file.Problem is { } unreadable)
        {
            problems.Add(new TlsProblem(path, $"cannot be read ({unreadable})"));
            return null;
        }

        var text = file.Text;
        var blocks = PemBlocks.Read(text);
        var certificates = new X509Certificate2Collection();
        var isDamaged = PemBlocks.HasDamaged(text, blocks, PemBlocks.Certificate);
        try
        {
            certificates.ImportFromPem(text);
        }
        catch (CryptographicException)
        {
            isDamaged = true;
        }

        if (isDamaged)
        {
            problems.Add(new TlsProblem(path, "holds a certificate that is damaged"));
            return null;
        }

        if (certificates.Count == 0)
        {
            problems.Add(new TlsProblem(path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
            return null;
        }

        return certificates;
    }

    private static X509Certificate2Collection? ReadClientAuthorities(FileContent file, List<TlsProblem> problems)
    {
        var authorities = ReadCertificates(FileKeys.TlsClientCaFile, file, problems);

        // The runtime's chains end at a root. Of an intermediate authority alone nobody would be let in.
        if (authorities is not null && !authorities.Any(static authority => authority.SubjectName.RawData.AsSpan().SequenceEqual(authority.IssuerName.RawData)))
        {
            problems.Add(new TlsProblem(FileKeys.TlsClientCaFile, "holds no root authority (a certificate that is its own issuer); intermediate ones need theirs beside them"));
            return null;
        }

        return authorities;
    }

    private static AsymmetricAlgorithm? ReadKey(FileContent file, List<TlsProblem> problems)
    {
        var (key, problem) = ParseKey(file);
        if (problem is not null)
        {
            problems.Add(new TlsProblem(FileKeys.TlsKeyFile, problem));
        }

        return key;
    }

    private static (AsymmetricAlgorithm? Key, string? Problem) ParseKey(FileContent file)
    {
        if (file.Problem is { } unreadable)
        {
            return (null, $"cannot be read ({unreadable})");
        }

        // With a header of its own the older form is no PEM to the runtime.
        var text = file.Text;
        if (text.Contains("-----BEGIN ENCRYPTED PRIVATE KEY-----", StringComparison.Ordinal) || text.Contains("Proc-Type: 4,ENCRYPTED", StringComparison.Ordinal))
        {
            return (null, "is encrypted, and nobody is there to enter a passphrase: give the key without one");
        }

        var blocks = PemBlocks.Read(text);
        var keys = blocks.Where(static block => PrivateKeyLabels.Contains(block.Label, StringComparer.Ordinal)).ToList();
        return keys switch
        {
            [var (_, key)] => Import(key) is { } read ? (read, null) : (null, "holds a private key that is damaged, or neither RSA nor ECDSA"),
            [] => (null, PrivateKeyLabels.Any(label => PemBlocks.HasDamaged(text, blocks, label))
                ? "holds a private key that is damaged"
                : "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"),
            _ => (null, "holds more than one private key"),
        };
    }

    private static AsymmetricAlgorithm? Import(string pem)
    {
        foreach (var create in (Func<AsymmetricAlgorithm>[])[RSA.Create, ECDsa.Create])
        {
            var key = create();
            try
            {
                key.ImportFromPem(pem);
                return key;
            }
            catch (Exception exception) when (exception is CryptographicException or ArgumentException)
            {
                key.Dispose();
            }
        }

        return null;
    }

    private static X509Certificate2? Pair(X509Certificate2 certificate, AsymmetricAlgorithm key, List<TlsProblem> problems)
    {
        using (key)
        {
            var isRsa = HasKey(certificate.GetRSAPublicKey);
            if (!isRsa && !HasKey(certificate.GetECDsaPublicKey))
            {
                problems.Add(new TlsProblem(FileKeys.TlsCertFile, "must be an RSA or an ECDSA certificate"));
                return null;
            }

            try
            {
                switch (key)
                {
                    case RSA rsa when isRsa:
                        return certificate.CopyWithPrivateKey(rsa);
                    case ECDsa ecdsa when !isRsa:
                        return certificate.CopyWithPrivateKey(ecdsa);
                }
            }
            catch (ArgumentException)
            {
                // The other half of another pair.
            }

            problems.Add(new TlsProblem(FileKeys.TlsKeyFile, "does not belong to the certificate, the first one in certFile"));
            return null;
        }
    }

    private static bool HasKey(Func<AsymmetricAlgorithm?> find)
    {
        try
        {
            using var key = find();
            return key is not null;
        }
        catch (CryptographicException)
        {
            // Of the kind, and on a curve that is not known.
            return false;
        }
    }
}
