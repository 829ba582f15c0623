using System.Security.Cryptography;
using System.Text;

namespace GpuExternalScaler.Sources.RabbitMq;

/// <summary>What the files hold that a connection is made with.</summary>
/// <param name="Reason">Why they are of no use.</param>
/// <param name="Password">The password; null where no user is configured.</param>
/// <param name="Authorities">The only authorities trusted, as the file has them; null trusts the system's.</param>
/// <param name="Fingerprint">The same for the same content, and nothing else can be learned from it.</param>
internal sealed record AmqpSecrets(SourceReason Reason, string? Password, byte[]? Authorities, string Fingerprint)
{
    /// <summary>What was read.</summary>
    public static AmqpSecrets Of(string? password, byte[]? authorities) =>
        new(SourceReason.None, password, authorities, FingerprintOf(password, authorities ?? []));

    /// <summary>What cannot be read.</summary>
    public static AmqpSecrets Unusable(SourceReason reason) => new(reason, null, null, reason.Code());

    /// <summary>No secret, whoever prints it.</summary>
    public override string ToString() => $"{nameof(AmqpSecrets)} {Reason.Code()}";

    // The password's own digest goes first: of a fixed length, so that nothing can move from one part into the other.
    private static string FingerprintOf(string? password, byte[] authorities) =>
        Convert.ToHexString(SHA256.HashData([.. SHA256.HashData(Encoding.UTF8.GetBytes(password ?? "")), .. authorities]));
}

/// <summary>The files themselves. To be read by one at a time.</summary>
internal sealed class SecretFiles(RabbitMqAmqpOptions options)
{
    private byte[]? _authorities;
    private bool _areReadable;
    private volatile SourceReason _unread;

    /// <summary>What is wrong if the read under way does not end.</summary>
    public SourceReason Unread => _unread;

    /// <summary>Reads the files, for as long as it takes. What goes wrong is a reason and no exception.</summary>
    public async Task<AmqpSecrets> ReadAsync()
    {
        string? password = null;
        _unread = SourceReason.CredentialsUnreadable;
        if (options.Username is not null)
        {
            try
            {
                password = options.PasswordFile is null
                    ? ""
                    : (await File.ReadAllTextAsync(options.PasswordFile).ConfigureAwait(false)).TrimEnd('\r', '\n');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return AmqpSecrets.Unusable(SourceReason.CredentialsUnreadable);
            }
        }

        if (options is not { UsesTls: true, CaFile: { } caFile })
        {
            return AmqpSecrets.Of(password, null);
        }

        _unread = SourceReason.CaUnreadable;
        try
        {
            var authorities = await File.ReadAllBytesAsync(caFile).ConfigureAwait(false);
            if (!authorities.AsSpan().SequenceEqual(_authorities))
            {
                _areReadable = TrustedAuthorities.AreReadable(authorities);
                _authorities = authorities;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return AmqpSecrets.Unusable(SourceReason.CaUnreadable);
        }

        return _areReadable ? AmqpSecrets.Of(password, _authorities) : AmqpSecrets.Unusable(SourceReason.CaUnreadable);
    }
}

/// <summary>
/// Follows the files by content. A change counts once two looks in a row have found the same, so that a file that is just
/// being written is not used; connections are made with what counts. Nobody waits for long: a pipe that nobody writes to,
/// or a mount whose server is gone, holds up whoever opens it, and no cancellation ends that.
/// </summary>
internal sealed class SettledSecrets(RabbitMqAmqpOptions options, TimeProvider time)
{
    /// <summary>Time between two looks: a change counts within twice that.</summary>
    internal static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(1);

    /// <summary>Time after which files that do not answer cannot be read.</summary>
    internal static readonly TimeSpan HungAfter = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LookWait = TimeSpan.FromMilliseconds(250);

    private readonly SecretFiles _files = new(options);
    private readonly Lock _gate = new();
    private Task<AmqpSecrets>? _reading;
    private Task<AmqpSecrets>? _look;
    private AmqpSecrets? _settled;
    private string _seen = "";
    private long _lookedAt;
    private bool _hasLooked;

    /// <summary>
    /// Looks at the files if it is time to; the fingerprint of what counts now, empty before anything does. A look that takes
    /// long goes on by itself and is finished by a later call.
    /// </summary>
    public async Task<string> LookAsync(CancellationToken cancellationToken)
    {
        if (_look is null && (!_hasLooked || time.GetElapsedTime(_lookedAt) >= LookInterval))
        {
            _hasLooked = true;
            _lookedAt = time.GetTimestamp();
            _look = Read();
            await WaitAsync(_look, LookWait, cancellationToken).ConfigureAwait(false);
        }

        if (_look is { IsCompleted: true } look)
        {
            _look = null;
            var secrets = await look.ConfigureAwait(false);
            if (secrets.Fingerprint == _seen && secrets.Fingerprint != Volatile.Read(ref _settled)?.Fingerprint)
            {
                Volatile.Write(ref _settled, secrets);
            }

            _seen = secrets.Fingerprint;
        }
        else if (_look is not null && time.GetElapsedTime(_lookedAt) >= HungAfter)
        {
            _seen = "";
            Volatile.Write(ref _settled, AmqpSecrets.Unusable(_files.Unread));
        }

        return Volatile.Read(ref _settled)?.Fingerprint ?? "";
    }

    /// <summary>What to connect with: what counts, or what is there now before anything does.</summary>
    public async Task<AmqpSecrets> TakeAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _settled) is { } settled)
        {
            return settled;
        }

        var reading = Read();
        await WaitAsync(reading, HungAfter, cancellationToken).ConfigureAwait(false);
        return reading.IsCompleted ? await reading.ConfigureAwait(false) : AmqpSecrets.Unusable(_files.Unread);
    }

    /// <summary>The read under way, or a new one: of files that hang, one thread is lost and not one each second.</summary>
    private Task<AmqpSecrets> Read()
    {
        lock (_gate)
        {
            return _reading is { IsCompleted: false } reading ? reading : _reading = Task.Run(_files.ReadAsync);
        }
    }

    private async Task WaitAsync(Task reading, TimeSpan most, CancellationToken cancellationToken)
    {
        await reading.WaitAsync(most, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        cancellationToken.ThrowIfCancellationRequested();
    }
}
