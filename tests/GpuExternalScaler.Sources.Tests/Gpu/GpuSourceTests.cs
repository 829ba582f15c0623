using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Gpu;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Sources.Tests.RabbitMq;
using Microsoft.AspNetCore.Http;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>Exporters and Prometheus over real connections.</summary>
public class GpuSourceTests
{
    private const string Pod = "llm-7d4b9c6f5-aaaaa";
    private const string Secret = "s3cret";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(30);

    public static TheoryData<string, SourceReason, string> Troubles => new()
    {
        { "500", SourceReason.HttpStatus, "answered with HTTP status 500" },
        { "401", SourceReason.Unauthorized, "HTTP 401" },
        { "403", SourceReason.Forbidden, "HTTP 403" },
        { "404", SourceReason.NotFound, "HTTP 404" },
        { "302", SourceReason.RedirectRefused, "redirect (HTTP 302)" },
        { "<html>s3cret</html>", SourceReason.NotExposition, "of the kind dcgm" },
        { "", SourceReason.NotExposition, "of the kind dcgm" },
        { "node_memory_MemFree_bytes{password=\"s3cret\"} 1\n", SourceReason.NotExposition, "of the kind dcgm" },
        { "hang", SourceReason.Timeout, "within 0.3 s" },
        { "large", SourceReason.TooLarge, "more than 100000 bytes" },
        { "cut", SourceReason.Truncated, "broke off" },
        { "refused", SourceReason.ConnectionRefused, "nothing listens" },
    };

    [Fact]
    public async Task Every_exporter_is_read_and_its_devices_are_found()
    {
        await using var one = await StubServer.StartAsync(StubServer.Text(Page("GPU-a", Pod, 40)));
        await using var two = await StubServer.StartAsync(StubServer.Text(Page("GPU-b", "llm-7d4b9c6f5-bbbbb", 20) + Page("GPU-c", null, 0)));
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        using var source = new GpuSource(Options(one.Url, new Uri($"http://user:{Secret}@{two.Endpoint}/metrics?x=1")), clock, prometheus: null);
        source.Current.HasSwept.Should().BeFalse();

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Should().BeEquivalentTo(new
        {
            Connection = "gpus",
            Source = FleetSource.Gpu,
            StartedAt = clock.Now,
            Rows = 3,
            Asked = 2,
            Answered = 2,
            Succeeded = true,
            IsPartial = false,
            Faults = Array.Empty<SourceFault>(),
            Refused = Array.Empty<RefusedSamples>(),
        });
        sweep.Bytes.Should().BePositive();
        var fleet = source.Current;
        (fleet.HasSwept, fleet.IsPartial, fleet.Fault, fleet.Devices, fleet.Pods, fleet.SweptAt).Should().Be((true, false, null, 3, 2, clock.Now));
        fleet.SharesOf("ml", "llm-").ToArray().Select(static share => (share.Pod, share.UsedBytes)).Should().Equal((Pod, 40L << 30), ("llm-7d4b9c6f5-bbbbb", 20L << 30));
        fleet.SharesOf("ml", "llm-7d4b9c6f5-b").Length.Should().Be(1);
        fleet.SharesOf("ml", "web-").IsEmpty.Should().BeTrue();
        fleet.SharesOf("dev", "llm-").IsEmpty.Should().BeTrue();
        fleet.RowsOf("GPU-c", "").ToArray().Should().ContainSingle().Which.Pod.Should().BeNull();
        fleet.RowsOf("GPU-c", "1").IsEmpty.Should().BeTrue();
        fleet.RowsOf("GPU-d").IsEmpty.Should().BeTrue();
        fleet.TellsPods(two.Endpoint).Should().BeTrue();
        fleet.TellsPods("elsewhere:1").Should().BeFalse();
        two.Paths.Should().Equal("/metrics?x=1");

        time.Advance(TimeSpan.FromSeconds(10));
        await source.SweepAsync(CancellationToken.None);
        source.Current.Version.Should().NotBe(fleet.Version);
        source.Current.SweptAt.Should().Be(clock.Now);
    }

    [Theory]
    [MemberData(nameof(Troubles))]
    public async Task An_exporter_that_fails_is_a_fault_and_the_others_count(string trouble, SourceReason reason, string says)
    {
        await using var good = await StubServer.StartAsync(StubServer.Text(Page("GPU-a", Pod, 40)));
        await using var bad = await StubServer.StartAsync(Misbehave(trouble));
        var badUrl = trouble == "refused" ? Closed() : bad.Url;
        var time = new ManualTime();
        var clock = new MonotonicClock(time);
        using var source = new GpuSource(
            Options(good.Url, badUrl) with { Timeout = trouble == "hang" ? TimeSpan.FromSeconds(0.3) : Soon, MaxResponseBytes = 100_000 }, clock, prometheus: null);

        await source.SweepAsync(CancellationToken.None);
        var since = clock.Now;
        time.Advance(TimeSpan.FromSeconds(10));
        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Asked, sweep.Answered, sweep.Succeeded, sweep.Rows).Should().Be((2, 1, true, 1));
        var fault = sweep.Faults.Should().ContainSingle().Which;
        (fault.Reason, fault.Endpoint, fault.Since).Should().Be((reason, $"{badUrl.Host}:{badUrl.Port}", since));
        fault.Sentence.Should().StartWith($"GPU connection 'gpus': the exporter at {fault.Endpoint} ").And.Contain(says).And.NotContain(Secret);
        source.Current.Fault.Should().Be(fault);
        source.Current.Devices.Should().Be(1);
    }

    [Fact]
    public async Task A_sweep_that_fails_leaves_the_readings_before()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page("GPU-a", Pod, 40)));
        var time = new ManualTime();
        using var source = new GpuSource(Options(server.Url), new MonotonicClock(time), prometheus: null);
        await source.SweepAsync(CancellationToken.None);
        var before = source.Current;

        server.Handler = StubServer.Status(503);
        time.Advance(TimeSpan.FromSeconds(10));
        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Succeeded, sweep.Rows).Should().Be((false, 0));
        (source.Current.Version, source.Current.SweptAt, source.Current.Devices).Should().Be((before.Version, before.SweptAt, 1));
        source.Current.Fault!.Reason.Should().Be(SourceReason.HttpStatus);

        server.Handler = StubServer.Text(Page("GPU-a", Pod, 40));
        await source.SweepAsync(CancellationToken.None);
        source.Current.Fault.Should().BeNull();
    }

    [Fact]
    public async Task Every_address_of_a_name_is_an_exporter()
    {
        await using var server = await StubServer.StartAsync(StubServer.Text(Page("GPU-a", Pod, 40)));
        var addresses = new[] { IPAddress.Loopback, IPAddress.Loopback, IPAddress.Parse("127.0.0.2") };
        var options = Options() with { Dns = new HostAndPort("exporters.gpu", server.Url.Port) };
        using var source = new GpuSource(options, new MonotonicClock(TimeProvider.System), null, null, (host, _) =>
            host == "exporters.gpu" && addresses is not null ? Task.FromResult(addresses) : throw new SocketException((int)SocketError.HostNotFound));

        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Asked, sweep.Answered).Should().Be((2, 1));
        server.Paths.Should().Equal("/metrics");
        sweep.Faults.Should().ContainSingle().Which.Endpoint.Should().Be($"127.0.0.2:{server.Url.Port}");
        source.Current.RowsOf("GPU-a")[0].Exporter.Should().Be(server.Endpoint);

        foreach (var empty in new[] { null, Array.Empty<IPAddress>() })
        {
            addresses = empty;
            sweep = await source.SweepAsync(CancellationToken.None);
            sweep.Succeeded.Should().BeTrue("its last addresses are asked all the same");
            var fault = sweep.Faults.Should().ContainSingle(static fault => fault.Reason == SourceReason.Dns).Which;
            fault.Endpoint.Should().Be($"exporters.gpu:{server.Url.Port}");
            fault.Sentence.Should().Contain("does not resolve");
            source.Current.Devices.Should().Be(1);
        }
    }

    [Fact]
    public async Task Hundreds_of_exporters_are_asked_many_at_a_time()
    {
        var (now, most) = (0, 0);
        var gate = new Lock();
        await using var server = await StubServer.StartAsync(async context =>
        {
            lock (gate)
            {
                most = Math.Max(most, ++now);
            }

            await Task.Yield();
            var node = context.Request.Path.Value!.Trim('/');
            var page = string.Concat(Enumerable.Range(0, 8).Select(gpu => Page($"GPU-{node}-{gpu}", $"llm-{node}{gpu}", 40)));
            await context.Response.WriteAsync(page);
            lock (gate)
            {
                now--;
            }
        });
        using var source = new GpuSource(
            Options([.. Enumerable.Range(0, 250).Select(node => new Uri(server.Url, $"/{node}"))]), new MonotonicClock(TimeProvider.System), prometheus: null);

        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Answered, sweep.Rows, source.Current.Devices, source.Current.Pods).Should().Be((250, 2000, 2000, 2000));
        most.Should().BeLessThanOrEqualTo(64);
    }

    [Fact]
    public async Task Neither_faults_nor_observers_end_the_loop()
    {
        await using var server = await StubServer.StartAsync(StubServer.Status(500));
        using var stop = new CancellationTokenSource();
        var sweeps = new ConcurrentQueue<FleetSweep>();
        using var source = new GpuSource(
            Options(server.Url) with { Interval = TimeSpan.FromMilliseconds(20) },
            new MonotonicClock(TimeProvider.System),
            prometheus: null,
            sweep =>
            {
                sweeps.Enqueue(sweep);
                if (sweeps.Count == 4)
                {
                    stop.Cancel();
                }

                throw new InvalidOperationException(Secret);
            });

        await FluentActions.Awaiting(() => source.RunAsync(stop.Token)).Should().ThrowAsync<OperationCanceledException>();

        sweeps.Should().HaveCount(4);
        source.Current.Fault!.Sentence.Should().Contain("InvalidOperationException").And.NotContain(Secret);
    }

    [Fact]
    public async Task A_ca_file_that_cannot_be_read_is_a_fault()
    {
        using var source = new GpuSource(
            Options(new Uri("https://127.0.0.1:1/")) with { CaFile = "/nowhere/ca.pem" }, new MonotonicClock(TimeProvider.System), prometheus: null);

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeFalse();
        sweep.Faults.Should().ContainSingle().Which.Reason.Should().Be(SourceReason.CaUnreadable);
    }

    [Fact]
    public void What_is_read_through_Prometheus_needs_one() =>
        FluentActions.Invoking(() => new GpuSource(Options() with { Prometheus = "main" }, new MonotonicClock(TimeProvider.System), null))
            .Should().Throw<ArgumentNullException>();

    [Fact]
    public async Task T17_T18_through_Prometheus_what_exists_is_asked_once_and_at_one_instant()
    {
        await using var prometheus = await Script.StartAsync();
        using var client = prometheus.Client();
        using var source = prometheus.Source(client);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-a", Pod, 40960, age: 12);
        prometheus.Add("DCGM_FI_DEV_FB_FREE", "GPU-a", Pod, 40960, age: 5);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-b", null, 0, age: 3);
        prometheus.Add("DCGM_FI_DEV_FB_FREE", "GPU-b", null, 81920, age: 3);

        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Succeeded, sweep.Asked, sweep.Answered, sweep.Rows, sweep.IsPartial).Should().Be((true, 3, 3, 2, false));
        var asked = prometheus.Asked.ToArray();
        asked[0].Query.Should().StartWith("count by (__name__) ({__name__=~\"DCGM_FI_DEV_FB_").And.NotContain("vGPU");
        asked[0].Time.Should().BeEmpty("the server's clock is the one that samples are stamped with");
        asked[1..].Should().OnlyContain(static query => query.Time == "1795345652.113");
        asked[1].Query.Should().StartWith("(max by (").And.Contain("UUID").And.Contain("exported_pod").And.Contain("time() - timestamp(DCGM_FI_DEV_FB_");
        var share = source.Current.SharesOf("ml", "llm-").ToArray().Should().ContainSingle().Which;
        (share.UsedBytes, share.UsableBytes, share.Exporter).Should().Be((40L << 30, 80L << 30, "10.0.0.1:9400"));
        (source.Current.SweptAt - share.SampledAt).Should().BeCloseTo(TimeSpan.FromSeconds(12), TimeSpan.FromMilliseconds(2), "the oldest figure counts");
    }

    [Fact]
    public async Task T20_samples_that_are_old_or_of_no_known_age_are_refused()
    {
        await using var prometheus = await Script.StartAsync();
        using var client = prometheus.Client();
        using var source = prometheus.Source(client);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-a", Pod, 1, age: 91);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-b", Pod, 1, age: null);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-c", Pod, 1, age: 89);

        var sweep = await source.SweepAsync(CancellationToken.None);

        sweep.Refused.Should().Equal(new RefusedSamples(SampleRefusal.Stale, 2, "GPU-a"));
        source.Current.SharesOf("ml", "").ToArray().Should().ContainSingle().Which.Device.Should().Be("GPU-c");
    }

    [Fact]
    public async Task T19_warnings_make_a_sweep_partial()
    {
        await using var prometheus = await Script.StartAsync();
        using var client = prometheus.Client();
        using var source = prometheus.Source(client);
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-a", Pod, 40960, age: 5);
        prometheus.Add("DCGM_FI_DEV_FB_FREE", "GPU-a", Pod, 40960, age: 5);
        prometheus.Warns = "DCGM_FI_DEV_FB_FREE";

        (await source.SweepAsync(CancellationToken.None)).IsPartial.Should().BeTrue();
        source.Current.IsPartial.Should().BeTrue();

        prometheus.Warns = "__name__";
        (await source.SweepAsync(CancellationToken.None)).IsPartial.Should().BeTrue();

        prometheus.Warns = null;
        (await source.SweepAsync(CancellationToken.None)).IsPartial.Should().BeFalse();

        // Told to exist, and then not there: one of two stores did not answer.
        prometheus.Hides = "DCGM_FI_DEV_FB_USED";
        (await source.SweepAsync(CancellationToken.None)).IsPartial.Should().BeTrue();
    }

    [Theory]
    [InlineData("__name__")]
    [InlineData("DCGM_FI_DEV_FB_USED")]
    [InlineData("DCGM_FI_DEV_FB_FREE")]
    public async Task One_query_that_fails_fails_the_sweep(string which)
    {
        await using var prometheus = await Script.StartAsync();
        using var client = prometheus.Client();
        using var source = prometheus.Source(client);
        var tracker = new PodMemoryTracker(PodSelector.ForTarget("ml", "llm"));
        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-a", Pod, 40960, age: 5);
        prometheus.Add("DCGM_FI_DEV_FB_FREE", "GPU-a", Pod, 40960, age: 5);
        await source.SweepAsync(CancellationToken.None);
        var before = source.Current;

        prometheus.Fails = which;
        var sweep = await source.SweepAsync(CancellationToken.None);

        (sweep.Succeeded, sweep.Rows).Should().Be((false, 0));
        var fault = sweep.Faults.Should().ContainSingle().Which;
        fault.Reason.Should().Be(SourceReason.QueryRejected);
        fault.Sentence.Should().Contain("GPU connection 'gpus'").And.Contain("Prometheus connection 'main'").And.NotContain(Secret).And.NotContain("DCGM");
        source.Current.Version.Should().Be(before.Version);
        source.Current.Devices.Should().Be(1);

        prometheus.Fails = null;
        (await source.SweepAsync(CancellationToken.None)).Succeeded.Should().BeTrue();
        source.Current.Fault.Should().BeNull();
        tracker.Follow(source.Current, null, source.Current.SweptAt, TimeSpan.FromSeconds(90), TimeSpan.FromMinutes(5));
        tracker.Pods.Length.Should().Be(1);
    }

    [Fact]
    public async Task T8_names_that_change_are_found_by_the_next_sweep_and_no_metrics_are_no_devices()
    {
        await using var prometheus = await Script.StartAsync();
        using var client = prometheus.Client();
        using var source = prometheus.Source(client);
        var tracker = new PodMemoryTracker(PodSelector.ForTarget("ml", "llm"));
        await FollowAsync();
        tracker.Reading.Presence.Should().Be(FleetPresence.NeverSeen, "Prometheus has nothing of GPUs: there may be none yet");

        prometheus.Add("DCGM_FI_DEV_FB_USED", "GPU-a", Pod, 40960, age: 5);
        prometheus.Add("DCGM_FI_DEV_FB_FREE", "GPU-a", Pod, 40960, age: 5);
        await FollowAsync();
        tracker.Pods.ToArray().Should().ContainSingle().Which.UsedBytes.Should().Be(40L << 30);

        prometheus.Clear();
        await FollowAsync();
        tracker.Pods.ToArray().Should().ContainSingle().Which.IsHeld.Should().BeTrue();

        prometheus.Add("DCGM_FI_DEV_FB_USED_BYTES", "GPU-a", Pod, 41L << 30, age: 5);
        prometheus.Add("DCGM_FI_DEV_FB_FREE_BYTES", "GPU-a", Pod, 39L << 30, age: 5);
        await FollowAsync();
        var pod = tracker.Pods.ToArray().Should().ContainSingle().Which;
        (pod.UsedBytes, pod.IsHeld, tracker.Reading.IsPartial).Should().Be((41L << 30, false, false));

        async Task FollowAsync()
        {
            (await source.SweepAsync(CancellationToken.None)).Succeeded.Should().BeTrue();
            tracker.Follow(source.Current, null, source.Current.SweptAt, TimeSpan.FromSeconds(90), TimeSpan.FromMinutes(5));
        }
    }

    private static GpuConnectionOptions Options(params Uri[] exporters) => new() { Name = "gpus", Exporters = exporters, Timeout = Soon };

    private static string Page(string device, string? pod, long gibibytes)
    {
        var labels = $"{{gpu=\"0\",UUID=\"{device}\",Hostname=\"n1\"{(pod is null ? "" : $",namespace=\"ml\",pod=\"{pod}\"")}}}";
        return $"# HELP DCGM_FI_DEV_FB_USED x\nDCGM_FI_DEV_FB_USED{labels} {gibibytes * 1024}\nDCGM_FI_DEV_FB_FREE{labels} {(80 - gibibytes) * 1024}\n";
    }

    private static RequestDelegate Misbehave(string trouble) => trouble switch
    {
        "hang" => StubServer.Hang,
        "large" => StubServer.Text(new string('#', 200_000)),
        "cut" => async context =>
        {
            context.Response.ContentLength = 1000;
            await context.Response.WriteAsync(Page("GPU-a", Pod, 40));
            await context.Response.Body.FlushAsync();

            // A reset takes with it what the client has not read yet.
            await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System);
            context.Abort();
        }
        ,
        _ => int.TryParse(trouble, out var status) ? StubServer.Status(status, Secret) : StubServer.Text(trouble),
    };

    private static Uri Closed()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var url = new Uri($"http://{listener.LocalEndpoint}/metrics");
        listener.Stop();
        return url;
    }

    /// <summary>A Prometheus that answers the queries of the source, and no others, from a list of samples.</summary>
    private sealed class Script(StubServer server) : IAsyncDisposable
    {
        private const string EvaluatedAt = "1795345652.113";
        private const string Timestamp = "timestamp(";

        private readonly List<(string Metric, string Labels, double Value, double? Age)> _samples = [];

        public ConcurrentQueue<(string Query, string Time)> Asked { get; } = new();

        public string? Warns { get; set; }

        public string? Fails { get; set; }

        public string? Hides { get; set; }

        public static async Task<Script> StartAsync()
        {
            var server = await StubServer.StartAsync();
            var script = new Script(server);
            server.Handler = script.AnswerAsync;
            return script;
        }

        public PrometheusClient Client() =>
            new(new PrometheusConnectionOptions { Name = "main", Url = server.Url, Timeout = Soon }, new MonotonicClock(TimeProvider.System));

        public GpuSource Source(PrometheusClient client) => new(Options() with { Prometheus = "main" }, new MonotonicClock(TimeProvider.System), client);

        public void Add(string metric, string device, string? pod, double value, double? age)
        {
            var holder = pod is null ? "" : $",\"exported_namespace\":\"ml\",\"exported_pod\":\"{pod}\"";
            _samples.Add((metric, $"\"UUID\":\"{device}\",\"instance\":\"10.0.0.1:9400\",\"job\":\"dcgm\"{holder}", value, age));
        }

        public void Clear() => _samples.Clear();

        public ValueTask DisposeAsync() => server.DisposeAsync();

        private async Task AnswerAsync(HttpContext context)
        {
            var form = await context.Request.ReadFormAsync();
            var query = form["query"].ToString();
            Asked.Enqueue((query, form["time"].ToString()));
            var isProbe = query.StartsWith("count by (__name__)", StringComparison.Ordinal);
            var metric = isProbe ? "__name__" : query[(query.IndexOf(Timestamp, StringComparison.Ordinal) + Timestamp.Length)..].Split(')')[0];
            if (metric == Fails)
            {
                context.Response.StatusCode = 422;
                await context.Response.WriteAsync($$"""{"status":"error","errorType":"execution","error":"{{Secret}} {{metric}}"}""");
                return;
            }

            IEnumerable<string> series = isProbe
                ? _samples.GroupBy(static sample => sample.Metric).Select(static group => Series($"\"__name__\":\"{group.Key}\"", group.Count()))
                : _samples.Where(sample => sample.Metric == metric && metric != Hides).SelectMany(static sample => sample.Age is { } age
                    ? [Series(sample.Labels, sample.Value), Series(sample.Labels + ",\"__age__\":\"seconds\"", age)]
                    : new[] { Series(sample.Labels, sample.Value) });
            var warnings = metric == Warns ? ",\"warnings\":[\"a store did not answer\"]" : "";
            await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(
                $$$"""{"status":"success","data":{"resultType":"vector","result":[{{{string.Join(',', series)}}}]}{{{warnings}}}}"""));
        }

        private static string Series(string labels, double value) => FormattableString.Invariant($"{{\"metric\":{{{labels}}},\"value\":[{EvaluatedAt},\"{value:R}\"]}}");
    }
}
