using System.Diagnostics.Metrics;
using System.IO.Compression;
using System.Net;
using System.Text;
using GpuExternalScaler.Observability.Exposition;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Observability;

public sealed class MetricsPageTests : IDisposable
{
    private static readonly IConfiguration NoEnvironment = new ConfigurationBuilder().Build();

    // Meters are found by name in the whole process, and tests run side by side.
    private readonly string _meterName = "Test." + Guid.NewGuid().ToString("N");
    private readonly List<IDisposable> _owned = [];

    public void Dispose()
    {
        _owned.Reverse();
        _owned.ForEach(owned => owned.Dispose());
    }

    [Fact]
    public async Task Every_kind_of_instrument_is_on_the_page()
    {
        var page = NewPage();
        var meter = NewMeter();
        var requests = meter.CreateCounter<long>("test.rpc.requests", "{request}", "Requests.");
        requests.Add(2, new("rpc.method", "GetMetrics"), new("rpc.status", 0));
        requests.Add(3, new("rpc.status", 0), new("rpc.method", "GetMetrics"));
        meter.CreateUpDownCounter<int>("test.streams.open", description: "Open streams.").Add(-1);
        meter.CreateObservableGauge("test.age", () => 1.5, "s", "Age.");
        meter.CreateObservableCounter("test.received", () => 7L, "By", "Received.");
        meter.CreateGauge<double>("test.level").Record(0.25);
        var duration = meter.CreateHistogram<double>(
            "test.rpc.duration", "s", "Duration.", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        foreach (var seconds in new[] { 0.1, 0.5, 0.75, 3 })
        {
            duration.Record(seconds, new KeyValuePair<string, object?>("le", "tag"));
        }

        (await OwnPartAsync(page)).Should().Be(
            $$"""
            # HELP test_age_seconds Age.
            # TYPE test_age_seconds gauge
            test_age_seconds 1.5
            # HELP test_level Instrument test.level of meter {{_meterName}}.
            # TYPE test_level gauge
            test_level 0.25
            # HELP test_received_bytes_total Received.
            # TYPE test_received_bytes_total counter
            test_received_bytes_total 7
            # HELP test_rpc_duration_seconds Duration.
            # TYPE test_rpc_duration_seconds histogram
            test_rpc_duration_seconds_bucket{exported_le="tag",le="0.1"} 1
            test_rpc_duration_seconds_bucket{exported_le="tag",le="1"} 3
            test_rpc_duration_seconds_bucket{exported_le="tag",le="+Inf"} 4
            test_rpc_duration_seconds_sum{exported_le="tag"} 4.35
            test_rpc_duration_seconds_count{exported_le="tag"} 4
            # HELP test_rpc_requests_total Requests.
            # TYPE test_rpc_requests_total counter
            test_rpc_requests_total{rpc_method="GetMetrics",rpc_status="0"} 5
            # HELP test_streams_open Open streams.
            # TYPE test_streams_open gauge
            test_streams_open -1

            """);
    }

    [Fact]
    public async Task Values_are_cumulative_and_current_at_each_scrape()
    {
        var page = NewPage();
        var counter = NewMeter().CreateCounter<long>("test.count.of.things");
        counter.Add(1);
        (await OwnPartAsync(page)).Should().EndWith("_total 1\n");
        (await OwnPartAsync(page)).Should().EndWith("_total 1\n");
        counter.Add(4);
        (await OwnPartAsync(page)).Should().EndWith("_total 5\n");
    }

    [Fact]
    public async Task One_name_from_two_meters_is_declared_once_and_told_apart_by_its_meter()
    {
        var page = NewPage(meterNames: [_meterName + ".A", _meterName + ".B"]);
        NewMeter(_meterName + ".A").CreateCounter<long>("test.errors", description: "First.").Add(1, new KeyValuePair<string, object?>("kind", "x"));
        NewMeter(_meterName + ".B").CreateCounter<long>("test.errors", description: "Second.").Add(2, new KeyValuePair<string, object?>("kind", "x"));

        (await OwnPartAsync(page)).Should().Be(
            $$"""
            # HELP test_errors_total First.
            # TYPE test_errors_total counter
            test_errors_total{kind="x",otel_scope_name="{{_meterName}}.A"} 1
            test_errors_total{kind="x",otel_scope_name="{{_meterName}}.B"} 2

            """);
    }

    [Fact]
    public async Task One_name_of_two_kinds_keeps_the_first_and_says_so_once()
    {
        var log = new ListLogger();
        var page = NewPage(logger: log);
        var meter = NewMeter();
        meter.CreateCounter<long>("test.thing").Add(1);
        meter.CreateUpDownCounter<long>("test_thing").Add(2);

        var families = await ParsedAsync(page);
        families["test_thing_total"].Samples.Should().ContainSingle().Which.Value.Should().Be(1);
        families.Should().NotContainKey("test_thing");
        await ParsedAsync(page, ExpositionFormat.OpenMetrics);
        log.Messages.Should().ContainSingle().Which.Should().Contain("test_thing").And.Contain("already a Counter");
    }

    [Fact]
    public async Task Tags_that_labels_cannot_tell_apart_do_not_spoil_the_page()
    {
        var log = new ListLogger();
        var page = NewPage(logger: log);
        var counter = NewMeter().CreateCounter<long>("test.tags");
        counter.Add(1);
        counter.Add(2, new KeyValuePair<string, object?>("none", null));
        counter.Add(3, new("a.b", "first"), new("a_b", "second"));
        counter.Add(4, new("__name__", "x"), new("flag", true), new("number", 0.5), new("list", new[] { 1, 2 }));

        var samples = (await ParsedAsync(page))["test_tags_total"].Samples;
        samples.Should().HaveCount(3);
        samples.Single(sample => sample.Labels.Count == 0).Value.Should().Be(1);
        samples.Single(sample => sample.Label("a_b") == "first;second").Value.Should().Be(3);
        samples.Single(sample => sample.Value == 4).Labels
            .Should().Equal(("_name", "x"), ("flag", "true"), ("list", "[1,2]"), ("number", "0.5"));
        log.Messages.Should().ContainSingle();
    }

    [Fact]
    public async Task A_histogram_without_bounds_has_one_bucket()
    {
        var page = NewPage();
        var histogram = NewMeter().CreateHistogram<double>("test.size", advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [] });
        histogram.Record(3);
        histogram.Record(4);
        (await ParsedAsync(page))["test_size"].Samples.Select(sample => (sample.Name, sample.Value))
            .Should().Equal(("test_size_bucket", 2), ("test_size_sum", 7), ("test_size_count", 2));
    }

    [Fact]
    public async Task The_build_the_process_and_the_runtime_are_on_the_page()
    {
        var page = NewPage();
        GC.Collect();
        foreach (var format in Enum.GetValues<ExpositionFormat>())
        {
            var families = await ParsedAsync(page, format);
            var total = format is ExpositionFormat.OpenMetrics ? "" : "_total";
            var build = families["gpu_scaler_build_info"].Samples.Should().ContainSingle().Subject;
            build.Value.Should().Be(1);
            build.Labels.Select(label => label.Name).Should().Equal("version", "revision", "dotnet_version", "architecture");
            build.Label("version").Should().MatchRegex("^[0-9]+\\.[0-9]+\\.[0-9]+");
            families["process_cpu_seconds" + total].Samples.Single().Value.Should().BeGreaterThan(0);
            families["process_open_fds"].Samples.Single().Value.Should().BeGreaterThan(3);
            families["process_resident_memory_bytes"].Samples.Single().Value.Should().BeInRange(10e6, 100e9);
            var started = DateTimeOffset.FromUnixTimeMilliseconds((long)(families["process_start_time_seconds"].Samples.Single().Value * 1000));
            (TimeProvider.System.GetUtcNow() - started).Should().BePositive().And.BeLessThan(TimeSpan.FromHours(6));
            families["dotnet_gc_collections" + total].Samples.Should().HaveCount(3);
            families["dotnet_thread_pool_threads"].Type.Should().Be("gauge");
            families["dotnet_thread_pool_queue_length"].Type.Should().Be("gauge");
            families["dotnet_gc_heap_total_allocated_bytes" + total].Samples.Single().Value.Should().BeGreaterThan(0);
            families.Keys.Should().NotContain(name => name.StartsWith("dotnet_jit") || name.StartsWith("dotnet_process_memory"));
            families.Values.Should().OnlyContain(family => family.Help!.Length > 0 && family.Type != null);
        }
    }

    [Fact]
    public async Task Open_descriptors_are_counted()
    {
        var page = NewPage();
        var before = (await ParsedAsync(page))["process_open_fds"].Samples.Single().Value;
        var files = Enumerable.Range(0, 500).Select(_ => File.OpenRead("/dev/null")).ToList();
        var after = (await ParsedAsync(page))["process_open_fds"].Samples.Single().Value;
        files.ForEach(file => file.Dispose());
        // Other tests of this process open and close theirs.
        (after - before).Should().BeInRange(400, 600);
    }

    [Fact]
    public async Task Per_workload_series_pass_the_limit_of_the_SDK_and_the_vanished_make_room()
    {
        var demand = MetricFamily.Gauge("gpu_scaler_workload_demand_replicas", "Demand.");
        var first = 0;
        var page = NewPage(writer =>
        {
            writer.Begin(demand);
            for (var i = first; i < first + 5_000; i++)
            {
                writer.Sample(i, ("namespace", "inference"), ("workload", "w" + i));
            }
        });

        for (; first < 20_000; first += 5_000)
        {
            var samples = (await ParsedAsync(page))[demand.Name].Samples;
            samples.Select(sample => (int)sample.Value).Should().Equal(Enumerable.Range(first, 5_000));
        }
    }

    [Fact]
    public async Task A_per_workload_family_may_not_repeat_another()
    {
        var page = NewPage(writer => writer.Begin(MetricFamily.Gauge("process_open_fds", "Again.")));
        await page.Invoking(p => p.RenderAsync(ExpositionFormat.PrometheusText, CancellationToken.None)).Should().ThrowAsync<InvalidOperationException>();
    }

    [Fact]
    public async Task A_failed_page_sends_nothing_and_the_next_scrape_works()
    {
        var fail = true;
        var page = NewPage(_ =>
        {
            if (fail)
            {
                throw new InvalidDataException("Not now.");
            }
        });
        var context = NewContext();
        await page.Invoking(p => p.WriteAsync(context)).Should().ThrowAsync<InvalidDataException>();
        context.Response.Body.Length.Should().Be(0);
        fail = false;
        await ScrapeAsync(page);
    }

    [Fact]
    public async Task An_observation_that_fails_leaves_the_other_instruments()
    {
        var page = NewPage();
        var meter = NewMeter();
        meter.CreateObservableGauge<int>("test.broken", int () => throw new InvalidDataException());
        meter.CreateObservableGauge("test.whole", () => 1);
        (await OwnPartAsync(page)).Should().Contain("test_whole 1").And.NotContain("test_broken");
    }

    [Fact]
    public async Task A_page_that_is_shut_down_fails_rather_than_being_empty()
    {
        var page = NewPage();
        page.Dispose();
        await page.Invoking(p => p.RenderAsync(ExpositionFormat.PrometheusText, CancellationToken.None)).Should().ThrowAsync<Exception>();
    }

    [Fact]
    public async Task Concurrent_scrapes_each_get_a_whole_page()
    {
        var inside = 0;
        var page = NewPage(writer =>
        {
            Interlocked.Increment(ref inside).Should().Be(1, "pages are rendered one at a time");
            writer.Begin(MetricFamily.Gauge("test_workload", "Help."));
            for (var i = 0; i < 2_000; i++)
            {
                writer.Sample(i, ("i", i.ToString()));
            }

            Interlocked.Decrement(ref inside);
        });
        var counter = NewMeter().CreateCounter<long>("test.scrapes");
        counter.Add(1, new KeyValuePair<string, object?>("lane", 0));
        using var stop = new CancellationTokenSource();
        var recording = Task.Run(() =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i++)
            {
                counter.Add(1, new KeyValuePair<string, object?>("lane", i % 50));
            }
        });

        // Tasks of their own: a scrape that nothing holds up would otherwise end before the next begins.
        var scrapers = Enumerable.Range(0, MetricsPage.MaxConcurrentScrapes).Select(scraper => Task.Run(async () =>
        {
            var previous = 0.0;
            for (var i = 0; i < 10; i++)
            {
                var open = (scraper + i) % 2 == 0;
                var context = await ScrapeAsync(page, accept: open ? "application/openmetrics-text" : null, gzip: scraper % 3 == 0);
                var families = ExpositionParser.Parse(Body(context), open);
                families["test_workload"].Samples.Should().HaveCount(2_000);
                var total = families[open ? "test_scrapes" : "test_scrapes_total"].Samples.Sum(sample => sample.Value);
                total.Should().BeGreaterThanOrEqualTo(previous);
                previous = total;
            }
        }));
        await Task.WhenAll(scrapers);
        await stop.CancelAsync();
        await recording;
    }

    [Fact]
    public async Task Scrapers_that_never_read_are_bounded_and_do_not_hold_up_the_rest()
    {
        var page = NewPage();
        var stuck = Enumerable.Range(0, MetricsPage.MaxConcurrentScrapes - 1).Select(_ => new StuckStream()).ToList();
        var waiting = stuck.Select(body => page.WriteAsync(NewContext(body))).ToList();
        foreach (var body in stuck)
        {
            await body.Reached.Task.WaitAsync(TimeSpan.FromSeconds(30));
        }

        // One place is left, and it is served although fifteen are being written.
        (await ScrapeAsync(page)).Response.StatusCode.Should().Be(200);

        var last = new StuckStream();
        waiting.Add(page.WriteAsync(NewContext(last)));
        await last.Reached.Task.WaitAsync(TimeSpan.FromSeconds(30));
        var refused = NewContext();
        await page.WriteAsync(refused);
        refused.Response.StatusCode.Should().Be(503);
        refused.Response.Headers.RetryAfter.ToString().Should().Be("1");

        stuck.Add(last);
        stuck.ForEach(body => body.Go.SetResult());
        await Task.WhenAll(waiting);
        (await ScrapeAsync(page)).Response.StatusCode.Should().Be(200);
    }

    [Fact]
    public async Task A_scraper_that_gives_up_leaves_its_place()
    {
        var page = NewPage();
        for (var i = 0; i < 2 * MetricsPage.MaxConcurrentScrapes; i++)
        {
            var context = NewContext();
            context.RequestAborted = new CancellationToken(canceled: true);
            await page.WriteAsync(context);
        }

        (await ScrapeAsync(page)).Response.StatusCode.Should().Be(200);
    }

    [Theory]
    [InlineData(null, false, "text/plain; version=0.0.4; charset=utf-8")]
    [InlineData(null, true, "text/plain; version=0.0.4; charset=utf-8")]
    [InlineData("application/openmetrics-text; version=1.0.0", false, "application/openmetrics-text; version=1.0.0; charset=utf-8")]
    [InlineData("application/openmetrics-text; version=1.0.0", true, "application/openmetrics-text; version=1.0.0; charset=utf-8")]
    public async Task A_server_answers_in_what_was_asked_for(string? accept, bool gzip, string contentType)
    {
        var page = NewPage();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var app = builder.Build();
        app.MapGet("/metrics", page.WriteAsync);
        await app.StartAsync();

        using var client = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, app.Urls.Single() + "/metrics");
        if (accept is not null)
        {
            request.Headers.TryAddWithoutValidation("Accept", accept);
        }

        if (gzip)
        {
            request.Headers.TryAddWithoutValidation("Accept-Encoding", "gzip");
        }

        using var response = await client.SendAsync(request);
        response.StatusCode.Should().Be(HttpStatusCode.OK);
        response.Content.Headers.GetValues("Content-Type").Should().Equal(contentType);
        response.Headers.Vary.Should().Equal("Accept", "Accept-Encoding");
        response.Content.Headers.ContentEncoding.Should().Equal(gzip ? ["gzip"] : Array.Empty<string>());
        var body = await response.Content.ReadAsByteArrayAsync();
        if (gzip)
        {
            body = Unzip(body);
        }
        else
        {
            response.Content.Headers.ContentLength.Should().Be(body.Length);
        }

        ExpositionParser.Parse(body, openMetrics: accept is not null).Should().ContainKey("gpu_scaler_build_info");
    }

    [Theory]
    [InlineData(null, null, null, false)]
    [InlineData("", " ", null, false)]
    [InlineData("http://collector:4317", null, null, true)]
    [InlineData(null, "http://collector:4317", null, true)]
    [InlineData("http://collector:4317", null, "none", false)]
    public void Nothing_is_pushed_unless_an_endpoint_is_named(string? endpoint, string? metricsEndpoint, string? exporter, bool pushed) =>
        OtlpPush.IsConfigured(Variables(
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", metricsEndpoint),
            ("OTEL_METRICS_EXPORTER", exporter))).Should().Be(pushed);

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address with s3cret")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret:4317")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/s3cret")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "s3cret")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "s3cret")]
    public void A_variable_that_cannot_be_used_is_named_at_the_start_without_its_value(string variable, string value)
    {
        var variables = new Dictionary<string, string?> { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1", [variable] = value };
        FluentActions.Invoking(() => NewPage(environment: new ConfigurationBuilder().AddInMemoryCollection(variables).Build()))
            .Should().Throw<InvalidOperationException>().Where(error => error.Message.Contains(variable) && !error.ToString().Contains("s3cret"));
    }

    [Theory]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "", "OTEL_EXPORTER_OTLP_PROTOCOL", "/v1/metrics")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT", "/base", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "/base/v1/metrics")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/own/path", "OTEL_EXPORTER_OTLP_PROTOCOL", "/own/path")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/own/path", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "/own/path")]
    public async Task Instruments_are_pushed_where_the_variables_say(string variable, string path, string protocolVariable, string expectedPath)
    {
        var received = new TaskCompletionSource<(string Path, string Header, byte[] Body)>();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var app = builder.Build();
        app.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            received.TrySetResult((context.Request.Path.Value!, context.Request.Headers["x-tenant"].ToString(), body.ToArray()));
        });
        await app.StartAsync();

        var page = NewPage(environment: Variables(
            (variable, app.Urls.Single() + path),
            (protocolVariable, "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue"),
            ("OTEL_SERVICE_NAME", "my-scaler")));
        NewMeter().CreateCounter<long>("test.pushed").Add(1);
        (await OwnPartAsync(page)).Should().Contain("test_pushed_total 1", "the page works beside the push");
        page.Dispose();

        var push = await received.Task.WaitAsync(TimeSpan.FromSeconds(30));
        push.Path.Should().Be(expectedPath);
        push.Header.Should().Be("blue");
        Encoding.Latin1.GetString(push.Body).Should().Contain("test.pushed").And.Contain("my-scaler").And.Contain("dotnet.process.cpu.time");
    }

    private static IConfiguration Variables(params (string Name, string? Value)[] variables) =>
        new ConfigurationBuilder().AddInMemoryCollection(variables.Select(variable => KeyValuePair.Create(variable.Name, variable.Value))).Build();

    private static DefaultHttpContext NewContext(Stream? body = null)
    {
        var context = new DefaultHttpContext();
        context.Response.Body = body ?? new MemoryStream();
        return context;
    }

    private static async Task<HttpContext> ScrapeAsync(MetricsPage page, string? accept = null, bool gzip = false)
    {
        var context = NewContext();
        context.Request.Headers.Accept = accept;
        context.Request.Headers.AcceptEncoding = gzip ? "gzip" : null;
        await page.WriteAsync(context);
        return context;
    }

    private static byte[] Body(HttpContext context)
    {
        var body = ((MemoryStream)context.Response.Body).ToArray();
        return context.Response.Headers.ContentEncoding == "gzip" ? Unzip(body) : body;
    }

    private static byte[] Unzip(byte[] zipped)
    {
        using var plain = new MemoryStream();
        using var gzip = new GZipStream(new MemoryStream(zipped), CompressionMode.Decompress);
        gzip.CopyTo(plain);
        return plain.ToArray();
    }

    private static async Task<IReadOnlyDictionary<string, ParsedFamily>> ParsedAsync(
        MetricsPage page, ExpositionFormat format = ExpositionFormat.PrometheusText)
    {
        using var rendered = await page.RenderAsync(format, CancellationToken.None);
        using var bytes = new MemoryStream();
        await rendered.CopyToAsync(bytes, CancellationToken.None);
        return ExpositionParser.Parse(bytes.ToArray(), format is ExpositionFormat.OpenMetrics);
    }

    /// <summary>The page without what every page has, after checking that the whole of it can be read.</summary>
    private static async Task<string> OwnPartAsync(MetricsPage page)
    {
        var body = Body(await ScrapeAsync(page));
        var own = ExpositionParser.Parse(body).Keys.Where(name => name.StartsWith("test_", StringComparison.Ordinal)).ToHashSet();
        var lines = Encoding.UTF8.GetString(body).Split('\n');
        return string.Concat(lines
            .Where(line => line.StartsWith("test_", StringComparison.Ordinal) || (line.StartsWith('#') && own.Contains(line.Split(' ')[2])))
            .Select(line => line + '\n'));
    }

    private MetricsPage NewPage(
        Action<PrometheusTextWriter>? append = null, string[]? meterNames = null, ILogger<MetricsPage>? logger = null, IConfiguration? environment = null)
    {
        var page = new MetricsPage(meterNames ?? [_meterName], append ?? (_ => { }), logger, environment ?? NoEnvironment);
        _owned.Add(page);
        return page;
    }

    private Meter NewMeter(string? name = null)
    {
        var meter = new Meter(name ?? _meterName);
        _owned.Add(meter);
        return meter;
    }

    private sealed class ListLogger : ILogger<MetricsPage>
    {
        public List<string> Messages { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Messages.Add(formatter(state, exception));
    }

    /// <summary>A client that takes nothing until it is told to.</summary>
    private sealed class StuckStream : MemoryStream
    {
        public TaskCompletionSource Reached { get; } = new();

        public TaskCompletionSource Go { get; } = new();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Reached.TrySetResult();
            await Go.Task;
        }
    }
}
