using System.Net;
using System.Net.Http.Headers;
using GpuExternalScaler.IntegrationTests.Brokers;
using GpuExternalScaler.IntegrationTests.GrpcGo;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.EndToEnd;

/// <summary>KEDA's contract (rules K1 to K24) at the end of a grpc-go client, the library that KEDA uses.</summary>
[Collection(ConformanceBrokerTests.Name)]
public sealed class ConformanceTests(SharedBroker3 shared) : IAsyncLifetime
{
    private readonly string _queue = SharedBroker.QueueName("conformance");
    private ScalerProcess _scaler = null!;
    private QueueDriver _driver = null!;
    private GoWorkload _workload = null!;

    public async Task InitializeAsync()
    {
        _driver = await QueueDriver.ConnectAsync(shared.Broker);
        await _driver.DeclareQueueAsync(_queue);
        _workload = ScalerSetup.Workload(_queue);
        _scaler = await ScalerSetup.StartAsync(shared.Broker, "limits: { workloads: 20, metadataBytes: 2000 }");
    }

    public async Task DisposeAsync()
    {
        await _scaler.DisposeAsync();
        await _driver.DisposeAsync();
    }

    [Fact]
    public async Task K1_a_thousand_streams_and_unary_calls_share_one_connection()
    {
        await _scaler.FirstAnswerAsync(_workload);
        await using var streams = _scaler.Grpc.OpenStreams(_workload, 1000, firstWithin: TimeSpan.FromSeconds(20), unaryCalls: 200, unaryConcurrency: 8);

        var opened = await streams.WaitForAsync("opened", limit: TimeSpan.FromSeconds(60));
        opened.First.Should().Be(1000, "K22: each stream hears the state at once");
        opened.Failed.Should().Be(0);
        var unary = await streams.WaitForAsync("unary", limit: TimeSpan.FromSeconds(60));
        unary.Codes.Should().ContainSingle().Which.Should().Be(new KeyValuePair<string, int>("OK", 200));
        unary.MaxMs.Should().BeLessThan(1000);
        (await _scaler.SeriesAsync("gpu_scaler_grpc_open_streams", "StreamIsActive")).Should().Be(1000);
    }

    [Fact]
    public async Task K3_the_grpc_port_speaks_http2_only_and_the_http_port_no_grpc()
    {
        using var http1 = new HttpClient();
        (await http1.GetAsync(new Uri($"http://{_scaler.GrpcAddress}/metrics"))).StatusCode.Should().Be(HttpStatusCode.BadRequest);

        using var overHttp2 = await PostAsync("/metrics", [], "application/grpc");
        overHttp2.Headers.GetValues("grpc-status").Should().Equal("12");

        using var onHttpPort = await _scaler.Http.PostAsync(new Uri("externalscaler.ExternalScaler/IsActive", UriKind.Relative), new ByteArrayContent([]));
        onHttpPort.StatusCode.Should().Be(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task K5_two_instances_give_the_same_spec_to_the_byte_and_the_same_answer()
    {
        await _driver.PublishAsync(_queue, 25);
        await _driver.WaitForGaugesAsync(_queue, ready: 25);
        await using var other = await ScalerSetup.StartAsync(shared.Broker);

        var one = await _scaler.Grpc.GetMetricSpecAsync(_workload);
        var two = await other.Grpc.GetMetricSpecAsync(_workload);
        one.Raw.Should().Be(two.Raw).And.NotBeNullOrEmpty();
        (await other.FirstAnswerAsync(_workload)).Value.Should().Be((await _scaler.FirstAnswerAsync(_workload)).Value);
    }

    [Fact]
    public async Task K6_SIGTERM_ends_open_streams_with_OK_and_the_process_soon_after()
    {
        await _scaler.FirstAnswerAsync(_workload);
        await using var active = _scaler.Grpc.Watch(_workload);
        await using var spec = _scaler.Grpc.Watch(_workload, "StreamMetricSpec");
        await using var health = _scaler.Grpc.WatchHealth();
        await using var undecided = _scaler.Grpc.Watch(ScalerSetup.Workload("nowhere"));
        await active.WaitForMessagesAsync(1);
        await spec.WaitForMessagesAsync(1);
        await health.WaitForAsync("status");

        var exit = await _scaler.TerminateAsync();

        foreach (var stream in new[] { active, spec, health, undecided })
        {
            (await stream.WaitForAsync("end")).Code.Should().Be("OK");
        }

        exit.Code.Should().Be(0);
        exit.After.Should().BeLessThan(TimeSpan.FromSeconds(10));
    }

    [Theory] // K7, K12
    [InlineData("InvalidArgument", "queue", "")]
    [InlineData("InvalidArgument", "concurrency", "queue=a;concurrency=s3cret")]
    [InlineData("InvalidArgument", "queueRegex", "queueRegex=(s3cret")]
    public async Task K7_mistakes_of_the_request_are_InvalidArgument_by_key_and_not_by_value(string code, string key, string metadata)
    {
        var workload = new GoWorkload("genai", "workers", Pairs(metadata));
        foreach (var method in new[] { "GetMetricSpec", "GetMetrics", "IsActive" })
        {
            var call = (await _scaler.Grpc.CallAsync(method, workload))[0];
            call.Code.Should().Be(code);
            call.Message.Should().Contain(key).And.NotContain("s3cret");
        }

        await using var stream = _scaler.Grpc.Watch(workload);
        (await stream.WaitForAsync("end")).Code.Should().Be(code);
    }

    [Fact]
    public async Task K7_an_empty_request_is_InvalidArgument()
    {
        foreach (var method in new[] { "GetMetricSpec", "GetMetrics", "IsActive" })
        {
            (await _scaler.Grpc.CallAsync(method, GoWorkload.Empty))[0].Code.Should().Be("InvalidArgument");
        }

        (await _scaler.Grpc.GetMetricsAsync(_workload, new GoCallOptions { NoReference = true })).Code.Should().Be("InvalidArgument");
    }

    [Fact]
    public async Task K8_two_triggers_on_one_ScaledObject_are_two_workloads()
    {
        await _driver.PublishAsync(_queue, 3);
        await _driver.WaitForGaugesAsync(_queue, ready: 3);

        var one = await _scaler.FirstAnswerAsync(_workload.With("serviceTime", "60s"));
        var other = await _scaler.FirstAnswerAsync(_workload.With("serviceTime", "60s").With("share", "0.5"));

        (one.Value.MetricValue, other.Value.MetricValue).Should().Be((300, 150));
        (await _scaler.SeriesAsync("gpu_scaler_workloads")).Should().Be(2);
    }

    [Fact]
    public async Task K9_K11_odd_keys_are_named_once_and_no_value_is_ever_shown()
    {
        var odd = _workload
            .With("caCert", "s3cret-ca")
            .With("host", "amqp://u:s3cret@broker")
            .With("passwordFromEnv", "s3cret-password")
            .With("metricType", "s3cret-type")
            .With("queueFromEnv", "s3cret-queue");
        await _scaler.FirstAnswerAsync(odd);
        for (var i = 0; i < 5; i++)
        {
            await _scaler.Grpc.GetMetricsAsync(odd);
        }

        await _scaler.WaitForLogAsync("passwordFromEnv");
        _scaler.Log.Count(static line => line.Contains("passwordFromEnv", StringComparison.Ordinal)).Should().Be(1);
        _scaler.Log.Count(static line => line.Contains("KEDA ignores it there", StringComparison.Ordinal)).Should().Be(1);
        string.Join('\n', _scaler.Log).Should().NotContain("s3cret");
        (await _scaler.ReadMetricsAsync()).Should().NotContain("s3cret");
    }

    [Fact]
    public async Task K12_the_spec_is_the_same_to_the_byte_with_every_source_down_and_what_depends_on_configuration_is_left_to_the_other_calls()
    {
        var unknown = _workload.With("rabbitmq", "s3cret-name");
        await using var nobody = await ScalerProcess.StartAsync(ScalerSetup.Configuration(
            "  main: { metrics: { urls: [\"http://127.0.0.1:1\"] }, namespaces: [genai] }"));

        var specs = new[]
        {
            await _scaler.Grpc.GetMetricSpecAsync(_workload),
            await nobody.Grpc.GetMetricSpecAsync(_workload),
            await nobody.Grpc.GetMetricSpecAsync(unknown),
            await nobody.Grpc.GetMetricSpecAsync(_workload with { Namespace = "elsewhere" }),
            await _scaler.Grpc.GetMetricSpecAsync(_workload.With("padding", new string('x', 3000))),
        };

        specs.Select(static call => call.Raw).Distinct().Should().ContainSingle();
        foreach (var method in new[] { "GetMetrics", "IsActive" })
        {
            await ExpectAsync(_scaler, method, unknown, "FailedPrecondition", "not configured");
            await ExpectAsync(nobody, method, _workload with { Namespace = "elsewhere" }, "PermissionDenied", "namespace");
            await ExpectAsync(_scaler, method, _workload.With("padding", new string('x', 3000)), "ResourceExhausted", "limits.metadataBytes");
            await ExpectAsync(nobody, method, _workload, "Unavailable", "not_sampled");
        }
    }

    [Fact]
    public async Task K12_past_the_limit_of_workloads_the_others_are_served_and_the_spec_is_given()
    {
        await _scaler.FirstAnswerAsync(_workload);
        for (var i = 0; i < 19; i++)
        {
            await _scaler.FirstAnswerAsync(_workload with { Name = $"other-{i}" });
        }

        var late = _workload with { Name = "late" };
        await ExpectAsync(_scaler, "GetMetrics", late, "ResourceExhausted", "limits.workloads");
        await ExpectAsync(_scaler, "IsActive", late, "ResourceExhausted", "limits.workloads");
        (await _scaler.Grpc.GetMetricSpecAsync(late)).Ok.Should().BeTrue();
        (await _scaler.Grpc.GetMetricsAsync(_workload)).Ok.Should().BeTrue();
    }

    [Theory]
    [InlineData("", "gpu-demand")]
    [InlineData("GPU-Images", "gpu-images")]
    public async Task K13_to_K16_one_spec_with_a_valid_name_and_the_constant_target_in_both_fields(string metricName, string expected)
    {
        var spec = (await _scaler.Grpc.GetMetricSpecAsync(_workload.With("metricName", metricName))).Spec;

        spec.Should().Be(new GoMetricSpec(expected, 100, 100.0));
    }

    [Fact]
    public async Task K17_answers_with_the_same_decision_number_agree_over_a_thousand_concurrent_pairs()
    {
        await _scaler.FirstAnswerAsync(_workload);
        var pairs = _scaler.Grpc.PairsAsync(_workload, 1000, TimeSpan.FromSeconds(8));

        // The answer changes while they ask.
        for (var i = 0; i < 8; i++)
        {
            await _driver.PublishAsync(_queue, 3);
            await Task.Delay(TimeSpan.FromMilliseconds(400), TimeProvider.System, CancellationToken.None);
            await _driver.PurgeQueueAsync(_queue);
            await Task.Delay(TimeSpan.FromMilliseconds(400), TimeProvider.System, CancellationToken.None);
        }

        var all = await pairs;
        all.Should().HaveCount(1000).And.OnlyContain(static pair => pair.Metrics.Code == "OK" && pair.Active.Code == "OK");
        var byNumber = new Dictionary<string, (long? Value, bool? Active)>(StringComparer.Ordinal);
        foreach (var pair in all)
        {
            pair.Metrics.Decision.Should().NotBeNullOrEmpty();
            var metrics = byNumber.GetValueOrDefault(pair.Metrics.Decision!);
            (metrics.Value ?? pair.Metrics.Value).Should().Be(pair.Metrics.Value);
            byNumber[pair.Metrics.Decision!] = (pair.Metrics.Value, metrics.Active);
            var active = byNumber.GetValueOrDefault(pair.Active.Decision!);
            (active.Active ?? pair.Active.Result).Should().Be(pair.Active.Result);
            byNumber[pair.Active.Decision!] = (active.Value, pair.Active.Result);
        }

        // Active means above zero, and here there is nothing busy without activity.
        var both = byNumber.Values.Where(static answer => answer is { Value: not null, Active: not null }).ToList();
        both.Should().NotBeEmpty();
        both.Where(static answer => answer.Active == true).Should().OnlyContain(static answer => answer.Value > 0);
        byNumber.Values.Select(static answer => answer.Active).Where(static active => active is not null).Distinct().Should().HaveCount(2, "it changed meanwhile");
    }

    [Fact]
    public async Task K14_K18_the_metric_is_found_whatever_its_case_and_no_other_one_is()
    {
        await _scaler.FirstAnswerAsync(_workload);

        (await _scaler.Grpc.GetMetricsAsync(_workload, new GoCallOptions { Metric = "GPU-Demand" })).Value.MetricName.Should().Be("GPU-Demand");
        (await _scaler.Grpc.GetMetricsAsync(_workload, new GoCallOptions { Metric = "other" })).Code.Should().Be("NotFound");
        (await _scaler.Grpc.GetMetricsAsync(_workload, new GoCallOptions { Metric = "" })).Code.Should().Be("NotFound");
    }

    [Fact]
    public async Task K22_the_state_is_pushed_on_open_and_at_each_change_and_silence_while_undecided()
    {
        await using var undecided = _scaler.Grpc.Watch(ScalerSetup.Workload("nowhere"));
        await using var stream = _scaler.Grpc.Watch(_workload);
        await stream.WaitForMessagesAsync(1);
        stream.Messages[0].Response!.Result.Should().BeFalse();

        await using var workers = await _driver.StartWorkersAsync(_queue, 1, WorkStyle.Hold);
        await _driver.PublishAsync(_queue, 1);
        await stream.WaitForMessagesAsync(2);
        stream.Messages[1].Response!.Result.Should().BeTrue();

        await workers.AckAsync();
        await stream.WaitForMessagesAsync(3);
        stream.Messages[2].Response!.Result.Should().BeFalse();
        undecided.Messages.Should().BeEmpty();
        undecided.HasEnded.Should().BeFalse();
    }

    [Fact]
    public async Task K22_true_is_repeated_every_ten_seconds_while_nobody_consumes_for_two_cold_starts_and_never_otherwise()
    {
        var other = _queue + "-consumed";
        await _driver.DeclareQueueAsync(other);
        await using var workers = await _driver.StartWorkersAsync(other, 1, WorkStyle.Hold);
        await _driver.PublishAsync(other, 1);
        await _driver.PublishAsync(_queue, 5);
        await using var waking = _scaler.Grpc.Watch(_workload.With("coldStart", "11s"));
        await using var consumed = _scaler.Grpc.Watch(ScalerSetup.Workload(other, "consumed"));
        await waking.WaitForMessagesAsync(1);

        // At 0, 10 and 20 s; 22 s after it began to wake, it stops.
        await waking.WaitForMessagesAsync(3, TimeSpan.FromSeconds(30));
        await Task.Delay(TimeSpan.FromSeconds(11), TimeProvider.System, CancellationToken.None);

        waking.Messages.Where(static m => m.Response!.Result == true).Should().HaveCount(3);
        var times = waking.Messages.Where(static m => m.Response!.Result == true).Select(static m => m.AtMs).ToList();
        (times[1] - times[0]).Should().BeInRange(9_500, 11_500);
        (times[2] - times[1]).Should().BeInRange(9_500, 11_500);
        consumed.Messages.Count(static m => m.Response!.Result == true).Should().Be(1);
    }

    [Fact]
    public async Task K22_K24_clients_that_never_read_do_not_grow_memory_and_leave_nothing_behind()
    {
        await _scaler.FirstAnswerAsync(_workload);
        await using var stuck = _scaler.Grpc.OpenStuckStreams(_workload, 500);
        await stuck.WaitForAsync("opened", limit: TimeSpan.FromSeconds(60));
        await Eventually.SeesAsync(() => _scaler.SeriesAsync("gpu_scaler_grpc_open_streams", "StreamIsActive"), static n => n == 500, "500 streams");
        var before = _scaler.ResidentBytes;

        // Twenty changes for each of them.
        await using var workers = await _driver.StartWorkersAsync(_queue, 1, WorkStyle.Hold);
        for (var i = 0; i < 10; i++)
        {
            await _driver.PublishAsync(_queue, 1);
            await Eventually.SeesAsync(() => _scaler.Grpc.IsActiveAsync(_workload), static c => c.Ok && c.Active, "active");
            await workers.AckAsync();
            await Eventually.SeesAsync(() => _scaler.Grpc.IsActiveAsync(_workload), static c => c.Ok && !c.Active, "inactive");
        }

        (_scaler.ResidentBytes - before).Should().BeLessThan(64L << 20);
        await stuck.KillAsync();
        await Eventually.SeesAsync(() => _scaler.SeriesAsync("gpu_scaler_grpc_open_streams", "StreamIsActive"), static n => n == 0, "no stream left");
    }

    [Fact]
    public async Task K23_StreamMetricSpec_sends_the_spec_once_equal_to_GetMetricSpec_and_stays_open()
    {
        var spec = await _scaler.Grpc.GetMetricSpecAsync(_workload);
        await using var stream = _scaler.Grpc.Watch(_workload, "StreamMetricSpec");
        await stream.WaitForMessagesAsync(1);

        // Whatever happens meanwhile, never the same again, never empty.
        await _driver.PublishAsync(_queue, 5);
        await _scaler.UntilAsync(_workload, static value => value > 0, "a change");
        stream.Messages.Should().ContainSingle().Which.Raw.Should().Be(spec.Raw);
        stream.HasEnded.Should().BeFalse();
    }

    [Fact]
    public async Task Health_says_what_the_probes_say()
    {
        foreach (var service in new[] { "", "liveness", "readiness" })
        {
            await Eventually.SeesAsync(() => _scaler.Grpc.CheckHealthAsync(service), static health => health.Status == "SERVING", "SERVING");
        }

        (await _scaler.Grpc.CheckHealthAsync("other")).Code.Should().Be("NotFound");
        (await _scaler.Http.GetAsync(new Uri("healthz", UriKind.Relative))).StatusCode.Should().Be(HttpStatusCode.OK);
        (await _scaler.Http.GetAsync(new Uri("readyz", UriKind.Relative))).StatusCode.Should().Be(HttpStatusCode.OK);
    }

    [Fact]
    public async Task Reflection_lists_and_describes_the_service()
    {
        (await _scaler.Grpc.ReflectAsync()).Services.Should().Contain("externalscaler.ExternalScaler").And.Contain("grpc.health.v1.Health");
        (await _scaler.Grpc.ReflectAsync("externalscaler.ExternalScaler")).Files.Should().NotBeEmpty();
    }

    [Fact]
    public async Task Gzip_requests_are_accepted_and_unknown_methods_UNIMPLEMENTED()
    {
        await _scaler.FirstAnswerAsync(_workload);

        (await _scaler.Grpc.GetMetricsAsync(_workload, new GoCallOptions { Gzip = true })).Ok.Should().BeTrue();
        (await _scaler.Grpc.CallAsync("/externalscaler.ExternalScaler/Nothing", _workload))[0].Code.Should().Be("Unimplemented");
        (await _scaler.Grpc.CallAsync("/other.Service/Nothing", _workload))[0].Code.Should().Be("Unimplemented");
    }

    [Theory]
    [InlineData("garbage", "application/grpc", 200)]
    [InlineData("huge", "application/grpc", 200)]
    [InlineData("truncated", "application/grpc", 200)]
    [InlineData("garbage", "application/json", 415)]
    [InlineData("garbage", "text/plain", 415)]
    public async Task Malformed_requests_are_refused_and_the_server_lives_on(string body, string contentType, int status)
    {
        byte[] bytes = body switch
        {
            "huge" => [0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3],
            "truncated" => [0, 0, 0, 1, 0, 1, 2, 3],
            _ => [0, 0, 0, 0, 8, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8],
        };

        using var response = await PostAsync("/externalscaler.ExternalScaler/IsActive", bytes, contentType);
        await response.Content.ReadAsByteArrayAsync();

        ((int)response.StatusCode).Should().Be(status);
        if (status == 200)
        {
            var code = (response.Headers.TryGetValues("grpc-status", out var inHeaders) ? inHeaders : response.TrailingHeaders.GetValues("grpc-status")).Single();
            code.Should().NotBe("0").And.NotBe("2", "K7: never Unknown");
        }

        (await _scaler.FirstAnswerAsync(_workload)).Ok.Should().BeTrue();
    }

    [Fact]
    public async Task A_deadline_ends_a_stream_on_the_server_too()
    {
        await _scaler.FirstAnswerAsync(_workload);

        // A ScaledObjectRef of name "workers", namespace "genai", metadata queue.
        var reference = new Rpc.Protocol.ScaledObjectRef { Name = "workers", Namespace = "genai", ScalerMetadata = { ["queue"] = _queue } };
        var message = Google.Protobuf.MessageExtensions.ToByteArray(reference);
        byte[] frame = [0, 0, 0, (byte)(message.Length >> 8), (byte)message.Length, .. message];
        using var response = await PostAsync("/externalscaler.ExternalScaler/StreamIsActive", frame, "application/grpc", ("grpc-timeout", "300m"));
        await response.Content.ReadAsByteArrayAsync();

        response.TrailingHeaders.GetValues("grpc-status").Should().Equal("4");
        await Eventually.SeesAsync(() => _scaler.SeriesAsync("gpu_scaler_grpc_open_streams", "StreamIsActive"), static n => n is null or 0, "no stream left");
    }

    private static async Task ExpectAsync(ScalerProcess scaler, string method, GoWorkload workload, string code, string text)
    {
        var call = await Eventually.SeesAsync(async () => (await scaler.Grpc.CallAsync(method, workload))[0], c => c.Message.Contains(text, StringComparison.Ordinal), text);
        call.Code.Should().Be(code);
        call.Message.Should().NotContain("s3cret");
    }

    private async Task<HttpResponseMessage> PostAsync(string path, byte[] body, string contentType, params (string Name, string Value)[] headers)
    {
        using var client = new HttpClient { DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
        using var request = new HttpRequestMessage(HttpMethod.Post, $"http://{_scaler.GrpcAddress}{path}")
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        request.Headers.TE.ParseAdd("trailers");
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await client.SendAsync(request);
    }

    private static Dictionary<string, string> Pairs(string metadata) => metadata
        .Split(';', StringSplitOptions.RemoveEmptyEntries)
        .Select(static pair => pair.Split('=', 2))
        .ToDictionary(static pair => pair[0], static pair => pair[1], StringComparer.Ordinal);
}
