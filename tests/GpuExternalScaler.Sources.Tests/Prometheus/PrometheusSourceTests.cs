using GpuExternalScaler.Scaling.Readings;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public class PrometheusSourceTests
{
    private const string Rejected = """{"status":"error","errorType":"bad_data","error":"1:2: parse error: unexpected s3cret"}""";

    [Fact]
    public async Task Replicas_of_all_workloads_take_one_query_per_metric()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = query => StubPrometheus.Vector(query.Split('(')[^1].TrimEnd(')') switch
        {
            "kube_deployment_status_replicas" =>
                [("namespace=ml,deployment=web", "3"), ("namespace=monitoring,exported_namespace=ml,deployment=api", "4"), ("namespace=ml,deployment=bad", "NaN"), ("namespace=ml,deployment=worse", "-1")],
            "kube_deployment_status_replicas_ready" => [("namespace=ml,deployment=web", "2")],
            "kube_statefulset_status_replicas" => [("namespace=ml,statefulset=web", "7"), ("namespace=ml,statefulset=db", "5"), ("namespace=x,statefulset=db", "6")],
            "kube_statefulset_status_replicas_ready" => [("namespace=ml,statefulset=db", "0")],
            _ => [("namespace=ml,horizontalpodautoscaler=keda-hpa-web-so", "20"), ("namespace=ml,horizontalpodautoscaler=web", "9")],
        });
        using var source = Source(prometheus);
        source.Replicas("ml", "web", "web-so").Reading.Presence.Should().Be(FleetPresence.Unobserved);

        var sweep = await source.SweepReplicasAsync(CancellationToken.None);

        sweep.Should().BeEquivalentTo(new { Connection = "main", Source = FleetSource.Replicas, Succeeded = true, Asked = 5, Answered = 5, Rows = 9 });
        prometheus.Queries.Select(static query => query.Query).Should().Contain("max by (namespace,statefulset,exported_namespace) (kube_statefulset_status_replicas_ready)");
        Text(source.Replicas("ml", "web", "web-so")).Should().Be("Present 3 2 20");
        Text(source.Replicas("ml", "api", "x")).Should().Be("Present 4 - -");
        Text(source.Replicas("monitoring", "api", "x")).Should().Be("NeverSeen - - -");
        Text(source.Replicas("ml", "db", "x")).Should().Be("Present 5 0 -");
        Text(source.Replicas("x", "db", "x")).Should().Be("Present 6 - -");
        Text(source.Replicas("ml", "bad", "x")).Should().Be("NeverSeen - - -");
        Text(source.Replicas("ml", "worse", "x")).Should().Be("NeverSeen - - -");
        Text(source.Replicas("ml", "none", "web-so")).Should().Be("Present - - 20");
    }

    [Fact]
    public async Task Where_there_is_no_kube_state_metrics_nothing_is_known_and_nothing_wrong()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var source = Source(prometheus);

        (await source.SweepReplicasAsync(CancellationToken.None)).Should().BeEquivalentTo(new { Succeeded = true, Rows = 0 });

        Text(source.Replicas("ml", "web", "web")).Should().Be("NeverSeen - - -");
    }

    [Fact]
    public async Task Replicas_stay_and_age_when_a_query_fails()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = static _ => StubPrometheus.Partial(("namespace=ml,deployment=web", "3"));
        using var source = Source(prometheus);
        (await source.SweepReplicasAsync(CancellationToken.None)).IsPartial.Should().BeTrue();
        var before = source.Replicas("ml", "web", "web");
        before.Reading.IsPartial.Should().BeTrue();

        prometheus.Answer = static query => query.Contains("statefulset", StringComparison.Ordinal) ? null : StubPrometheus.Vector();
        var sweep = await source.SweepReplicasAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeFalse();
        sweep.Faults.Should().ContainSingle().Which.Reason.Should().Be(SourceReason.Unavailable);
        source.Replicas("ml", "web", "web").Should().Be(before);
    }

    public static TheoryData<string, double?, bool> Results => new()
    {
        { StubPrometheus.Vector(("", "2.5")), 2.5, false },
        { StubPrometheus.Vector(("a=b", "0")), 0, false },
        { StubPrometheus.Partial(("a=b", "1")), 1, true },
        { StubPrometheus.Vector(), null, false },
        { StubPrometheus.Partial(), null, true },
        { StubPrometheus.Vector(("", "NaN")), null, false },
        { StubPrometheus.Vector(("", "+Inf")), null, false },
        { """{"status":"success","data":{"resultType":"scalar","result":[1795345652.113,"7"]}}""", 7, false },
        { """{"status":"success","data":{"resultType":"scalar","result":[1795345652.113,"NaN"]}}""", null, false },
    };

    [Theory]
    [MemberData(nameof(Results))]
    public async Task A_query_is_answered_with_one_number_or_none(string answer, double? value, bool isPartial)
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = _ => answer;
        var time = new ManualTime();
        using var source = Source(prometheus, time);
        source.Query("rate(x[5m])").Reading.Presence.Should().Be(FleetPresence.Unobserved);
        source.WantedQueries = new HashSet<string> { "rate(x[5m])" };
        source.Query("rate(x[5m])").Reading.Presence.Should().Be(FleetPresence.Unobserved);

        var sweep = await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        source.Query("rate(x[5m])").Should().Be(new QueryReading
        {
            Reading = new FleetReading { Presence = FleetPresence.Present, ObservedAt = time.GetUtcNow(), StaleAfter = TimeSpan.FromSeconds(60), IsPartial = isPartial },
            Value = value,
            Window = TimeSpan.FromMinutes(5),
        });
        source.QueryFault("rate(x[5m])").Should().BeNull();
        sweep.Should().BeEquivalentTo(new { Source = FleetSource.Queries, Succeeded = true, IsPartial = isPartial, Asked = 1, Answered = 1, Rows = value is null ? 0 : 1 });
    }

    public static TheoryData<string?, SourceReason, string> Refusals => new()
    {
        { StubPrometheus.Vector(("a=b", "1"), ("a=c", "1")), SourceReason.QueryRejected, "several series" },
        { StubPrometheus.Vector(("", "-1")), SourceReason.QueryRejected, "a negative number" },
        { """{"status":"success","data":{"resultType":"scalar","result":[1795345652.113,"-7"]}}""", SourceReason.QueryRejected, "a negative number" },
        { """{"status":"success","data":{"resultType":"matrix","result":[]}}""", SourceReason.QueryRejected, "a range" },
        { """{"status":"success","data":{"resultType":"string","result":[1795345652.113,"s3cret"]}}""", SourceReason.QueryRejected, "a text" },
        { """{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1795345652.113,{"count":"1"}]}]}}""", SourceReason.QueryRejected, "a histogram" },
        { Rejected, SourceReason.QueryRejected, "line 1, character 2" },
        { null, SourceReason.Unavailable, "HTTP 503" },
        { StubPrometheus.Vector([.. Enumerable.Range(0, 101).Select(static i => ($"a={i}", "1"))]), SourceReason.TooLarge, "more than is accepted" },
    };

    [Theory]
    [MemberData(nameof(Refusals))]
    public async Task Anything_else_is_a_fault_of_the_query_and_its_reading_ages(string? answer, SourceReason reason, string words)
    {
        const string Query = "sum(s3cret)";
        await using var prometheus = await StubPrometheus.StartAsync();
        prometheus.Answer = static _ => StubPrometheus.Vector(("", "1"));
        using var source = Source(prometheus);
        source.WantedQueries = new HashSet<string> { Query, "other" };
        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);
        var before = source.Query(Query);

        prometheus.Answer = query => query == Query ? answer : StubPrometheus.Vector(("", "2"));
        var sweep = await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        source.Query(Query).Should().Be(before);
        source.Query("other").Value.Should().Be(2);
        var fault = source.QueryFault(Query)!;
        fault.Reason.Should().Be(reason);
        fault.Sentence.Should().Contain("'main'").And.Contain(words).And.NotContain("s3cret");
        source.QueryFault("other").Should().BeNull();
        sweep.Faults.Should().Equal(fault);

        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);
        source.QueryFault(Query)!.Since.Should().Be(fault.Since);
        prometheus.Answer = static _ => StubPrometheus.Vector(("", "3"));
        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);
        source.QueryFault(Query).Should().BeNull();
        source.Query(Query).Value.Should().Be(3);
    }

    [Theory]
    [InlineData(" ", "is empty")]
    [InlineData("a\u0007", "control or invisible")]
    [InlineData("a\u200b", "control or invisible")]
    [InlineData(null, "more than 2048 characters")]
    public async Task A_text_that_cannot_be_asked_is_a_fault_and_not_sent(string? text, string words)
    {
        text ??= new string('x', 2049);
        await using var prometheus = await StubPrometheus.StartAsync();
        using var source = Source(prometheus);
        source.WantedQueries = new HashSet<string> { text };

        var sweep = await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        prometheus.Queries.Should().BeEmpty();
        source.Query(text).Reading.Presence.Should().Be(FleetPresence.Unobserved);
        source.QueryFault(text)!.Sentence.Should().Contain(words);
        sweep.Faults.Should().ContainSingle();
    }

    [Fact]
    public async Task Of_too_many_queries_the_first_are_asked_and_the_rest_reported()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var source = Source(prometheus, new ManualTime());
        source.WantedQueries = Enumerable.Range(0, PrometheusSource.MostQueries + 3).Select(static i => $"q{i:0000}").ToHashSet();

        var sweep = await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        sweep.Asked.Should().Be(PrometheusSource.MostQueries);
        sweep.Faults.Should().ContainSingle().Which.Sentence.Should().Be("Prometheus connection 'main': 3 queries of workloads are not asked, because there are more than 1000.");
        source.Query("q0999").Reading.Presence.Should().Be(FleetPresence.Present);
        source.QueryFault("q0999").Should().BeNull();
        source.QueryFault("q1000").Should().Be(sweep.Faults[0]);

        source.WantedQueries = new HashSet<string> { "q1000" };
        source.Query("q0999").Reading.Presence.Should().Be(FleetPresence.Unobserved, "it is forgotten");
        (await source.SweepQueriesAsync(onlyNews: true, CancellationToken.None)).Should().BeEquivalentTo(new { Asked = 1, Rows = 0, Faults = Array.Empty<SourceFault>() });
        (await source.SweepQueriesAsync(onlyNews: true, CancellationToken.None)).Asked.Should().Be(0);
    }

    [Fact]
    public async Task Whoever_invents_queries_takes_the_place_of_none_that_is_asked()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var source = Source(prometheus, new ManualTime());
        source.WantedQueries = new HashSet<string> { "sum(replicas)" };
        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        source.WantedQueries = Enumerable.Range(0, PrometheusSource.MostQueries + 3).Select(static i => $"q{i:0000}").Append("sum(replicas)").ToHashSet();

        source.Query("sum(replicas)").Reading.Presence.Should().Be(FleetPresence.Present);
        source.QueryFault("sum(replicas)").Should().BeNull();
        source.QueryFault("q0998").Should().BeNull();
        source.QueryFault("q0999").Should().NotBeNull("there is no place for it");
    }

    [Fact]
    public async Task What_has_no_turn_within_the_interval_comes_first_next_time()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        var time = new ManualTime();
        using var source = Source(prometheus, time);
        source.WantedQueries = Enumerable.Range(0, 40).Select(static i => $"q{i:00}").ToHashSet();
        prometheus.Answer = _ =>
        {
            lock (time)
            {
                time.Advance(TimeSpan.FromSeconds(1));
            }

            return StubPrometheus.Vector(("", "1"));
        };

        var first = await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);
        first.Asked.Should().BeInRange(15, 18);
        first.Faults.Should().ContainSingle().Which.Sentence.Should().Contain($"{40 - first.Asked} queries");
        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);
        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        prometheus.Queries.Select(static query => query.Query).Distinct().Should().HaveCount(40);
    }

    [Fact]
    public async Task At_most_four_are_asked_at_once()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        int now = 0, most = 0;
        using var source = Source(prometheus);
        source.WantedQueries = Enumerable.Range(0, 30).Select(static i => $"q{i}").ToHashSet();
        prometheus.Answer = _ =>
        {
            var running = Interlocked.Increment(ref now);
            for (var seen = most; running > seen; seen = most)
            {
                Interlocked.CompareExchange(ref most, running, seen);
            }

            Thread.Sleep(TimeSpan.FromMilliseconds(10));
            Interlocked.Decrement(ref now);
            return StubPrometheus.Vector();
        };

        await source.SweepQueriesAsync(onlyNews: false, CancellationToken.None);

        most.Should().BeInRange(1, 4);
    }

    [Fact]
    public async Task The_loops_ask_what_is_wanted_at_once_and_survive_everything()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var cancellation = new CancellationTokenSource();
        var sources = new HashSet<FleetSource>();
        using var source = new PrometheusSource(prometheus.Options(), new MonotonicClock(TimeProvider.System), sweep =>
        {
            lock (sources)
            {
                sources.Add(sweep.Source);
                if (sources.Count == 2)
                {
                    cancellation.Cancel();
                }
            }

            throw new InvalidOperationException();
        });
        source.WantedQueries = new HashSet<string> { "q" };
        source.WantsReplicas = true;

        await FluentActions.Awaiting(() => source.RunAsync(cancellation.Token)).Should().ThrowAsync<OperationCanceledException>();

        prometheus.Queries.Should().HaveCount(6);
    }

    [Fact]
    public async Task Nothing_is_asked_that_nobody_wants()
    {
        await using var prometheus = await StubPrometheus.StartAsync();
        using var cancellation = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        using var source = Source(prometheus);

        await FluentActions.Awaiting(() => source.RunAsync(cancellation.Token)).Should().ThrowAsync<OperationCanceledException>();

        prometheus.Queries.Should().BeEmpty();
    }

    private static PrometheusSource Source(StubPrometheus prometheus, TimeProvider? time = null) =>
        new(prometheus.Options(), new MonotonicClock(time ?? TimeProvider.System));

    private static string Text(ReplicaReading reading) =>
        $"{reading.Reading.Presence} {reading.Existing?.ToString() ?? "-"} {reading.Ready?.ToString() ?? "-"} {reading.Maximum?.ToString() ?? "-"}";
}
