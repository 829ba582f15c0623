namespace GpuExternalScaler.IntegrationTests.Servers;

public sealed class PrometheusTests
{
    [Fact]
    public async Task Promtool_accepts_a_good_page()
    {
        var verdict = await Promtool.CheckMetricsAsync("""
            # HELP gpu_scaler_replicas Replicas wanted.
            # TYPE gpu_scaler_replicas gauge
            gpu_scaler_replicas{workload="genai/worker"} 3

            """);

        verdict.Should().Be(new PromtoolVerdict(Ok: true, ""));
    }

    [Theory]
    [InlineData("# TYPE a gauge\na{b=\"c} 1\n")]
    [InlineData("# HELP jobs Done.\n# TYPE jobs counter\njobs 1\n")]
    public async Task Promtool_rejects_a_bad_page(string page)
    {
        var verdict = await Promtool.CheckMetricsAsync(page);

        verdict.Ok.Should().BeFalse();
        verdict.Output.Should().NotBeEmpty();
    }

    [Fact]
    public async Task Prometheus_scrapes_its_target()
    {
        // Prometheus can be its own target once its port is known; another server's page will do as well.
        await using var target = await PrometheusServer.StartAsync();
        await using var server = await PrometheusServer.StartAsync(new ScrapeTarget("target", $"127.0.0.1:{target.Port}"));

        var up = await server.WaitForAsync("up{job=\"target\"} == 1");

        up.Should().ContainSingle().Which.Labels.Should().Contain("instance", $"127.0.0.1:{target.Port}");
        (await server.QueryAsync("vector(1) / 0")).Should().ContainSingle().Which.Value.Should().Be(double.PositiveInfinity);
    }
}
