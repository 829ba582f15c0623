using GpuExternalScaler.Observability.Exposition;

namespace GpuExternalScaler.Tests.Observability;

public sealed class InstrumentNamingTests
{
    [Theory]
    [InlineData("gpu_scaler.rpc.duration", "s", nameof(MetricFamilyType.Histogram), "gpu_scaler_rpc_duration_seconds", "seconds")]
    [InlineData("gpu_scaler.rpc.duration_seconds", "s", nameof(MetricFamilyType.Histogram), "gpu_scaler_rpc_duration_seconds", "seconds")]
    [InlineData("busy.seconds.total", "s", nameof(MetricFamilyType.Counter), "busy_seconds", "seconds")]
    [InlineData("received", "By", nameof(MetricFamilyType.Counter), "received_bytes", "bytes")]
    [InlineData("received_total", "By", nameof(MetricFamilyType.Counter), "received_bytes", "bytes")]
    [InlineData("received", "By/s", nameof(MetricFamilyType.Gauge), "received_bytes_per_second", "bytes_per_second")]
    [InlineData("arrivals", "{message}/s", nameof(MetricFamilyType.Gauge), "arrivals_per_second", "per_second")]
    [InlineData("requests", "{request}", nameof(MetricFamilyType.Counter), "requests", null)]
    [InlineData("share", "1", nameof(MetricFamilyType.Gauge), "share", null)]
    [InlineData("share", "", nameof(MetricFamilyType.Gauge), "share", null)]
    [InlineData("share", null, nameof(MetricFamilyType.Gauge), "share", null)]
    [InlineData("power", "W", nameof(MetricFamilyType.Gauge), "power_watts", "watts")]
    [InlineData("heat", "Cel", nameof(MetricFamilyType.Gauge), "heat_celsius", "celsius")]
    [InlineData("odd", "fur longs", nameof(MetricFamilyType.Gauge), "odd_fur_longs", "fur_longs")]
    [InlineData("odd", "count", nameof(MetricFamilyType.Gauge), "odd", null)]
    [InlineData("odd", "{unclosed", nameof(MetricFamilyType.Gauge), "odd", null)]
    [InlineData("odd", "///", nameof(MetricFamilyType.Gauge), "odd", null)]
    [InlineData("pool.thread.count", "{thread}", nameof(MetricFamilyType.Gauge), "pool_thread", null)]
    [InlineData("pool.item.count", "{item}", nameof(MetricFamilyType.Counter), "pool_item_count", null)]
    [InlineData("total.total", null, nameof(MetricFamilyType.Counter), "total", null)]
    [InlineData("a..b--c//d.", null, nameof(MetricFamilyType.Gauge), "a_b_c_d", null)]
    [InlineData("9lives", null, nameof(MetricFamilyType.Gauge), "_9lives", null)]
    [InlineData("größe", null, nameof(MetricFamilyType.Gauge), "gr_e", null)]
    public void An_instrument_gets_a_conventional_name(string instrument, string? unit, string type, string name, string? word)
    {
        var kind = Enum.Parse<MetricFamilyType>(type);
        InstrumentNaming.Family(instrument, unit, kind).Should().Be((name, word));
    }

    [Theory]
    [InlineData("dotnet.gc.collections", true)]
    [InlineData("dotnet.thread_pool.thread.count", true)]
    [InlineData("dotnet.process.cpu.time", false)]
    [InlineData("dotnet.process.memory.working_set", false)]
    [InlineData("dotnet.jit.compiled_methods", false)]
    public void Only_the_useful_runtime_instruments_are_shown(string instrument, bool shown)
    {
        InstrumentNaming.IsShown("System.Runtime", instrument).Should().Be(shown);
        InstrumentNaming.IsShown("Ours", instrument).Should().BeTrue();
    }

    [Fact]
    public void What_rises_and_falls_is_a_gauge_whatever_the_runtime_says()
    {
        InstrumentNaming.OnPage("System.Runtime", "dotnet.thread_pool.queue.length", MetricFamilyType.Counter)
            .Should().Be(("dotnet.thread_pool.queue.length", MetricFamilyType.Gauge));
        InstrumentNaming.OnPage("System.Runtime", "dotnet.thread_pool.thread.count", MetricFamilyType.Counter)
            .Should().Be(("dotnet.thread_pool.threads", MetricFamilyType.Gauge));
        InstrumentNaming.OnPage("System.Runtime", "dotnet.gc.collections", MetricFamilyType.Counter)
            .Should().Be(("dotnet.gc.collections", MetricFamilyType.Counter));
        InstrumentNaming.OnPage("Ours", "dotnet.timer.count", MetricFamilyType.Counter)
            .Should().Be(("dotnet.timer.count", MetricFamilyType.Counter));
    }
}
