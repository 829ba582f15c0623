using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>Who may ask for what: connections that are not for every namespace, and triggers that name what only the operator may.</summary>
[Collection(ConformanceBrokerTests.Name)]
public sealed class AuthorisationTests(SharedBroker3 shared) : IAsyncLifetime
{
    private readonly string _queue = SharedBroker.QueueName("authorised");
    private QueueDriver _driver = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(shared.Broker);
        await _driver.DeclareQueueAsync(_queue);
    }

    public async Task DisposeAsync() => await _driver.DisposeAsync();

    [Fact]
    public async Task A_connection_is_for_its_namespaces_exact_or_by_pattern_and_for_all_where_it_names_none()
    {
        await using var scaler = await StartAsync();
        await _driver.PublishAsync(_queue, 1);
        await _driver.WaitForGaugesAsync(_queue, ready: 1);
        (string Connection, string Namespace)[] allowed =
            [("exact", "genai"), ("glob", "team-a"), ("glob", "team-"), ("glob", "infra"), ("open", "genai"), ("open", "anyone")];
        (string Connection, string Namespace)[] denied =
            [("exact", "genai-2"), ("exact", "team-a"), ("glob", "team"), ("glob", "my-team-a"), ("glob", "genai"), ("glob", "infra.a")];

        foreach (var (connection, @namespace) in denied)
        {
            foreach (var method in new[] { "GetMetrics", "IsActive" })
            {
                var call = (await scaler.Grpc.CallAsync(method, Trigger(connection, @namespace)))[0];
                call.Code.Should().Be("PermissionDenied", $"{connection} is not for {@namespace}");
                call.Message.Should().Contain("namespaces").And.NotContainAny(_queue, @namespace, "exact", "glob");
            }
        }

        foreach (var (connection, @namespace) in allowed)
        {
            await scaler.UntilAsync(Trigger(connection, @namespace), static value => value > 0, $"an answer from {connection} for {@namespace}");
            (await scaler.Grpc.IsActiveAsync(Trigger(connection, @namespace))).Active.Should().BeTrue();
        }
    }

    [Fact] // K12, K23
    public async Task A_trigger_that_may_not_use_its_connection_gets_its_spec_and_takes_no_place()
    {
        await using var scaler = await StartAsync("limits: { workloads: 2 }");
        var allowed = Trigger("exact", "genai");
        var denied = Trigger("exact", "elsewhere") with { Name = "denied-{i}" };
        var unknown = Trigger("s3cret-connection", "genai") with { Name = "unknown-{i}" };
        var spec = await scaler.Grpc.GetMetricSpecAsync(allowed);
        List<GoSession> streams = [];
        try
        {
            foreach (var (trigger, code) in new[] { (denied, "PermissionDenied"), (unknown, "FailedPrecondition") })
            {
                foreach (var method in new[] { "GetMetricSpec", "GetMetrics", "IsActive", "GetMetricSpec" })
                {
                    foreach (var call in await scaler.Grpc.CallAsync(method, trigger, new GoCallOptions { Count = 5 }))
                    {
                        call.Code.Should().Be(method == "GetMetricSpec" ? "OK" : code);
                        call.Message.Should().NotContain("s3cret").And.NotContain(_queue);
                        call.Raw.Should().Be(method == "GetMetricSpec" ? spec.Raw : "", "the spec depends on the request alone");
                    }
                }

                // To be silent would be to promise that there may yet be something to say.
                var one = trigger with { Name = trigger.Name.Replace("{i}", "0", StringComparison.Ordinal) };
                await using var active = scaler.Grpc.Watch(one);
                (await active.WaitForAsync("end")).Should().BeEquivalentTo(new { Code = code });
                active.Messages.Should().BeEmpty();

                var specs = scaler.Grpc.Watch(one, "StreamMetricSpec");
                streams.Add(specs);
                await specs.WaitForMessagesAsync(1);
                specs.Messages[0].Raw.Should().Be(spec.Raw);
            }

            // Both places are free, with those streams still open.
            await scaler.FirstAnswerAsync(allowed);
            await scaler.FirstAnswerAsync(allowed with { Name = "second" });
            (await scaler.Grpc.GetMetricsAsync(allowed with { Name = "third" })).Code.Should().Be("ResourceExhausted");
            (await scaler.Grpc.GetMetricsAsync(denied)).Code.Should().Be("PermissionDenied", "that is what must be mended first");
            (await scaler.SeriesAsync("gpu_scaler_workloads")).Should().Be(2);
            (await scaler.ReadMetricsAsync()).Should().NotContainAny("denied-", "unknown-", "s3cret");
            scaler.Log.Should().NotContain(static line => line.Contains("denied-", StringComparison.Ordinal) && line.Contains("registered", StringComparison.Ordinal));
            streams.Should().OnlyContain(static stream => !stream.HasEnded && stream.Messages.Count == 1);
        }
        finally
        {
            foreach (var stream in streams)
            {
                await stream.DisposeAsync();
            }
        }
    }

    [Fact] // K7
    public async Task A_trigger_is_told_of_no_connection_that_is_not_for_its_namespace()
    {
        await using var scaler = await StartAsync();

        foreach (var trigger in new[] { Trigger("elsewhere", "genai"), Trigger("", "genai") })
        {
            var call = await scaler.Grpc.GetMetricsAsync(trigger);
            call.Code.Should().Be("FailedPrecondition");
            call.Message.Should().Contain("exact, open").And.NotContainAny("glob", "elsewhere");
            await using var stream = scaler.Grpc.Watch(trigger);
            (await stream.WaitForAsync("end")).Message.Should().Be(call.Message);
        }
    }

    [Fact] // K9
    public async Task A_trigger_can_name_no_address_and_no_credentials_whatever_it_says()
    {
        using var stop = new CancellationTokenSource();
        using var listener = new TcpListener(IPAddress.Loopback, LoopbackPorts.Reserve());
        listener.Start();
        var address = $"127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}";
        var contacts = 0;
        var listening = ListenAsync();
        using var folder = new TemporaryFolder("password");
        var file = folder.Write("s3cret-file", "s3cret-content");
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(ScalerSetup.Connection(shared.Broker, more: $$"""
            amqp: { url: "{{shared.Broker.AmqpUri.ToString().TrimEnd('/')}}", username: {{RabbitMqBroker.ScalerUser}}, passwordFile: "{{shared.Broker.ScalerPasswordFile}}", interval: 250ms }
            """)));
        var honest = ScalerSetup.Workload(_queue);
        GoWorkload[] triggers =
        [
            honest
                .With("host", $"amqp://u:s3cret@{address}/")
                .With("hostFromEnv", $"http://u:s3cret@{address}/")
                .With("url", $"http://{address}/s3cret")
                .With("uri", $"http://{address}/s3cret")
                .With("amqpUrl", $"amqp://{address}/s3cret")
                .With("managementUrl", $"http://{address}/s3cret")
                .With("metricsUrl", $"http://{address}/s3cret")
                .With("management.url", $"http://{address}/s3cret")
                .With("prometheusAddress", $"http://{address}/s3cret")
                .With("username", "s3cret-user")
                .With("password", "s3cret-password")
                .With("passwordFile", file)
                .With("caFile", file)
                .With("protocol", "http")
                .With("unsafeSsl", "true"),
            honest.With("rabbitmq", $"http://u:s3cret@{address}"),
            honest.With("rabbitmqFromEnv", $"amqp://u:s3cret@{address}"),
            honest.With("vhost", $"http://{address}/s3cret"),
            honest.With("vhost", $"../../../../{address}/s3cret?@{address}#"),
            honest.With("queue", $"http://{address}/s3cret,amqp://u:s3cret@{address}/q"),
            honest.Without("queue").With("queueRegex", $"http://{address}/(s3cret)?.*"),
        ];

        List<GoSession> streams = [];
        try
        {
            foreach (var (i, trigger) in triggers.Index())
            {
                var named = trigger with { Name = $"curious-{i}" };
                (await scaler.Grpc.GetMetricSpecAsync(named)).Ok.Should().BeTrue();
                streams.Add(scaler.Grpc.Watch(named));
                await ShowsNothingAsync(named);
            }

            // Long enough for every way there is of reading a broker to have been gone several times.
            await scaler.UntilAsync(triggers[0] with { Name = "curious-0" }, static _ => true, "an answer that comes of the queue alone");
            foreach (var endpoint in new[] { "metrics", "amqp", "management" })
            {
                var before = await CountAsync(endpoint);
                await Eventually.SeesAsync(() => CountAsync(endpoint), now => now >= before + 2, $"two sweeps by {endpoint}");
            }

            foreach (var (i, trigger) in triggers.Index())
            {
                await ShowsNothingAsync(trigger with { Name = $"curious-{i}" });
            }

            foreach (var stream in streams)
            {
                string.Join('\n', stream.Events).Should().NotContainAny("s3cret", address);
            }
        }
        finally
        {
            foreach (var stream in streams)
            {
                await stream.DisposeAsync();
            }
        }

        contacts.Should().Be(0);
        await stop.CancelAsync();
        await listening;
        (await scaler.ReadMetricsAsync()).Should().NotContainAny("s3cret", address);
        var log = string.Join('\n', scaler.Log);
        log.Should().NotContainAny("s3cret", address);
        log.Should().Contain("holds keys that mean nothing here: amqpUrl, caFile, host, hostFromEnv, management.url, managementUrl");

        async Task<double> CountAsync(string endpoint) =>
            await scaler.SeriesAsync("gpu_scaler_source_sweep_duration_seconds_count", $"endpoint=\"{endpoint}\"") ?? 0;

        async Task ShowsNothingAsync(GoWorkload trigger)
        {
            foreach (var method in new[] { "GetMetrics", "IsActive" })
            {
                var call = (await scaler.Grpc.CallAsync(method, trigger))[0];
                $"{call.Message} {string.Join(' ', call.Trailers?.SelectMany(static pair => pair.Value) ?? [])}".Should().NotContainAny("s3cret", address);
            }
        }

        async Task ListenAsync()
        {
            try
            {
                while (true)
                {
                    using var contact = await listener.AcceptSocketAsync(stop.Token);
                    Interlocked.Increment(ref contacts);
                }
            }
            catch (OperationCanceledException)
            {
            }
        }
    }

    /// <summary>Three connections to one broker: for one namespace, for some by pattern, and for all.</summary>
    private Task<ScalerProcess> StartAsync(string more = "") => ScalerProcess.StartAsync(ScalerSetup.Configuration(
        ScalerSetup.Connection(shared.Broker, "exact", more: "namespaces: [genai]")
            + ScalerSetup.Connection(shared.Broker, "glob", more: "namespaces: [\"team-*\", infra]")
            + ScalerSetup.Connection(shared.Broker, "open"),
        more));

    private GoWorkload Trigger(string connection, string @namespace) =>
        ScalerSetup.Workload(_queue, "workers", ("rabbitmq", connection)) with { Namespace = @namespace };
}
