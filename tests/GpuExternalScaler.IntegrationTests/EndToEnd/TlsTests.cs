using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Tests.Tls;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>TLS on the gRPC port, seen from grpc-go with KEDA's options and from openssl (K4).</summary>
public sealed class TlsTests : IAsyncLifetime
{
    private static readonly TestAuthority Authority = TestAuthority.Create("authority");
    private static readonly TestAuthority Stranger = TestAuthority.Create("stranger");
    private static readonly TestCertificate Server = Authority.Issue("scaler");
    private static readonly TestCertificate Client = Authority.Issue("keda", TestAuthority.ForClients);

    private readonly TlsFiles _files = new();
    private ScalerProcess? _scaler;

    private string Address => _scaler!.GrpcAddress;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_scaler is not null)
        {
            await _scaler.DisposeAsync();
        }

        _files.Dispose();
    }

    [Theory]
    [InlineData("ECDSA")]
    [InlineData("RSA")]
    public async Task KEDAs_library_gets_through_with_the_authority_and_the_name(string kind)
    {
        await StartAsync(kind == "RSA" ? Authority.Issue("scaler", key: RSA.Create(2048)) : Server);

        (await AskAsync(_files.Client(Authority))).Should().Be("OK");
        (await AskAsync(_files.Client(Authority, serverName: "scaler"))).Should().Be("OK");
        (await AskAsync(_files.Client(Stranger))).Should().Contain("x509: certificate signed by unknown authority");
        (await AskAsync(_files.Client(Authority, serverName: "elsewhere"))).Should().Contain("x509: certificate is valid for scaler, localhost, not elsewhere");
        await RefusedAsync("handshake");
    }

    [Fact]
    public async Task Intermediate_certificates_are_sent_along()
    {
        var intermediate = Authority.Intermediate("intermediate");
        var leaf = intermediate.Issue("scaler");
        _files.Mount($"{leaf.Pem}\n{intermediate.Pem}", leaf.Key);
        _scaler = await ScalerProcess.StartAsync(_files.Configuration(clients: false));

        (await AskAsync(_files.Client(Authority))).Should().Be("OK");
    }

    [Fact]
    public async Task In_the_clear_nobody_gets_through()
    {
        await StartAsync(Server);

        var clear = await _scaler!.Grpc.GetMetricSpecAsync(ScalerSetup.Workload("images"));

        clear.Code.Should().Be("Unavailable");
        await RefusedAsync("handshake");
        (await AskAsync(_files.Client(Authority))).Should().Be("OK");
    }

    [Fact]
    public async Task HTTP2_is_agreed_upon_and_nothing_else_is_served()
    {
        await StartAsync(Server);

        var h2 = await OpenSslClient.AskAsync(Address, null, "-alpn", "h2");
        var without = await OpenSslClient.AskAsync(Address, null);
        var other = await OpenSslClient.AskAsync(Address, null, "-alpn", "http/1.1");

        h2.Text.Should().Contain("ALPN protocol: h2");
        h2.IsServed.Should().BeTrue();
        without.Text.Should().Contain("No ALPN negotiated");
        without.IsServed.Should().BeFalse();
        other.Text.Should().Contain("alert no application protocol");
        await RefusedAsync("no_http2");
        _scaler!.Log.Should().NotContain(static line => line.Contains("HTTP/2 over TLS was not negotiated", StringComparison.Ordinal), "Kestrel would say so each time");
    }

    [Theory]
    [InlineData("-tls1", false)]
    [InlineData("-tls1_1", false)]
    [InlineData("-tls1_2", true)]
    [InlineData("-tls1_3", true)]
    public async Task TLS_1_2_and_1_3_are_spoken_and_nothing_older(string version, bool isSpoken)
    {
        // Debian's openssl offers the older ones at its lowest level of security only.
        string[] arguments = ["-alpn", "h2", version, "-cipher", "DEFAULT@SECLEVEL=0"];
        await StartAsync(Server);

        var answer = await OpenSslClient.AskAsync(Address, null, arguments);

        answer.IsServed.Should().Be(isSpoken);
        if (!isSpoken)
        {
            answer.Text.Should().Contain("alert protocol version", "it is the server that refuses");

            // And it is not the client: another server takes the same.
            var port = LoopbackPorts.Reserve();
            await using var lenient = ChildProcess.Start(
                "openssl", ["s_server", "-accept", $"127.0.0.1:{port}", "-cert", _files.CertFile, "-key", _files.KeyFile, version, "-cipher", "DEFAULT@SECLEVEL=0", "-rev"]);
            await Eventually.IsTrueAsync(() => lenient.StandardOutput.Any(static line => line.StartsWith("ACCEPT", StringComparison.Ordinal)), "openssl s_server to listen");
            (await OpenSslClient.AskAsync($"127.0.0.1:{port}", null, [.. arguments, "-no_ign_eof"])).Text.Should().MatchRegex("New, TLSv1[^,]*, Cipher is [^(]");
        }
    }

    [Fact]
    public async Task With_authorities_of_clients_their_clients_get_through_and_nobody_else_does()
    {
        await StartAsync(Server, Authority);

        (await AskAsync(_files.Client(Authority, Client))).Should().Be("OK");
        (await OpenSslClient.AskAsync(Address, _files.Client(Authority, Client), "-alpn", "h2")).IsServed.Should().BeTrue();
        (await OpenSslClient.AskAsync(Address, _files.Client(Authority, Client), "-alpn", "h2", "-tls1_2")).IsServed.Should().BeTrue();

        foreach (var (certificate, reason) in ((TestCertificate?, string)[])
        [
            (null, "no_certificate"),
            (Stranger.Issue("keda", TestAuthority.ForClients), "unknown_authority"),
            (Authority.Issue("keda", TestAuthority.ForClients, toDay: -1), "expired"),
            (Authority.Issue("keda", TestAuthority.ForClients, fromDay: 1), "expired"),
            (Authority.Issue("keda", TestAuthority.ForServers), "unfit"),
        ])
        {
            var before = await RefusalsAsync(reason);
            var client = _files.Client(Authority, certificate);

            (await AskAsync(client)).Should().StartWith("Unavailable", reason);
            (await OpenSslClient.AskAsync(Address, client, "-alpn", "h2")).IsServed.Should().BeFalse(reason);
            (await OpenSslClient.AskAsync(Address, client, "-alpn", "h2", "-tls1_2")).IsServed.Should().BeFalse(reason);
            await Eventually.SeesAsync(
                () => RefusalsAsync(reason),
                after => after >= before + 3,
                $"three refusals ({reason})",
                context: () => string.Join('\n', _scaler!.Log.Where(static line => line.Contains("was refused", StringComparison.Ordinal))));
        }

        await _scaler!.WaitForLogAsync("a client at 127.0.0.1 was refused (unknown_authority): its certificate is of an authority that is not in clientCaFile");
        _scaler.Log.Count(static line => line.Contains("was refused (unknown_authority)", StringComparison.Ordinal)).Should().Be(1, "it is told once for each address");
    }

    [Fact]
    public async Task An_authority_of_the_same_name_is_another_one()
    {
        await StartAsync(Server, Authority);
        var client = _files.Client(Authority, TestAuthority.Create("authority").Issue("keda", TestAuthority.ForClients));

        // openssl sends the authority along, grpc-go the certificate alone.
        (await AskAsync(client)).Should().StartWith("Unavailable");
        (await OpenSslClient.AskAsync(Address, client, "-alpn", "h2")).IsServed.Should().BeFalse();
        (await OpenSslClient.AskAsync(Address, client, "-alpn", "h2", "-tls1_2")).IsServed.Should().BeFalse();
        (await AskAsync(_files.Client(Authority, Client))).Should().Be("OK");
    }

    [Fact]
    public async Task A_client_of_an_intermediate_authority_gets_through_if_it_shows_it()
    {
        await StartAsync(Server, Authority);
        var intermediate = Authority.Intermediate("intermediate");
        var certificate = intermediate.Issue("keda", TestAuthority.ForClients);
        var client = _files.Client(Authority, certificate);

        (await AskAsync(client)).Should().StartWith("Unavailable");
        await File.AppendAllTextAsync(client.Cert!, "\n" + intermediate.Pem);
        (await AskAsync(client)).Should().Be("OK");
    }

    [Theory]
    [InlineData("-tls1_2")]
    [InlineData("-tls1_3")]
    public async Task A_client_whose_authority_was_taken_out_does_not_get_in_again_with_a_session_from_before(string version)
    {
        await StartAsync(Server, Authority);
        var (old, next) = (_files.Client(Authority, Client), _files.Client(Authority, Stranger.Issue("keda", TestAuthority.ForClients)));
        var session = _files.PathOf("session.pem");
        (await OpenSslClient.AskAsync(Address, old, "-alpn", "h2", version, "-sess_out", session)).IsServed.Should().BeTrue();

        // Both, as a rotation goes.
        _files.Mount(Server.Pem, Server.Key, $"{Authority.Pem}\n{Stranger.Pem}");
        await Eventually.SeesAsync(() => AskAsync(next), static answer => answer == "OK", "the new authority to be trusted");
        (await AskAsync(old)).Should().Be("OK");

        _files.Mount(Server, Stranger);
        await Eventually.SeesAsync(() => AskAsync(old), static answer => answer.StartsWith("Unavailable", StringComparison.Ordinal), "the old authority to be trusted no more");
        (await AskAsync(next)).Should().Be("OK");
        (await OpenSslClient.AskAsync(Address, next, "-alpn", "h2", version)).IsServed.Should().BeTrue();

        // Of TLS 1.2 there is not even a session to keep.
        string[] resumption = File.Exists(session) ? ["-sess_in", session] : [];
        resumption.Should().HaveCount(version == "-tls1_3" ? 2 : 0);
        var again = await OpenSslClient.AskAsync(Address, old, ["-alpn", "h2", version, .. resumption]);
        again.IsResumed.Should().BeFalse();
        again.IsServed.Should().BeFalse();
    }

    [Fact]
    public async Task A_new_key_before_its_certificate_breaks_no_connection()
    {
        await StartAsync(Server);
        var client = _files.Client(Authority);
        var next = Authority.Issue("scaler", key: RSA.Create(2048));

        _files.Overwrite(_files.KeyFile, next.Key);
        await _scaler!.WaitForLogAsync("listen.tls.keyFile: does not belong to the certificate");
        (await AskAsync(client)).Should().Be("OK");
        (await SerialAsync()).Should().Be(Server.Serial);

        _files.Overwrite(_files.CertFile, next.Pem);
        await Eventually.SeesAsync(SerialAsync, serial => serial == next.Serial, "the new certificate");
        (await AskAsync(client)).Should().Be("OK");
    }

    [Fact]
    public async Task What_is_broken_is_told_once_and_the_last_good_stays()
    {
        await StartAsync(Server, Authority);
        var client = _files.Client(Authority, Client);
        var next = Authority.Issue("scaler", toDay: 200);

        _files.Mount("s3cret", "s3cret", "s3cret");
        await _scaler!.WaitForLogAsync("listen.tls.clientCaFile: holds no certificate");
        (await AskAsync(client)).Should().Be("OK");

        _files.Mount(Server.Pem, next.Key, Authority.Pem);
        await _scaler.WaitForLogAsync("listen.tls.keyFile: does not belong to the certificate");
        (await AskAsync(client)).Should().Be("OK");
        (await SerialAsync()).Should().Be(Server.Serial);

        _files.Mount(next, Authority);
        await _scaler.WaitForLogAsync("listen.tls.certFile, listen.tls.keyFile changed");
        (await AskAsync(client)).Should().Be("OK");
        (await SerialAsync()).Should().Be(next.Serial);
        foreach (var told in (string[])["certFile: holds no", "keyFile: holds no", "clientCaFile: holds no", "keyFile: does not belong", "certFile, listen.tls.keyFile changed"])
        {
            _scaler.Log.Count(line => line.Contains("\"EventId\":5", StringComparison.Ordinal) && line.Split("\"State\"")[0].Contains("listen.tls." + told, StringComparison.Ordinal)).Should().Be(1, told);
        }

        _scaler.Log.Should().NotContain(static line => line.Contains("s3cret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_metrics_say_when_what_is_in_force_expires()
    {
        await StartAsync(Server, Authority);
        var next = Authority.Issue("scaler", toDay: 200);
        (await ExpiryAsync("server")).Should().Be(Server.Expires.ToUnixTimeSeconds());
        (await ExpiryAsync("client_ca")).Should().Be(Authority.Expires.ToUnixTimeSeconds());

        _files.Mount(next, Authority);
        await Eventually.SeesAsync(() => ExpiryAsync("server"), expiry => expiry == next.Expires.ToUnixTimeSeconds(), "the new expiry");

        (await Promtool.CheckMetricsAsync(await _scaler!.ReadMetricsAsync())).Should().Be(new PromtoolVerdict(true, ""));
    }

    [Fact]
    public async Task A_certificate_that_has_expired_is_served_with_and_warned_of()
    {
        await StartAsync(Authority.Issue("scaler", toDay: -1));

        await _scaler!.WaitForLogAsync("listen.tls.certFile: expired on ");
        (await AskAsync(_files.Client(Authority))).Should().Contain("x509: certificate has expired");
    }

    [Theory]
    [InlineData("missing", "listen.tls.certFile: cannot be read (no such file)")]
    [InlineData("mismatched", "listen.tls.keyFile: does not belong to the certificate")]
    [InlineData("encrypted", "listen.tls.keyFile: is encrypted")]
    [InlineData("authorities", "listen.tls.clientCaFile: holds no certificate in PEM")]
    public async Task What_cannot_be_served_with_is_2_at_the_start(string what, string message)
    {
        var other = Authority.Issue("other");
        _files.Mount(Server.Pem, what switch { "mismatched" => other.Key, "encrypted" => Server.EncryptedKey, _ => Server.Key }, what == "authorities" ? "s3cret" : Authority.Pem);
        if (what == "missing")
        {
            File.Delete(_files.CertFile);
        }

        await File.WriteAllTextAsync(_files.PathOf("scaler.yaml"), _files.Configuration(clients: true)
            .Replace("{grpc}", "127.0.0.1:0", StringComparison.Ordinal).Replace("{http}", "127.0.0.1:0", StringComparison.Ordinal));
        var exit = await ScalerProcess.RunAsync(["serve", "--config", _files.PathOf("scaler.yaml")]);

        exit.Code.Should().Be(2);
        exit.Error.Should().Contain(message).And.MatchRegex("scaler.yaml: line [567], column [0-9]+: listen.tls").And.NotContain("s3cret").And.NotContain(_files.PathOf("tls"));
        exit.Output.Should().BeEmpty();
    }

    [Fact]
    public async Task Who_says_nothing_or_garbage_harms_only_its_own_address()
    {
        await StartAsync(Server);
        var silent = new List<RawHttp2>();
        try
        {
            for (var i = 0; i < 100; i++)
            {
                var connection = await RawHttp2.ConnectAsync(IPEndPoint.Parse(Address));
                silent.Add(connection);
                if (i % 2 == 0)
                {
                    // A record of TLS, as long as can be, of which nothing follows.
                    await connection.SendAsync([0x16, 0x03, 0x01, 0x40, 0x00, 0x01]);
                }
                else
                {
                    await connection.BeginAsync(initialWindow: 65_535);
                }
            }

            (await HandshakeAsync("127.0.0.2")).Should().Be(SslApplicationProtocol.Http2);
        }
        finally
        {
            silent.ForEach(static connection => connection.Dispose());
        }

        // Room again, once they are gone.
        await Eventually.SeesAsync(() => AskAsync(_files.Client(Authority)), static answer => answer == "OK", "an answer");
    }

    [Fact]
    public async Task A_first_message_that_was_tampered_with_is_refused_and_no_defect()
    {
        await StartAsync(Server);
        var hello = await FirstMessageAsync();
        var before = await RefusalsAsync("handshake");

        // One byte after the other: lengths, names, extensions.
        for (var at = 5; at < hello.Length; at++)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(IPEndPoint.Parse(Address));
            byte[] tampered = [.. hello];
            tampered[at] ^= 0xff;
            try
            {
                await socket.SendAsync(tampered);
                socket.Shutdown(SocketShutdown.Send);
                while (await socket.ReceiveAsync(new byte[4096]) > 0)
                {
                    // Until the server hangs up.
                }
            }
            catch (SocketException)
            {
                // Which it may do at any time.
            }
        }

        await Eventually.SeesAsync(() => RefusalsAsync("handshake"), after => after >= before + (hello.Length / 2), "refusals");
        (await AskAsync(_files.Client(Authority))).Should().Be("OK");
        _scaler!.Log.Should().NotContain(static line => line.Contains("Unhandled exception", StringComparison.Ordinal));
    }

    private static async Task<byte[]> FirstMessageAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        using var accepted = await listener.AcceptSocketAsync();
        await using var stream = new SslStream(client.GetStream());
        var handshake = stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "scaler", ApplicationProtocols = [SslApplicationProtocol.Http2] });
        var buffer = new byte[16 * 1024];
        var length = await accepted.ReceiveAsync(buffer);
        accepted.Dispose();
        await handshake.Invoking(static task => task).Should().ThrowAsync<IOException>();
        return buffer[..length];
    }

    private async Task StartAsync(TestCertificate certificate, TestAuthority? clients = null)
    {
        _files.Mount(certificate, clients);
        _scaler = await ScalerProcess.StartAsync(_files.Configuration(clients is not null));
    }

    private async Task<string> AskAsync(GoTls tls)
    {
        var call = await new GrpcGoClient(Address, tls).GetMetricSpecAsync(ScalerSetup.Workload("images"));
        return call.Ok ? "OK" : $"{call.Code}: {call.Message}";
    }

    private async Task<string?> SerialAsync() => (await OpenSslClient.AskAsync(Address, null, "-alpn", "h2")).Serial;

    private Task<double?> ExpiryAsync(string file) =>
        _scaler!.SeriesAsync("gpu_scaler_tls_certificate_expiry_timestamp_seconds", $"file=\"{file}\"");

    private async Task<double> RefusalsAsync(string reason) => await _scaler!.SeriesAsync("gpu_scaler_tls_refused_total", $"reason=\"{reason}\"") ?? 0;

    private Task<double> RefusedAsync(string reason) => Eventually.SeesAsync(() => RefusalsAsync(reason), static count => count >= 1, $"a refusal ({reason})");

    private async Task<SslApplicationProtocol> HandshakeAsync(string from)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        await socket.ConnectAsync(IPEndPoint.Parse(Address));
        await using var stream = new SslStream(new NetworkStream(socket, ownsSocket: false));
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "scaler",
            ApplicationProtocols = [SslApplicationProtocol.Http2],
            CertificateChainPolicy = new()
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck,
                CustomTrustStore = { X509Certificate2.CreateFromPem(Authority.Pem) },
            },
        });
        return stream.NegotiatedApplicationProtocol;
    }
}

/// <summary>Rotation under open streams.</summary>
[Collection(ConformanceBrokerTests.Name)]
public sealed class TlsStreamTests(SharedBroker3 shared)
{
    [Fact]
    public async Task Open_streams_live_on_and_hear_more_when_certificate_and_authority_are_rotated()
    {
        var (old, next) = (TestAuthority.Create("old"), TestAuthority.Create("new"));
        var (first, second) = (old.Issue("scaler"), next.Issue("scaler"));
        using var files = new TlsFiles();
        files.Mount(first, old);
        var queue = SharedBroker.QueueName("tls");
        await using var driver = await QueueDriver.ConnectAsync(shared.Broker);
        await driver.DeclareQueueAsync(queue);
        await using var scaler = await ScalerProcess.StartAsync(files.Configuration(clients: true, ScalerSetup.Configuration(ScalerSetup.Connection(shared.Broker))));
        var oldTls = files.Client(old, old.Issue("keda", TestAuthority.ForClients));
        var nextTls = files.Client(next, next.Issue("keda", TestAuthority.ForClients));
        var oldKeda = new GrpcGoClient(scaler.GrpcAddress, oldTls);
        var nextKeda = new GrpcGoClient(scaler.GrpcAddress, nextTls);
        var workload = ScalerSetup.Workload(queue);
        await using var stream = oldKeda.Watch(workload);
        await using var streams = oldKeda.OpenStreams(workload, 200, firstWithin: TimeSpan.FromSeconds(20));
        await stream.WaitForMessagesAsync(1);
        (await streams.WaitForAsync("opened")).First.Should().Be(200);
        (await OpenSslClient.AskAsync(scaler.GrpcAddress, oldTls, "-alpn", "h2")).Serial.Should().Be(first.Serial);

        files.Mount(second, next);
        await Eventually.SeesAsync(
            () => OpenSslClient.AskAsync(scaler.GrpcAddress, nextTls, "-alpn", "h2"), answer => answer.Serial == second.Serial && answer.IsServed, "the new certificate");
        (await oldKeda.GetMetricSpecAsync(workload)).Code.Should().Be("Unavailable");
        (await nextKeda.GetMetricSpecAsync(workload)).Code.Should().Be("OK");

        await driver.PublishAsync(queue, 1);
        await stream.WaitForMessagesAsync(2);
        stream.Messages[0].Response!.Result.Should().BeFalse();
        stream.Messages[1].Response!.Result.Should().BeTrue();
        stream.HasEnded.Should().BeFalse();
        (await scaler.SeriesAsync("gpu_scaler_grpc_open_streams", "StreamIsActive")).Should().Be(201);
        await using var late = nextKeda.Watch(workload);
        await late.WaitForMessagesAsync(1);

        var end = (await streams.FinishAsync()).Single(static e => e.Event == "closed");
        end.Ended.Should().BeEmpty("the server has ended none of them");
        end.Received.Should().BeGreaterThanOrEqualTo(200);

        // K6 holds over TLS too, for connections of either certificate.
        (await scaler.TerminateAsync()).Code.Should().Be(0);
        foreach (var session in (GoSession[])[stream, late])
        {
            (await session.WaitForAsync("end")).Code.Should().Be("OK");
        }
    }
}
