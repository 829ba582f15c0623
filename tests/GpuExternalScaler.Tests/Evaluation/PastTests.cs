using System.Collections.Concurrent;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.GrpcTransport;
using GpuExternalScaler.Rpc.Protocol;
using GpuExternalScaler.Scaling.History;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GpuExternalScaler.Tests.Evaluation;

/// <summary>The real server with a broker's page and a Prometheus that remember what a test wishes.</summary>
public sealed class PastTests : IAsyncLifetime
{
    private static readonly string Slots = new WorkloadSlots(new HistoryKey("main", "/", "names:images", 1)).Id;
    private readonly TaskCompletionSource _let = new();
    private readonly ConcurrentQueue<string> _log = new();
    private StubHistory _prometheus = null!;
    private WebApplication _broker = null!;

    public async Task InitializeAsync()
    {
        _prometheus = await StubHistory.StartAsync();
        _broker = await StartBrokerAsync();
    }

    public async Task DisposeAsync()
    {
        _let.TrySetResult();
        await _prometheus.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Fact]
    public async Task The_first_answer_already_has_the_past()
    {
        _prometheus.SeriesLabels = $$"""{"namespace":"monitoring","exported_namespace":"genai","scaled_object":"workers","trigger":"edited","slots":"{{Slots}}"}""";
        _prometheus.ServiceTime = "2.5";
        _prometheus.Arrivals = static _ => 4;
        _prometheus.Delay = _ => _let.Task;
        await using var server = await StartServerAsync();
        var workload = await AskAsync(server);

        // It has been swept by now, and waits.
        await UntilAsync(() => server.Services.GetRequiredService<CurrentConfiguration>().Current.Brokers.All[0].Source.Current.HasSwept && workload.Evaluation is { Queues.Slots: [>= 0] });
        (workload.Published?.Decision.IsDecided ?? false).Should().BeFalse();
        _let.SetResult();
        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);

        workload.Published!.Decision.ServiceTimeSeconds.Should().Be(2.5);
        History(workload).MeasuredServiceTimeSeconds.Should().Be(2.5);
        _prometheus.Queries.Count(static query => query == "time()").Should().BeLessThanOrEqualTo(2, "the weeks before are asked for apart");
    }

    [Fact]
    public async Task A_service_time_of_other_queues_or_slots_does_not_replace_the_policys()
    {
        _prometheus.SeriesLabels = """{"namespace":"genai","scaled_object":"workers","trigger":"edited","slots":"others"}""";
        _prometheus.ServiceTime = "0.05";
        _prometheus.Arrivals = static _ => 4;
        await using var server = await StartServerAsync(more: "timeout: 10s", policy: "defaults: { serviceTime: 10m }");
        var workload = await AskAsync(server);

        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);

        workload.Published!.Decision.ArrivalsPerSecond.Should().Be(4);
        workload.Published.Decision.ServiceTimeSeconds.Should().Be(600);
    }

    [Fact]
    public void Slots_are_told_apart_by_all_that_makes_them()
    {
        HistoryKey[] keys =
        [
            new("main", "/", "names:images", 1), new("main", "/", "names:images", 8), new("main", "/", "names:image", 11),
            new("other", "/", "names:images", 1), new("main", "a", "names:images", 1), new("main/", "", "names:images", 1),
        ];

        keys.Select(static key => new WorkloadSlots(key).Id).Should().OnlyHaveUniqueItems();
        new WorkloadSlots(keys[0]).Id.Should().Be(Slots).And.HaveLength(12);
    }

    [Theory]
    [InlineData("<html>no</html>", "malformed")]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":[]}}""", "malformed")]
    public async Task Garbage_costs_nothing_but_what_it_knew_and_is_said_once(string garbage, string reason)
    {
        _prometheus.Garbage = garbage;
        await using var server = await StartServerAsync();
        var workload = await AskAsync(server);

        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);

        workload.Published!.Decision.ServiceTimeSeconds.Should().BeNull();
        _log.Should().ContainSingle(line => line.Contains("by its past fails", StringComparison.Ordinal)).Which.Should().Contain(reason);
    }

    [Fact]
    public async Task A_Prometheus_that_hangs_delays_the_first_answer_by_ten_seconds_at_most()
    {
        _prometheus.Delay = static token => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
        await using var server = await StartServerAsync("timeout: 60s");
        var workload = await AskAsync(server);

        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);

        workload.Evaluation!.Past.Should().BeNull();
    }

    [Fact]
    public async Task A_Prometheus_that_is_down_takes_nothing_away()
    {
        await _prometheus.DisposeAsync();
        await using var server = await StartServerAsync();
        var workload = await AskAsync(server);

        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);

        _log.Should().ContainSingle(static line => line.Contains("by its past fails", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Whoever_waits_for_a_connection_that_an_edit_takes_away_waits_no_longer()
    {
        _prometheus.Delay = _ => _let.Task;
        await using var server = await StartServerAsync("timeout: 60s");
        var workload = await AskAsync(server);
        await UntilAsync(() => workload.Evaluation?.Past is not null);
        var configuration = server.Services.GetRequiredService<CurrentConfiguration>();

        configuration.Current = ConfigurationSnapshot.Of(configuration.Options with { HistoryPrometheus = null }, server.Services.GetRequiredService<SourceFactory>(), null, configuration.Current);

        configuration.Current.Fleet.History.Should().BeNull();
        await UntilAsync(() => workload.Published?.Decision.IsDecided ?? false);
        workload.Evaluation!.Past.Should().BeNull();
    }

    [Fact]
    public async Task Two_workloads_of_one_queue_are_both_filled_in_and_a_third_takes_from_them()
    {
        _prometheus.ServiceTime = "2.5";
        _prometheus.SeriesLabels = $$"""{"namespace":"genai","scaled_object":"workers","trigger":"t1","slots":"{{Slots}}"}""";
        _prometheus.Delay = _ => _let.Task;
        await using var server = await StartServerAsync();
        var first = await AskAsync(server);
        var second = await AskAsync(server, "others");
        await UntilAsync(() => first.Evaluation?.Past is not null && second.Evaluation?.Past is not null);
        _let.SetResult();
        await UntilAsync(() => first.Published?.Decision.IsDecided == true && second.Published?.Decision.IsDecided == true);

        History(first).MeasuredServiceTimeSeconds.Should().Be(2.5);
        History(second).MeasuredServiceTimeSeconds.Should().BeNull("nothing is remembered of it");
        var third = await AskAsync(server, "thirds");
        await UntilAsync(() => third.Published?.Decision.IsDecided ?? false);
        third.Evaluation!.Past.Should().BeNull();
    }

    [Fact]
    public void A_connection_that_stays_keeps_what_it_knows_and_another_begins_anew()
    {
        var clock = new Sources.MonotonicClock(TimeProvider.System);
        var sources = new SourceFactory(clock, static _ => { }, static _ => { });
        const string file = "prometheus: { main: { url: \"http://a:1\" }, other: { url: \"http://b:1\" } }\nhistory: { prometheus: main }\n";
        var before = Snapshot(file, null);

        var same = Snapshot(file + "defaults: { share: 0.5 }", before);
        var other = Snapshot(file.Replace("history: { prometheus: main }", "history: { prometheus: other }", StringComparison.Ordinal), same);
        var elsewhere = Snapshot(file.Replace("http://a:1", "http://c:1", StringComparison.Ordinal), same);
        var none = Snapshot(file.Replace("history: { prometheus: main }", "", StringComparison.Ordinal), same);

        before.Sources.Should().Contain(before.Fleet.History!);
        same.Fleet.History.Should().BeSameAs(before.Fleet.History);
        other.Fleet.History.Should().NotBeNull().And.NotBeSameAs(same.Fleet.History);
        elsewhere.Fleet.History.Should().NotBeNull().And.NotBeSameAs(same.Fleet.History);
        none.Fleet.History.Should().BeNull();
        foreach (var source in before.Sources.Concat(other.Sources).Concat(elsewhere.Sources).Distinct())
        {
            source.Dispose();
        }

        ConfigurationSnapshot Snapshot(string yaml, ConfigurationSnapshot? earlier) => ConfigurationSnapshot.Of(ConfigurationFile.Parse(yaml, out _)!, sources, null, earlier);
    }

    private static QueueHistory History(Workload workload) => workload.Evaluation!.State.History;

    private static async Task<Workload> AskAsync(WebApplication server, string name = "workers")
    {
        using var channel = GrpcChannel.ForAddress(server.Urls.First());
        var client = new ExternalScaler.ExternalScalerClient(channel.CreateCallInvoker());
        try
        {
            await client.IsActiveAsync(new ScaledObjectRef { Name = name, Namespace = "genai", ScalerMetadata = { ["queue"] = "images" } });
        }
        catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable)
        {
        }

        return server.Services.GetRequiredService<WorkloadRegistry>().All.Single(workload => workload.Key.Name == name);
    }

    private async Task<WebApplication> StartServerAsync(string more = "timeout: 10s", string policy = "")
    {
        var yaml = $$"""
            listen: { grpc: "127.0.0.1:0", http: "127.0.0.1:0" }
            rabbitmq: { main: { metrics: { urls: ["{{_broker.Urls.First()}}"] }, interval: 200ms, staleAfter: 5s } }
            prometheus: { main: { url: "{{_prometheus.Url}}", {{more}} } }
            history: { prometheus: main }
            evaluation: { interval: 100ms }
            {{policy}}
            """;
        var server = ScalerServer.Build(ConfigurationFile.Parse(yaml, out _)!, logging =>
        {
            logging.ClearProviders();
            logging.AddProvider(new Log(_log));
        });
        await server.StartAsync();
        return server;
    }

    private static async Task<WebApplication> StartBrokerAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var broker = builder.Build();
        broker.MapGet("/metrics/detailed", static () => Results.Text(
            """
            # TYPE rabbitmq_build_info untyped
            rabbitmq_build_info{rabbitmq_version="3.10.8"} 1
            # TYPE rabbitmq_identity_info untyped
            rabbitmq_identity_info{rabbitmq_node="rabbit@one",rabbitmq_cluster="one"} 1
            # TYPE rabbitmq_detailed_queue_messages_ready gauge
            rabbitmq_detailed_queue_messages_ready{vhost="/",queue="images"} 0
            # TYPE rabbitmq_detailed_queue_messages_unacked gauge
            rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="images"} 7
            # TYPE rabbitmq_detailed_queue_consumers gauge
            rabbitmq_detailed_queue_consumers{vhost="/",queue="images"} 10

            """,
            "text/plain; version=0.0.4"));
        await broker.StartAsync();
        return broker;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30), TimeProvider.System);
        while (!condition())
        {
            await Task.Delay(TimeSpan.FromMilliseconds(25), TimeProvider.System, limit.Token);
        }
    }

    private sealed class Log(ConcurrentQueue<string> lines) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        void ILogger.Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            lines.Enqueue(formatter(state, exception));
    }
}
