using System.Globalization;
using GpuExternalScaler.IntegrationTests.Servers;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.IntegrationTests.Prometheus;

/// <summary>A Prometheus that scrapes, every second, four pods of three namespaces.</summary>
public sealed class ScrapedPods : IAsyncLifetime
{
    public ScriptedExporter Exporter { get; } = new(Page(
        ("a", "genai", 40, 10), ("b", "genai", 60, 20), ("c", "team.a", 80, 30), ("d", "teamxa", 80, 30)));

    public PrometheusServer Server { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Server = await PrometheusServer.StartAsync(new ScrapeTarget("gpu", Exporter.Address) { HonorLabels = true });
        await Server.WaitForAsync("used_bytes", samples => samples.Count == 4);
    }

    public async Task DisposeAsync()
    {
        await Exporter.DisposeAsync();
        await Server.DisposeAsync();
    }

    private static string Page(params ReadOnlySpan<(string Pod, string Namespace, int Used, int Free)> pods)
    {
        var page = "";
        foreach (var (pod, space, used, free) in pods)
        {
            page += $"used_bytes{{pod=\"{pod}\",namespace=\"{space}\"}} {used}\nfree_bytes{{pod=\"{pod}\",namespace=\"{space}\"}} {free}\n";
        }

        return page;
    }
}

/// <summary>The client against a real Prometheus.</summary>
public sealed class PrometheusClientTests : IClassFixture<ScrapedPods>, IDisposable
{
    private const string Weird = "\"} or vector(0) #\\ \t.*$1 é🎨|(";

    private readonly ScrapedPods _pods;
    private readonly PrometheusServer _server;
    private readonly PrometheusClient _client;

    public PrometheusClientTests(ScrapedPods pods)
    {
        _pods = pods;
        _server = pods.Server;
        _client = Client();
    }

    public void Dispose() => _client.Dispose();

    [Fact]
    public async Task Every_shape_of_an_answer_is_read()
    {
        var vector = await GoodAsync("used_bytes{pod=\"a\"}");
        vector.Type.Should().Be(PrometheusResultType.Vector);
        vector.Series.Single().Labels["__name__"].Should().Be("used_bytes");
        vector.TryGetSingle(out var value).Should().BeTrue();
        value.Should().Be(40);
        vector.EvaluatedAt.Should().BeCloseTo(TimeProvider.System.GetUtcNow(), TimeSpan.FromSeconds(10));

        var matrix = await GoodAsync("used_bytes[10s]");
        matrix.Type.Should().Be(PrometheusResultType.Matrix);
        matrix.Series.Should().HaveCount(4).And.OnlyContain(series => series.Points.Count >= 1);

        var scalar = await GoodAsync("scalar(used_bytes{pod=\"b\"})");
        scalar.Type.Should().Be(PrometheusResultType.Scalar);
        scalar.TryGetSingle(out value).Should().BeTrue();
        value.Should().Be(60);

        var text = await GoodAsync("\"a\\nb\"");
        (text.Type, text.Text).Should().Be((PrometheusResultType.String, "a\nb"));

        var none = await GoodAsync("no_such_metric");
        (none.Type, none.Series.Count, none.IsPartial).Should().Be((PrometheusResultType.Vector, 0, false));

        var lost = await GoodAsync("vector(0) / 0 or label_replace(vector(1) / 0, \"a\", \"b\", \"\", \"\")");
        (lost.Series.Count, lost.LostSamples).Should().Be((2, 2));
        lost.TryGetSingle(out _).Should().BeFalse();
    }

    [Theory]
    [InlineData("used_bytes{pod=\"s3cret\"", SourceReason.QueryRejected, 400, PrometheusErrorType.BadData, PrometheusComplaint.Syntax)]
    [InlineData("s3cret +\n  1 1", SourceReason.QueryRejected, 400, PrometheusErrorType.BadData, PrometheusComplaint.Syntax)]
    [InlineData("label_replace(used_bytes, \"a\", \"s3cret\", \"pod\", \"(\")", SourceReason.QueryRejected, 422, PrometheusErrorType.Execution, PrometheusComplaint.BadRegex)]
    [InlineData("used_bytes * on (job) free_bytes", SourceReason.QueryRejected, 422, PrometheusErrorType.Execution, PrometheusComplaint.ManyToMany)]
    [InlineData("used_bytes{pod=~\"s3cret(\"}", SourceReason.QueryRejected, 400, PrometheusErrorType.BadData, PrometheusComplaint.Syntax)]
    internal async Task A_query_at_fault_is_told_without_its_text(
        string text, SourceReason reason, int status, PrometheusErrorType type, PrometheusComplaint complaint)
    {
        var answer = await AskAsync(text);

        (answer.Reason, answer.Status, answer.Error.Type, answer.Error.Complaint).Should().Be((reason, status, type, complaint));
        new PrometheusFaultSentences(_client.Options).Describe(answer).Should().NotContain("s3cret").And.Contain($"HTTP {status}");
        if (text.StartsWith("s3cret", StringComparison.Ordinal))
        {
            answer.Error.Line.Should().Be(2);
        }
    }

    [Fact]
    public async Task A_query_that_takes_too_long_is_given_up()
    {
        using var hasty = Client(options => options with { SuppliedQueryTimeout = TimeSpan.FromMilliseconds(250) });

        // Far more work than a quarter of a second allows, on whatever machine.
        var answer = await AskAsync("count(count_over_time((sum(used_bytes * 0 + time()))[50000s:5ms]))", client: hasty);

        answer.Reason.Should().Be(SourceReason.Timeout);
    }

    [Fact]
    public async Task Two_aggregated_queries_are_enough_for_a_fleet()
    {
        string[] namespaces = ["genai", "team.a"];
        PromQl Of(string metric) => PromQl.Metric(metric, LabelMatcher.In("namespace", namespaces)).SumBy("namespace", "pod");

        var used = await _client.QueryAsync(Of("used_bytes").ToQuery(), null, CancellationToken.None);
        var free = await _client.QueryAsync(Of("free_bytes").ToQuery(), used.Result!.EvaluatedAt, CancellationToken.None);

        free.Result!.EvaluatedAt.Should().Be(used.Result.EvaluatedAt, "both are of one instant");
        var freeByPod = free.Result.Series.ToDictionary(series => series.Labels, series => series.Value);
        used.Result.Series.Select(series => (series.Labels["namespace"], series.Labels["pod"], series.Value, freeByPod[series.Labels])).Should()
            .BeEquivalentTo<(string, string, double?, double?)>([("genai", "a", 40, 10), ("genai", "b", 60, 20), ("team.a", "c", 80, 30)]);

        var none = await _client.QueryAsync(PromQl.Metric("used_bytes", LabelMatcher.In("namespace", [])).ToQuery(), null, CancellationToken.None);
        none.Result!.Series.Should().BeEmpty("no namespace is not every namespace");
        var starting = PromQl.Metric("used_bytes", LabelMatcher.StartsWith("namespace", "team."));
        (await _client.QueryAsync(starting.ToQuery(), null, CancellationToken.None)).Result!.Series.Should().ContainSingle();
    }

    [Fact]
    public async Task Any_text_is_a_literal_to_the_real_parser()
    {
        string[] texts = [Weird, "\0\u001f\u007f\u0085\u2028\ufeff", "\\n", "`'\"", "𐀀\U0010FFFF", ".+*?()|[]{}^$\\-/ "];
        foreach (var text in texts)
        {
            (await GoodAsync(PromQl.Quote(text))).Text.Should().Be(text);
        }

        var labels = texts.Select((text, i) => $"odd{{n=\"{i}\",v=\"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"}} {i}\n");
        _pods.Exporter.Page += string.Concat(labels);
        await _server.WaitForAsync("odd", samples => samples.Count == texts.Length);
        for (var i = 0; i < texts.Length; i++)
        {
            LabelMatcher[] matchers = [LabelMatcher.Is("v", texts[i]), LabelMatcher.In("v", texts[i], "else"), LabelMatcher.StartsWith("v", texts[i][..1] is [var c] && char.IsSurrogate(c) ? texts[i][..2] : texts[i][..1])];
            foreach (var matcher in matchers)
            {
                var answer = await _client.QueryAsync(
                    PromQl.Metric("odd", matcher, LabelMatcher.Is("n", i.ToString(CultureInfo.InvariantCulture))).WithLabel("copy", texts[i]).ToQuery(), null, CancellationToken.None);
                answer.Result!.Series.Should().ContainSingle("of text {0}", i);
                answer.Result.Series[0].Labels["v"].Should().Be(texts[i]);
                answer.Result.Series[0].Labels["copy"].Should().Be(texts[i]);
            }
        }
    }

    [Fact]
    public async Task A_target_that_goes_takes_its_series_along_and_explicit_timestamps_linger_and_age()
    {
        var stamp = TimeProvider.System.GetUtcNow().AddSeconds(-100).ToUnixTimeMilliseconds();
        await using var exporter = new ScriptedExporter($"power_watts{{pod=\"a\"}} 40\nnpu_bytes{{pod=\"e\"}} 7 {stamp}\n");
        await using var server = await PrometheusServer.StartAsync(new ScrapeTarget("npu", exporter.Address));
        using var client = Client(options => options with { Url = server.Uri });
        await server.WaitForAsync("power_watts + on () npu_bytes");

        var fresh = await AgedAsync(client, "power_watts");
        fresh.Value.Should().Be(40);
        fresh.Age.Should().BeLessThan(TimeSpan.FromSeconds(10));
        fresh.IsUsable(TimeSpan.FromSeconds(60)).Should().BeTrue();
        var old = await AgedAsync(client, "npu_bytes");
        old.Value.Should().Be(7);
        old.Age.Should().BeGreaterThan(TimeSpan.FromSeconds(99)).And.BeLessThan(TimeSpan.FromSeconds(200));
        old.IsUsable(TimeSpan.FromSeconds(60)).Should().BeFalse("T20");

        await exporter.StopAsync();
        await server.WaitForAsync("power_watts", samples => samples.Count == 0);
        var gone = await client.QueryAsync(PromQl.Metric("power_watts").ToQuery(), null, CancellationToken.None);
        gone.Result!.Series.Should().BeEmpty();
        (await AgedAsync(client, "npu_bytes")).Age.Should().BeGreaterThan(TimeSpan.FromSeconds(100), "it outlives its target, and its age says so");

        var earlier = await client.QueryAsync(PromQl.Metric("npu_bytes").ToQuery(), DateTimeOffset.FromUnixTimeMilliseconds(stamp - 1), CancellationToken.None);
        earlier.Result!.Series.Should().BeEmpty("a query may be about another time than now");
    }

    [Fact]
    public async Task A_range_is_a_matrix_of_bounded_points()
    {
        await _server.WaitForAsync("count_over_time(used_bytes{pod=\"a\"}[1m]) >= 3");
        var now = TimeProvider.System.GetUtcNow();
        var query = PromQl.Metric("used_bytes").SumBy().ToQuery();

        var answer = await _client.QueryRangeAsync(
            query, PrometheusRange.Covering(now.AddSeconds(-60), now, TimeSpan.FromSeconds(1)), CancellationToken.None);

        answer.Result!.Type.Should().Be(PrometheusResultType.Matrix);
        var points = answer.Result.Series.Single().Points;
        points.Should().HaveCountGreaterThanOrEqualTo(2).And.HaveCountLessThanOrEqualTo(61).And.OnlyContain(point => point.Value == 260);
        points.Zip(points.Skip(1), (a, b) => b.At - a.At).Should().OnlyContain(step => step == TimeSpan.FromSeconds(1));

        // A fortnight at 15 s would be 80,640 points, which Prometheus refuses.
        var wide = await _client.QueryRangeAsync(
            query, PrometheusRange.Covering(now.AddDays(-14), now, TimeSpan.FromSeconds(15)), CancellationToken.None);
        wide.Reason.Should().Be(SourceReason.None);

        using var narrow = Client(options => options with { MaxPoints = 1 });
        (await narrow.QueryRangeAsync(query, PrometheusRange.Covering(now.AddSeconds(-60), now, TimeSpan.FromSeconds(1)), CancellationToken.None))
            .Reason.Should().Be(SourceReason.TooLarge);
    }

    [Fact]
    public async Task More_series_than_a_supplied_query_may_touch_are_refused()
    {
        using var narrow = Client(options => options with { MaxSuppliedSeries = 3 });

        (await AskAsync("used_bytes", client: narrow)).Reason.Should().Be(SourceReason.TooLarge);
        (await AskAsync("sum(used_bytes)", client: narrow)).Succeeded.Should().BeTrue();
    }

    [Fact]
    public async Task A_wrong_path_and_a_server_that_is_gone_are_told()
    {
        using var lost = Client(options => options with { Url = new Uri(_server.Uri, "/prefix") });
        (await AskAsync("up", client: lost)).Reason.Should().Be(SourceReason.NotFound);

        Uri url;
        await using (var server = await PrometheusServer.StartAsync())
        {
            url = server.Uri;
        }

        using var gone = Client(options => options with { Url = url });
        (await AskAsync("up", client: gone)).Reason.Should().Be(SourceReason.ConnectionRefused);
        (await AskAsync("up", client: gone)).Reason.Should().Be(SourceReason.CircuitOpen);
    }

    private PrometheusClient Client(Func<PrometheusConnectionOptions, PrometheusConnectionOptions>? with = null)
    {
        var options = new PrometheusConnectionOptions { Name = "main", Url = _server.Uri };
        return new PrometheusClient(with?.Invoke(options) ?? options, new MonotonicClock(TimeProvider.System));
    }

    private static async Task<AgedValue> AgedAsync(PrometheusClient client, string metric)
    {
        var query = SampleAges.Ask(PromQl.Metric(metric), m => m.SumBy("pod"), "pod").ToQuery();
        var answer = await client.QueryAsync(query, null, CancellationToken.None);
        return SampleAges.Join(answer.Result!).Should().ContainSingle().Subject;
    }

    private async Task<PrometheusAnswer> AskAsync(string text, PrometheusClient? client = null)
    {
        PrometheusQuery.TrySupply(text, out var query).Should().Be(QueryTextProblem.None);
        return await (client ?? _client).QueryAsync(query!, null, CancellationToken.None);
    }

    private async Task<PrometheusResult> GoodAsync(string text)
    {
        var answer = await AskAsync(text);
        answer.Reason.Should().Be(SourceReason.None);
        return answer.Result!;
    }
}
