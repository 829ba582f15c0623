using System.Security.Cryptography;
using System.Text;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Tls;

namespace GpuExternalScaler.Tests.Tls;

public sealed class TlsMaterialTests
{
    private static readonly TestAuthority Authority = TestAuthority.Create("authority");
    private static readonly TestCertificate Ecdsa = Authority.Issue("scaler");
    private static readonly TestCertificate Rsa = Authority.Issue("scaler", key: RSA.Create(2048));
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    [Theory]
    [InlineData("ECDSA", "PKCS#8")]
    [InlineData("ECDSA", "older")]
    [InlineData("RSA", "PKCS#8")]
    [InlineData("RSA", "older")]
    public async Task Keys_of_every_usual_form_are_read(string kind, string form)
    {
        var certificate = kind == "RSA" ? Rsa : Ecdsa;
        var key = form == "older" ? certificate.OlderKey : certificate.Key;

        (await ReadAsync(certificate.Pem, key)).Should().Be("");
        (await ReadAsync(certificate.Pem.ReplaceLineEndings("\r\n"), key.ReplaceLineEndings("\r\n"))).Should().Be("");
    }

    [Fact]
    public async Task What_OpenSSL_writes_around_them_does_no_harm()
    {
        var parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        var words = "subject=CN = scaler\n    X509v3 extensions:\n";

        (await ReadAsync(words + Ecdsa.Pem, parameters + Ecdsa.OlderKey)).Should().Be("");

        // One file for both.
        var both = Rsa.Key + "\n" + Rsa.Pem;
        (await ReadAsync(both, both)).Should().Be("");
    }

    [Fact]
    public async Task Intermediate_certificates_are_sent_and_the_root_is_not()
    {
        var intermediate = Authority.Intermediate("intermediate");
        var leaf = intermediate.Issue("scaler");

        var (material, _) = await TlsMaterial.ReadAsync([Content($"{leaf.Pem}\n{intermediate.Pem}\n{Authority.Pem}"), Content(leaf.Key)], CancellationToken.None);

        material!.Certificate.TargetCertificate.SerialNumber.Should().Be(leaf.Serial);
        material.Certificate.IntermediateCertificates.Should().ContainSingle().Which.Subject.Should().Be("CN=intermediate");
    }

    [Fact]
    public async Task An_intermediate_certificate_whose_root_is_not_there_is_sent_all_the_same()
    {
        var intermediate = Authority.Intermediate("intermediate");
        var leaf = intermediate.Issue("scaler");

        var (material, _) = await TlsMaterial.ReadAsync([Content($"{leaf.Pem}\n{intermediate.Pem}"), Content(leaf.Key)], CancellationToken.None);

        material!.Certificate.IntermediateCertificates.Should().ContainSingle().Which.Subject.Should().Be("CN=intermediate");
    }

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task What_is_wrong_is_said_by_key(string name, string certificate, string key, string? clientCa, string problems)
    {
        var said = await ReadAsync(certificate, key, clientCa);

        said.Should().Be(problems, name);
    }

    public static TheoryData<string, string, string, string?, string> Broken()
    {
        const string Cert = "listen.tls.certFile: ";
        const string Key = "listen.tls.keyFile: ";
        const string Ca = "listen.tls.clientCaFile: ";
        const string NotPem = "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";
        const string NoKey = "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)";
        const string Encrypted = "is encrypted, and nobody is there to enter a passphrase: give the key without one";
        const string OtherPair = "does not belong to the certificate, the first one in certFile";
        const string DamagedCertificate = "holds a certificate that is damaged";
        var other = Authority.Issue("other");
        var intermediate = Authority.Intermediate("intermediate");
        var weak = Authority.Issue("weak", key: RSA.Create(1024));
        return new()
        {
            { "nothing at all", "", "", "", $"{Cert}{NotPem}\n{Key}{NoKey}\n{Ca}{NotPem}" },
            { "garbage", "s3cret\0\u0001", "s3cret", "s3cret", $"{Cert}{NotPem}\n{Key}{NoKey}\n{Ca}{NotPem}" },
            { "certificate and key swapped", Ecdsa.Key, Ecdsa.Pem, null, $"{Cert}{NotPem}\n{Key}{NoKey}" },
            { "a certificate cut off", Ecdsa.Pem[..200], Ecdsa.Key, null, Cert + DamagedCertificate },
            { "an intermediate certificate cut off", $"{Ecdsa.Pem}\n{intermediate.Pem[..200]}", Ecdsa.Key, null, Cert + DamagedCertificate },
            { "a certificate that is none", Pem("CERTIFICATE"), Ecdsa.Key, null, Cert + DamagedCertificate },
            { "the intermediate certificate first", $"{intermediate.Pem}\n{Ecdsa.Pem}", Ecdsa.Key, null, Key + OtherPair },
            { "the key of another certificate", Ecdsa.Pem, other.Key, null, Key + OtherPair },
            { "a key of another kind", Ecdsa.Pem, Rsa.Key, null, Key + OtherPair },
            { "a key of another kind, the other way round", Rsa.Pem, Ecdsa.OlderKey, null, Key + OtherPair },
            { "an encrypted key", Ecdsa.Pem, Ecdsa.EncryptedKey, null, Key + Encrypted },
            { "a key encrypted in the older way", Rsa.Pem, Rsa.OlderKey.Replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", StringComparison.Ordinal), null, Key + Encrypted },
            { "a key cut off", Ecdsa.Pem, Ecdsa.Key[..100], null, Key + "holds a private key that is damaged" },
            { "a key that is none", Ecdsa.Pem, Pem("PRIVATE KEY"), null, Key + "holds a private key that is damaged, or neither RSA nor ECDSA" },
            { "two keys", Ecdsa.Pem, $"{Ecdsa.Key}\n{other.Key}", null, Key + "holds more than one private key" },
            { "a public key", Ecdsa.Pem, Ecdsa.PrivateKey.ExportSubjectPublicKeyInfoPem(), null, Key + NoKey },
            { "a key that is too short for TLS", weak.Pem, weak.Key, null, Cert + "cannot be served with: its key is too short, its signature too weak, or of a kind that TLS does not know" },
            { "authorities without a root", Ecdsa.Pem, Ecdsa.Key, intermediate.Pem, Ca + "holds no root authority (a certificate that is its own issuer); intermediate ones need theirs beside them" },
            { "authorities of which one is damaged", Ecdsa.Pem, Ecdsa.Key, $"{Authority.Pem}\n{intermediate.Pem[..200]}", Ca + DamagedCertificate },
        };
    }

    [Fact]
    public async Task A_file_that_cannot_be_read_is_said_by_key()
    {
        var (material, problems) = await TlsMaterial.ReadAsync([new FileContent(default, "no such file"), Content(Ecdsa.Key)], CancellationToken.None);

        material.Should().BeNull();
        problems.Should().Equal(new TlsProblem("listen.tls.certFile", "cannot be read (no such file)"));
    }

    [Fact]
    public async Task Expiry_is_that_of_the_certificate_and_of_the_authority_that_goes_first()
    {
        var sooner = TestAuthority.Create("sooner", toDay: 10);

        var (material, _) = await TlsMaterial.ReadAsync([Content(Ecdsa.Pem), Content(Ecdsa.Key), Content($"{Authority.Pem}\n{sooner.Pem}")], CancellationToken.None);

        material!.CertificateExpires.Should().Be(Ecdsa.Expires);
        material.ClientAuthoritiesExpire.Should().Be(sooner.Expires);
    }

    [Fact]
    public async Task What_clients_will_refuse_is_doubtful()
    {
        (await DoubtsAsync(Authority.Issue("scaler"))).Should().BeEmpty();
        (await DoubtsAsync(Authority.Issue("scaler", usage: null))).Should().BeEmpty();
        (await DoubtsAsync(Authority.Issue("scaler", usage: TestAuthority.ForClients))).Should().ContainSingle().Which.Should().StartWith("listen.tls.certFile: is not for servers");
        (await DoubtsAsync(Authority.Issue("scaler", withNames: false))).Should().ContainSingle().Which.Should().StartWith("listen.tls.certFile: has no subject alternative name");
        (await DoubtsAsync(Authority.Issue("scaler", toDay: -1))).Should().ContainSingle().Which.Should().MatchRegex("^listen.tls.certFile: expired on 20[0-9-]+ [0-9:]+ UTC: clients refuse it$");
        (await DoubtsAsync(Authority.Issue("scaler", fromDay: 1))).Should().ContainSingle().Which.Should().StartWith("listen.tls.certFile: is not valid before 20");
        (await DoubtsAsync(Authority.Issue("scaler"), TestAuthority.Create("old", toDay: -1))).Should().ContainSingle().Which.Should().StartWith("listen.tls.clientCaFile: holds an authority that expired on 20");
    }

    private static async Task<IReadOnlyList<string>> DoubtsAsync(TestCertificate certificate, TestAuthority? clients = null)
    {
        List<FileContent> files = [Content(certificate.Pem), Content(certificate.Key)];
        if (clients is not null)
        {
            files.Add(Content(clients.Pem));
        }

        var (material, problems) = await TlsMaterial.ReadAsync(files, CancellationToken.None);
        problems.Should().BeEmpty();
        return [.. material!.Doubts(Now).Select(static doubt => doubt.ToString())];
    }

    private static async Task<string> ReadAsync(string certificate, string key, string? clientCa = null)
    {
        var (material, problems) = await TlsMaterial.ReadAsync(
            clientCa is null ? [Content(certificate), Content(key)] : [Content(certificate), Content(key), Content(clientCa)], CancellationToken.None);
        (material is null).Should().Be(problems.Count > 0);
        return string.Join('\n', problems);
    }

    private static FileContent Content(string text) => new(Encoding.UTF8.GetBytes(text));

    private static string Pem(string label) => PemEncoding.WriteString(label, "no such thing"u8);
}
