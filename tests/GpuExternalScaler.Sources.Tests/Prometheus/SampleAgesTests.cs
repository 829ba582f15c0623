using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Sources.Tests.Prometheus;

public sealed class SampleAgesTests
{
    [Fact]
    public void Figures_and_ages_are_one_query() =>
        SampleAges.Ask(PromQl.Metric("m"), m => m.SumBy("pod"), "pod").Text.Should().Be(
            """(sum by (pod) (m) or label_replace(max by (pod) ((time() - timestamp(m))), "__age__", "seconds", "", ""))""");

    [Fact]
    public void Ages_are_put_to_their_figures()
    {
        var result = PrometheusResultReaderTests.Read("""
            {"status":"success","data":{"resultType":"vector","result":[
              {"metric":{"pod":"a"},"value":[100,"5"]},
              {"metric":{"pod":"b"},"value":[100,"6"]},
              {"metric":{"pod":"c"},"value":[100,"7"]},
              {"metric":{"pod":"d"},"value":[100,"NaN"]},
              {"metric":{"pod":"a","__age__":"seconds"},"value":[100,"-0.001"]},
              {"metric":{"__age__":"seconds","pod":"b"},"value":[100,"61"]},
              {"metric":{"__age__":"seconds","pod":"d"},"value":[100,"1"]},
              {"metric":{"__age__":"seconds","pod":"e"},"value":[100,"1e300"]}]}}
            """).Result!;

        var values = SampleAges.Join(result);

        values.Select(value => (value.Labels["pod"], value.Value, value.Age)).Should().Equal(
            ("a", 5, TimeSpan.Zero), ("b", 6, TimeSpan.FromSeconds(61)), ("c", 7, null), ("d", null, TimeSpan.FromSeconds(1)));
        values.Select(value => value.IsUsable(TimeSpan.FromSeconds(60))).Should().Equal(true, false, false, false);
    }
}
