using System.Net;
using System.Net.Sockets;
using GpuExternalScaler.Sources.ModelServers;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.Tests.Prometheus;
using GpuExternalScaler.Sources.Tests.RabbitMq;

namespace GpuExternalScaler.Sources.Tests.ModelServers;

public class ModelServerSourceTests
{
    private const string Page = "vllm:num_requests_waiting{model_name=\"m\"} 3\nvllm:num_requests_running{model_name=\"m\"} 5\n";

    [Fact]
    public async Task T18_one_query_per_metric_that_exists_at_one_instant()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = Answers(
            "__name__=vllm:num_requests_waiting 1|__name__=vllm:kv_cache_usage_perc 1|__name__=up 1",
            "namespace=ml,pod=a,model_name=m 3|namespace=ml,pod=a,model_name=m,__age__=seconds 7|namespace=ml,pod=b 4|namespace=ml,pod=b,__age__=seconds 61|namespace=ml,pod=c 1",
            "namespace=ml,pod=a,job=j 1|namespace=ml,pod=b,job=j 0|namespace=ml,job=k 1");
        var time = new ManualTime();
        using var client = new PrometheusClient(prometheus.Options(), new MonotonicClock(time));
        using var source = Source(client, time);

        var sweep = await source.SweepAsync(CancellationToken.None);

        var queries = prometheus.Queries.ToArray();
        queries.Should().HaveCount(4);
        queries[0].Should().Be(
            ("count by (__name__) ({__name__=~\"vllm:gpu_cache_usage_perc|vllm:kv_cache_usage_perc|vllm:num_requests_running|vllm:num_requests_waiting\"})", ""));
        queries[1..3].Should().OnlyContain(query => query.Query.StartsWith("(max by (namespace,pod,instance,") && query.Time == StubPrometheus.Evaluated);
        queries[3].Should().Be(("max by (namespace,pod,job) (up{namespace=~\"ml\"})", StubPrometheus.Evaluated));

        var fleet = source.Current;
        fleet.HasSwept.Should().BeTrue();
        fleet.Pods.ToArray().Select(static pod => pod.Pod).Should().Equal(["a"], "b's sample is too old, and so is one whose age is not known");
        fleet.Pods[0].SampledAt.Should().Be(time.GetUtcNow().AddSeconds(-7));
        (fleet.StateOf("ml", "a"), fleet.StateOf("ml", "b"), fleet.StateOf("ml", "c")).Should().Be((Discovery.Up, Discovery.Down, Discovery.Unknown));
        sweep.Should().BeEquivalentTo(
            new { Connection = "servers", Source = FleetSource.ModelServers, Succeeded = true, IsPartial = false, Asked = 4, Answered = 4, Rows = 1 });
        sweep.Refused.Select(static refused => refused.Reason).Should().Contain(SampleRefusal.Stale);
    }

    [Fact]
    public async Task No_metrics_are_no_fault_and_namespaces_are_remembered()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var client = new PrometheusClient(prometheus.Options(), new MonotonicClock(TimeProvider.System));
        using var source = Source(client);

        (await source.SweepAsync(CancellationToken.None)).Succeeded.Should().BeTrue();
        source.Current.HasSwept.Should().BeTrue();
        source.Current.Fault.Should().BeNull();

        prometheus.Answer = Answers("__name__=vllm:num_requests_waiting 1", "namespace=ml,pod=a 3|namespace=ml,pod=a,__age__=seconds 7", "namespace=ml,pod=a,job=j 1");
        await source.SweepAsync(CancellationToken.None);
        prometheus.Answer = Answers("", "", "namespace=ml,pod=z,job=j 1");
        await source.SweepAsync(CancellationToken.None);
        source.Current.Pods.Length.Should().Be(0);
        source.Current.StateOf("ml", "z").Should().Be(Discovery.Up);
    }

    [Theory]
    [InlineData("count by")]
    [InlineData("(max by")]
    [InlineData("(up{")]
    public async Task If_any_query_fails_the_readings_before_stay(string failing)
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        var good = Answers("__name__=vllm:num_requests_waiting 1", "namespace=ml,pod=a 3|namespace=ml,pod=a,__age__=seconds 7", "namespace=ml,pod=a,job=j 1");
        prometheus.Answer = good;
        using var client = new PrometheusClient(prometheus.Options(), new MonotonicClock(TimeProvider.System));
        using var source = Source(client);
        await source.SweepAsync(CancellationToken.None);
        var before = source.Current;

        prometheus.Answer = query => query.Contains(failing, StringComparison.Ordinal) ? null : good(query);
        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeFalse();
        sweep.Faults.Should().ContainSingle().Which.Sentence.Should().Contain("'servers'").And.Contain("'main'").And.Contain(prometheus.Endpoint).And.NotContain("vllm");
        var current = source.Current;
        (current.SweptAt, current.HasSwept, current.Succeeded).Should().Be((before.SweptAt, true, false));
        current.Pods.ToArray().Should().Equal(before.Pods.ToArray());
        current.Version.Should().BeGreaterThan(before.Version);

        await source.SweepAsync(CancellationToken.None);
        source.Current.Fault!.Since.Should().Be(current.Fault!.Since);
        prometheus.Answer = good;
        (await source.SweepAsync(CancellationToken.None)).Succeeded.Should().BeTrue();
        source.Current.Fault.Should().BeNull();
    }

    [Fact]
    public async Task T19_a_warning_on_any_answer_makes_the_sweep_partial()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = query => query.Contains("(up{", StringComparison.Ordinal)
            ? StubPrometheus.Partial()
            : Answers("__name__=vllm:num_requests_waiting 1", "namespace=ml,pod=a 3|namespace=ml,pod=a,__age__=seconds 7", "")(query);
        using var client = new PrometheusClient(prometheus.Options(), new MonotonicClock(TimeProvider.System));
        using var source = Source(client);

        (await source.SweepAsync(CancellationToken.None)).IsPartial.Should().BeTrue();
        source.Current.IsPartial.Should().BeTrue();
    }

    [Fact]
    public async Task Servers_are_read_from_their_own_pages_and_are_who_was_asked()
    {
        await using var one = await StubServer.StartAsync(StubServer.Text(Page));
        await using var other = await StubServer.StartAsync(StubServer.Text("sglang:num_queue_reqs{pod=\"x\",namespace=\"y\"} 4\n"));
        using var source = Source(new ModelServerConnectionOptions
        {
            Name = "servers",
            Urls = [new Uri(one.Url, "/metrics"), new Uri(one.Url, "/metrics"), new Uri(one.Url, "/engines/2"), new Uri(other.Url, "/metrics")],
        });

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Should().BeEquivalentTo(new { Succeeded = true, IsPartial = false, Asked = 3, Answered = 3, Rows = 3 });
        source.Current.IsDirect.Should().BeTrue();
        source.Current.Pods.ToArray().Select(static pod => $"{pod.Namespace}/{pod.Pod} {pod.Waiting}").Should().BeEquivalentTo(
            $"/{one.Endpoint} 3", $"/{one.Endpoint}/engines/2 3", $"/{other.Endpoint} 4");
    }

    [Theory]
    [InlineData(200, "<html>s3cret</html>", SourceReason.NotExposition)]
    [InlineData(200, "", SourceReason.NotExposition)]
    [InlineData(404, "s3cret", SourceReason.NotFound)]
    [InlineData(401, "s3cret", SourceReason.Unauthorized)]
    [InlineData(500, "s3cret", SourceReason.HttpStatus)]
    [InlineData(302, "", SourceReason.RedirectRefused)]
    [InlineData(200, "a 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\na 1\n", SourceReason.TooLarge)]
    public async Task A_server_that_fails_is_a_fault_and_costs_the_others_nothing(int status, string body, SourceReason reason)
    {
        await using var good = await StubServer.StartAsync(StubServer.Text(Page));
        await using var bad = await StubServer.StartAsync(StubServer.Status(status, body));
        using var source = Source(new ModelServerConnectionOptions { Name = "servers", Urls = [good.Url, bad.Url], MaxResponseBytes = 99 });

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeTrue();
        sweep.Answered.Should().Be(1);
        var fault = sweep.Faults.Should().ContainSingle().Subject;
        (fault.Reason, fault.Endpoint).Should().Be((reason, bad.Endpoint));
        fault.Sentence.Should().Contain("'servers'").And.Contain(bad.Endpoint).And.NotContain("s3cret");
        source.Current.Fault.Should().Be(fault);
        source.Current.StateOf("", bad.Endpoint).Should().Be(Discovery.Down);
        source.Current.Pods.Length.Should().Be(1);

        await source.SweepAsync(CancellationToken.None);
        source.Current.Fault!.Since.Should().Be(fault.Since);
    }

    [Fact]
    public async Task A_server_that_hangs_is_given_up()
    {
        await using var bad = await StubServer.StartAsync(StubServer.Hang);
        using var source = Source(new ModelServerConnectionOptions { Name = "servers", Urls = [bad.Url], Timeout = TimeSpan.FromMilliseconds(100) });

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeFalse();
        sweep.Faults.Should().ContainSingle().Which.Reason.Should().Be(SourceReason.Timeout);
        source.Current.HasSwept.Should().BeFalse();
    }

    [Fact]
    public async Task All_addresses_of_a_name_are_asked_and_its_last_ones_while_it_does_not_resolve()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page));
        var addresses = new[] { IPAddress.Loopback, IPAddress.Loopback, IPAddress.IPv6Loopback };
        var options = new ModelServerConnectionOptions { Name = "servers", Dns = new HostAndPort("servers.ml", server.Url.Port) };
        using var source = new ModelServerSource(options, new MonotonicClock(TimeProvider.System), null, null, (_, _) =>
            addresses is null ? throw new SocketException((int)SocketError.HostNotFound) : Task.FromResult(addresses));

        (await source.SweepAsync(CancellationToken.None)).Should().BeEquivalentTo(new { Succeeded = true, IsPartial = false, Asked = 2, Answered = 1 });
        server.Paths.Should().Equal("/metrics");
        (source.Current.StateOf("", server.Endpoint), source.Current.StateOf("", $"[::1]:{server.Url.Port}")).Should().Be((Discovery.Up, Discovery.Down));

        addresses = null;
        var sweep = await source.SweepAsync(CancellationToken.None);
        sweep.Should().BeEquivalentTo(new { Succeeded = true, IsPartial = true, Asked = 2, Answered = 1 });
        sweep.Faults.Should().Contain(fault => fault.Reason == SourceReason.Dns && fault.Endpoint == $"servers.ml:{server.Url.Port}");

        addresses = [IPAddress.Loopback];
        (await source.SweepAsync(CancellationToken.None)).Should().BeEquivalentTo(new { IsPartial = false, Asked = 1 });
        source.Current.StateOf("", $"[::1]:{server.Url.Port}").Should().Be(Discovery.Unknown);
    }

    [Fact]
    public async Task Nothing_ends_the_loop_but_its_token()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page));
        using var cancellation = new CancellationTokenSource();
        var sweeps = 0;
        var options = new ModelServerConnectionOptions { Name = "servers", Dns = new HostAndPort("servers", 1), Interval = TimeSpan.FromMilliseconds(20) };
        using var source = new ModelServerSource(
            options,
            new MonotonicClock(TimeProvider.System),
            null,
            _ =>
            {
                if (++sweeps == 3)
                {
                    cancellation.Cancel();
                }

                throw new InvalidOperationException("s3cret");
            },
            static (_, _) => throw new InvalidOperationException("s3cret"));

        await FluentActions.Awaiting(() => source.RunAsync(cancellation.Token)).Should().ThrowAsync<OperationCanceledException>();

        sweeps.Should().Be(3);
        source.Current.Fault!.Sentence.Should().Contain("InvalidOperationException").And.NotContain("s3cret");
    }

    [Fact]
    public void A_connection_has_a_Prometheus_where_it_names_one_and_nowhere_else()
    {
        using var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = new Uri("http://localhost") }, new MonotonicClock(TimeProvider.System));
        var options = new ModelServerConnectionOptions { Name = "servers" };

        FluentActions.Invoking(() => new ModelServerSource(options, new MonotonicClock(TimeProvider.System), client)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Source(options with { Prometheus = "main" })).Should().Throw<ArgumentException>();
    }

    private static ModelServerSource Source(PrometheusClient client, TimeProvider? time = null) =>
        new(new ModelServerConnectionOptions { Name = "servers", Prometheus = "main" }, new MonotonicClock(time ?? TimeProvider.System), client);

    private static ModelServerSource Source(ModelServerConnectionOptions options) => new(options, new MonotonicClock(TimeProvider.System), null);

    private static Func<string, string?> Answers(string names, string waiting, string up) => query =>
        StubPrometheus.Vector([.. (query.StartsWith("count by", StringComparison.Ordinal) ? names
            : query.Contains("(up{", StringComparison.Ordinal) ? up
            : query.Contains("vllm:num_requests_waiting", StringComparison.Ordinal) ? waiting
            : "").Split('|', StringSplitOptions.RemoveEmptyEntries).Select(static series => (series.Split(' ')[0], series.Split(' ')[1]))]);
}
