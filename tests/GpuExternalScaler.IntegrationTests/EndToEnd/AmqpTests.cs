using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;
using QueueGauges = GpuExternalScaler.Scaling.Readings.QueueGauges;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>A broker with RabbitMQ's own intervals, whose figures are up to five seconds old.</summary>
public abstract class UnhurriedBroker(RabbitMqInstallation installation) : IAsyncLifetime
{
    public RabbitMqBroker Broker { get; } = new(installation, new RabbitMqBrokerOptions
    {
        StatisticsInterval = TimeSpan.FromSeconds(5),
        QuorumTick = TimeSpan.FromSeconds(5),
        SampleInterval = TimeSpan.FromSeconds(5),
        EventExchange = true,
    });

    public virtual Task InitializeAsync() => Broker.StartAsync();

    public async Task DisposeAsync() => await Broker.DisposeAsync();
}

/// <summary>On RabbitMQ 3.10.</summary>
public sealed class Amqp3Tests(Amqp3Tests.Unhurried unhurried) : AmqpTests(unhurried), IClassFixture<Amqp3Tests.Unhurried>
{
    public sealed class Unhurried() : UnhurriedBroker(RabbitMqInstallation.Packaged);
}

/// <summary>On RabbitMQ 4.x.</summary>
[Trait(RabbitMq4.Trait, RabbitMq4.Value)]
public sealed class Amqp4Tests(Amqp4Tests.Unhurried unhurried) : AmqpTests(unhurried), IClassFixture<Amqp4Tests.Unhurried>
{
    [Fact]
    public async Task A_user_without_permissions_is_told_what_is_missing()
    {
        const string Hidden = "hidden";
        await Broker.LetScalerReadAsync("^(?!" + Hidden + ").*");
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(AmqpAlone));

        var call = await Eventually.SeesAsync(
            () => scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload(Hidden)),
            static call => call.Message.Contains("ACCESS_REFUSED", StringComparison.Ordinal),
            "a refusal");

        call.Code.Should().Be("Unavailable");
        call.Message.Should().Contain("permission");
    }

    public sealed class Unhurried() : UnhurriedBroker(RabbitMqInstallation.Unpacked)
    {
        public override async Task InitializeAsync()
        {
            await base.InitializeAsync();

            // 4.3 lets a user look at a queue who has some permission on it.
            await Broker.LetScalerReadAsync(".*");
        }
    }
}

/// <summary>T2, T3 and T5 with a real broker: what is read where the metrics cannot be, and what AMQP adds where they can.</summary>
public abstract class AmqpTests(UnhurriedBroker unhurried) : IAsyncLifetime
{
    private readonly RabbitMqBroker _broker = unhurried.Broker;

    protected RabbitMqBroker Broker => _broker;

    /// <summary>A connection to nothing but the AMQP port, by the scaler's own user.</summary>
    protected string AmqpAlone => $$"""
          main:
            amqp: { url: "{{_broker.AmqpUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{_broker.ScalerPasswordFile}}" }

        """;

    private readonly string _queue = SharedBroker.QueueName("amqp");
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _running = [];
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(_broker);
        await _driver.DeclareQueueAsync(_queue);
    }

    public async Task DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running).ContinueWith(static _ => { }, TaskScheduler.Default);
        _stop.Dispose();
        await _driver.DisposeAsync();
    }

    [Fact]
    public async Task AMQP_alone_gives_ready_and_consumers_live()
    {
        var source = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = AsScaler });
        Want(source, _queue);
        await _driver.PublishAsync(_queue, 5);
        await ReadsAsync(source, _queue, static reading => reading is { Ready: 5, Consumers: 0, Missing: QueueGauges.Unacked }, "five ready");

        await using var workers = await _driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold);
        await ReadsAsync(source, _queue, static reading => reading is { Ready: 3, Unacked: 0, Consumers: 2, Missing: QueueGauges.Unacked }, "three ready");
        source.Current.Choice.Should().BeEquivalentTo(new { Gauges = RabbitMqEndpoint.Amqp, Counters = RabbitMqEndpoint.None, Missing = QueueGauges.Unacked });
        source.Current.Fault.Should().BeNull();
        source.Current.EventsFault!.Reason.Should().Be(SourceReason.Forbidden, "the user may not listen, which is no fault");
    }

    [Fact]
    public async Task A_server_with_AMQP_alone_gets_ready_and_wakes_a_workload()
    {
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(AmqpAlone));
        var workload = ScalerSetup.Workload(_queue);
        await _driver.PublishAsync(_queue, 3);

        await Eventually.SeesAsync(() => scaler.Grpc.IsActiveAsync(workload), static call => call.Ok && call.Active, "the workload to wake");

        (await scaler.SeriesAsync("gpu_scaler_source_endpoint", "what=\"gauges\"", "endpoint=\"amqp\"")).Should().Be(1);
        (await scaler.SeriesAsync("gpu_scaler_source_endpoint", "what=\"counters\"", "endpoint=\"none\"")).Should().Be(1);
        await scaler.WaitForLogAsync("missing: unacknowledged, counters");

        // It can list nothing, and says so.
        var pattern = workload.Without("queue").With("queueRegex", "amqp-never-.*");
        var call = await Eventually.SeesAsync(() => scaler.Grpc.GetMetricsAsync(pattern), static call => call.Message.Contains("queueRegex", StringComparison.Ordinal), "why a pattern finds nothing");
        call.Code.Should().Be("Unavailable");
        call.Message.Should().Contain("cannot list queues").And.NotContain(RabbitMqBroker.ScalerPassword);
    }

    [Fact]
    public async Task Management_alone_gives_totals_with_the_lists_consumers_and_counters()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 5);
        var source = Start(new RabbitMqConnectionOptions { Name = "main", Management = Management, ManagementInterval = TimeSpan.FromSeconds(2) });

        await ReadsAsync(source, _queue, static reading => reading is { Ready: 3, Unacked: 2, Consumers: 2, Missing: QueueGauges.None }, "three ready, two unacknowledged, two consumers");

        await Eventually.IsTrueAsync(() => source.Current.Choice is { Gauges: RabbitMqEndpoint.ManagementTotals, Consumers: RabbitMqEndpoint.Management, Counters: RabbitMqEndpoint.Management }, "totals and list");
        source.Current.Fault.Should().BeNull();
    }

    [Fact]
    public async Task Where_nothing_listens_at_the_metrics_port_totals_and_declares_stand_in()
    {
        await using var workers = await _driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 5);
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration($$"""
              main:
                metrics: { urls: ["http://127.0.0.1:{{LoopbackPorts.Reserve()}}"] }
                management: { url: "{{_broker.ManagementUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{_broker.ScalerPasswordFile}}", interval: 2s }
                amqp: { url: "{{_broker.AmqpUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{_broker.ScalerPasswordFile}}" }
                interval: 500ms

            """));
        var workload = ScalerSetup.Workload(_queue);

        // Two of two busy and three waiting, of a service time that is not known: twice the consumers.
        await scaler.UntilAsync(workload, static value => value == 400, "twice the consumers");

        await Eventually.SeesAsync(() => scaler.SeriesAsync("gpu_scaler_source_endpoint", "what=\"consumers\"", "endpoint=\"amqp\""), static one => one == 1, "consumers from AMQP");
        (await scaler.SeriesAsync("gpu_scaler_source_endpoint", "what=\"gauges\"", "endpoint=\"management_totals\"")).Should().Be(1);
        (await scaler.SeriesAsync("gpu_scaler_workload_messages_unacked")).Should().Be(2);
        await Eventually.SeesAsync(() => scaler.SeriesAsync("gpu_scaler_workload_consumers"), static consumers => consumers == 2, "a decision with both consumers");
        (await scaler.SeriesAsync("gpu_scaler_source_up")).Should().Be(0, "what is preferred does not work");
    }

    [Fact]
    public async Task A_queue_without_consumers_is_seen_well_before_the_brokers_own_figures()
    {
        // Longer than any memory of the queue's declaration, so that the metrics show it, empty.
        await _driver.WaitForGaugesAsync(_queue, ready: 0, consumers: 0);
        await using var with = await ScalerProcess.StartAsync(ScalerSetup.Configuration(MetricsAnd($$"""
            amqp: { url: "{{_broker.AmqpUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{_broker.ScalerPasswordFile}}" }
            """)));
        // A machine that pauses would make it undecided, and then keep it awake for minutes.
        var workload = ScalerSetup.Workload(_queue, "workers", ("holdAfterRecovery", "0s"));
        var before = 0;
        for (var round = 0; round < 3; round++)
        {
            await ActiveAsync(false);
            await Task.Delay(TimeSpan.FromMilliseconds(700 * round), TimeProvider.System);
            await _driver.PublishAsync(_queue, 1);
            await ActiveAsync(true);
            before += await _driver.ReadGaugesAsync(_queue) is { Ready: 0 } ? 1 : 0;

            await _driver.WaitForGaugesAsync(_queue, ready: 1);
            (await with.Grpc.IsActiveAsync(workload)).Active.Should().BeTrue("it stays awake until sweeps agree");
            await _driver.PurgeQueueAsync(_queue);
        }

        before.Should().BeGreaterThan(0, "the broker's own page still showed nothing");

        Task ActiveAsync(bool active) => Eventually.SeesAsync(
            async () => await with.Grpc.IsActiveAsync(workload) is { Ok: true } call ? call.Active : !active,
            seen => seen == active,
            active ? "the workload to wake" : "the workload to sleep",
            TimeSpan.FromSeconds(60));
    }

    [Fact]
    public async Task Prefetch_comes_by_events_as_consumers_come_and_go()
    {
        await _driver.WaitForGaugesAsync(_queue, consumers: 0);
        var source = Start(Metrics with { Amqp = AsAdmin });
        await Eventually.IsTrueAsync(() => source.Current.Choice.Prefetch == RabbitMqEndpoint.AmqpEvents, "events");
        await using (await _driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold, prefetch: 7))
        {
            await ReadsAsync(source, _queue, static reading => reading is { Prefetch: 7, HasAutoAck: false }, "a prefetch of 7");
            await using var others = await _driver.StartWorkersAsync(_queue, 1, WorkStyle.AutoAck, prefetch: 0);
            await ReadsAsync(source, _queue, static reading => reading is { Prefetch: 0, HasAutoAck: true }, "no limit, and automatic acknowledgement");
        }

        await ReadsAsync(source, _queue, static reading => reading is { Prefetch: null, HasAutoAck: false }, "nobody");
    }

    [Fact]
    public async Task Prefetch_comes_from_the_consumer_list_where_events_may_not_be_listened_to()
    {
        var single = _queue + "-single";
        await _driver.DeclareQueueAsync(single, Brokers.QueueKind.Classic, new Dictionary<string, object?>(StringComparer.Ordinal) { ["x-single-active-consumer"] = true });
        await using var workers = await _driver.StartWorkersAsync(_queue, 2, WorkStyle.Hold, prefetch: 9);
        await using var others = await _driver.StartWorkersAsync(single, 3, WorkStyle.Hold, prefetch: 3);
        await _driver.WaitForGaugesAsync(_queue, consumers: 2);
        await _driver.WaitForGaugesAsync(single, consumers: 3);
        await Eventually.SeesAsync(() => _broker.Management.GetStringAsync(new Uri("api/consumers", UriKind.Relative)), text => text.Contains(single, StringComparison.Ordinal), "the broker's list");
        var hidden = Start(Metrics with { Management = Management, Amqp = AsScaler });
        var source = Start(Metrics with { Management = Management with { Username = RabbitMqBroker.AdminUser, PasswordFile = _broker.AdminPasswordFile }, Amqp = AsScaler });

        await ReadsAsync(source, _queue, static reading => reading is { Prefetch: 9, HasAutoAck: false, IsSingleActive: false, Consumers: 2 }, "a prefetch of 9");
        await ReadsAsync(source, single, static reading => reading is { Prefetch: 3, IsSingleActive: true, Consumers: 3 }, "one working of three");
        source.Current.Choice.Prefetch.Should().Be(RabbitMqEndpoint.ManagementConsumers);

        // A user with the tag management is shown no consumers but its own.
        await Eventually.IsTrueAsync(() => hidden.Current.ConsumersFault?.Reason == SourceReason.ConsumersHidden, "what is hidden");
        hidden.Current.Fault.Should().BeNull();
        hidden.Current.Read("/", _queue).Prefetch.Should().BeNull();
    }

    [Fact]
    public async Task A_deleted_queue_is_absent_and_others_are_read_on()
    {
        var other = _queue + "-other";
        await _driver.DeclareQueueAsync(other);
        var source = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = AsScaler });
        Want(source, _queue, other);
        await ReadsAsync(source, _queue, static reading => reading.Presence == QueuePresence.Present, "the queue");

        await _driver.DeleteQueueAsync(_queue);
        await ReadsAsync(source, _queue, static reading => reading.Presence == QueuePresence.Absent, "its absence");
        source.Current.Fault.Should().BeNull("a queue that is not there is no fault of the broker");
        await _driver.PublishAsync(other, 2);
        await ReadsAsync(source, other, static reading => reading.Ready == 2, "the other's messages");

        await _driver.DeclareQueueAsync(_queue);
        await _driver.PublishAsync(_queue, 1);
        await ReadsAsync(source, _queue, static reading => reading is { Presence: QueuePresence.Present, Ready: 1 }, "it again");
    }

    [Fact]
    public async Task A_queue_of_another_connection_and_a_virtual_host_that_is_not_there_are_faults_and_no_zero()
    {
        await using var connection = await _broker.CreateConnectionFactory().CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        var exclusive = _queue + "-exclusive";
        await channel.QueueDeclareAsync(exclusive, durable: false, exclusive: true, autoDelete: false);
        var source = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = AsScaler });
        Want(source, exclusive);
        await Eventually.IsTrueAsync(() => source.Current.AmqpFault?.Reason == SourceReason.QueueUnreachable, "the fault");
        source.Current.Read("/", exclusive).Presence.Should().Be(QueuePresence.Unobserved);

        source.Interest.Wanted = [new QueueName("/", _queue), new QueueName("no such host", "q")];
        await Eventually.IsTrueAsync(() => source.Current.AmqpFault?.Reason == SourceReason.NotFound, "the other fault");
        await ReadsAsync(source, _queue, static reading => reading.Presence == QueuePresence.Present, "the rest");
    }

    [Theory]
    [InlineData("wrong", SourceReason.Unauthorized)]
    [InlineData(null, SourceReason.CredentialsUnreadable)]
    public async Task A_bad_password_is_told_without_telling_it_and_the_file_is_read_again(string? password, SourceReason reason)
    {
        var file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            if (password is not null)
            {
                await File.WriteAllTextAsync(file, password);
            }

            var source = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = AsScaler with { PasswordFile = file } });
            await Eventually.IsTrueAsync(() => source.Current.Fault?.Reason == reason, "the fault");
            source.Current.Fault!.Sentence.Should().Contain($"127.0.0.1:{_broker.AmqpPort}").And.NotContain(password ?? file);

            await File.WriteAllTextAsync(file, RabbitMqBroker.ScalerPassword + "\n");
            await Eventually.IsTrueAsync(() => source.Current is { HasSwept: true, Fault: null }, "a connection");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Over_TLS_only_the_configured_authority_is_trusted_and_only_for_its_own_name()
    {
        using var folder = new TemporaryFolder("amqps");
        var (good, key) = WriteCertificate(folder, "good", "127.0.0.1");
        var (other, _) = WriteCertificate(folder, "other", "127.0.0.1");
        var port = LoopbackPorts.Reserve();
        await using var broker = await RabbitMqBroker.StartNewAsync(RabbitMqInstallation.Packaged, new RabbitMqBrokerOptions
        {
            Configuration = [$"listeners.ssl.1 = 127.0.0.1:{port}", $"ssl_options.certfile = {good}", $"ssl_options.keyfile = {key}", "ssl_options.verify = verify_none"],
        });
        var options = AsScaler with { Url = new Uri($"amqps://127.0.0.1:{port}"), PasswordFile = broker.ScalerPasswordFile, CaFile = good };

        var trusting = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = options });
        var others = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = options with { CaFile = other } });
        var system = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = options with { CaFile = null } });
        var misnamed = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = options with { Url = new Uri($"amqps://localhost:{port}") } });

        await Eventually.IsTrueAsync(() => trusting.Current is { HasSwept: true, Fault: null }, "a connection");
        foreach (var refusing in new[] { others, system, misnamed })
        {
            await Eventually.IsTrueAsync(() => refusing.Current.Fault is not null, "a refusal");
            refusing.Current.Should().BeEquivalentTo(new { HasSwept = false, Fault = new { Reason = SourceReason.Tls } });
        }
    }

    [Fact]
    public async Task A_hung_broker_ages_the_reading_and_nothing_else_and_is_read_again_when_it_goes_on()
    {
        var source = Start(new RabbitMqConnectionOptions { Name = "main", Amqp = AsScaler, StaleAfter = TimeSpan.FromSeconds(6) });
        Want(source, _queue);
        await _driver.PublishAsync(_queue, 4);
        await ReadsAsync(source, _queue, static reading => reading.Ready == 4, "four ready");
        _broker.Pause();
        try
        {
            await Eventually.IsTrueAsync(() => source.Current.Fault?.Reason == SourceReason.Timeout, "the fault");
            var sweptAt = source.Current.LastSweepStartedAt;
            await Eventually.IsTrueAsync(() => source.Current.LastSweepStartedAt > sweptAt + TimeSpan.FromSeconds(6), "passes that go on");
            source.Current.Read("/", _queue).Should().BeEquivalentTo(new { Presence = QueuePresence.Present, Ready = 4L });
            source.Current.Read("/", _queue).IsUsable(source.Current.LastSweepStartedAt).Should().BeFalse();
        }
        finally
        {
            _broker.Resume();
        }

        await _driver.PublishAsync(_queue, 1);
        await ReadsAsync(source, _queue, static reading => reading.Ready == 5, "five ready");
        source.Current.Fault.Should().BeNull();
    }

    /// <summary>A certificate for an address that signs itself, and its key, as PEM files.</summary>
    private static (string Certificate, string Key) WriteCertificate(TemporaryFolder folder, string name, string address)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Parse(address));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        return (folder.Write($"{name}.crt", certificate.ExportCertificatePem()), folder.Write($"{name}.key", key.ExportPkcs8PrivateKeyPem()));
    }

    private RabbitMqAmqpOptions AsScaler => new()
    {
        Url = _broker.AmqpUri,
        Username = RabbitMqBroker.ScalerUser,
        PasswordFile = _broker.ScalerPasswordFile,
    };

    private RabbitMqAmqpOptions AsAdmin => AsScaler with { Username = RabbitMqBroker.AdminUser, PasswordFile = _broker.AdminPasswordFile };

    private RabbitMqManagementOptions Management => new()
    {
        Url = _broker.ManagementUri,
        Username = RabbitMqBroker.ScalerUser,
        PasswordFile = _broker.ScalerPasswordFile,
    };

    private RabbitMqConnectionOptions Metrics => new() { Name = "main", MetricsUrls = [_broker.MetricsUri] };

    private string MetricsAnd(string more) => $$"""
          main:
            metrics: { urls: ["{{_broker.MetricsUri.ToString().TrimEnd('/')}}"] }
            {{more}}

        """;

    private static void Want(RabbitMqSource source, params string[] queues) =>
        source.Interest.Wanted = [.. queues.Select(static queue => new QueueName("/", queue))];

    private static Task<QueueReading> ReadsAsync(RabbitMqSource source, string queue, Predicate<QueueReading> accept, string what) =>
        Eventually.SeesAsync(() => Task.FromResult(source.Current.Read("/", queue)), reading => accept(reading), what);

    private RabbitMqSource Start(RabbitMqConnectionOptions options)
    {
        var source = new RabbitMqSource(options, new MonotonicClock(TimeProvider.System));
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
}
