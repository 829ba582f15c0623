using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.Tests.RabbitMq;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

/// <summary>Over real connections: what is asked, and what becomes of every kind of answer.</summary>
public sealed class PrometheusClientTests : IDisposable
{
    private const string Secret = "s3cret-t0ken";
    private const string Good = """{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1795345652.113,"3"]}]}}""";

    private static readonly PrometheusQuery Up = PromQl.Metric("up", LabelMatcher.Is("job", $"a&b={Secret} é")).ToQuery();
    private static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeMilliseconds(1_795_345_652_113);

    private readonly string _folder = Directory.CreateTempSubdirectory("prometheus-client-").FullName;

    public static TheoryData<int, string, SourceReason> Refusals
    {
        get
        {
            const string Json = """{"status":"error","errorType":"bad_data","error":"1:2: parse error: unexpected s3cret-t0ken"}""";
            const string TimedOut = """{"status":"error","errorType":"timeout","error":"query timed out in query execution"}""";
            const string Html = "<html>s3cret-t0ken</html>";
            return new()
            {
                { 400, Json, SourceReason.QueryRejected },
                { 400, Html, SourceReason.HttpStatus },
                { 422, Json, SourceReason.QueryRejected },
                { 422, "", SourceReason.HttpStatus },
                { 413, Json, SourceReason.QueryRejected },
                { 401, Html, SourceReason.Unauthorized },
                { 403, Json, SourceReason.Forbidden },
                { 404, "404 page not found", SourceReason.NotFound },
                { 405, "", SourceReason.HttpStatus },
                { 429, Html, SourceReason.TooManyRequests },
                { 500, Json, SourceReason.HttpStatus },
                { 502, Html, SourceReason.Unavailable },
                { 503, TimedOut, SourceReason.Timeout },
                { 503, Html, SourceReason.Unavailable },
                { 503, Json, SourceReason.Unavailable },
                { 504, "", SourceReason.Unavailable },
                { 204, "", SourceReason.HttpStatus },
                { 301, Html, SourceReason.RedirectRefused },
                { 307, Html, SourceReason.RedirectRefused },
                { 308, Html, SourceReason.RedirectRefused },
                { 503, new string('x', 100_000), SourceReason.Unavailable },
            };
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_query_is_a_form_with_time_limits_and_credentials()
    {
        var requests = new ConcurrentQueue<(string Method, string Path, Dictionary<string, string> Form, string Tenant)>();
        await using var server = await StubServer.StartAsync(async context =>
        {
            var form = await context.Request.ReadFormAsync();
            requests.Enqueue((context.Request.Method, context.Request.Path.ToString(), form.ToDictionary(p => p.Key, p => p.Value.ToString()), context.Request.Headers["X-Scope-OrgID"].ToString()));
            await context.Response.WriteAsync(Good);
        });
        using var client = Client(server, options => options with
        {
            Url = new Uri($"http://user:{Secret}@{server.Endpoint}/prefix/?x=1"),
            BearerTokenFile = Write("token", Secret + "\n"),
            Headers = new Dictionary<string, string> { ["X-Scope-OrgID"] = "genai" },
        });

        var answer = await client.QueryAsync(Up, At, CancellationToken.None);
        PrometheusQuery.TrySupply("vector(1)", out var supplied);
        (await client.QueryAsync(supplied!, null, CancellationToken.None)).Succeeded.Should().BeTrue();
        await client.QueryRangeAsync(Up, PrometheusRange.Covering(At.AddHours(-1), At, TimeSpan.FromSeconds(60)), CancellationToken.None);

        answer.Succeeded.Should().BeTrue();
        answer.Bytes.Should().Be(Good.Length);
        answer.Result!.TryGetSingle(out var value).Should().BeTrue();
        value.Should().Be(3);
        var sent = requests.ToArray();
        (sent[0].Method, sent[0].Path, sent[0].Tenant).Should().Be(("POST", "/prefix/api/v1/query", "genai"));
        sent[0].Form.Should().BeEquivalentTo(new Dictionary<string, string>
        {
            ["query"] = Up.Text,
            ["time"] = "1795345652.113",
            ["timeout"] = "9",
            ["limit"] = "50001",
        });
        sent[1].Form.Should().BeEquivalentTo(new Dictionary<string, string> { ["query"] = "vector(1)", ["timeout"] = "4.5", ["limit"] = "101" });
        sent[2].Path.Should().Be("/prefix/api/v1/query_range");
        sent[2].Form.Should().BeEquivalentTo(new Dictionary<string, string>
        {
            ["query"] = Up.Text,
            ["start"] = "1795342052.113",
            ["end"] = "1795345652.113",
            ["step"] = "60",
            ["timeout"] = "9",
            ["limit"] = "50001",
        });
        server.Authorizations.Should().OnlyContain(header => header == $"Bearer {Secret}");
    }

    [Fact]
    public async Task Where_POST_is_not_allowed_GET_is_used_and_remembered()
    {
        var allowed = "GET";
        var seen = new ConcurrentQueue<string>();
        await using var server = await StubServer.StartAsync(context =>
        {
            seen.Enqueue($"{context.Request.Method} {context.Request.Query["query"]}");
            context.Response.StatusCode = context.Request.Method == allowed ? 200 : 405;
            return context.Response.WriteAsync(Good);
        });
        using var client = Client(server);

        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
        seen.Should().Equal("POST ", $"GET {Up.Text}", $"GET {Up.Text}");

        allowed = "POST";
        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.HttpStatus);
        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
    }

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task A_refusal_is_classified_and_its_text_never_repeated(int status, string body, SourceReason reason)
    {
        await using var target = await StubServer.StartAsync(StubServer.Text(Good));
        await using var server = await StubServer.StartAsync(context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = target.Url.ToString();
            return status == 204 ? Task.CompletedTask : context.Response.WriteAsync(body);
        });
        using var client = Client(server, options => options with { BearerTokenFile = Write("token", Secret) });

        var answer = await client.QueryAsync(Up, null, CancellationToken.None);

        answer.Reason.Should().Be(reason);
        answer.Status.Should().Be(status);
        answer.Succeeded.Should().BeFalse();
        target.Paths.Should().BeEmpty("redirects are never followed");
        var sentence = Sentence(client, answer);
        sentence.Should().Contain("'main'").And.Contain(server.Endpoint).And.NotContainAny(Secret, "html", "unexpected", "up{");
        if (reason == SourceReason.QueryRejected)
        {
            sentence.Should().Contain("bad_data").And.Contain("line 1, character 2");
        }
    }

    [Theory]
    [InlineData("<html>Log in</html>", SourceReason.MalformedAnswer)]
    [InlineData("", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":[{"met""", SourceReason.Truncated)]
    [InlineData("""{"status":"error","errorType":"internal","error":"s3cret-t0ken"}""", SourceReason.MalformedAnswer)]
    public async Task An_answer_with_status_200_that_is_none_is_told(string body, SourceReason reason)
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(body));
        using var client = Client(server);

        var answer = await client.QueryAsync(Up, null, CancellationToken.None);

        answer.Reason.Should().Be(reason);
        Sentence(client, answer).Should().NotContainAny(Secret, "html");
    }

    [Fact]
    public async Task A_body_shorter_than_announced_is_truncated()
    {
        await using var server = await StubServer.StartAsync(async context =>
        {
            context.Response.ContentLength = Good.Length + 100;
            await context.Response.WriteAsync(Good);
            await context.Response.Body.FlushAsync();

            // A reset that overtakes the beginning of the answer is a connection that broke before it.
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
            context.Abort();
        });
        using var client = Client(server);

        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.Truncated);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_answer_larger_than_allowed_is_given_up_packed_or_not(bool isPacked)
    {
        await using var server = await StubServer.StartAsync(async context =>
        {
            context.Response.Headers.ContentEncoding = isPacked ? "gzip" : default;
            await using Stream body = isPacked ? new GZipStream(context.Response.Body, CompressionLevel.Fastest) : context.Response.Body;
            var blanks = new byte[64 * 1024];
            blanks.AsSpan().Fill((byte)' ');
            for (var i = 0; i < 4096 && !context.RequestAborted.IsCancellationRequested; i++)
            {
                await body.WriteAsync(blanks, context.RequestAborted);
            }
        });
        using var client = Client(server, options => options with { MaxResponseBytes = 1_000_000 });

        var answer = await client.QueryAsync(Up, null, CancellationToken.None);

        answer.Reason.Should().Be(SourceReason.TooLarge);
        Sentence(client, answer).Should().Contain("1000000 bytes");
    }

    [Fact]
    public async Task A_supplied_query_may_touch_fewer_series()
    {
        var body = $$"""{"status":"success","data":{"resultType":"vector","result":[{{string.Join(',', Enumerable.Repeat("""{"metric":{},"value":[1,"2"]}""", 6))}}]} }""";
        await using var server = await StubServer.StartAsync(StubServer.Text(body));
        using var client = Client(server, options => options with { MaxSuppliedSeries = 5 });
        PrometheusQuery.TrySupply("up", out var supplied);

        (await client.QueryAsync(supplied!, null, CancellationToken.None)).Reason.Should().Be(SourceReason.TooLarge);
        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
    }

    [Fact]
    public async Task Hanging_is_a_timeout_and_cancelling_is_the_callers()
    {
        await using var server = await StubServer.StartAsync(StubServer.Hang);
        using var client = Client(server, options => options with { Timeout = TimeSpan.FromMilliseconds(200) });

        var answer = await client.QueryAsync(Up, null, CancellationToken.None);
        answer.Reason.Should().Be(SourceReason.Timeout);
        Sentence(client, answer).Should().Contain("within 0.2 s");

        using var patient = Client(server);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await FluentActions.Awaiting(() => patient.QueryAsync(Up, null, cancel.Token)).Should().ThrowAsync<OperationCanceledException>();
        await FluentActions.Awaiting(() => patient.QueryAsync(Up, null, cancel.Token)).Should().ThrowAsync<OperationCanceledException>();
    }

    [Fact]
    public async Task A_name_that_does_not_resolve_is_told()
    {
        using var client = new PrometheusClient(
            new PrometheusConnectionOptions { Name = "main", Url = new Uri("http://no-such-host.invalid:9090") }, new MonotonicClock(TimeProvider.System));

        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.Dns);
    }

    [Fact]
    public async Task Credentials_are_read_each_time()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Good));
        var token = Write("token", "first");
        using var bearer = Client(server, options => options with { BearerTokenFile = token });
        using var basic = Client(server, options => options with
        {
            Basic = new PrometheusBasicCredentials { Username = "scaler", PasswordFile = token },
        });
        using var header = Client(server, options => options with { Headers = new Dictionary<string, string> { ["authorization"] = "Custom x" } });

        await bearer.QueryAsync(Up, null, CancellationToken.None);
        Write("token", "sécond\r\n");
        await basic.QueryAsync(Up, null, CancellationToken.None);
        Write("token", "third\n");
        await bearer.QueryAsync(Up, null, CancellationToken.None);
        await header.QueryAsync(Up, null, CancellationToken.None);

        server.Authorizations.Should().Equal(
            "Bearer first", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes("scaler:sécond")), "Bearer third", "Custom x");
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("two\nlines")]
    [InlineData("two words")]
    [InlineData("é")]
    [InlineData("long")]
    public async Task A_token_file_that_holds_no_token_is_told_and_nothing_is_sent(string? content)
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Good));
        using var client = Client(server, options => options with
        {
            BearerTokenFile = content is null ? Path.Combine(_folder, "none") : Write("token", content == "long" ? new string('a', 20_000) : content),
        });

        var answer = await client.QueryAsync(Up, null, CancellationToken.None);

        answer.Reason.Should().Be(SourceReason.CredentialsUnreadable);
        Sentence(client, answer).Should().Contain("token");
        server.Paths.Should().BeEmpty();
    }

    [Fact]
    public async Task Certificates_are_read_each_time_and_told_when_they_cannot_be()
    {
        using var certificate = StubServer.CreateCertificate();
        using var key = certificate.GetECDsaPrivateKey()!;
        await using var server = await StubServer.StartAsync(StubServer.Text(Good), certificate);
        var ca = Write("ca.crt", certificate.ExportCertificatePem());
        var certFile = Write("tls.crt", certificate.ExportCertificatePem());
        var keyFile = Write("tls.key", "nothing");
        using var client = Client(server, options => options with
        {
            CaFile = ca,
            ClientCertificate = new ClientCertificateFiles { CertFile = certFile, KeyFile = keyFile },
            Interval = TimeSpan.FromSeconds(1),
        });
        using var trusting = Client(server);

        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CertificateUnreadable);
        Write("tls.key", key.ExportPkcs8PrivateKeyPem());
        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.None);
        using (var other = StubServer.CreateCertificate())
        {
            Write("ca.crt", other.ExportCertificatePem());
            (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.Tls);
        }

        File.Delete(ca);
        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CaUnreadable);
        File.Delete(certFile);
        Write("ca.crt", certificate.ExportCertificatePem());
        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CertificateUnreadable);
        (await trusting.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.Tls);
    }

    [Fact]
    public async Task The_client_certificate_is_shown_and_a_new_one_taken_up()
    {
        using var certificate = StubServer.CreateCertificate();
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var shown = new ConcurrentQueue<string?>();
        var serving = Task.Run(async () =>
        {
            while (shown.Count < 2)
            {
                using var connection = await listener.AcceptTcpClientAsync();
                await using var tls = new SslStream(connection.GetStream());
                await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions
                {
                    ServerCertificate = certificate,
                    ClientCertificateRequired = true,
                    RemoteCertificateValidationCallback = (_, remote, _, _) =>
                    {
                        shown.Enqueue(remote?.GetCertHashString());
                        return remote is not null;
                    },
                });
                _ = await tls.ReadAtLeastAsync(new byte[8192], 100);
                await tls.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {Good.Length}\r\nConnection: close\r\n\r\n{Good}"));
            }
        });
        var files = new ClientCertificateFiles { CertFile = Path.Combine(_folder, "tls.crt"), KeyFile = Path.Combine(_folder, "tls.key") };
        using var client = new PrometheusClient(
            new PrometheusConnectionOptions
            {
                Name = "main",
                Url = new Uri($"https://{listener.LocalEndpoint}"),
                CaFile = Write("ca.crt", certificate.ExportCertificatePem()),
                ClientCertificate = files,
            },
            new MonotonicClock(TimeProvider.System));

        for (var generation = 0; generation < 2; generation++)
        {
            using var own = StubServer.CreateCertificate();
            using var key = own.GetECDsaPrivateKey()!;
            Write("tls.crt", own.ExportCertificatePem());
            if (generation == 1)
            {
                (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CertificateUnreadable, "the key is still the other's");
            }

            Write("tls.key", key.ExportPkcs8PrivateKeyPem());
            (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.None);
            shown.Should().HaveCount(generation + 1).And.EndWith(own.GetCertHashString());
        }

        await serving;
    }

    [Fact]
    public async Task One_quick_retry_makes_up_for_a_connection_that_broke()
    {
        var requests = 0;
        await using var server = await StubServer.StartAsync(context =>
        {
            if (Interlocked.Increment(ref requests) == 1)
            {
                context.Abort();
                return Task.CompletedTask;
            }

            return context.Response.WriteAsync(Good);
        });
        using var client = Client(server);

        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
        requests.Should().Be(2);
    }

    [Fact]
    public async Task A_dead_server_costs_one_attempt_per_interval_and_recovery_is_seen_at_once_by_all()
    {
        var time = new ManualTime();
        var isDead = true;
        await using var server = await StubServer.StartAsync(context => isDead ? StubServer.Status(503)(context) : context.Response.WriteAsync(Good));
        using var client = Client(server, time: time);
        PrometheusQuery.TrySupply("vector(1)", out var supplied);

        (await SweepAsync(client)).Should().OnlyContain(answer => answer.Reason == SourceReason.Unavailable, "nothing is known before the first sweep");
        server.Paths.Should().HaveCount(6);
        var rest = await SweepAsync(client);
        rest.Should().OnlyContain(answer => answer.Reason == SourceReason.CircuitOpen && answer.Cause == SourceReason.Unavailable);
        Sentence(client, rest[0]).Should().Contain("unavailable").And.Contain("each 15 s");
        (await client.QueryAsync(supplied!, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CircuitOpen);
        server.Paths.Should().HaveCount(6);

        for (var interval = 1; interval <= 4; interval++)
        {
            time.Advance(TimeSpan.FromSeconds(15));

            // What NTP or an administrator does must neither end a break nor make it longer.
            time.StepWallClock(TimeSpan.FromHours(interval % 2 == 0 ? 1 : -1));
            (await SweepAsync(client)).Select(answer => answer.Reason).Order().Should()
                .Equal([SourceReason.Unavailable, .. Enumerable.Repeat(SourceReason.CircuitOpen, 5)]);
            server.Paths.Should().HaveCount(6 + interval);
        }

        isDead = false;
        time.Advance(TimeSpan.FromSeconds(15));
        (await SweepAsync(client)).Should().OnlyContain(answer => answer.Succeeded);
        (await client.QueryAsync(supplied!, null, CancellationToken.None)).Succeeded.Should().BeTrue();
    }

    [Fact]
    public async Task A_dead_host_costs_one_connection_per_interval()
    {
        var time = new ManualTime();
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var url = new Uri($"http://{listener.LocalEndpoint}");
        listener.Stop();
        using var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = url }, new MonotonicClock(time));

        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.ConnectionRefused);
        (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CircuitOpen);
        time.Advance(TimeSpan.FromSeconds(15));
        (await SweepAsync(client)).Count(answer => answer.Reason == SourceReason.ConnectionRefused).Should().Be(1);
    }

    [Fact]
    public async Task What_users_ask_cannot_cut_off_the_fleet()
    {
        await using var server = await StubServer.StartAsync(async context =>
        {
            var form = await context.Request.ReadFormAsync();
            if (form["query"] == "slow")
            {
                await StubServer.Hang(context);
            }

            await context.Response.WriteAsync(Good);
        });
        using var client = Client(server, options => options with { SuppliedQueryTimeout = TimeSpan.FromMilliseconds(100) });
        PrometheusQuery.TrySupply("slow", out var slow);

        var slowOnes = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => client.QueryAsync(slow!, null, CancellationToken.None)));

        slowOnes.Should().OnlyContain(answer => answer.Reason == SourceReason.Timeout);
        (await client.QueryAsync(slow!, null, CancellationToken.None)).Reason.Should().Be(SourceReason.CircuitOpen, "all of them failed");
        (await client.QueryAsync(Up, null, CancellationToken.None)).Succeeded.Should().BeTrue();
    }

    [Theory]
    [InlineData(400, """{"status":"error","errorType":"bad_data","error":"x"}""")]
    [InlineData(401, "")]
    [InlineData(404, "")]
    [InlineData(503, """{"status":"error","errorType":"timeout","error":"x"}""")]
    public async Task What_the_server_says_itself_is_no_outage(int status, string body)
    {
        await using var server = await StubServer.StartAsync(StubServer.Status(status, body));
        using var client = Client(server);

        for (var i = 0; i < 5; i++)
        {
            (await client.QueryAsync(Up, null, CancellationToken.None)).Reason.Should().NotBe(SourceReason.CircuitOpen);
        }
    }

    [Fact]
    public void Options_that_cannot_work_are_told_by_key_and_nothing_is_printed()
    {
        var options = new PrometheusConnectionOptions
        {
            Name = "main",
            Url = new Uri($"ftp://u:{Secret}@host/"),
            Interval = TimeSpan.Zero,
            StaleAfter = TimeSpan.Zero,
            Timeout = TimeSpan.Zero,
            MaxResponseBytes = long.MaxValue,
            MaxSeries = 0,
            BearerTokenFile = "token",
            Basic = new PrometheusBasicCredentials { Username = "u" },
            Headers = new Dictionary<string, string> { ["a b"] = Secret, ["Host"] = Secret, ["X"] = Secret + "\r\nY: z", ["Authorization"] = Secret },
        };

        options.Problems().Should().HaveCount(11);
        string.Join('\n', options.Problems()).Should().NotContain(Secret);
        options.ToString().Should().Be("PrometheusConnectionOptions main");
        FluentActions.Invoking(() => new PrometheusClient(options, new MonotonicClock(TimeProvider.System))).Should().Throw<ArgumentException>();
    }

    private static string Sentence(PrometheusClient client, PrometheusAnswer answer) => new PrometheusFaultSentences(client.Options).Describe(answer);

    private static Task<PrometheusAnswer[]> SweepAsync(PrometheusClient client) =>
        Task.WhenAll(Enumerable.Range(0, 6).Select(_ => client.QueryAsync(Up, null, CancellationToken.None)));

    private static PrometheusClient Client(
        StubServer server, Func<PrometheusConnectionOptions, PrometheusConnectionOptions>? with = null, TimeProvider? time = null)
    {
        var options = new PrometheusConnectionOptions { Name = "main", Url = server.Url };
        return new PrometheusClient(with?.Invoke(options) ?? options, new MonotonicClock(time ?? TimeProvider.System));
    }

    private string Write(string name, string content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, content);
        return path;
    }
}
