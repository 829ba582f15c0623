using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Rpc;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace GpuExternalScaler.Tls;

/// <summary>
/// TLS of the gRPC port (K4): follows its files and gives every new connection what is in force. Open connections live on
/// with what they began with. Material that could not serve is told of and not taken over.
/// </summary>
internal sealed class GrpcPortTls : IReloadable
{
    /// <summary>The versions of TLS spoken.</summary>
    public const SslProtocols Protocols = SslProtocols.Tls12 | SslProtocols.Tls13;

    // Three round trips, with time to spare for a server that gets little CPU. Until then a connection that says nothing
    // takes one of its caller's places.
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    private const string ClientUsage = "1.3.6.1.5.5.7.3.2";

    private readonly IReadOnlyList<string> _keys;
    private readonly SettlingFiles _files;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly HashSet<TlsProblem> _told = [];
    private readonly Lock _gate = new();
    private readonly HashSet<TlsProblem> _doubts = [];
    private readonly TlsRefusals _refusals;
    private volatile TlsMaterial _material;

    /// <summary>Begins with what was read at the start.</summary>
    public GrpcPortTls(TlsOptions options, TlsMaterial material, TimeProvider time, ScalerMetrics metrics, ILogger<GrpcPortTls> logger)
    {
        _keys = TlsMaterial.KeysOf(options);
        _files = material.Follow(options);
        _material = material;
        _time = time;
        _logger = logger;
        _refusals = new TlsRefusals(metrics, logger);
        metrics.ObserveCertificates(() => (_material.CertificateExpires, _material.ClientAuthoritiesExpire));
    }

    /// <summary>What is in force.</summary>
    public TlsMaterial Material => _material;

    /// <summary>Puts TLS into a listener, inside of what was put there before.</summary>
    public void Use(ListenOptions listen)
    {
        listen.Use(next => async connection =>
        {
            var handshake = new Handshake();
            connection.Features.Set(handshake);
            try
            {
                await next(connection);
            }
#pragma warning disable CA1031 // A first message that was tampered with makes the library throw what Kestrel does not expect, and logs whole each time.
            catch (Exception) when (!handshake.IsDone)
#pragma warning restore CA1031
            {
                connection.Abort(new ConnectionAbortedException("The TLS handshake failed."));
            }

            if (!handshake.IsDone)
            {
                _refusals.Note(handshake.Refusal, connection.RemoteEndPoint);
            }
        });
        listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            HandshakeTimeout = HandshakeTimeout,
            OnConnection = context => ValueTask.FromResult(OptionsFor(context.Connection)),
        });
        listen.Use(static next => connection =>
        {
            // Kestrel would refuse it too, with an error in the log each time.
            var handshake = connection.Features.GetRequiredFeature<Handshake>();
            handshake.IsDone = connection.Features.Get<ITlsApplicationProtocolFeature>()?.ApplicationProtocol.Span.SequenceEqual("h2"u8) ?? false;
            handshake.Refusal = TlsRefusal.NoHttp2;
            if (handshake is { IsDone: true, ShowsCertificate: true })
            {
                connection.Features.Get<CallerLimits.Place>()?.Verify();
            }

            return handshake.IsDone ? next(connection) : Task.CompletedTask;
        });
    }

    /// <summary>How connections are served with some material.</summary>
    public static SslServerAuthenticationOptions OptionsFor(SslStreamCertificateContext certificate, X509Certificate2Collection? clientAuthorities)
    {
        var options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = certificate,
            EnabledSslProtocols = Protocols,
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            AllowRenegotiation = false,

            // A session from before a rotation must not let in a client whose authority is gone. KEDA keeps one connection
            // for ever, and has nothing to gain from resuming it.
            AllowTlsResume = false,
        };
        if (clientAuthorities is not null)
        {
            options.ClientCertificateRequired = true;

            // One for each connection: what the client sends is added to it.
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                DisableCertificateDownloads = true,
            };
            options.CertificateChainPolicy.CustomTrustStore.AddRange(clientAuthorities);
            options.CertificateChainPolicy.ApplicationPolicy.Add(new Oid(ClientUsage));
        }

        return options;
    }

    private SslServerAuthenticationOptions OptionsFor(ConnectionContext connection)
    {
        // Read once: a connection gets a whole set, old or new.
        var material = _material;
        var handshake = connection.Features.GetRequiredFeature<Handshake>();
        var options = OptionsFor(material.Certificate, material.ClientAuthorities);
        if (material.ClientAuthorities is not null)
        {
            options.RemoteCertificateValidationCallback = (_, _, chain, errors) =>
            {
                if (errors == SslPolicyErrors.None)
                {
                    handshake.ShowsCertificate = true;
                    return true;
                }

                handshake.Refusal = TlsRefusals.ReasonOf(chain, errors);
                return false;
            };
        }

        return options;
    }

    /// <summary>Says how the port is served, once it is.</summary>
    public void Announce()
    {
        _logger.ServingTls(_material.CertificateExpires.UtcDateTime, _material.ClientAuthorities is null ? "none" : "required");
        TellDoubts();
    }

    /// <inheritdoc/>
    public async Task LookAsync(CancellationToken cancellation)
    {
        if (await _files.LookAsync(cancellation) is { } files)
        {
            await TakeOverAsync(files, cancellation);
        }

        // A certificate may expire without anybody touching a file.
        TellDoubts();
    }

    private async Task TakeOverAsync(IReadOnlyList<FileContent> files, CancellationToken cancellation)
    {
        var (material, problems) = await TlsMaterial.ReadAsync(files, cancellation);
        if (material is null)
        {
            foreach (var problem in problems.Where(_told.Add))
            {
                _logger.TlsNotTakenOver(problem.Key, problem.Problem);
            }

            return;
        }

        var changed = _keys.Where((_, i) => !files[i].IsSameAs(_material.Files[i])).ToList();
        if (changed.Count == 0)
        {
            _told.Clear();
            _logger.TlsAsBefore();
            return;
        }

        // What clients will refuse must not take the place of what they accept.
        var now = _time.GetUtcNow();
        var doubts = DoubtsOfCertificate(material, now);
        if (doubts.Count > 0 && DoubtsOfCertificate(_material, now).Count == 0)
        {
            foreach (var doubt in doubts.Where(_told.Add))
            {
                _logger.TlsNotTakenOver(doubt.Key, doubt.Problem);
            }

            return;
        }

        _told.Clear();
        lock (_gate)
        {
            _doubts.Clear();
            _material = material;
        }

        _refusals.TellAgain();
        _logger.TlsTakenOver(string.Join(", ", changed), material.CertificateExpires.UtcDateTime);
    }

    private static List<TlsProblem> DoubtsOfCertificate(TlsMaterial material, DateTimeOffset now) =>
        [.. material.Doubts(now).Where(static doubt => doubt.Key == FileKeys.TlsCertFile)];

    private void TellDoubts()
    {
        // Told once, by whoever comes first: the start or a look.
        lock (_gate)
        {
            foreach (var doubt in _material.Doubts(_time.GetUtcNow()).Where(_doubts.Add))
            {
                _logger.TlsDoubt(doubt.Key, doubt.Problem);
            }
        }
    }

    /// <summary>How a connection fares.</summary>
    private sealed class Handshake
    {
        public bool IsDone { get; set; }

        /// <summary>Whether the client has shown a certificate, and it is good.</summary>
        public bool ShowsCertificate { get; set; }

        public TlsRefusal Refusal { get; set; } = TlsRefusal.Handshake;
    }
}
