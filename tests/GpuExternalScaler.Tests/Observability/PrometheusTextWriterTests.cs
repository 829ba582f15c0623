using System.Buffers;
using System.Globalization;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using GpuExternalScaler.Observability.Exposition;

namespace GpuExternalScaler.Tests.Observability;

public sealed class PrometheusTextWriterTests
{
    private static readonly MetricFamily Depth = MetricFamily.Gauge("depth", "How deep.");
    private static readonly MetricFamily Served = MetricFamily.Counter("served", "How many.");
    private static readonly MetricFamily Latency = MetricFamily.Histogram("latency_seconds", "How long.", "seconds");

    [Fact]
    public void A_page_has_exactly_this_text()
    {
        Text(ExpositionFormat.PrometheusText, SmallPage).Should().Be(
            """
            # HELP depth How deep.
            # TYPE depth gauge
            depth 3
            depth{queue="a"} -1.5
            depth{queue="b",state="idle"} 0
            # HELP served_total How many.
            # TYPE served_total counter
            served_total{queue="c",tenant="d"} 12
            # HELP latency_seconds How long.
            # TYPE latency_seconds histogram
            latency_seconds_bucket{le="0.5"} 2
            latency_seconds_bucket{le="1"} 5
            latency_seconds_bucket{le="+Inf"} 6
            latency_seconds_sum 7.25
            latency_seconds_count 6
            latency_seconds_bucket{queue="a",le="+Inf"} 4
            latency_seconds_sum{queue="a"} 2
            latency_seconds_count{queue="a"} 4

            """);
    }

    [Fact]
    public void The_same_page_has_exactly_this_text_in_OpenMetrics()
    {
        Text(ExpositionFormat.OpenMetrics, SmallPage).Should().Be(
            """
            # HELP depth How deep.
            # TYPE depth gauge
            depth 3
            depth{queue="a"} -1.5
            depth{queue="b",state="idle"} 0
            # HELP served How many.
            # TYPE served counter
            served_total{queue="c",tenant="d"} 12
            # HELP latency_seconds How long.
            # TYPE latency_seconds histogram
            # UNIT latency_seconds seconds
            latency_seconds_bucket{le="0.5"} 2
            latency_seconds_bucket{le="1.0"} 5
            latency_seconds_bucket{le="+Inf"} 6
            latency_seconds_sum 7.25
            latency_seconds_count 6
            latency_seconds_bucket{queue="a",le="+Inf"} 4
            latency_seconds_sum{queue="a"} 2
            latency_seconds_count{queue="a"} 4
            # EOF

            """);
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("", "")]
    [InlineData("a\"b", "a\\\"b")]
    [InlineData("a\\b", "a\\\\b")]
    [InlineData("a\nb", "a\\nb")]
    [InlineData("a\\nb", "a\\\\nb")]
    [InlineData("\"\\\n", "\\\"\\\\\\n")]
    [InlineData("a\rb\tc", "a\rb\tc")]
    [InlineData("a{},=b", "a{},=b")]
    [InlineData("Schlüssel 鍵 🔑", "Schlüssel 鍵 🔑")]
    [InlineData("a\0b", "a\uFFFDb")]
    public void A_label_value_is_escaped(string value, string escaped)
    {
        LabelSet.Of(("l", value)).ToString().Should().Be($"l=\"{escaped}\"");
        Sampled(writer => writer.Sample(1, ("l", value))).Should().Be($"depth{{l=\"{escaped}\"}} 1");
    }

    [Fact]
    public void Half_a_character_is_replaced() =>
        Sampled(writer => writer.Sample(1, ("l", "half \ud83d"), ("m", "\udd11\""))).Should().Be("depth{l=\"half \uFFFD\",m=\"\uFFFD\\\"\"} 1");

    [Theory]
    [InlineData("a \"quoted\" back\\slash\nline", "a \"quoted\" back\\\\slash\\nline", "a \\\"quoted\\\" back\\\\slash\\nline")]
    [InlineData("Größe", "Größe", "Größe")]
    public void A_help_text_is_escaped_by_the_rules_of_its_format(string help, string text, string openMetrics)
    {
        var family = MetricFamily.Gauge("x", help);
        Encoding.UTF8.GetString(family.HeaderFor(ExpositionFormat.PrometheusText)).Should().StartWith($"# HELP x {text}\n");
        Encoding.UTF8.GetString(family.HeaderFor(ExpositionFormat.OpenMetrics)).Should().StartWith($"# HELP x {openMetrics}\n");
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(-0.0, "-0")]
    [InlineData(1, "1")]
    [InlineData(-42, "-42")]
    [InlineData(0.1, "0.1")]
    [InlineData(1.0 / 3, "0.3333333333333333")]
    [InlineData(123456789012, "123456789012")]
    [InlineData(9007199254740991, "9007199254740991")]
    [InlineData(9007199254740992, "9007199254740992")]
    [InlineData(1e17, "1E+17")]
    [InlineData(1e300, "1E+300")]
    [InlineData(5e-324, "5E-324")]
    [InlineData(-double.MaxValue, "-1.7976931348623157E+308")]
    [InlineData(double.PositiveInfinity, "+Inf")]
    [InlineData(double.NegativeInfinity, "-Inf")]
    [InlineData(double.NaN, "NaN")]
    public void A_number_is_written_in_its_shortest_form(double value, string text) =>
        Sampled(writer => writer.Sample(value)).Should().Be("depth " + text);

    [Fact]
    public void Every_number_reads_back_as_itself() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2_000), Prop.ForAll<ulong>(bits =>
        {
            var value = BitConverter.UInt64BitsToDouble(bits ^ (bits << 45));
            var read = Read(writer => writer.Sample(value)).Value;
            return double.IsNaN(value) ? double.IsNaN(read) : BitConverter.DoubleToInt64Bits(read) == BitConverter.DoubleToInt64Bits(value);
        }));

    [Fact]
    public void Every_label_value_reads_back_as_itself() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(2_000), Prop.ForAll(Nasty.ToArbitrary(), value =>
        {
            var expected = Legible(value);
            var straight = Read(writer => writer.Sample(1, ("before", "x"), ("l", value), ("after", value)));
            var prepared = Read(writer => writer.Sample(1, LabelSet.Of(("before", "x"), ("l", value)), LabelSet.Of(("after", value))));
            return straight.Labels.SequenceEqual([("before", "x"), ("l", expected), ("after", expected)])
                && prepared.Labels.SequenceEqual(straight.Labels);
        }));

    [Fact]
    public void Every_help_text_reads_back_as_itself_in_both_formats() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1_000), Prop.ForAll(Nasty.Where(text => !string.IsNullOrWhiteSpace(text)).ToArbitrary(), help =>
        {
            var family = MetricFamily.Counter("x", help);
            void Page(PrometheusTextWriter writer)
            {
                writer.Begin(family);
                writer.Sample(1);
            }

            return ExpositionParser.Parse(Bytes(ExpositionFormat.PrometheusText, Page)).Values.Single().Help == Legible(help)
                && ExpositionParser.Parse(Bytes(ExpositionFormat.OpenMetrics, Page), openMetrics: true).Values.Single().Help == Legible(help);
        }));

    [Fact]
    public void Buckets_are_cumulative_and_end_with_the_count() =>
        Check.One(Config.QuickThrowOnFailure, Prop.ForAll<NormalFloat[], PositiveInt[]>((observed, edges) =>
        {
            var bounds = edges.Select(edge => edge.Get / 4.0).Distinct().Order().ToArray();
            var values = observed.Select(value => Math.Abs(value.Get) % 40).ToArray();
            var counts = new long[bounds.Length + 1];
            foreach (var value in values)
            {
                var bucket = Array.FindIndex(bounds, bound => value <= bound);
                counts[bucket < 0 ? bounds.Length : bucket]++;
            }

            foreach (var format in Enum.GetValues<ExpositionFormat>())
            {
                var page = Bytes(format, writer =>
                {
                    writer.Begin(Latency);
                    writer.Histogram(LabelSet.Of(("l", "v")), bounds, counts, values.Sum());
                });
                var samples = ExpositionParser.Parse(page, format is ExpositionFormat.OpenMetrics).Values.Single().Samples;
                var buckets = samples.Where(sample => sample.Name == "latency_seconds_bucket").ToList();
                buckets.Should().HaveCount(counts.Length);
                foreach (var bucket in buckets)
                {
                    var bound = bucket.Label("le") == "+Inf" ? double.PositiveInfinity : double.Parse(bucket.Label("le")!, CultureInfo.InvariantCulture);
                    // Not from the counts again, but from what was observed.
                    bucket.Value.Should().Be(values.Count(value => value <= bound));
                }

                buckets[^1].Label("le").Should().Be("+Inf");
                samples.Single(sample => sample.Name == "latency_seconds_count").Value.Should().Be(values.Length);
                samples.Single(sample => sample.Name == "latency_seconds_sum").Value.Should().Be(values.Sum());
                samples.Should().OnlyContain(sample => sample.Label("l") == "v");
            }
        }));

    [Fact]
    public void A_histogram_with_negative_bounds_has_no_sum_in_OpenMetrics()
    {
        void Page(PrometheusTextWriter writer)
        {
            writer.Begin(MetricFamily.Histogram("drift", "Drift."));
            writer.Histogram(default, [-1, 1], [1, 2, 3], -4);
        }

        Text(ExpositionFormat.OpenMetrics, Page).Should().Contain("drift_bucket{le=\"-1.0\"} 1").And.NotContain("_sum").And.NotContain("_count");
        Text(ExpositionFormat.PrometheusText, Page).Should().Contain("drift_sum -4").And.Contain("drift_count 6");
    }

    [Fact]
    public void Bounds_and_counts_that_do_not_fit_are_refused()
    {
        var writer = new PrometheusTextWriter(new ArrayBufferWriter<byte>());
        writer.Begin(Latency);
        writer.Invoking(w => w.Histogram(default, [1, 2], [1, 2], 0)).Should().Throw<ArgumentException>();
        writer.Invoking(w => w.Histogram(default, [2, 1], [1, 2, 3], 0)).Should().Throw<ArgumentException>();
        writer.Invoking(w => w.Histogram(default, [1, 1], [1, 2, 3], 0)).Should().Throw<ArgumentException>();
        writer.Invoking(w => w.Histogram(default, [1, double.PositiveInfinity], [1, 2, 3], 0)).Should().Throw<ArgumentException>();
        writer.Invoking(w => w.Histogram(default, [double.NaN], [1, 2], 0)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_family_without_samples_leaves_no_trace() =>
        Text(ExpositionFormat.PrometheusText, writer =>
        {
            writer.Begin(Depth);
            writer.Begin(Served);
            writer.Sample(1);
        }).Should().NotContain("depth").And.Contain("served_total 1");

    [Fact]
    public void A_family_cannot_be_begun_twice()
    {
        var writer = new PrometheusTextWriter(new ArrayBufferWriter<byte>());
        writer.Begin(Depth);
        writer.HasBegun("depth").Should().BeTrue();
        writer.Invoking(w => w.Begin(MetricFamily.Counter("depth_total", "Other."))).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void Samples_must_fit_the_family()
    {
        var writer = new PrometheusTextWriter(new ArrayBufferWriter<byte>());
        writer.Invoking(w => w.Sample(1)).Should().Throw<InvalidOperationException>();
        writer.Begin(Depth);
        writer.Invoking(w => w.Histogram(default, [], [1], 1)).Should().Throw<InvalidOperationException>();
        writer.Begin(Latency);
        writer.Invoking(w => w.Sample(1)).Should().Throw<InvalidOperationException>();
    }

    [Theory]
    [InlineData("")]
    [InlineData("1x")]
    [InlineData("a-b")]
    [InlineData("a:b")]
    [InlineData("é")]
    [InlineData("x_bucket")]
    [InlineData("x_count")]
    [InlineData("x_sum")]
    [InlineData("x_total")]
    public void A_gauge_cannot_have_this_name(string name) =>
        FluentActions.Invoking(() => MetricFamily.Gauge(name, "Help.")).Should().Throw<ArgumentException>();

    [Fact]
    public void A_unit_is_the_end_of_the_name()
    {
        FluentActions.Invoking(() => MetricFamily.Gauge("x_bytes", "Help.", "seconds")).Should().Throw<ArgumentException>();
        MetricFamily.Counter("x_bytes_total", "Help.", "bytes").Name.Should().Be("x_bytes");
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("a.b")]
    [InlineData("__name__")]
    [InlineData("le")]
    [InlineData("quantile")]
    public void A_label_cannot_have_this_name(string name)
    {
        FluentActions.Invoking(() => LabelSet.Of((name, "v"))).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => Sampled(writer => writer.Sample(1, (name, "v")))).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_label_cannot_be_given_twice() =>
        FluentActions.Invoking(() => LabelSet.Of(("a", "1"), ("b", "2"), ("a", "3"))).Should().Throw<ArgumentException>();

    [Fact]
    public void Samples_do_not_allocate()
    {
        var output = new ArrayBufferWriter<byte>(4 * 1024 * 1024);
        var writer = new PrometheusTextWriter(output);
        var workload = LabelSet.Of(("namespace", "inference"), ("workload", "llama"));
        var state = LabelSet.Of(("reason", "steady"));
        writer.Begin(Depth);
        void Write(int times)
        {
            for (var i = 0; i < times; i++)
            {
                writer.Sample(i * 0.37, workload);
                writer.Sample(i, workload, state);
                writer.Sample(i, ("queue", "jobs"), ("vhost", "/"));
            }
        }

        Write(1_000);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Write(10_000);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(1_000);
    }

    private static Gen<string> Nasty => Gen.OneOf(
        Gen.Elements('\\', '"', '\n', '\0', 'n', '{', '}', ',', ' ', '\r', 'ä', '鍵', '\ud83d', '\udd11', '\u2028', '\uFEFF').ArrayOf().Select(characters => new string(characters)),
        ArbMap.Default.GeneratorFor<string>().Select(text => text ?? ""));

    /// <summary>What UTF-8 can carry of a text, and Prometheus read.</summary>
    private static string Legible(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)).Replace('\0', '\uFFFD');

    private static void SmallPage(PrometheusTextWriter writer)
    {
        writer.Begin(Depth);
        writer.Sample(3);
        writer.Sample(-1.5, LabelSet.Of(("queue", "a")));
        writer.Sample(0, LabelSet.Of(("queue", "b")), LabelSet.Of(("state", "idle")));
        writer.Begin(Served);
        writer.Sample(12, ("queue", "c"), ("tenant", "d"));
        writer.Begin(Latency);
        writer.Histogram(default, [0.5, 1], [2, 3, 1], 7.25);
        writer.Histogram(LabelSet.Of(("queue", "a")), [], [4], 2);
    }

    private static string Sampled(Action<PrometheusTextWriter> sample) =>
        Text(ExpositionFormat.PrometheusText, writer =>
        {
            writer.Begin(Depth);
            sample(writer);
        })["# HELP depth How deep.\n# TYPE depth gauge\n".Length..].TrimEnd('\n');

    private static ParsedSample Read(Action<PrometheusTextWriter> sample) =>
        ExpositionParser.Parse(Bytes(ExpositionFormat.PrometheusText, writer =>
        {
            writer.Begin(Depth);
            sample(writer);
        })).Values.Single().Samples.Single();

    private static string Text(ExpositionFormat format, Action<PrometheusTextWriter> page) =>
        Encoding.UTF8.GetString(Bytes(format, page));

    private static byte[] Bytes(ExpositionFormat format, Action<PrometheusTextWriter> page)
    {
        // One byte at first: every line must ask for the room it takes.
        var output = new ArrayBufferWriter<byte>(1);
        var writer = new PrometheusTextWriter(output, format);
        page(writer);
        writer.Complete();
        return output.WrittenSpan.ToArray();
    }
}
