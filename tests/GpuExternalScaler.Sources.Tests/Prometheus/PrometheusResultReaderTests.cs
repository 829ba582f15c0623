using System.Text;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public sealed class PrometheusResultReaderTests
{
    private static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeMilliseconds(1_795_345_652_113);

    [Fact]
    public void A_vector_has_one_value_for_each_series_and_labels_in_any_order()
    {
        var result = ReadGood("""
            {"status":"success","data":{"resultType":"vector","result":[
              {"metric":{"__name__":"up","pod":"b","instance":"x"},"value":[1795345652.113,"1e+06"]},
              {"metric":{},"value":[1795345652.113,"-0.5"]}]}}
            """);

        result.Type.Should().Be(PrometheusResultType.Vector);
        result.EvaluatedAt.Should().Be(At);
        result.Series.Should().HaveCount(2);
        result.Series[0].Labels.Should().Be(new PrometheusLabels([new("instance", "x"), new("pod", "b"), new("__name__", "up")]));
        result.Series[0].Labels["pod"].Should().Be("b");
        result.Series[0].Labels["absent"].Should().BeEmpty();
        result.Series.Select(series => series.Value).Should().Equal(1e6, -0.5);
        result.IsPartial.Should().BeFalse();
        result.TryGetSingle(out _).Should().BeFalse("there are two");
    }

    [Fact]
    public void A_matrix_has_its_points_by_time()
    {
        var result = ReadGood("""
            {"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"1"],[2.5,"NaN"],[4,"3"]]}]}}
            """);

        result.Type.Should().Be(PrometheusResultType.Matrix);
        result.Series.Single().Points.Should().Equal(
            new PrometheusPoint(DateTimeOffset.FromUnixTimeSeconds(1), 1), new PrometheusPoint(DateTimeOffset.FromUnixTimeSeconds(4), 3));
        result.LostSamples.Should().Be(1);
        result.EvaluatedAt.Should().BeNull();
    }

    [Fact]
    public void A_scalar_is_one_number_and_a_string_one_text()
    {
        var scalar = ReadGood("""{"status":"success","data":{"resultType":"scalar","result":[1795345652.113,"4.25"]}}""");
        scalar.TryGetSingle(out var value).Should().BeTrue();
        value.Should().Be(4.25);
        scalar.EvaluatedAt.Should().Be(At);

        var text = ReadGood("""{"status":"success","data":{"resultType":"string","result":[1795345652.113,"a\n\"b\" \u00e9"]}}""");
        text.Text.Should().Be("a\n\"b\" é");
        text.TryGetSingle(out _).Should().BeFalse();
    }

    [Theory]
    [InlineData("NaN")]
    [InlineData("+Inf")]
    [InlineData("-Inf")]
    [InlineData("Infinity")]
    [InlineData("1e999")]
    [InlineData("")]
    [InlineData(" 1")]
    [InlineData("1,000")]
    [InlineData("ERROR - FAILED TO CONVERT TO STRING")]
    public void A_value_that_is_no_finite_number_loses_the_sample_and_not_the_series(string text)
    {
        var result = ReadGood($$$"""
            {"status":"success","data":{"resultType":"vector","result":[
              {"metric":{"gpu":"0"},"value":[1,"{{{text}}}"]},{"metric":{"gpu":"1"},"value":[1,"7"]}]}}
            """);

        result.LostSamples.Should().Be(1);
        result.Series.Select(series => series.Value).Should().Equal(null, 7);
        result.IsPartial.Should().BeFalse("nothing is absent that should be there");
    }

    [Fact]
    public void Native_histograms_are_skipped_and_counted()
    {
        var vector = ReadGood("""
            {"status":"success","data":{"resultType":"vector","result":[
              {"metric":{"a":"h"},"histogram":[1,{"count":"5","sum":"2.5","buckets":[[0,"0.1","0.2","5"]]}]},
              {"metric":{"a":"v"},"value":[1,"2"]}]}}
            """);
        vector.Series.Should().ContainSingle().Which.Labels["a"].Should().Be("v");
        vector.SkippedHistograms.Should().Be(1);
        vector.BadSeries.Should().Be(0);

        var matrix = ReadGood("""
            {"status":"success","data":{"resultType":"matrix","result":[
              {"metric":{"a":"h"},"histograms":[[1,{"count":"5"}],[2,{"count":"6"}]]},
              {"metric":{"a":"both"},"values":[[1,"2"]],"histograms":[[2,{"count":"1"}]]}]}}
            """);
        matrix.Series.Should().ContainSingle().Which.Points.Should().HaveCount(1);
        matrix.SkippedHistograms.Should().Be(3);
    }

    [Theory]
    [InlineData("vector")]
    [InlineData("matrix")]
    public void Nothing_found_is_an_empty_answer_and_no_fault(string type)
    {
        foreach (var empty in (string[])["[]", "null"])
        {
            var result = ReadGood($$$"""{"status":"success","data":{"resultType":"{{{type}}}","result":{{{empty}}}}}""");
            result.Series.Should().BeEmpty();
            result.EvaluatedAt.Should().BeNull();
            result.IsPartial.Should().BeFalse();
        }
    }

    [Theory]
    [InlineData("\"warnings\":[\"a\",\"b\"],", 2, 0, true)]
    [InlineData("\"warnings\":[],", 0, 0, false)]
    [InlineData("\"infos\":[\"PromQL info: metric might not be a counter\"],", 0, 1, false)]
    [InlineData("\"isPartial\":true,", 0, 0, true)]
    [InlineData("\"isPartial\":false,\"stats\":{\"x\":[1,{}]},", 0, 0, false)]
    public void Warnings_and_a_servers_own_word_make_an_answer_partial(string extra, int warnings, int infos, bool isPartial)
    {
        var result = ReadGood($$$"""{{{{extra}}}"data":{"result":[],"resultType":"vector"},"status":"success"}""");

        result.Warnings.Should().Be(warnings);
        result.Infos.Should().Be(infos);
        result.IsPartial.Should().Be(isPartial);
    }

    [Fact]
    public void The_order_of_keys_does_not_matter()
    {
        var result = ReadGood("""
            {"data":{"result":[{"value":[1,"2"],"extra":[{}],"metric":{"a":"b"}}],"stats":{},"resultType":"vector"},"x":null,"status":"success"}
            """);

        result.Series.Should().ContainSingle().Which.Value.Should().Be(2);
    }

    [Theory]
    [InlineData("""{"value":[1,"2"]}""")]
    [InlineData("""{"metric":[],"value":[1,"2"]}""")]
    [InlineData("""{"metric":{"a":1},"value":[1,"2"]}""")]
    [InlineData("""{"metric":{"a":"1","a":"2"},"value":[1,"2"]}""")]
    [InlineData("""{"metric":{}}""")]
    [InlineData("""{"metric":{},"value":[]}""")]
    [InlineData("""{"metric":{},"value":[1]}""")]
    [InlineData("""{"metric":{},"value":["1","2"]}""")]
    [InlineData("""{"metric":{},"value":[1,"2",3]}""")]
    [InlineData("""{"metric":{},"value":[1e300,"2"]}""")]
    [InlineData("""{"metric":{},"value":{"a":[1,"2"]}}""")]
    [InlineData("""{"metric":{},"value":null}""")]
    [InlineData("7")]
    [InlineData("[[],{}]")]
    public void A_series_that_cannot_be_read_is_left_out_and_makes_the_answer_partial(string series)
    {
        var result = ReadGood($$$"""
            {"status":"success","data":{"resultType":"vector","result":[{{{series}}},{"metric":{"a":"good"},"value":[1,"2"]}]}}
            """);

        result.Series.Should().ContainSingle().Which.Labels["a"].Should().Be("good");
        result.BadSeries.Should().Be(1);
        result.IsPartial.Should().BeTrue();
    }

    [Theory]
    [InlineData("", SourceReason.MalformedAnswer)]
    [InlineData("   ", SourceReason.MalformedAnswer)]
    [InlineData("<!DOCTYPE html><html><body>Log in</body></html>", SourceReason.MalformedAnswer)]
    [InlineData("[]", SourceReason.MalformedAnswer)]
    [InlineData("{}", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success"}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":[]}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector"}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":{}}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"streams","result":[]}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"scalar","result":[]}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"string","result":[1]}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"error","errorType":"internal","error":"x"}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":[]}} <html>""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"\ud800"},"value":[1,"2"]}]}}""", SourceReason.MalformedAnswer)]
    [InlineData("""{"status":"success","data":{"resultType":"vector","result":[}""", SourceReason.MalformedAnswer)]
    public void What_is_no_answer_of_the_query_API_is_malformed(string body, SourceReason reason) => Read(body).Reason.Should().Be(reason);

    [Fact]
    public void Cut_anywhere_it_is_truncated()
    {
        const string Whole = """
            {"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"é\n"},"value":[1.5,"2"]}]},"warnings":["w"],"x":[{"y":1}]}
            """;
        Read(Whole).Reason.Should().Be(SourceReason.None);
        var bytes = Encoding.UTF8.GetBytes(Whole);
        for (var length = 1; length < bytes.Length; length++)
        {
            PrometheusResultReader.Read(bytes.AsSpan(0, length), 10, 10, out var result)
                .Should().Be(SourceReason.Truncated, "of the answer cut at {0}", length);
            result.Should().BeNull();
        }
    }

    [Fact]
    public void Deep_nesting_is_malformed() =>
        Read($$"""{"status":"success","x":{{new string('[', 100_000)}}""").Reason.Should().Be(SourceReason.MalformedAnswer);

    [Theory]
    [InlineData(3, 100, SourceReason.None)]
    [InlineData(2, 100, SourceReason.TooLarge)]
    [InlineData(3, 6, SourceReason.None)]
    [InlineData(3, 5, SourceReason.TooLarge)]
    public void More_series_or_points_than_allowed_are_too_large(int maxSeries, int maxPoints, SourceReason expected)
    {
        var series = """{"metric":{},"values":[[1,"1"],[2,"2"]]}""";
        var body = $$$"""{"status":"success","data":{"resultType":"matrix","result":[{{{series}}},{{{series}}},{{{series}}}]}}""";
        PrometheusResultReader.Read(Encoding.UTF8.GetBytes(body), maxSeries, maxPoints, out _).Should().Be(expected);
    }

    internal static (SourceReason Reason, PrometheusResult? Result) Read(string body)
    {
        var reason = PrometheusResultReader.Read(Encoding.UTF8.GetBytes(body), 1000, 1000, out var result);
        return (reason, result);
    }

    private static PrometheusResult ReadGood(string body)
    {
        var (reason, result) = Read(body);
        reason.Should().Be(SourceReason.None);
        return result!;
    }
}
