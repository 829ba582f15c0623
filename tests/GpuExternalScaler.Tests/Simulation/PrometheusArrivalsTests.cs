using GpuExternalScaler.Simulation;
using GpuExternalScaler.Simulation.Traces;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;
using GpuExternalScaler.Tests.Evaluation;

namespace GpuExternalScaler.Tests.Simulation;

public class PrometheusArrivalsTests
{
    private const string Query = "sum(rate(secret_total[1m]))";
    private static readonly DateTimeOffset From = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    [Fact]
    public async Task Rates_change_evenly_from_instant_to_instant()
    {
        var trace = await ReadAsync(Matrix("""[1800000000,"2"],[1800000015,"5"],[1800000030,"5"]"""));

        trace.PerSecond.Should().HaveCount(30);
        trace.PerSecond[0].Should().BeApproximately(2.1, 1e-9);
        trace.PerSecond[14].Should().BeApproximately(4.9, 1e-9);
        trace.PerSecond.Skip(15).Should().OnlyContain(static messages => Math.Abs(messages - 5) < 1e-9);
        trace.IsMeasured.Should().BeFalse();
        trace.Name.Should().NotContain("secret");
    }

    [Fact]
    public async Task What_is_missing_is_not_zero()
    {
        var trace = await ReadAsync(Matrix("""[1800000015,"4"],[1800000030,"NaN"],[1800000045,"NaN"],[1800000060,"4"]"""));

        trace.PerSecond.Should().HaveCount(45).And.OnlyContain(static messages => messages == 4);
    }

    [Theory]
    [InlineData("""{"status":"success","data":{"resultType":"matrix","result":[]}}""", "*has no series in that time")]
    [InlineData("""{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"secret"},"values":[[1800000000,"1"]]},{"metric":{"a":"b"},"values":[[1800000000,"1"]]}]}}""", "*has 2 series, where one is needed; aggregate in the query")]
    [InlineData("""{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1800000000,"1"]]}]}}""", "*fewer than two values in that time")]
    [InlineData("""{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1800000000,"1"],[1800000015,"-1"]]}]}}""", "*must give arrivals in 1/s, from 0 to 1000000")]
    [InlineData("""{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1800000000,"1"],[1800000015,"1e9"]]}]}}""", "*must give arrivals in 1/s, from 0 to 1000000")]
    [InlineData("""{"status":"success","warnings":["secret is missing"],"data":{"resultType":"matrix","result":[{"metric":{},"values":[[1800000000,"1"],[1800000015,"1"]]}]}}""", "*may be incomplete*")]
    [InlineData("<html>secret login</html>", "Prometheus connection 'main'*")]
    public async Task What_is_no_arrivals_is_refused_without_the_query(string answer, string sentence)
    {
        var read = () => ReadAsync(answer);

        (await read.Should().ThrowAsync<FormatException>().WithMessage(sentence)).Which.Message.Should().NotContain("secret");
    }

    [Theory]
    [InlineData(" ")]
    [InlineData("up\u202E")]
    public async Task What_may_not_be_sent_is_not(string query)
    {
        await using var stub = await StubHistory.StartAsync();
        var read = () => ReadAsync(stub, query);

        await read.Should().ThrowAsync<FormatException>().WithMessage("--query must be PromQL*");
        stub.Queries.Should().BeEmpty();
    }

    private static async Task<ArrivalTrace> ReadAsync(string answer)
    {
        await using var stub = await StubHistory.StartAsync();
        stub.Garbage = answer;
        return await ReadAsync(stub, Query);
    }

    private static async Task<ArrivalTrace> ReadAsync(StubHistory stub, string query)
    {
        using var client = new PrometheusClient(new PrometheusConnectionOptions { Name = "main", Url = stub.Url }, new MonotonicClock(TimeProvider.System));
        return await PrometheusArrivals.ReadAsync(client, query, From, From.AddHours(1), CancellationToken.None);
    }

    private static string Matrix(string values) => $$"""{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[{{values}}]}]} }""";
}
