using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.RabbitMq;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.Sources.Tests.RabbitMq;

/// <summary>Over real connections: what goes wrong becomes a reason and a sentence, and never an exception or a number.</summary>
public sealed class FaultTests : IDisposable
{
    private const string Password = "s3cret-p4ssw0rd";

    private readonly string _folder = Directory.CreateTempSubdirectory("sources-").FullName;

    private static string Page => new PageText("n1").WithInfo().WithCounters().Queue("q", 3, 2, 1).ToString();

    private static string ListJson =>
        """[{"consumers":1,"message_stats":{"ack":5},"messages_ready":3,"messages_unacknowledged":2,"name":"q","type":"classic","vhost":"/"}]""";

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<int, SourceReason> Statuses => new()
    {
        { 401, SourceReason.Unauthorized },
        { 403, SourceReason.Forbidden },
        { 404, SourceReason.NotFound },
        { 500, SourceReason.HttpStatus },
        { 503, SourceReason.HttpStatus },
        { 204, SourceReason.HttpStatus },
        { 301, SourceReason.RedirectRefused },
        { 302, SourceReason.RedirectRefused },
        { 307, SourceReason.RedirectRefused },
    };

    [Theory]
    [MemberData(nameof(Statuses))]
    public async Task A_status_other_than_200_is_classified(int status, SourceReason reason)
    {
        await using var target = await StubServer.StartAsync(StubServer.Text(Page));
        await using var server = await StubServer.StartAsync(context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = $"{target.Url}metrics/detailed";
            return status == 204 ? Task.CompletedTask : context.Response.WriteAsync("<html>Oops</html>");
        });
        using var source = Source(Options(server) with { Management = Management(server) });

        var metrics = await source.SweepMetricsAsync(CancellationToken.None);
        var list = await source.SweepManagementAsync(CancellationToken.None);

        metrics.Reason.Should().Be(reason);
        list.Reason.Should().Be(reason);
        target.Paths.Should().BeEmpty("redirects are never followed");
        source.Current.HasSwept.Should().BeFalse();
        foreach (var fault in metrics.Faults.Concat(list.Faults))
        {
            fault.Endpoint.Should().Be(server.Endpoint);
            fault.Sentence.Should().Contain("'main'").And.Contain(server.Endpoint)
                .And.NotContainAny(Password, "scaler", "family=", "columns", "Oops");
        }
    }

    [Fact]
    public async Task A_good_sweep_asks_for_the_families_and_virtual_hosts_and_reads_gzip()
    {
        await using var server = await StubServer.StartAsync(async context =>
        {
            context.Request.Headers.AcceptEncoding.ToString().Should().Contain("gzip");
            context.Response.Headers.ContentEncoding = "gzip";
            await using var gzip = new GZipStream(context.Response.Body, CompressionLevel.Fastest);
            await gzip.WriteAsync(Encoding.UTF8.GetBytes(Page));
        });
        using var source = Source(Options(server) with { Vhosts = ["/", "gen ai", "a+b&c=é"] });

        var outcome = await source.SweepMetricsAsync(CancellationToken.None);

        outcome.IsComplete.Should().BeTrue();
        outcome.Bytes.Should().Be(Page.Length);
        outcome.Duration.Should().BePositive();
        source.Current.Read("/", "q").Should().BeEquivalentTo(new { Ready = 3L, Unacked = 2L, Consumers = 1L });

        // T7: percent-encoded, never a plus sign.
        server.Paths.Should().Equal(
            "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&family=queue_delivery_metrics"
            + "&family=queue_exchange_metrics&vhost=%2F&vhost=gen%20ai&vhost=a%2Bb%26c%3D%C3%A9");
        server.Authorizations.Should().Equal("");
    }

    [Fact]
    public async Task The_list_is_asked_by_virtual_host_with_credentials()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(ListJson, "application/json"));
        using var source = Source(Options(server) with
        {
            Management = Management(server) with { Url = new Uri($"http://ignored:ignored@{server.Endpoint}/prefix/?x=1") },
            Vhosts = ["/", "gen ai"],
        });

        var outcome = await source.SweepManagementAsync(CancellationToken.None);

        outcome.Succeeded.Should().BeTrue();
        server.Paths.Select(path => path[..path.IndexOf('?', StringComparison.Ordinal)]).Should()
            .BeEquivalentTo("/prefix/api/queues/%2F", "/prefix/api/queues/gen ai");
        server.Paths.Should().OnlyContain(path => path.EndsWith($"?columns={ManagementList.Columns}", StringComparison.Ordinal));
        server.Authorizations.Should().OnlyContain(header => header == Basic(Password));
    }

    [Fact]
    public async Task Nothing_listening_is_connection_refused()
    {
        using var source = Source(new RabbitMqConnectionOptions
        {
            Name = "main",
            MetricsUrls = [new Uri($"http://127.0.0.1:{FreePort()}")],
        });
        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.ConnectionRefused);
    }

    [Fact]
    public async Task A_name_that_does_not_resolve_is_dns()
    {
        using var source = Source(new RabbitMqConnectionOptions { Name = "main", MetricsUrls = [new Uri("http://no-such-host.invalid:15692")] });
        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Dns);
    }

    [Fact]
    public async Task A_server_that_hangs_or_drips_is_cut_by_the_timeout()
    {
        await using var hung = await StubServer.StartAsync(StubServer.Hang);
        await using var dripping = await StubServer.StartAsync(async context =>
        {
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.WriteAsync("# drip\n");
                await context.Response.Body.FlushAsync();
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, CancellationToken.None);
            }
        });
        await using var good = await StubServer.StartAsync(StubServer.Text(Page));
        using var source = Source(Options(hung) with
        {
            MetricsUrls = [hung.Url, dripping.Url, good.Url],
            NodeTimeout = TimeSpan.FromMilliseconds(500),
        });

        var outcome = await source.SweepMetricsAsync(CancellationToken.None);

        outcome.Faults.Select(fault => fault.Reason).Should().Equal(SourceReason.Timeout, SourceReason.Timeout);
        outcome.Faults[0].Sentence.Should().Contain("0.5 s");
        outcome.Duration.Should().BeLessThan(TimeSpan.FromSeconds(5), "nodes are asked in parallel");
        source.Current.Read("/", "q").Presence.Should().Be(QueuePresence.Present, "the node that answered is read");
        source.Current.Fault!.Sentence.Should().EndWith("1 more failed in the same sweep.");
    }

    [Fact]
    public async Task A_body_that_ends_early_is_truncated_and_changes_nothing()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page));
        using var source = Source(Options(server));
        await source.SweepMetricsAsync(CancellationToken.None);
        var before = source.Current.Read("/", "q");
        server.Handler = async context =>
        {
            context.Response.ContentLength = Page.Length;
            await context.Response.WriteAsync(Page[..(Page.Length / 2)]);
            await context.Response.Body.FlushAsync();

            // A reset takes with it what the client has not read yet.
            await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System);
            context.Abort();
        };

        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Truncated);
        source.Current.Read("/", "q").Should().Be(before);
    }

    [Fact]
    public async Task A_connection_closed_without_an_answer_is_connection_failed()
    {
        await using var server = await StubServer.StartAsync(context =>
        {
            context.Abort();
            return Task.CompletedTask;
        });
        using var source = Source(Options(server));
        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.ConnectionFailed);
    }

    [Fact]
    public async Task A_server_that_speaks_something_else_is_a_fault_and_not_an_exception()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            await client.GetStream().WriteAsync("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"u8.ToArray());
            await client.GetStream().CopyToAsync(Stream.Null);
        });
        using var source = Source(new RabbitMqConnectionOptions { Name = "main", MetricsUrls = [new Uri($"http://127.0.0.1:{port}")] });

        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.MalformedAnswer);
        await serving;
    }

    [Theory]
    [InlineData("")]
    [InlineData("Content-Length: 104857600\r\n")]
    public async Task An_answer_beyond_the_limit_is_given_up_early(string length)
    {
        const long Huge = 100 * 1024 * 1024;
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            var stream = client.GetStream();
            long sent = 0;
            try
            {
                await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\n{length}\r\n"));
                var block = new byte[64 * 1024];
                Array.Fill(block, (byte)'\n');
                for (; sent < Huge; sent += block.Length)
                {
                    await stream.WriteAsync(block);
                }
            }
            catch (IOException)
            {
                // The client has hung up.
            }

            return sent;
        });
        using var source = Source(new RabbitMqConnectionOptions
        {
            Name = "main",
            MetricsUrls = [new Uri($"http://127.0.0.1:{port}")],
            MaxResponseBytes = 1024 * 1024,
        });

        var outcome = await source.SweepMetricsAsync(CancellationToken.None);

        outcome.Reason.Should().Be(SourceReason.TooLarge);
        (await serving).Should().BeLessThan(Huge / 2);
    }

    [Fact]
    public async Task A_gzip_bomb_is_given_up_at_the_limit()
    {
        using var bomb = new MemoryStream();
        await using (var gzip = new GZipStream(bomb, CompressionLevel.Optimal, leaveOpen: true))
        {
            var block = new byte[1024 * 1024];
            for (var i = 0; i < 200; i++)
            {
                gzip.Write(block);
            }
        }

        await using var server = await StubServer.StartAsync(async context =>
        {
            context.Response.Headers.ContentEncoding = "gzip";
            await context.Response.Body.WriteAsync(bomb.ToArray());
        });
        using var source = Source(Options(server) with { MaxResponseBytes = 1024 * 1024 });
        var before = GC.GetTotalAllocatedBytes(precise: true);

        var outcome = await source.SweepMetricsAsync(CancellationToken.None);

        outcome.Reason.Should().Be(SourceReason.TooLarge);
        (GC.GetTotalAllocatedBytes(precise: true) - before).Should().BeLessThan(40 * 1024 * 1024);
    }

    [Theory]
    [InlineData("not gzip at all")]
    [InlineData("")]
    public async Task Broken_gzip_is_a_fault(string body)
    {
        await using var server = await StubServer.StartAsync(context =>
        {
            context.Response.Headers.ContentEncoding = "gzip";
            return context.Response.WriteAsync(body);
        });
        using var source = Source(Options(server));
        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should()
            .BeOneOf(SourceReason.MalformedAnswer, SourceReason.NotExposition);
    }

    [Theory]
    [InlineData("right", SourceReason.None)]
    [InlineData("wrong", SourceReason.Tls)]
    [InlineData("none", SourceReason.Tls)]
    [InlineData("empty", SourceReason.CaUnreadable)]
    [InlineData("missing", SourceReason.CaUnreadable)]
    public async Task TLS_trusts_the_configured_authority_and_no_other(string ca, SourceReason expected)
    {
        using var certificate = StubServer.CreateCertificate();
        using var other = StubServer.CreateCertificate();
        var file = ca switch
        {
            "right" => Write("ca.pem", certificate.ExportCertificatePem()),
            "wrong" => Write("ca.pem", other.ExportCertificatePem()),
            "empty" => Write("ca.pem", "no certificate\n"),
            "missing" => Path.Combine(_folder, "missing.pem"),
            _ => null,
        };
        await using var server = await StubServer.StartAsync(
            context => (context.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal) ? StubServer.Text(ListJson) : StubServer.Text(Page))(context),
            certificate);
        server.Url.Scheme.Should().Be("https");
        using var source = Source(Options(server) with { MetricsCaFile = file, Management = Management(server) with { CaFile = file } });

        (await source.SweepMetricsAsync(CancellationToken.None)).Reason.Should().Be(expected);
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(expected);
    }

    [Fact]
    public async Task A_CA_file_rotated_on_disk_is_taken_up()
    {
        using var certificate = StubServer.CreateCertificate();
        using var other = StubServer.CreateCertificate();
        var file = Write("ca.pem", other.ExportCertificatePem());
        await using var server = await StubServer.StartAsync(StubServer.Text(ListJson), certificate);
        using var source = Source(Options(server) with { Management = Management(server) with { CaFile = file } });
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Tls);
        Write("ca.pem", certificate.ExportCertificatePem());
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.None);

        // A connection that the former authority vouched for is open still, and must not be used again.
        Write("ca.pem", other.ExportCertificatePem());
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Tls);
        (await source.SweepTotalsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Tls);
    }

    [Fact]
    public async Task A_list_under_way_while_the_CA_file_is_rotated_is_read_to_its_end()
    {
        using var certificate = StubServer.CreateCertificate();
        using var other = StubServer.CreateCertificate();
        var file = Write("ca.pem", certificate.ExportCertificatePem());
        var isAsked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var mayAnswer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await StubServer.StartAsync(
            async context =>
            {
                if (context.Request.QueryString.Value!.StartsWith("?columns", StringComparison.Ordinal))
                {
                    isAsked.TrySetResult();
                    await mayAnswer.Task;
                }

                await StubServer.Text(ListJson)(context);
            },
            certificate);
        using var source = Source(Options(server) with { Management = Management(server) with { CaFile = file } });
        var underWay = source.SweepManagementAsync(CancellationToken.None);
        await isAsked.Task;

        Write("ca.pem", other.ExportCertificatePem());
        (await source.SweepTotalsAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Tls, "the totals begin anew");
        mayAnswer.SetResult();

        (await underWay).Reason.Should().Be(SourceReason.None);
    }

    [Fact]
    public async Task A_password_rotated_on_disk_is_taken_up()
    {
        var valid = Basic("first");
        await using var server = await StubServer.StartAsync(context =>
            (context.Request.Headers.Authorization == valid ? StubServer.Text(ListJson) : StubServer.Status(401))(context));
        using var source = Source(Options(server) with { Management = Management(server) });
        Write("password", "first\n");
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.None);
        valid = Basic("second");
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.Unauthorized);
        Write("password", "second");
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.None);
        File.Delete(Path.Combine(_folder, "password"));
        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(SourceReason.CredentialsUnreadable);
    }

    [Theory]
    [InlineData("true", SourceReason.StatisticsDisabled)]
    [InlineData("false", SourceReason.StatisticsMissing)]
    public async Task Management_metrics_disabled_is_read_from_the_overview(string disabled, SourceReason expected)
    {
        await using var server = await StubServer.StartAsync(context =>
            (context.Request.Path == "/api/overview"
                ? StubServer.Text($"{{\"disable_stats\":{disabled}}}")
                : StubServer.Text("[{\"name\":\"q\",\"type\":\"classic\",\"vhost\":\"/\"}]"))(context));
        using var source = Source(Options(server) with { MetricsUrls = [], Management = Management(server) });

        (await source.SweepManagementAsync(CancellationToken.None)).Reason.Should().Be(expected);
        source.Current.Fault!.Sentence.Should().Contain("statistics");
    }

    [Fact]
    public async Task All_addresses_of_a_name_are_swept_and_the_last_known_when_it_stops_resolving()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page));
        var answers = new Queue<Func<Task<IPAddress[]>>>(
        [
            () => Task.FromException<IPAddress[]>(new SocketException((int)SocketError.HostNotFound)),
            () => Task.FromResult<IPAddress[]>([IPAddress.Loopback, IPAddress.Loopback]),
            () => Task.FromResult<IPAddress[]>([IPAddress.Loopback, IPAddress.Parse("127.0.0.2")]),
            () => Task.FromException<IPAddress[]>(new SocketException((int)SocketError.TryAgain)),
            () => Task.FromResult<IPAddress[]>([]),
            () => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System).ContinueWith(_ => Array.Empty<IPAddress>(), TaskScheduler.Default),
        ]);
        using var source = new RabbitMqSource(
            new RabbitMqConnectionOptions
            {
                Name = "main",
                MetricsDns = new HostAndPort("nodes.mq", server.Url.Port),
                NodeTimeout = TimeSpan.FromSeconds(1),
            },
            new MonotonicClock(TimeProvider.System),
            null,
            (host, _) =>
            {
                host.Should().Be("nodes.mq");
                return answers.Dequeue()();
            });

        var outcome = await source.SweepMetricsAsync(CancellationToken.None);
        outcome.Reason.Should().Be(SourceReason.Dns);
        outcome.Faults[0].Endpoint.Should().Be($"nodes.mq:{server.Url.Port}");

        outcome = await source.SweepMetricsAsync(CancellationToken.None);
        outcome.Asked.Should().Be(1);
        outcome.IsComplete.Should().BeTrue();

        // 127.0.0.2 is a node that is down.
        outcome = await source.SweepMetricsAsync(CancellationToken.None);
        outcome.Asked.Should().Be(2);
        outcome.Answered.Should().Be(1);
        outcome.Reason.Should().Be(SourceReason.ConnectionRefused);

        for (var i = 0; i < 3; i++)
        {
            outcome = await source.SweepMetricsAsync(CancellationToken.None);
            outcome.Succeeded.Should().BeTrue("the last known addresses are still asked");
            outcome.IsComplete.Should().BeFalse();
            outcome.Reason.Should().Be(SourceReason.Dns);
        }
    }

    [Fact]
    public async Task The_loop_keeps_its_pace_falls_back_recovers_and_ends_when_cancelled()
    {
        var metricsWork = false;
        await using var server = await StubServer.StartAsync(context =>
            (context.Request.QueryString.Value!.Contains("totals", StringComparison.Ordinal) ? StubServer.Status(503)
                : context.Request.Path.StartsWithSegments("/api", StringComparison.Ordinal) ? StubServer.Text(ListJson)
                : metricsWork ? StubServer.Text(Page)
                : StubServer.Status(503))(context));
        var outcomes = new List<SweepOutcome>();
        using var source = new RabbitMqSource(
            Options(server) with
            {
                Management = Management(server),
                Interval = TimeSpan.FromMilliseconds(50),
                ManagementInterval = TimeSpan.FromMilliseconds(100),
            },
            new MonotonicClock(TimeProvider.System),
            outcome =>
            {
                lock (outcomes)
                {
                    outcomes.Add(outcome);
                }

                throw new InvalidOperationException("A listener that breaks its word must not stop the sweeps.");
            });
        using var stop = new CancellationTokenSource();
        var running = source.RunAsync(stop.Token);

        await Until(() => source.Current.GaugesFrom == RabbitMqEndpoint.Management);
        source.Current.Read("/", "q").Ready.Should().Be(3);
        metricsWork = true;
        await Until(() => source.Current.GaugesFrom == RabbitMqEndpoint.Metrics && source.Current.CountersFrom == RabbitMqEndpoint.Metrics);
        source.Current.Read("/", "q").FreshFor.Should().Be(TimeSpan.FromSeconds(10.05), "of the metrics");

        await stop.CancelAsync();
        await running.Awaiting(task => task).Should().ThrowAsync<OperationCanceledException>();
        lock (outcomes)
        {
            outcomes.Should().Contain(outcome => outcome.Endpoint == RabbitMqEndpoint.Management && outcome.Succeeded);
            outcomes.Should().Contain(outcome => outcome.Endpoint == RabbitMqEndpoint.Metrics && outcome.Reason == SourceReason.HttpStatus);
        }
    }

    [Fact]
    public async Task A_sweep_that_is_cancelled_throws_and_publishes_nothing()
    {
        await using var server = await StubServer.StartAsync(StubServer.Hang);
        using var source = Source(Options(server));
        var before = source.Current;
        using var stop = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await source.Awaiting(s => s.SweepMetricsAsync(stop.Token)).Should().ThrowAsync<OperationCanceledException>();
        source.Current.Should().BeSameAs(before);
    }

    private static async Task Until(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, limit.Token);
        }
    }

    private static RabbitMqSource Source(RabbitMqConnectionOptions options) => new(options, new MonotonicClock(TimeProvider.System));

    private static RabbitMqConnectionOptions Options(StubServer server) => new()
    {
        Name = "main",
        MetricsUrls = [server.Url],
        NodeTimeout = TimeSpan.FromSeconds(10),
    };

    private static string Basic(string password) =>
        "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes($"scaler:{password}"));

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private RabbitMqManagementOptions Management(StubServer server) => new()
    {
        Url = server.Url,
        Username = "scaler",
        PasswordFile = Write("password", Password),
    };

    private string Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
