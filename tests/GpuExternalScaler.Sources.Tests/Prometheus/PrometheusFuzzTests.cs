using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

/// <summary>
/// Bytes that no Prometheus sends. <c>GPU_SCALER_FUZZ_BYTES</c> is how many are read, 10000000 or more for a run that means it, and
/// <c>GPU_SCALER_FUZZ_SEED</c> where to start.
/// </summary>
public sealed class PrometheusFuzzTests
{
    private const string Start = """{"status":"success","data":{"resultType":"vector","result":[""";
    private const int MaxSeries = 50;
    private const int MaxPoints = 200;

    [Fact]
    public void Random_and_mutated_answers_end_in_a_reason_within_bounds()
    {
        var budget = Number("GPU_SCALER_FUZZ_BYTES", 1_000_000);
        var seed = (int)Number("GPU_SCALER_FUZZ_SEED", 1);
#pragma warning disable CA5394 // Repeatable is what it has to be.
        var random = new Random(seed);
        var slowest = TimeSpan.Zero;
        var round = 0;
        for (long read = 0; read < budget; round++)
        {
            var body = WildAnswers.Next(random);
            read += body.Length + 1;
            var start = TimeProvider.System.GetTimestamp();
            Probe(body, $"round {round} of seed {seed}");
            var took = TimeProvider.System.GetElapsedTime(start);
            slowest = took > slowest ? took : slowest;
        }
#pragma warning restore CA5394

        slowest.Should().BeLessThan(TimeSpan.FromSeconds(2), "nothing of a few kilobytes may take long");
    }

    [Fact]
    public void Any_bytes_end_in_a_reason() => Prop
        .ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => Probe(bytes, "bytes"))
        .Check(Config.QuickThrowOnFailure.WithMaxTest(1000));

    [Fact]
    public void What_is_written_is_read_back() => Prop
        .ForAll(
            (from series in (from labels in ArbMap.Default.GeneratorFor<string>().Select(Clean).ArrayOf()
                             from value in ArbMap.Default.GeneratorFor<double>()
                             select (Labels: labels, Value: value)).ArrayOf()
             from seconds in Gen.Choose(0, int.MaxValue)
             select (Series: series, Seconds: seconds)).ToArbitrary(),
            answer =>
            {
                var written = answer.Series.Take(20).Select(series => (Labels: series.Labels.Take(100).Select((value, i) => ($"l{i}", value)).ToArray(), series.Value)).ToArray();
                var json = Encoding.UTF8.GetBytes($$$"""
                    {"status":"success","data":{"resultType":"vector","result":[{{{string.Join(',', written.Select(series =>
                        $$"""{"metric":{{{string.Join(',', series.Labels.Select(l => $"{Json(l.Item1)}:{Json(l.value)}"))}}},"value":[{{answer.Seconds}}.25,"{{GoNumber(series.Value)}}"]}"""))}}}]}}
                    """);
                if (PrometheusResultReader.Read(json, 100, 100, out var result) != SourceReason.None)
                {
                    return false;
                }

                return result!.BadSeries == 0
                    && result.Series.Select(series => series.Labels).SequenceEqual(written.Select(series =>
                        new PrometheusLabels([.. series.Labels.Select(l => new KeyValuePair<string, string>(l.Item1, l.value))])))
                    && result.Series.Select(series => series.Value).SequenceEqual(written.Select(series => double.IsFinite(series.Value) ? series.Value : (double?)null))
                    && result.LostSamples == written.Count(series => !double.IsFinite(series.Value));
            })
        .Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Labels_are_the_same_in_any_order() => Prop
        .ForAll(ArbMap.Default.ArbFor<string[]>(), values =>
        {
            var pairs = (values ?? []).Select((value, i) => new KeyValuePair<string, string>($"l{i}", value ?? "")).ToArray();
            var labels = new PrometheusLabels(pairs);
            Array.Reverse(pairs);
            var reversed = new PrometheusLabels(pairs);
            var other = new PrometheusLabels([.. pairs, new("x", "")]);
            return labels.Equals(reversed) && labels.GetHashCode() == reversed.GetHashCode() && !labels.Equals(other) && other.Without("x").Equals(labels);
        })
        .Check(Config.QuickThrowOnFailure);

    public static TheoryData<string, string, string, SourceReason> Floods => new()
    {
        { Start, """{"metric":{},"value":[1,"2"]},""", "series", SourceReason.TooLarge },
        { Start, """{"metric":{"a":"b"}},""", "bad series", SourceReason.TooLarge },
        { Start + """{"metric":{"a":"b"},"value":[1,"2""", "2", "a number", SourceReason.Truncated },
        { Start + """{"metric":{"a":"b""", "b", "a label", SourceReason.Truncated },
        { Start + """{"metric":{"a":"b",""", "\"c\":\"\",", "labels", SourceReason.Truncated },
        { Start + """{"value":""", "[", "brackets", SourceReason.MalformedAnswer },
        { """{"status":"success","warnings":[""", "\"w\",", "warnings", SourceReason.Truncated },
        { """{"status":"success","data":{"result":[""", """{"metric":{"a":"b"},"value":[1,"2"]},""", "series of no known type", SourceReason.Truncated },
        { """{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[""", """[1,"2"],""", "points", SourceReason.TooLarge },
        { "", " ", "blanks", SourceReason.MalformedAnswer },
    };

    [Theory]
    [MemberData(nameof(Floods))]
    public void A_flood_ends_without_taking_memory(string start, string part, string what, SourceReason expected)
    {
        var body = Encoding.UTF8.GetBytes(start + string.Concat(Enumerable.Repeat(part, 4_000_000 / part.Length)));
        var before = GC.GetAllocatedBytesForCurrentThread();

        var reason = PrometheusResultReader.Read(body, 50_000, 100_000, out _);

        reason.Should().Be(expected, "of a flood of {0}", what);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(20_000_000);
    }

    [Fact]
    public void Labels_are_bounded_over_all_series()
    {
        var labels = string.Join(',', Enumerable.Range(0, 100).Select(i => $"\"l{i}\":\"v\""));
        var series = $$"""{"metric":{{{labels}}},"value":[1,"2"]}""";
        var body = $"{Start}{string.Join(',', Enumerable.Repeat(series, 12_000))}]}}}}";

        PrometheusResultReader.Read(Encoding.UTF8.GetBytes(body), 50_000, 1_000_000, out _).Should().Be(SourceReason.TooLarge);
    }

    [Fact]
    public async Task Whatever_a_socket_answers_is_a_reason()
    {
#pragma warning disable CA5394
        var random = new Random(2);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var options = new PrometheusConnectionOptions { Name = "main", Url = new Uri($"http://{listener.LocalEndpoint}"), Timeout = TimeSpan.FromSeconds(2) };
        var query = PromQl.Metric("up").ToQuery();
        for (var round = 0; round < 40; round++)
        {
            using var client = new PrometheusClient(options, new MonotonicClock(TimeProvider.System));
            using var stop = new CancellationTokenSource();
            var body = WildAnswers.Mutated(random);
            byte[] head = Encoding.ASCII.GetBytes($"HTTP/1.1 {(random.Next(2) == 0 ? 200 : 400)} OK\r\nContent-Length: {body.Length}\r\n\r\n");
            byte[] reply = random.Next(4) == 0 ? WildAnswers.Noise(random) : [.. round % 2 == 0 ? WildAnswers.Mutate(random, head) : head, .. body];
            var serving = ServeAsync(listener, reply, stop.Token);

            var answer = await client.QueryAsync(query, null, CancellationToken.None);

            answer.Reason.Should().NotBe(SourceReason.Unexpected, "of round {0}: {1}", round, answer.Defect);
            (answer.Result is null).Should().Be(answer.Reason != SourceReason.None);
            await stop.CancelAsync();
            await serving;
        }
#pragma warning restore CA5394
    }

    private static async Task ServeAsync(TcpListener listener, byte[] reply, CancellationToken cancellationToken)
    {
        try
        {
            // Twice, if it is asked again.
            while (true)
            {
                using var connection = await listener.AcceptTcpClientAsync(cancellationToken);
                var stream = connection.GetStream();
                _ = await stream.ReadAtLeastAsync(new byte[8192], 100, throwOnEndOfStream: false, cancellationToken);
                await stream.WriteAsync(reply, cancellationToken);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // Enough.
        }
    }

    private static void Probe(byte[] body, string which)
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var reason = PrometheusResultReader.Read(body, MaxSeries, MaxPoints, out var result);
        _ = PrometheusError.Read(body);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        // Exceptions and all; nothing may grow faster than the answer.
        var isBounded = allocated < 50_000 + (40L * body.Length);
        var isKnown = reason is SourceReason.None or SourceReason.MalformedAnswer or SourceReason.Truncated or SourceReason.TooLarge;
        var isConsistent = (result is not null) == (reason == SourceReason.None);
        (isBounded && isKnown && isConsistent).Should().BeTrue("of {0}, which came to {1} and took {2} bytes for {3}", which, reason, allocated, body.Length);
        if (result is not null)
        {
            var isWithinLimits = result.Series.Count <= MaxSeries && result.Series.Sum(series => series.Points.Count) <= MaxPoints;
            var isFinite = result.Series.All(series => series.Points.All(point => double.IsFinite(point.Value)));
            (isWithinLimits && isFinite && SampleAges.Join(result).Count <= MaxSeries).Should().BeTrue("of {0}", which);
            _ = result.TryGetSingle(out _);
        }
    }

    private static string Clean(string? text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));

    private static string Json(string text) => System.Text.Json.JsonSerializer.Serialize(text);

    private static string GoNumber(double value) =>
        double.IsNaN(value) ? "NaN" : double.IsPositiveInfinity(value) ? "+Inf" : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString("R", CultureInfo.InvariantCulture);

    private static long Number(string variable, long otherwise) =>
        long.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
