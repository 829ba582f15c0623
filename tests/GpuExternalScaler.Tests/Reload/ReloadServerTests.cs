using System.Collections.Concurrent;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.Reload;
using GpuExternalScaler.Rpc.Protocol;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Reload;

/// <summary>Edits of a server's file where a broker has to be caught in a state that a real one is only in for moments.</summary>
public sealed class ReloadServerTests : IAsyncLifetime
{
    private readonly string _file = Path.GetTempFileName();
    private readonly Lines _log = new();
    private readonly Node _one = new("rabbit@one");
    private readonly Node _two = new("rabbit@two");
    private readonly List<KeyValuePair<string, string>> _environment = [];
    private WebApplication? _server;
    private GrpcChannel _channel = null!;
    private ExternalScaler.ExternalScalerClient _client = null!;

    public async Task InitializeAsync()
    {
        await _one.StartAsync();
        await _two.StartAsync();
    }

    public async Task DisposeAsync()
    {
        _channel?.Dispose();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }

        await _one.DisposeAsync();
        await _two.DisposeAsync();
        File.Delete(_file);
    }

    [Theory]
    [InlineData("")]
    [InlineData("# all of it is a comment\n")]
    [InlineData("{}")]
    [InlineData("---\n")]
    public async Task An_empty_file_changes_nothing_whatever_the_environment_sets(string empty)
    {
        _environment.Add(new("GPU_EXTERNAL_SCALER__LOG__LEVEL", "information"));
        _one.Queues = Queue("images", 7, 10);
        await StartAsync(Settings());
        await UntilAsync(Asked("w", "queue", "images"), "1000");

        await EditAsync(empty);

        _log.Texts.Should().ContainSingle(static line => line.Contains("is empty", StringComparison.Ordinal));
        (await AnswerAsync(Asked("w", "queue", "images"))).Should().Be("1000");
    }

    [Theory]
    [InlineData("queueRegex", "images-.*")]
    [InlineData("queue", "images-1, images-2")]
    public async Task An_edited_connection_that_sees_only_some_of_the_queues_at_first_lowers_nothing(string key, string value)
    {
        (_one.Queues, _two.Queues) = (Queue("images-1", 7, 10), Queue("images-2", 7, 10));
        await StartAsync(Settings(more: "staleAfter: 20s"));
        await UntilAsync(Asked("w", key, value), "2000");

        _two.IsDown = true;
        await EditAsync(Settings(interval: "250ms", more: "staleAfter: 20s"));

        for (var i = 0; i < 30; i++)
        {
            (await AnswerAsync(Asked("w", key, value))).Should().Be("2000");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }

        // The node is back, with more work: the new source serves.
        (_two.Queues, _two.IsDown) = (Queue("images-2", 14, 20), false);
        await UntilAsync(Asked("w", key, value), "3000");
    }

    [Theory]
    [InlineData("main", "others")]
    [InlineData("another", "genai")]
    public async Task Who_was_refused_by_an_edit_and_is_let_in_again_is_not_answered_less_than_before(string name, string @namespace)
    {
        _one.Queues = Queue("images", 7, 10) + Queue("other", 0, 0);
        var before = Settings(more: "namespaces: [genai]");
        await StartAsync(before);
        var asked = Asked("w", "queue", "images");
        asked.ScaledObjectRef.ScalerMetadata["rabbitmq"] = "main";
        await UntilAsync(asked, "1000");

        await EditAsync(Settings(name, more: $"namespaces: [{@namespace}]"));
        (await AnswerAsync(asked)).Should().BeOneOf("PermissionDenied", "FailedPrecondition");
        (await PageAsync()).Should().NotContain("scaled_object=\"w\"", "nobody decides it");
        _one.Queues = Queue("images", 0, 0) + Queue("other", 0, 0);
        await EditAsync(before);

        await UntilAsync(asked, "1000");
        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
        (await AnswerAsync(asked)).Should().Be("1000", "KEDA and the HPA have forgotten, as in an outage");
    }

    [Fact]
    public async Task A_connection_under_another_name_goes_on_for_those_who_name_none()
    {
        _one.Queues = Queue("images", 7, 10);
        await StartAsync(Settings());
        await UntilAsync(Asked("w", "queue", "images"), "1000");

        foreach (var name in new[] { "prod", "main", "prod" })
        {
            await EditAsync(Settings(name));
            for (var i = 0; i < 10; i++)
            {
                (await AnswerAsync(Asked("w", "queue", "images"))).Should().Be("1000");
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
            }
        }
    }

    [Fact]
    public async Task An_error_that_was_mended_and_comes_back_is_logged_again()
    {
        await StartAsync(Settings());
        await EditAsync(Settings(defaults: "saturationThreshold: 7, coldStart: never"));
        await EditAsync(Settings(defaults: "saturationThreshold: 7, coldStart: 60s"));
        _log.Texts.Count(static line => line.Contains("saturationThreshold: must", StringComparison.Ordinal)).Should().Be(1, "it has been told");
        await EditAsync(Settings(defaults: "saturationThreshold: 7, coldStart: never"));

        _log.Texts.Count(static line => line.Contains("coldStart: must", StringComparison.Ordinal)).Should().Be(2);
    }

    [Fact]
    public async Task Another_concurrency_is_not_averaged_with_the_slots_of_before()
    {
        _one.Queues = Queue("images", 40, 10);
        await StartAsync(Settings(defaults: "concurrency: 1"));
        await UntilAsync(Asked("w", "queue", "images"), "2000");

        await EditAsync(Settings(defaults: "concurrency: 4"));

        // 40 busy slots at a threshold of 0.7, four to a replica.
        await UntilAsync(Asked("w", "queue", "images"), "1429");
        for (var i = 0; i < 20; i++)
        {
            (await AnswerAsync(Asked("w", "queue", "images"))).Should().Be("1429");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }
    }

    [Fact]
    public async Task A_longer_and_a_shorter_evaluation_interval_leave_no_time_without_a_decision()
    {
        _one.Queues = Queue("images", 7, 10);
        await StartAsync(Settings());
        await UntilAsync(Asked("w", "queue", "images"), "1000");

        await EditAsync(Settings(evaluation: "1m"));
        await Task.Delay(TimeSpan.FromSeconds(6), TimeProvider.System);
        (await AnswerAsync(Asked("w", "queue", "images"))).Should().Be("1000", "a decision is given out for five intervals");

        // At a turn a minute this would be seen in a minute.
        _one.Queues = Queue("images", 14, 20);
        await EditAsync(Settings(evaluation: "100ms"));
        await UntilAsync(Asked("w", "queue", "images"), "2000");
    }

    [Fact]
    public async Task Workloads_of_the_file_make_room_for_those_who_ask_and_never_fail_a_call()
    {
        _one.Queues = Queue("images", 7, 10);
        await StartAsync(Settings(more: "", rest: "limits: { workloads: 2 }\nworkloads: { genai/a: { queue: images }, genai/b: { queue: images } }"));
        await UntilAsync(async () => (await PageAsync()).Contains("gpu_scaler_workloads 2", StringComparison.Ordinal));

        var another = Asked("a", "queue", "images");
        another.ScaledObjectRef.ScalerMetadata["coldStart"] = "90s";
        (await _client.GetMetricSpecAsync(another.ScaledObjectRef)).MetricSpecs.Should().ContainSingle("K12");
        await UntilAsync(another, "1000");
        await UntilAsync(Asked("c", "queue", "images"), "1000");
        (await AnswerAsync(Asked("d", "queue", "images"))).Should().Be("ResourceExhausted");
    }

    private static string Queue(string name, int unacked, int consumers) => $$"""
        rabbitmq_detailed_queue_messages_ready{vhost="/",queue="{{name}}"} 0
        rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="{{name}}"} {{unacked}}
        rabbitmq_detailed_queue_consumers{vhost="/",queue="{{name}}"} {{consumers}}

        """;

    private static GetMetricsRequest Asked(string name, string key, string value, params (string Key, string Value)[] more) => new()
    {
        MetricName = "gpu-demand",
        ScaledObjectRef = new ScaledObjectRef { Name = name, Namespace = "genai", ScalerMetadata = { { key, value }, more.ToDictionary() } },
    };

    private string Settings(string name = "main", string interval = "200ms", string more = "", string defaults = "", string evaluation = "100ms", string rest = "") => $$"""
        listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }
        rabbitmq: { {{name}}: { metrics: { urls: ["{{_one.Url}}", "{{_two.Url}}"] }, interval: {{interval}}, {{more}} } }
        evaluation: { interval: {{evaluation}} }
        reload: { interval: 100ms }
        defaults: { {{defaults}} }
        {{rest}}
        """;

    [Fact]
    public async Task A_query_outlives_an_edit_of_its_Prometheus_and_not_its_permission()
    {
        await using var prometheus = new PrometheusStub();
        await prometheus.StartAsync();
        string File(string more) => Settings(rest: $"prometheus: {{ main: {{ url: \"{prometheus.Url}\", interval: 1s, staleAfter: 30s, {more} }} }}");
        await StartAsync(File("allowTriggerQueries: true"));
        var asked = Asked("w", "query", "sum(s3cret)");
        await UntilAsync(asked, "400");

        // Another connection, which cannot be read at first: what was read through the one before counts.
        prometheus.IsDown = true;
        await EditAsync(File("allowTriggerQueries: true, timeout: 3s"));
        for (var i = 0; i < 30; i++)
        {
            (await AnswerAsync(asked)).Should().Be("400");
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        }

        prometheus.IsDown = false;
        await EditAsync(File("timeout: 3s"));
        await UntilAsync(asked, "PermissionDenied");

        // Texts are collected every two seconds, and a sweep may be under way.
        await Task.Delay(TimeSpan.FromSeconds(4), TimeProvider.System);
        var before = prometheus.Asked;
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System);
        prometheus.Asked.Should().Be(before, "nobody may ask it any more");
        (await PageAsync()).Should().NotContain("s3cret");
        _log.Texts.Should().NotContain(static line => line.Contains("s3cret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_log_says_by_kind_and_name_what_each_workload_reads()
    {
        await using var prometheus = new PrometheusStub();
        await prometheus.StartAsync();
        await StartAsync(Settings(rest: $$"""
            prometheus: { one: { url: "{{prometheus.Url}}", allowTriggerQueries: true }, other: { url: "{{prometheus.Url}}" } }
            gpu: { cards: { kind: dcgm, prometheus: one } }
            modelServers: { vllm: { kind: vllm, prometheus: other } }
            """));
        (GetMetricsRequest Asked, string Reads)[] workloads =
        [
            (Asked("queue", "queue", "images"), "RabbitMQ main"),
            (Asked("vram", "vramThreshold", "0.8"), "GPU cards, Prometheus one"),
            (Asked("requests", "modelServer", "vllm"), "model server vllm, Prometheus other"),
            (Asked("query", "query", "sum(s3cret)", ("prometheus", "one")), "Prometheus one"),
            (Asked("both", "queue", "images", ("vramThreshold", "0.8")), "RabbitMQ main, GPU cards, Prometheus one"),
        ];

        foreach (var (asked, reads) in workloads)
        {
            await AnswerAsync(asked);
            await UntilAsync(() => Task.FromResult(Registered(asked) is not null));
            Registered(asked).Should().EndWith($"registered, reading {reads}");
        }

        string? Registered(GetMetricsRequest asked) =>
            _log.Texts.FirstOrDefault(line => line.StartsWith($"Workload genai/{asked.ScaledObjectRef.Name} ", StringComparison.Ordinal) && line.Contains("registered", StringComparison.Ordinal));
    }

    private async Task StartAsync(string yaml)
    {
        await File.WriteAllTextAsync(_file, yaml);
        var reading = ConfigurationFile.Read(yaml, _environment);
        reading.Errors.Should().BeEmpty();
        var origin = new ConfigurationOrigin(_file, _environment, await FileContent.ReadAsync(_file, ConfigurationFile.LargestBytes, default), reading);
        _server = ScalerServer.Build(reading.Options!, logging => logging.ClearProviders().AddProvider(_log), origin: origin);
        await _server.StartAsync();
        _channel = GrpcChannel.ForAddress(_server.Urls.First());
        _client = new ExternalScaler.ExternalScalerClient(_channel.CreateCallInvoker());
    }

    /// <summary>Writes the file and waits for what becomes of it.</summary>
    private async Task EditAsync(string yaml)
    {
        var seen = _log.Texts.Count;
        await File.WriteAllTextAsync(_file, yaml);
        await UntilAsync(() => Task.FromResult(_log.Texts.Skip(seen).Any(static line => line.Contains("in force; changed", StringComparison.Ordinal) || line.Contains("is refused with", StringComparison.Ordinal))));
    }

    private async Task<string> AnswerAsync(GetMetricsRequest request)
    {
        try
        {
            return (await _client.GetMetricsAsync(request)).MetricValues[0].MetricValue_.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (RpcException e)
        {
            return e.StatusCode.ToString();
        }
    }

    private Task UntilAsync(GetMetricsRequest request, string answer) => UntilAsync(async () => await AnswerAsync(request) == answer);

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), TimeProvider.System);
        while (!await condition())
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        }
    }

    private async Task<string> PageAsync()
    {
        using var client = new HttpClient();
        return await client.GetStringAsync(new Uri(_server!.Urls.Last() + "/metrics"));
    }

    /// <summary>The metrics page of one node.</summary>
    private sealed class Node(string name) : IAsyncDisposable
    {
        private readonly WebApplication _app = Build();

        public volatile string Queues = "";

        public volatile bool IsDown;

        public string Url => _app.Urls.First();

        public Task StartAsync()
        {
            _app.MapGet("/metrics/detailed", () => IsDown ? Results.StatusCode(503) : Results.Text(
                $$"""
                # TYPE rabbitmq_build_info untyped
                rabbitmq_build_info{rabbitmq_version="3.10.8"} 1
                # TYPE rabbitmq_identity_info untyped
                rabbitmq_identity_info{rabbitmq_node="{{name}}",rabbitmq_cluster="one"} 1
                # TYPE rabbitmq_detailed_queue_messages_ready gauge

                """ + Queues,
                "text/plain; version=0.0.4"));
            return _app.StartAsync();
        }

        public ValueTask DisposeAsync() => _app.DisposeAsync();

        public static WebApplication Build()
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.ClearProviders();
            builder.WebHost.UseUrls("http://127.0.0.1:0");
            return builder.Build();
        }
    }

    /// <summary>Answers every query with a four.</summary>
    private sealed class PrometheusStub : IAsyncDisposable
    {
        private readonly WebApplication _app = Node.Build();
        private int _asked;

        public volatile bool IsDown;

        public string Url => _app.Urls.First();

        public int Asked => Volatile.Read(ref _asked);

        public Task StartAsync()
        {
            _app.MapPost("/api/v1/query", () =>
            {
                Interlocked.Increment(ref _asked);
                return IsDown ? Results.StatusCode(503) : Results.Text(
                    """{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"4"]}]}}""", "application/json");
            });
            return _app.StartAsync();
        }

        public ValueTask DisposeAsync() => _app.DisposeAsync();
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        private readonly ConcurrentQueue<string> _texts = [];

        public ConcurrentQueue<string> Texts => _texts;

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            _texts.Enqueue(formatter(state, exception));

        public void Dispose()
        {
        }
    }
}
