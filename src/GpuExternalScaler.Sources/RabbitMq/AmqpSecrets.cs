using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>What the files hold that a connection is made with.</summary>
/// <param name="Reason">Why they are of no use.</param>
/// <param name="Password">The password; null where no user is configured.</param>
/// <param name="Trusted">The only authorities trusted; null trusts the system's.</param>
/// <param name="Fingerprint">The same for the same content, and nothing else can be learned from it.</param>
internal sealed record AmqpSecrets(SourceReason Reason, string? Password, X509Certificate2Collection? Trusted, string Fingerprint)
{
    /// <summary>Reads the files. What goes wrong is a reason and no exception.</summary>
    public static async Task<AmqpSecrets> ReadAsync(RabbitMqAmqpOptions options, CancellationToken cancellationToken)
    {
        string? password = null;
        if (options.Username is not null)
        {
            try
            {
                password = options.PasswordFile is null
                    ? ""
                    : (await File.ReadAllTextAsync(options.PasswordFile, cancellationToken).ConfigureAwait(false)).TrimEnd('\r', '\n');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Unusable(SourceReason.CredentialsUnreadable);
            }
        }

        byte[] authorities = [];
        if (options is { UsesTls: true, CaFile: { } caFile })
        {
            try
            {
                authorities = await File.ReadAllBytesAsync(caFile, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Unusable(SourceReason.CaUnreadable);
            }

            if (TrustedAuthorities.Parse(authorities) is not { } trusted)
            {
                return Unusable(SourceReason.CaUnreadable);
            }

            return new AmqpSecrets(SourceReason.None, password, trusted, FingerprintOf(password, authorities));
        }

        return new AmqpSecrets(SourceReason.None, password, null, FingerprintOf(password, authorities));
    }

    /// <summary>No secret, whoever prints it.</summary>
    public override string ToString() => $"{nameof(AmqpSecrets)} {Reason.Code()}";

    private static AmqpSecrets Unusable(SourceReason reason) => new(reason, null, null, reason.Code());

    // The password's own digest goes first: of a fixed length, so that nothing can move from one part into the other.
    private static string FingerprintOf(string? password, byte[] authorities) =>
        Convert.ToHexString(SHA256.HashData([.. SHA256.HashData(Encoding.UTF8.GetBytes(password ?? "")), .. authorities]));
}

/// <summary>
/// Follows the files by content. A change counts once two looks in a row have found the same, so that a file that is just
/// being written is not used; connections are made with what counts.
/// </summary>
internal sealed class SettledSecrets(RabbitMqAmqpOptions options, TimeProvider time)
{
    /// <summary>Time between two looks: a change counts within twice that.</summary>
    internal static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    private AmqpSecrets? _settled;
    private string _seen = "";
    private long _lookedAt;
    private bool _hasLooked;

    /// <summary>Looks at the files if it is time to; the fingerprint of what counts now, empty before anything does.</summary>
    public async Task<string> LookAsync(CancellationToken cancellationToken)
    {
        if (!_hasLooked || time.GetElapsedTime(_lookedAt) >= LookInterval)
        {
            _hasLooked = true;
            _lookedAt = time.GetTimestamp();
            var secrets = await AmqpSecrets.ReadAsync(options, cancellationToken).ConfigureAwait(false);
            if (secrets.Fingerprint == _seen && secrets.Fingerprint != Volatile.Read(ref _settled)?.Fingerprint)
            {
                Volatile.Write(ref _settled, secrets);
            }

            _seen = secrets.Fingerprint;
        }

        return Volatile.Read(ref _settled)?.Fingerprint ?? "";
    }

    /// <summary>What to connect with: what counts, or what is there now before anything does.</summary>
    public async Task<AmqpSecrets> TakeAsync(CancellationToken cancellationToken) =>
        Volatile.Read(ref _settled) ?? await AmqpSecrets.ReadAsync(options, cancellationToken).ConfigureAwait(false);
}
