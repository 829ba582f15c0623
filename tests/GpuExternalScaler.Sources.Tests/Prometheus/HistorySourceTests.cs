using System.Globalization;
using GpuExternalScaler.Scaling.History;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public sealed class HistorySourceTests : IAsyncLifetime
{
    // The server's clock is three hours ahead of ours, and a little.
    private const decimal ServerNow = 1_795_352_400.25m;
    private static readonly SeriesOwner Filter = new("genai", "filter", "t1");
    private readonly ManualTime _time = new();
    private StubPrometheus _prometheus = null!;
    private PrometheusClient _client = null!;
    private HistorySource _source = null!;

    public async Task InitializeAsync()
    {
        _prometheus = await StubPrometheus.StartAsync();
        _prometheus.Answer = static query => query == "time()" ? StubPrometheus.Scalar(ServerNow) : StubPrometheus.Vector();
        _prometheus.AnswerRange = static (_, _, _) => StubPrometheus.Matrix();
        var clock = new MonotonicClock(_time);
        _client = new PrometheusClient(_prometheus.Options(), clock);
        _source = new HistorySource(_client, clock);
    }

    public async Task DisposeAsync()
    {
        _source.Dispose();
        _client.Dispose();
        await _prometheus.DisposeAsync();
    }

    private DateTimeOffset Now => _time.GetUtcNow();

    [Fact]
    public async Task Six_queries_tell_the_last_minutes_of_every_workload()
    {
        const string labels = "namespace,exported_namespace,scaled_object,trigger";

        var sweep = await _source.SweepPastAsync(CancellationToken.None);

        sweep.Should().BeEquivalentTo(new { Connection = "main", Source = FleetSource.Past, Succeeded = true, Asked = 6, Answered = 6, Rows = 0 });
        _prometheus.Queries.Should().Equal(
            ("time()", ""),
            (Newest("service_time_measured", "slots"), "1795352400.25"),
            (Newest("cold_start_measured", "trigger"), "1795352400.25"));
        _prometheus.Ranges.Should().Equal(
            ($"max by ({labels}) (gpu_scaler_workload_arrivals_per_second)", ServerNow - 900, ServerNow, 15),
            ($"max by ({labels}) (gpu_scaler_workload_arrivals_per_second)", ServerNow - 1800, ServerNow - 900, 15),
            ($"max by ({labels}) (gpu_scaler_workload_arrivals_per_second)", ServerNow - 2700, ServerNow - 1800, 15));

        static string Newest(string name, string apart) => $"({Last(name, apart, 180_000)} or {Last(name, apart, 2_700_000)})";

        static string Last(string name, string apart, int milliseconds) =>
            $"max by (namespace,exported_namespace,scaled_object,{apart}) (last_over_time(gpu_scaler_workload_{name}_seconds[{milliseconds}ms]))";
    }

    [Theory]
    [InlineData("namespace=genai,scaled_object=filter,trigger=t1,slots=s1")] // honor_labels
    [InlineData("namespace=gpu-scaler,exported_namespace=genai,scaled_object=filter,trigger=t1,slots=s1")]
    public async Task Samples_are_as_old_as_the_servers_clock_says_and_never_of_the_future(string labels)
    {
        _prometheus.AnswerRange = (_, start, end) => StubPrometheus.Matrix(
            (labels, [(start, "1"), (start + 15, "NaN"), (start + 30, "-1"), (start + 45, "+Inf"), (start + 60, "wrong"), (start + 75, "1e300"), (end, "2.5")]),
            ("scaled_object=filter,trigger=t1", [(start, "9")]),
            ("namespace=genai,trigger=t1", [(start, "9")]),
            ("namespace=genai,scaled_object=filter", [(start, "9")]));
        _prometheus.Answer = query => query == "time()" ? StubPrometheus.Scalar(ServerNow)
            : query.Contains("service_time", StringComparison.Ordinal) ? StubPrometheus.Vector(At(labels, "2.25"))
            : StubPrometheus.Vector(At(labels, "42"));

        await _source.SweepPastAsync(CancellationToken.None);

        var past = Past(Filter)!;
        past.ServiceTimeSeconds.Should().Be(2.25);
        past.ColdStartSeconds.Should().Be(42);
        past.Arrivals.Should().Equal(
            (Now - TimeSpan.FromMinutes(45), 1), (Now - TimeSpan.FromMinutes(30), 2.5), (Now - TimeSpan.FromMinutes(15), 2.5), (Now, 2.5));
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("NaN")]
    [InlineData("+Inf")]
    [InlineData("1e300")]
    [InlineData("90000")]
    public async Task A_time_that_is_none_is_left_out(string value)
    {
        _prometheus.Answer = query => query == "time()" ? StubPrometheus.Scalar(ServerNow) : StubPrometheus.Vector(At("namespace=genai,scaled_object=filter,trigger=t1,slots=s1", value));

        await _source.SweepPastAsync(CancellationToken.None);

        Past(Filter).Should().BeNull();
    }

    [Fact]
    public async Task Of_two_servers_or_two_ways_of_scraping_the_larger_counts()
    {
        _prometheus.AnswerRange = static (_, _, end) => StubPrometheus.Matrix(
            ("namespace=genai,scaled_object=filter,trigger=t1", [(end, "3")]),
            ("namespace=monitoring,exported_namespace=genai,scaled_object=filter,trigger=t1", [(end, "2")]));

        await _source.SweepPastAsync(CancellationToken.None);

        Past(Filter)!.Arrivals.Should().HaveCount(3).And.OnlyContain(static arrival => arrival.ArrivalsPerSecond == 3);
    }

    [Theory]
    [InlineData("t1:1-9", "t1", "t1")]
    [InlineData("t1:1-3,t2:2-9", "t1", "t1")] // its own, however old
    [InlineData("t2:1-9", "t1", "t2")] // edited
    [InlineData("t2:1-3,t3:2-9", "t1", "t3")] // edited twice: the newest
    [InlineData("t2:1-9,t3:1-9", "t1", null)] // two triggers on one ScaledObject
    [InlineData("t2:1-9,asked:1-5", "t1", "t2")]
    [InlineData("t2:1-5,asked:1-9", "t1", null)] // that one is about other queues
    [InlineData("", "t1", null)]
    public async Task A_trigger_that_was_edited_is_found_by_its_ScaledObject(string triggers, string asked, string? found)
    {
        var series = triggers.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(static text => text.Split(':', '-')).ToList();
        _prometheus.AnswerRange = (_, _, end) => end < ServerNow ? StubPrometheus.Matrix() : StubPrometheus.Matrix(
        [
            .. series.Select((one, i) => (
                $"namespace=genai,scaled_object=filter,trigger={one[0]}",
                Enumerable.Range(int.Parse(one[1], CultureInfo.InvariantCulture), int.Parse(one[2], CultureInfo.InvariantCulture)).Select(step => (end - (15 * (20 - step)), $"{i + 1}")).ToArray())),
            ("namespace=genai,scaled_object=other,trigger=t9", [(end, "99")]),
            ("namespace=other,scaled_object=filter,trigger=t9", [(end, "99")]),
        ]);

        await _source.SweepPastAsync(CancellationToken.None);

        var past = Past(Filter with { Trigger = asked }, static owner => owner.Trigger == "asked");
        var index = series.FindIndex(one => one[0] == found);
        (past?.Arrivals[0].ArrivalsPerSecond).Should().Be(index < 0 ? null : index + 1);
    }

    [Theory]
    [InlineData("t1", "s1", 2.5)]
    [InlineData("t2", "s1", 2.5)] // edited, and its queues are the same
    [InlineData("t2,t3", "s1", 2.5)] // more than once
    [InlineData("t2", "s2", null)] // a trigger that is gone, of other queues
    [InlineData("t1", "s2", null)] // another concurrency
    public async Task A_service_time_is_that_of_the_same_queues_and_slots(string triggers, string slots, double? expected)
    {
        _prometheus.AnswerRange = static (_, _, end) => StubPrometheus.Matrix(("namespace=genai,scaled_object=filter,trigger=t1", [(end, "3")]));
        _prometheus.Answer = query => query == "time()" ? StubPrometheus.Scalar(ServerNow)
            : query.Contains("service_time", StringComparison.Ordinal) ? StubPrometheus.Vector([.. triggers.Split(',').Select(trigger => At($"namespace=genai,scaled_object=filter,trigger={trigger},slots={slots}", "2.5"))])
            : StubPrometheus.Vector();

        await _source.SweepPastAsync(CancellationToken.None);

        Past(Filter)!.ServiceTimeSeconds.Should().Be(expected);
    }

    [Fact]
    public async Task Whoever_asks_soon_after_gets_what_was_brought_and_later_it_is_asked_anew()
    {
        _source.TryGetPast(Now, out var none).Should().BeFalse();
        none.Should().BeNull();
        await _source.SweepPastAsync(CancellationToken.None);
        var asked = Now;

        _source.TryGetPast(asked - TimeSpan.FromSeconds(5), out var waited).Should().BeTrue();
        _time.Advance(TimeSpan.FromSeconds(15));
        _source.TryGetPast(Now, out var soon).Should().BeTrue();
        _time.Advance(TimeSpan.FromSeconds(1));
        _source.TryGetPast(Now, out _).Should().BeFalse();

        soon.Should().BeSameAs(waited).And.NotBeNull();
    }

    public static TheoryData<string, string?, SourceReason> Failures => new()
    {
        { "time()", null, SourceReason.Unavailable },
        { "time()", "<html>", SourceReason.MalformedAnswer },
        { "time()", StubPrometheus.Vector(("", "1")), SourceReason.MalformedAnswer },
        { "time()", """{"status":"success","data":{"resultType":"scalar","result":[]}}""", SourceReason.MalformedAnswer },
        { "arrivals", null, SourceReason.Unavailable },
        { "arrivals", StubPrometheus.Vector(("namespace=genai,scaled_object=filter,trigger=t1", "1")), SourceReason.MalformedAnswer },
        { "arrivals", """{"status":"error","errorType":"bad_data","error":"1:2: parse error: s3cret"}""", SourceReason.QueryRejected },
    };

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task Without_an_answer_nothing_is_known_nobody_waits_and_it_is_said(string query, string? answer, SourceReason reason)
    {
        _prometheus.AnswerRange = null;
        _prometheus.Answer = asked => asked.Contains(query, StringComparison.Ordinal) ? answer : StubPrometheus.Scalar(ServerNow);

        var sweep = await _source.SweepPastAsync(CancellationToken.None);

        _source.TryGetPast(Now, out var table).Should().BeTrue();
        table.Should().BeNull();
        sweep.Succeeded.Should().BeFalse();
        sweep.Faults.Should().ContainSingle().Which.Should().Match<SourceFault>(fault => fault.Reason == reason && !fault.Sentence.Contains("s3cret") && fault.Sentence.StartsWith("Prometheus connection 'main'"));
    }

    [Fact]
    public async Task What_was_answered_before_a_query_failed_is_worth_something()
    {
        _prometheus.AnswerRange = static (_, _, end) => end < ServerNow ? null : StubPrometheus.Matrix(("namespace=genai,scaled_object=filter,trigger=t1", [(end, "3")]));

        var sweep = await _source.SweepPastAsync(CancellationToken.None);

        sweep.Succeeded.Should().BeFalse();
        Past(Filter)!.Arrivals.Should().ContainSingle();
    }

    [Fact]
    public async Task Answers_of_any_kind_end_in_a_table_or_none()
    {
#pragma warning disable CA5394 // Repeatable is what it has to be.
        var random = new Random(1);
#pragma warning restore CA5394
        _prometheus.AnswerRange = null;
        _source.WantsSeasonal = true;
        for (var i = 0; i < 150; i++)
        {
            _prometheus.Answer = query => query == "time()" && i % 2 == 0 ? StubPrometheus.Scalar(ServerNow) : System.Text.Encoding.Latin1.GetString(WildAnswers.Next(random));
            _time.Advance(TimeSpan.FromMinutes(1));

            await _source.SweepPastAsync(CancellationToken.None);
            await _source.SweepSeasonsAsync(CancellationToken.None);

            Past(Filter)?.Arrivals.Should().OnlyContain(arrival => arrival.At <= Now && arrival.ArrivalsPerSecond >= 0 && double.IsFinite(arrival.ArrivalsPerSecond));
        }
    }

    [Fact]
    public async Task Three_queries_tell_the_weeks_before_around_now_and_the_end_of_the_longest_cold_start()
    {
        _source.ColdStart = TimeSpan.FromMinutes(10);

        var sweep = await _source.SweepSeasonsAsync(CancellationToken.None);

        sweep.Should().BeEquivalentTo(new { Source = FleetSource.Seasonal, Succeeded = true, Asked = 3, Answered = 3 });
        const string query = "max by (namespace,exported_namespace,scaled_object,trigger) (quantile_over_time(0.9, gpu_scaler_workload_arrivals_per_second[300000ms]))";
        const decimal week = 7 * 86_400;
        _prometheus.Ranges.Should().Equal(
            (query, ServerNow - week - 3900, ServerNow - week + 600 + 3600 + 2160, 300),
            (query, ServerNow - (2 * week) - 3900, ServerNow - (2 * week) + 600 + 3600 + 2160, 300));
    }

    [Fact]
    public async Task The_most_from_one_moment_to_another_needs_both_ends()
    {
        // Each figure is the number of its step, but for the 20th, which is not known, and the 21st, which is a spike.
        _prometheus.AnswerRange = static (_, start, end) => StubPrometheus.Matrix((
            "namespace=genai,scaled_object=filter,trigger=t1",
            [.. Enumerable.Range(0, (int)((end - start) / 300) + 1).Select(step => (start + (300 * step), step == 20 ? "NaN" : step == 21 ? "99" : $"{step}"))]));
        await _source.SweepSeasonsAsync(CancellationToken.None);

        var figures = _source.Seasonal!.Find(Filter, static _ => false)!;

        // Step 13 is this moment, a week or two ago.
        foreach (var weeks in (int[])[1, 2])
        {
            var now = Now - (7 * weeks * TimeSpan.FromDays(1));
            figures.Between(weeks, now, now).Should().Be((13.0, 13.0));
            figures.Between(weeks, now + TimeSpan.FromSeconds(1), now + TimeSpan.FromSeconds(1)).Should().Be((14.0, 14.0), "that moment is in the minutes before the next step");
            figures.Between(weeks, now, now + TimeSpan.FromMinutes(6)).Should().Be((13.0, 15.0));
            figures.Between(weeks, now, now + TimeSpan.FromMinutes(35)).Should().BeNull("the end is not known");
            figures.Between(weeks, now + TimeSpan.FromMinutes(35), now + TimeSpan.FromMinutes(40)).Should().BeNull("the beginning is not known");
            figures.Between(weeks, now + TimeSpan.FromMinutes(30), now + TimeSpan.FromMinutes(45)).Should().Be((19.0, 99.0));
            figures.Between(weeks, now - TimeSpan.FromMinutes(65), now).Should().Be((0.0, 13.0));
            figures.Between(weeks, now - TimeSpan.FromMinutes(70.1), now).Should().BeNull("that far it does not go");
            figures.Between(weeks, now, now + TimeSpan.FromHours(3)).Should().BeNull();
            figures.Between(weeks, now, now + TimeSpan.FromDays(3000)).Should().BeNull();
        }

        _source.Seasonal.Find(Filter with { Namespace = "other" }, static _ => false).Should().BeNull();
    }

    [Fact]
    public async Task What_was_known_of_the_weeks_before_outlives_a_failure()
    {
        await _source.SweepSeasonsAsync(CancellationToken.None);
        var before = _source.Seasonal;
        _prometheus.AnswerRange = static (_, _, _) => null;

        (await _source.SweepSeasonsAsync(CancellationToken.None)).Succeeded.Should().BeFalse();

        _source.Seasonal.Should().BeSameAs(before).And.NotBeNull();
    }

    [Fact]
    public async Task What_was_known_whole_of_the_weeks_before_outlives_a_partial_answer_until_its_time_is_over()
    {
        const string partial = """{"status":"success","data":{"resultType":"matrix","result":[]},"warnings":["a store is missing"]}""";
        _prometheus.AnswerRange = static (_, _, _) => partial;
        await _source.SweepSeasonsAsync(CancellationToken.None);
        _source.Seasonal.Should().NotBeNull("it is better than nothing");
        _prometheus.AnswerRange = static (_, start, _) => StubPrometheus.Matrix(("namespace=genai,scaled_object=filter,trigger=t1", [(start, "3")]));
        await _source.SweepSeasonsAsync(CancellationToken.None);
        var whole = _source.Seasonal;
        whole!.Count.Should().Be(1);
        _prometheus.AnswerRange = static (_, _, _) => partial;

        _time.Advance(TimeSpan.FromMinutes(30));
        await _source.SweepSeasonsAsync(CancellationToken.None);
        _source.Seasonal.Should().BeSameAs(whole);

        _time.Advance(TimeSpan.FromMinutes(30));
        await _source.SweepSeasonsAsync(CancellationToken.None);
        _source.Seasonal.Should().NotBeSameAs(whole);
    }

    [Fact]
    public async Task The_past_is_asked_for_at_the_start_and_the_weeks_before_when_they_are_wanted()
    {
        var sweeps = new System.Collections.Concurrent.ConcurrentQueue<FleetSource>();
        using var cancellation = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var clock = new MonotonicClock(TimeProvider.System);
        using var client = new PrometheusClient(_prometheus.Options(), clock);
        using var source = new HistorySource(client, clock, sweep =>
        {
            sweeps.Enqueue(sweep.Source);
            if (sweeps.Count == 2)
            {
                cancellation.CancelAfter(TimeSpan.FromSeconds(1));
            }

            throw new InvalidOperationException();
        });
        source.WantsSeasonal = true;

        var running = source.RunAsync(cancellation.Token);
        await FluentActions.Awaiting(() => running).Should().ThrowAsync<OperationCanceledException>();

        sweeps.Order().Should().Equal(FleetSource.Past, FleetSource.Seasonal);
        source.TryGetPast(clock.Now - TimeSpan.FromSeconds(5), out var table).Should().BeTrue();
        table.Should().NotBeNull();
    }

    private PastArrivals? Past(SeriesOwner owner, Predicate<SeriesOwner>? isAskedAbout = null)
    {
        _source.TryGetPast(Now, out var table).Should().BeTrue();
        return table?.Find(owner, "s1", isAskedAbout ?? (static _ => false));
    }

    private static (string Labels, string Value) At(string labels, string value) => (labels, value);
}
