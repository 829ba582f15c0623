using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// Passwords and authorities of a broker change while it is read: the new ones take effect without a restart, no answer
/// drops over it, and nobody else notices.
/// </summary>
[Collection(BrokerTests.Name)]
public sealed class SecretRotationTests(SharedBroker3 shared) : IAsyncLifetime
{
    private readonly TemporaryFolder _folder = new("secrets");
    private readonly string _queue = SharedBroker.QueueName("rotation");
    private readonly string _user = SharedBroker.QueueName("rotated");
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<SweepOutcome> _sweeps = new();
    private readonly List<Task> _running = [];
    private QueueDriver _driver = null!;

    private RabbitMqBroker Broker => shared.Broker;

    private IEnumerable<SweepOutcome> FailedSweeps => _sweeps.Where(static sweep => sweep.Faults.Count > 0);

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(Broker);
        await _driver.DeclareQueueAsync(_queue);
    }

    public async Task DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).ContinueWith(static _ => { }, TaskScheduler.Default);
        _stop.Dispose();
        await _driver.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_password_changes_in_the_file_and_at_the_broker_in_either_order_and_no_other_connection_notices()
    {
        var other = _user + "-other";
        var file = Rotate("password", "s3cret-first");
        await Broker.SetPasswordAsync(_user, "s3cret-first");
        await Broker.SetPasswordAsync(other, "s3cret-others");
        var busy = ScalerSetup.Workload(_queue, "rotated", ("rabbitmq", "main"));
        var bystander = ScalerSetup.Workload(_queue, "bystander", ("rabbitmq", "other"));
        await _driver.StartWorkersAsync(_queue, 10, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 7);
        await _driver.WaitForGaugesAsync(_queue, ready: 0, unacked: 7, consumers: 10);
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            Connection("main", _user, file) + Connection("other", other, _folder.Write("other-password", "s3cret-others"))));
        await scaler.UntilAsync(busy, static value => value == 1000, "an answer");
        await scaler.UntilAsync(bystander, static value => value == 1000, "another answer");
        await using var stream = scaler.Grpc.Watch(busy);
        await using var otherStream = scaler.Grpc.Watch(bystander);
        await stream.WaitForMessagesAsync(1);
        await otherStream.WaitForMessagesAsync(1);
        await using var log = new AnswerLog(scaler, busy);
        await using var otherLog = new AnswerLog(scaler, bystander);
        await log.WaitForAsync(static answer => answer.IsDecided, "answers");
        var connections = await ConnectedAsync(Broker, _user);
        var others = await ConnectedAsync(Broker, other);

        log.Mark("the file changes");
        Rotate("password", "s3cret-second");
        await SaysAsync("amqp fails (unauthorized)", 1);
        await SaysAsync("management fails (unauthorized)", 1);
        await SaysAsync("management_totals fails (unauthorized)", 1);
        (await ConnectedAsync(Broker, _user)).Should().Equal(connections, "the old password let them in");
        log.Mark("the broker follows");
        await Broker.SetPasswordAsync(_user, "s3cret-second");
        await SaysAsync("amqp works again", 1);
        await SaysAsync("management works again", 1);
        await SaysAsync("management_totals works again", 1);
        connections = await ReplacedAsync(Broker, _user, connections);

        log.Mark("the broker is first");
        await Broker.SetPasswordAsync(_user, "s3cret-third");
        await SaysAsync("management fails (unauthorized)", 2);
        await SaysAsync("management_totals fails (unauthorized)", 2);
        log.Mark("the file follows");
        Rotate("password", "s3cret-third");
        await SaysAsync("management works again", 2);
        await SaysAsync("management_totals works again", 2);
        await ReplacedAsync(Broker, _user, connections);
        await log.WaitForAsync(static answer => answer.IsDecided, "an answer after it all");

        log.ShouldNeverDropBelow(1000);
        otherLog.ShouldNeverDropBelow(1000);
        otherLog.ShouldAlwaysBeDecided();
        stream.HasEnded.Should().BeFalse();
        otherStream.HasEnded.Should().BeFalse();
        otherStream.Messages.Should().ContainSingle().Which.Response!.Result.Should().BeTrue();
        (await ConnectedAsync(Broker, other)).Should().Equal(others);
        Lines("Sweeping main by its amqp").Should().Be(2, "one each way; with the broker first nothing of it is seen");
        Lines("Sweeping other by its").Should().Be(0);
        string.Join('\n', scaler.Log).Should().NotContain("s3cret");

        int Lines(string text) => scaler.Log.Count(line => line.Contains(text, StringComparison.Ordinal));

        Task SaysAsync(string what, int times) => Eventually.SeesAsync(
            () => Task.FromResult(Lines("Sweeping main by its " + what)), lines => lines == times, $"\"{what}\" {times} times", context: () => log.Timeline());
    }

    [Fact]
    public async Task A_password_file_that_is_gone_for_a_while_is_said_and_the_figures_go_on_over_AMQP()
    {
        var file = Rotate("password", "first");
        await Broker.SetPasswordAsync(_user, "first");
        var source = Start(new RabbitMqConnectionOptions
        {
            Name = "main",
            Management = new RabbitMqManagementOptions { Url = Broker.ManagementUri, Username = _user, PasswordFile = file },
            ManagementInterval = TimeSpan.FromSeconds(1),
            Amqp = new RabbitMqAmqpOptions { Url = Broker.AmqpUri, Username = _user, PasswordFile = file, Interval = TimeSpan.FromMilliseconds(250) },
            Interval = TimeSpan.FromMilliseconds(250),
        });
        await ReadsAsync(source, 0);
        await Eventually.IsTrueAsync(() => source.Current.ManagementFault is null && source.Current.Choice.Gauges == RabbitMqEndpoint.ManagementTotals, "the lists");
        var connections = await ConnectedAsync(Broker, _user);

        File.Delete(file);
        await Eventually.IsTrueAsync(
            () => source.Current is { ManagementFault.Reason: SourceReason.CredentialsUnreadable, AmqpFault.Reason: SourceReason.CredentialsUnreadable }, "both faults");
        source.Current.AmqpFault!.Sentence.Should().Contain("go on").And.NotContain(file);
        await _driver.PublishAsync(_queue, 3);
        await ReadsAsync(source, 3);

        Rotate("password", "first");
        await Eventually.IsTrueAsync(() => source.Current is { ManagementFault: null, AmqpFault: null, Fault: null }, "no fault");
        (await ConnectedAsync(Broker, _user)).Should().Equal(connections, "the password is what it was");
    }

    [Fact]
    public async Task Authority_and_certificate_change_without_a_failed_sweep_or_a_lost_event_and_a_wrong_authority_is_said()
    {
        var (first, second, stranger) = (CreateCertificate("first"), CreateCertificate("second"), CreateCertificate("stranger"));
        var (certificate, key) = (_folder.Write("server.crt", first.Certificate), _folder.Write("server.key", first.Key));
        var (amqps, https) = (LoopbackPorts.Reserve(), LoopbackPorts.Reserve());
        await using var broker = await RabbitMqBroker.StartNewAsync(RabbitMqInstallation.Packaged, new RabbitMqBrokerOptions
        {
            EventExchange = true,
            RereadsCertificates = true,
            Configuration =
            [
                $"listeners.ssl.1 = 127.0.0.1:{amqps}", $"ssl_options.certfile = {certificate}", $"ssl_options.keyfile = {key}", "ssl_options.verify = verify_none",
                "management.ssl.ip = 127.0.0.1", $"management.ssl.port = {https}", $"management.ssl.certfile = {certificate}", $"management.ssl.keyfile = {key}",
            ],
        });
        await using var driver = await QueueDriver.ConnectAsync(broker);
        await driver.DeclareQueueAsync(_queue);
        var file = Rotate("ca.crt", first.Certificate);
        var prefetches = new ConcurrentQueue<int?>();
        RabbitMqSource source = null!;

        // The list shows this user no consumers: what is known of them comes by events.
        source = Start(
            new RabbitMqConnectionOptions
            {
                Name = "main",
                Management = new RabbitMqManagementOptions
                {
                    Url = new Uri($"https://127.0.0.1:{https}"),
                    Username = RabbitMqBroker.ScalerUser,
                    PasswordFile = broker.ScalerPasswordFile,
                    CaFile = file,
                },
                ManagementInterval = TimeSpan.FromSeconds(1),
                Amqp = new RabbitMqAmqpOptions
                {
                    Url = new Uri($"amqps://127.0.0.1:{amqps}"),
                    Username = RabbitMqBroker.AdminUser,
                    PasswordFile = broker.AdminPasswordFile,
                    CaFile = file,
                    Interval = TimeSpan.FromMilliseconds(250),
                },
                Interval = TimeSpan.FromMilliseconds(250),
            },
            () => prefetches.Enqueue(source.Current.Read("/", _queue).Prefetch));
        await ReadsAsync(source, 0);
        await Eventually.IsTrueAsync(() => source.Current.Choice.Prefetch == RabbitMqEndpoint.AmqpEvents, "events");
        await using var workers = await driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold, prefetch: 7);
        await Eventually.IsTrueAsync(() => source.Current.Read("/", _queue).Prefetch == 7, "a prefetch of 7");
        await Eventually.IsTrueAsync(() => source.Current.Fault is null, "no fault");
        prefetches.Clear();
        _sweeps.Clear();
        var connections = await ConnectedAsync(broker, ours: 2);

        // As it should be done: both are trusted while the broker changes from one to the other.
        Rotate("ca.crt", first.Certificate + "\n" + second.Certificate);
        connections = await ReplacedAsync(broker, connections);
        Rotate("server.key", second.Key);
        Rotate("server.crt", second.Certificate);
        Rotate("ca.crt", second.Certificate);
        connections = await ReplacedAsync(broker, connections);
        var sweeps = _sweeps.Count(static sweep => sweep.Endpoint == RabbitMqEndpoint.Management);
        await Eventually.IsTrueAsync(() => _sweeps.Count(static sweep => sweep.Endpoint == RabbitMqEndpoint.Management) > sweeps + 1, "lists");
        FailedSweeps.Should().BeEmpty();
        prefetches.Should().NotBeEmpty().And.OnlyContain(static prefetch => prefetch == 7);
        await using var more = await driver.StartWorkersAsync(_queue, 1, WorkStyle.Hold, prefetch: 9);
        await Eventually.IsTrueAsync(() => source.Current.Read("/", _queue).Prefetch == 9, "an event over the new connection");

        // A mistake: what serves goes on, and the fault says so.
        Rotate("ca.crt", stranger.Certificate);
        await Eventually.IsTrueAsync(() => source.Current is { ManagementFault.Reason: SourceReason.Tls, AmqpFault.Reason: SourceReason.Tls }, "both faults");
        await driver.PublishAsync(_queue, 50);
        await Eventually.IsTrueAsync(() => source.Current.Read("/", _queue).Ready > 0, "what waits, over the connection before");
        Rotate("ca.crt", second.Certificate);
        await Eventually.IsTrueAsync(() => source.Current.Fault is null, "no fault");
        (await ConnectedAsync(broker, ours: 2)).Should().Equal(connections);
    }

    /// <summary>The connections of ours that the administrator's user has: the driver's have no name.</summary>
    private static Task<IReadOnlyList<string>> ConnectedAsync(RabbitMqBroker broker, int ours) =>
        Eventually.SeesAsync(() => broker.ReadConnectionsAsync(RabbitMqBroker.AdminUser, "gpu-external-scaler"), names => names.Count == ours, $"{ours} connections");

    private static Task<IReadOnlyList<string>> ConnectedAsync(RabbitMqBroker broker, string user) =>
        Eventually.SeesAsync(() => broker.ReadConnectionsAsync(user), static names => names.Count > 0, "connections of the user");

    private static Task<IReadOnlyList<string>> ReplacedAsync(RabbitMqBroker broker, IReadOnlyList<string> before) =>
        Eventually.SeesAsync(
            () => broker.ReadConnectionsAsync(RabbitMqBroker.AdminUser, "gpu-external-scaler"), names => names.Count == before.Count && !names.Intersect(before).Any(), "as many new connections");

    private static Task<IReadOnlyList<string>> ReplacedAsync(RabbitMqBroker broker, string user, IReadOnlyList<string> before) =>
        Eventually.SeesAsync(
            () => broker.ReadConnectionsAsync(user), names => names.Count == before.Count && !names.Intersect(before).Any(), "as many new connections of the user");

    private string Connection(string name, string user, string passwordFile) => $$"""
          {{name}}:
            management: { url: "{{Broker.ManagementUri.ToString().TrimEnd('/')}}", username: {{user}}, passwordFile: "{{passwordFile}}", interval: 1s }
            amqp: { url: "{{Broker.AmqpUri.ToString().TrimEnd('/')}}", username: {{user}}, passwordFile: "{{passwordFile}}", interval: 250ms }
            interval: 250ms

        """;

    /// <summary>Replaces a file in one step, as a mounted Secret does.</summary>
    private string Rotate(string name, string content)
    {
        var path = Path.Combine(_folder.Path, name);
        File.Move(_folder.Write(name + ".next", content), path, overwrite: true);
        return path;
    }

    private Task<QueueReading> ReadsAsync(RabbitMqSource source, long ready)
    {
        source.Interest.Wanted = [new QueueName("/", _queue)];
        source.Interest.Watch(new QueueName("/", _queue));
        source.Interest.PublishWatch();
        return Eventually.SeesAsync(
            () => Task.FromResult(source.Current.Read("/", _queue)), reading => reading.Presence == QueuePresence.Present && reading.Ready == ready, $"{ready} ready");
    }

    private RabbitMqSource Start(RabbitMqConnectionOptions options, Action? onSweep = null)
    {
        var source = new RabbitMqSource(options, new MonotonicClock(TimeProvider.System), sweep =>
        {
            _sweeps.Enqueue(sweep);
            onSweep?.Invoke();
        });
        _running.Add(RunAsync(source));
        return source;
    }

    private async Task RunAsync(RabbitMqSource source)
    {
        using (source)
        {
            await source.RunAsync(_stop.Token);
        }
    }

    /// <summary>A certificate for 127.0.0.1 that signs itself, and its key, as PEM.</summary>
    private static (string Certificate, string Key) CreateCertificate(string name)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return (certificate.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }
}
