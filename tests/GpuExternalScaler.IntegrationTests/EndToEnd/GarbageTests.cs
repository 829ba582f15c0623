using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources.Tests.RabbitMq;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>
/// The running program behind a server that turns from a broker into every kind of garbage: the answer is held, then
/// there is none, with a reason that names the kind; time and memory stay bounded; and all is well again afterwards.
/// </summary>
public sealed class GarbageTests : IAsyncLifetime
{
    // What the program may grow by over all of it: metrics, list and totals read up to 64 MiB each, at once, and room for
    // the rest.
    private const long AllowedGrowth = 300L * 1024 * 1024;

    private readonly string _folder = Directory.CreateTempSubdirectory("gpu-scaler-garbage-").FullName;
    private StubServer _metrics = null!;
    private StubServer _list = null!;
    private StubServer _elsewhere = null!;
    private ScalerProcess _scaler = null!;

    private const string Page =
        """
        # TYPE rabbitmq_identity_info untyped
        rabbitmq_identity_info{rabbitmq_node="rabbit@n1",rabbitmq_cluster="c"} 1
        # TYPE rabbitmq_detailed_queue_messages_acked_total counter
        rabbitmq_detailed_queue_messages_acked_total{vhost="/",queue="q"} 5
        # TYPE rabbitmq_detailed_queue_messages_ready gauge
        rabbitmq_detailed_queue_messages_ready{vhost="/",queue="q"} 0
        # TYPE rabbitmq_detailed_queue_messages_unacked gauge
        rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="q"} 7
        # TYPE rabbitmq_detailed_queue_consumers gauge
        rabbitmq_detailed_queue_consumers{vhost="/",queue="q"} 10

        """;

    private const string List =
        """[{"consumers":10,"message_stats":{"ack":5},"messages_ready":0,"messages_unacknowledged":7,"name":"q","type":"classic","vhost":"/"}]""";

    private static readonly RequestDelegate GoodPage = StubServer.Text(Page);
    private static readonly RequestDelegate GoodList = StubServer.Text(List, "application/json");

    public async Task InitializeAsync()
    {
        _elsewhere = await StubServer.StartAsync(GoodPage);
        _metrics = await StubServer.StartAsync(GoodPage);
        _list = await StubServer.StartAsync(GoodList);
        var password = Path.Combine(_folder, "password");
        await File.WriteAllTextAsync(password, "s3cret-p4ssw0rd");
        _scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            $$"""
              main:
                metrics: { urls: ["{{Base(_metrics)}}"] }
                interval: 250ms
                staleAfter: 3s
                namespaces: [genai]
              listed:
                management: { url: "{{Base(_list)}}", username: scaler, passwordFile: "{{password}}", interval: 500ms }
                interval: 250ms
                staleAfter: 3s
            """));
    }

    public async Task DisposeAsync()
    {
        await _scaler.DisposeAsync();
        await _metrics.DisposeAsync();
        await _list.DisposeAsync();
        await _elsewhere.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Whatever_a_server_answers_the_answer_is_held_then_taken_away_with_a_reason_and_comes_back()
    {
        var byMetrics = ScalerSetup.Workload("q", "by-metrics", ("rabbitmq", "main"));
        var byList = ScalerSetup.Workload("q", "by-list", ("rabbitmq", "listed"));
        (await _scaler.FirstAnswerAsync(byMetrics)).Value.MetricValue.Should().Be(1000);
        await _scaler.UntilAsync(byList, static value => value == 1000, "the list's answer");
        var before = _scaler.ResidentBytes;
        long most = 0;

        foreach (var (name, metricsReason, listReason, garbage) in Kinds())
        {
            _metrics.Handler = garbage(GoodPage, Page);
            _list.Handler = garbage(GoodList, List);

            var undecided = await Task.WhenAll(HeldThenGoneAsync(name, byMetrics), HeldThenGoneAsync(name, byList));

            foreach (var call in undecided)
            {
                call.Message.Should().NotContainAny("s3cret-p4ssw0rd", "Oops", "columns=", "family=");
            }

            await Eventually.SeesAsync(() => ErrorsAsync("main", "metrics", metricsReason), static errors => errors > 0, $"{name} reported as {metricsReason}");
            await Eventually.SeesAsync(() => ErrorsAsync("listed", "management", listReason), static errors => errors > 0, $"{name} reported as {listReason}");
            most = Math.Max(most, _scaler.ResidentBytes);

            _metrics.Handler = GoodPage;
            _list.Handler = GoodList;
            await _scaler.UntilAsync(byMetrics, static value => value == 1000, $"an answer again after {name}", TimeSpan.FromSeconds(60));
            await _scaler.UntilAsync(byList, static value => value == 1000, $"the list's answer again after {name}", TimeSpan.FromSeconds(60));
        }

        _elsewhere.Paths.Should().BeEmpty("redirects are never followed");
        (most - before).Should().BeLessThan(AllowedGrowth);
        _scaler.Log.Should().NotContain(static line => line.Contains("s3cret-p4ssw0rd", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_certificate_that_does_not_match_is_a_reason_and_no_answer()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=another.example", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var now = TimeProvider.System.GetUtcNow();
        using var made = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        using var certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), password: null);
        await using var server = await StubServer.StartAsync(GoodPage, certificate);
        var ca = Path.Combine(_folder, "ca.crt");
        await File.WriteAllTextAsync(ca, certificate.ExportCertificatePem());
        await using var scaler = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            $$"""
              main:
                metrics: { urls: ["{{Base(server)}}"], caFile: "{{ca}}" }
                interval: 250ms
                staleAfter: 3s
            """));

        var call = await Eventually.SeesAsync(
            () => scaler.Grpc.GetMetricsAsync(ScalerSetup.Workload("q")), static call => call.Code == "Unavailable" && call.Message.Contains("TLS", StringComparison.Ordinal), "a refusal that names TLS");

        call.Message.Should().Contain("'main'").And.Contain(server.Endpoint);
        server.Paths.Should().BeEmpty();
    }

    private IEnumerable<(string Name, string MetricsReason, string ListReason, Func<RequestDelegate, string, RequestDelegate> Garbage)> Kinds()
    {
        yield return ("an error page", "http_status", "http_status", (_, _) => context =>
        {
            context.Response.StatusCode = 500;
            return context.Response.WriteAsync("<html>Oops</html>");
        }
        );
        yield return ("half a body", "truncated", "truncated", (_, body) => async context =>
        {
            context.Response.ContentLength = body.Length;
            await context.Response.WriteAsync(body[..(body.Length / 2)]);
            await context.Response.Body.FlushAsync();

            // A reset overtakes what was sent a moment ago.
            await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System);
            context.Abort();
        }
        );
        yield return ("words instead of numbers", "no_queues_visible", "statistics_missing", (_, body) => StubServer.Text(
            WithWords(body)));
        yield return ("a page of another program", "not_exposition", "malformed_answer", static (_, _) => StubServer.Text("# HELP up Up.\nup 1\n"));
        yield return ("nothing at all", "not_exposition", "malformed_answer", static (_, _) => StubServer.Text(""));
        yield return ("a redirect", "redirect_refused", "redirect_refused", (_, _) => context =>
        {
            context.Response.Redirect(_elsewhere.Url.ToString());
            return Task.CompletedTask;
        }
        );
        yield return ("a slow drip", "timeout", "timeout", (_, body) => async context =>
        {
            foreach (var letter in body)
            {
                await context.Response.WriteAsync(letter.ToString(), context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
                await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System, context.RequestAborted);
            }
        }
        );
        yield return ("100 MB", "too_large", "too_large", (_, _) => async context =>
        {
            var block = Encoding.ASCII.GetBytes(new string('#', 65_535) + "\n");
            for (var sent = 0; sent < 100 << 20; sent += block.Length)
            {
                await context.Response.Body.WriteAsync(block, context.RequestAborted);
            }
        }
        );
    }

    private static string WithWords(string body) => body
        .Replace(" 7\n", " many\n", StringComparison.Ordinal)
        .Replace(" 10\n", " some\n", StringComparison.Ordinal)
        .Replace(":7,", ":\"many\",", StringComparison.Ordinal)
        .Replace(":10,", ":\"some\",", StringComparison.Ordinal);

    /// <summary>Polls until there is no answer; each before is the one from before.</summary>
    private async Task<GoCall> HeldThenGoneAsync(string garbage, GoWorkload workload)
    {
        return await Eventually.SeesAsync(
            async () =>
            {
                var call = await _scaler.Grpc.GetMetricsAsync(workload);
                if (call.Ok)
                {
                    call.Value.MetricValue.Should().Be(1000, "{0} is no reason to change an answer", garbage);
                }

                return call;
            },
            static call => call.Code == "Unavailable",
            $"Unavailable because of {garbage}",
            TimeSpan.FromSeconds(90));
    }

    private async Task<double> ErrorsAsync(string connection, string endpoint, string reason) =>
        await _scaler.SeriesAsync("gpu_scaler_source_errors_total", $"connection=\"{connection}\"", $"endpoint=\"{endpoint}", $"reason=\"{reason}\"") ?? 0;

    private static string Base(StubServer server) => server.Url.ToString().TrimEnd('/');
}
