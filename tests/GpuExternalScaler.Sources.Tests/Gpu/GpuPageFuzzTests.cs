using System.Globalization;
using System.Text;
using GpuExternalScaler.Sources.Gpu;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>
/// Pages that no exporter sends. <c>GPU_SCALER_FUZZ_BYTES</c> is how many bytes are read, <c>GPU_SCALER_FUZZ_SEED</c> where to start.
/// </summary>
public class GpuPageFuzzTests
{
    [Theory]
    [InlineData(GpuKind.Dcgm)]
    [InlineData(GpuKind.Hami)]
    public void Noise_and_mutated_captures_neither_throw_nor_take_memory(GpuKind kind)
    {
        var budget = Setting("GPU_SCALER_FUZZ_BYTES", 6_000_000);
        var random = new Random((int)Setting("GPU_SCALER_FUZZ_SEED", 1));
        var captures = WildPages.Captures(Path.Combine(AppContext.BaseDirectory, "Gpu", "Data"));
        var reader = new GpuSampleReader(GpuSweep.StaleAfter, kind);
        var tracker = new PodMemoryTracker(PodSelector.ForPattern("ml", ".*")!);
        var version = 0;
        for (long read = 0; read < budget;)
        {
            var pages = Enumerable.Range(0, 8).Select(_ => WildPages.Next(random, captures)).ToArray();
            var length = pages.Sum(static page => (long)page.Length);
            read += length;
            var before = GC.GetAllocatedBytesForCurrentThread();

            reader.Begin(GpuSweep.Now);
            foreach (var page in pages)
            {
                reader.TakePage(page, "n1:9400");
            }

            var fleet = AcceleratorFleet.Of(reader.Finish(), GpuSweep.Now, isPartial: false, ++version);
            tracker.Follow(fleet, null, GpuSweep.Now, GpuSweep.StaleAfter, TimeSpan.Zero);

            // A row is some hundred bytes and stands on a line that may be as short as fifteen.
            (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeLessThan(1_000_000 + (80 * length));
            reader.RememberedRows.Should().BeLessThanOrEqualTo(GpuSampleReader.MostRows);
        }
    }

    [Fact]
    public void A_flood_of_devices_is_cut_off_and_makes_the_fleet_partial()
    {
        var reader = new GpuSampleReader(GpuSweep.StaleAfter, GpuKind.Dcgm);
        for (var sweep = 0; sweep < 3; sweep++)
        {
            reader.Begin(GpuSweep.Now);
            for (var page = 0; page < 5; page++)
            {
                var text = new StringBuilder();
                for (var line = 0; line < 50_000; line++)
                {
                    text.Append(CultureInfo.InvariantCulture, $"DCGM_FI_DEV_FB_USED{{UUID=\"{sweep}-{page}-{line}\"}} 1\n");
                }

                reader.TakePage(Encoding.ASCII.GetBytes(text.ToString()), "n1:9400").Should().Be(50_000);
            }

            reader.RememberedRows.Should().Be(GpuSampleReader.MostRows);
            var reading = reader.Finish();
            reading.IsOverfull.Should().BeTrue();
            reading.RefusedLines().Should().Equal("TooMany 150000");
            AcceleratorFleet.Of(reading, GpuSweep.Now, isPartial: false, 1).IsPartial.Should().BeTrue();
        }

        reader.Begin(GpuSweep.Now);
        reader.TakePage("DCGM_FI_DEV_FB_USED{UUID=\"a\"} 1\n"u8, "n1:9400");
        var calm = reader.Finish();
        (calm.IsOverfull, calm.Unallocated.Count).Should().Be((false, 1));
    }

    [Theory]
    [InlineData(GpuKind.Dcgm, "DCGM_FI_DEV_FB_USED", true)]
    [InlineData(GpuKind.Dcgm, "gpu_used_vram", false)]
    [InlineData(GpuKind.Hami, "hami_vgpu_memory_used_bytes", true)]
    [InlineData(GpuKind.Hami, "HostGPUMemoryUsage", true)]
    [InlineData(GpuKind.Hami, "DCGM_FI_DEV_FB_USED", true)]
    [InlineData(GpuKind.Dcgm, "hami_vgpu_memory_used_bytes", false)]
    [InlineData(GpuKind.Ascend, "npu_chip_info_hbm_used_memory", true)]
    [InlineData(GpuKind.Ascend, "DCGM_FI_DEV_FB_USED", false)]
    [InlineData(GpuKind.Amd, "gpu_used_vram", true)]
    [InlineData(GpuKind.Gaudi, "habanalabs_memory_used_bytes", true)]
    [InlineData(GpuKind.Gaudi, "node_memory_MemFree_bytes", false)]
    public void Only_the_metrics_of_a_kind_count(GpuKind kind, string metric, bool counts)
    {
        var reader = new GpuSampleReader(GpuSweep.StaleAfter, kind);
        reader.Begin(GpuSweep.Now);

        reader.TakePage(Encoding.ASCII.GetBytes($"{metric}{{UUID=\"a\"}} 1\n"), "n1:9400").Should().Be(counts ? 1 : 0);
        reader.Finish().Unallocated.Should().HaveCount(counts ? 1 : 0);
        GpuMetric.Of(kind).Any(known => known.Name == metric).Should().Be(counts);
    }

    private static long Setting(string name, long otherwise) =>
        long.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
