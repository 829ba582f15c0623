using System.Text;
using GpuExternalScaler.Sources.Gpu;
using static GpuExternalScaler.Sources.Tests.Gpu.GpuSweep;

namespace GpuExternalScaler.Sources.Tests.Gpu;

public class GpuSampleReaderTests
{
    private const string Pod = """gpu="0",UUID="GPU-a",Hostname="n1",container="c",namespace="ml",pod="web-7d4b9c6f5-x7k2p" """;
    private const string Line = "ml/web-7d4b9c6f5-x7k2p[c] GPU-a ";

    private static readonly long Gib80 = 80L << 30;

    [Fact]
    public void T8_names_up_to_4_8_are_MiB_and_those_of_4_9_are_bytes()
    {
        var older = Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 20480
            DCGM_FI_DEV_FB_FREE{{{Pod}}} 61000
            DCGM_FI_DEV_FB_RESERVED{{{Pod}}} 440
            DCGM_FI_DEV_GPU_UTIL{{{Pod}}} 73
            """);
        var newer = Of($$"""
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{20480 * MiB}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{Pod}}} {{61000 * MiB}}
            DCGM_FI_DEV_FB_RESERVED_BYTES{{{Pod}}} {{440 * MiB}}
            DCGM_FI_DEV_FB_CAPACITY_BYTES{{{Pod}}} {{81920 * MiB}}
            DCGM_FI_DEV_GPU_UTIL_RATIO{{{Pod}}} 0.73
            """);

        older.Lines().Should().Equal(Line + "20480/81480 0.73");
        newer.Lines().Should().Equal(Line + "20480/81480 0.73");
        newer.Shares[0].Should().Be(new AcceleratorShare
        {
            Namespace = "ml",
            Pod = "web-7d4b9c6f5-x7k2p",
            Container = "c",
            Device = "GPU-a",
            Exporter = "exporter-0:9400",
            UsedBytes = 20480 * MiB,
            UsableBytes = 81480 * MiB,
            Utilisation = 0.73,
            SampledAt = Now,
        });
    }

    [Fact]
    public void T8_without_a_free_figure_usable_is_the_capacity_less_what_is_reserved()
    {
        Of($$"""
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{20480 * MiB}}
            DCGM_FI_DEV_FB_RESERVED_BYTES{{{Pod}}} {{440 * MiB}}
            DCGM_FI_DEV_FB_CAPACITY_BYTES{{{Pod}}} {{81920 * MiB}}
            """).Lines().Should().Equal(Line + "20480/81480");
        Of($$"""
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{20480 * MiB}}
            DCGM_FI_DEV_FB_CAPACITY_BYTES{{{Pod}}} {{81920 * MiB}}
            """).Lines().Should().Equal([Line + "20480/-"], "what is reserved is not known");
    }

    [Fact]
    public void T8_names_of_both_kinds_on_a_page_are_never_added_nor_mixed()
    {
        // Both agree.
        Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 20480
            DCGM_FI_DEV_FB_FREE{{{Pod}}} 61000
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{20480 * MiB}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{Pod}}} {{61000 * MiB}}
            """).Lines().Should().Equal(Line + "20480/81480");

        // One of each: a used figure of one kind and a free one of the other are no pair.
        Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 20480
            DCGM_FI_DEV_FB_FREE_BYTES{{{Pod}}} {{61000 * MiB}}
            """).Lines().Should().Equal(Line + "20480/-");

        // The complete pair counts.
        Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 20480
            DCGM_FI_DEV_FB_FREE{{{Pod}}} 61000
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{30000 * MiB}}
            """).Lines().Should().Equal(Line + "20480/81480");
    }

    [Fact]
    public void T8_while_an_upgrade_is_in_flight_the_more_recent_names_count()
    {
        // The old exporter's series linger in Prometheus beside the new one's.
        var old = Pod.Replace("Hostname", "instance", StringComparison.Ordinal);
        var fresh = Pod.Replace("Hostname=\"n1\"", "instance=\"n1b\"", StringComparison.Ordinal);
        var now = Now.ToUnixTimeMilliseconds();

        Of($$"""
            DCGM_FI_DEV_FB_USED{{{old}}} 20480 {{now - 40_000}}
            DCGM_FI_DEV_FB_FREE{{{old}}} 61000 {{now - 40_000}}
            DCGM_FI_DEV_FB_USED_BYTES{{{fresh}}} {{10240 * MiB}} {{now - 5_000}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{fresh}}} {{71240 * MiB}} {{now - 5_000}}
            """).Lines().Should().Equal(Line + "10240/81480");

        // A rollback is an upgrade too.
        Of($$"""
            DCGM_FI_DEV_FB_USED{{{old}}} 20480 {{now - 5_000}}
            DCGM_FI_DEV_FB_FREE{{{old}}} 61000 {{now - 5_000}}
            DCGM_FI_DEV_FB_USED_BYTES{{{fresh}}} {{10240 * MiB}} {{now - 40_000}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{fresh}}} {{71240 * MiB}} {{now - 40_000}}
            """).Lines().Should().Equal(Line + "20480/81480");
    }

    [Fact]
    public void T8_names_that_contradict_each_other_give_no_number_and_a_reason()
    {
        var reading = Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 10240
            DCGM_FI_DEV_FB_FREE{{{Pod}}} 30240
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{20480 * MiB}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{Pod}}} {{61000 * MiB}}
            """);

        reading.Lines().Should().Equal([Line + "-/-"], "the pod does hold the device");
        reading.RefusedLines().Should().Equal("Contradiction 1 GPU-a");
    }

    [Theory]
    [InlineData("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", 21474836480, 63963136000)]
    [InlineData("DCGM_FI_DEV_FB_USED_BYTES", "DCGM_FI_DEV_FB_FREE_BYTES", 20480, 61000)]
    [InlineData("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", 0, 0)]
    [InlineData("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", 0, 1023)]
    [InlineData("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", 409500, 101)]
    [InlineData("habanalabs_memory_used_bytes", "habanalabs_memory_total_bytes", 20480, 98304)]
    [InlineData("habanalabs_memory_used_bytes", "habanalabs_memory_total_bytes", 68719476736, 34359738368)]
    [InlineData("gpu_used_vram", "gpu_total_vram", 21474836480, 206158430208)]
    public void T8_memory_outside_1_to_400_GiB_gives_no_number_and_a_reason(string used, string other, long usedValue, long otherValue)
    {
        var reading = Of($$"""
            {{used}}{{{Pod}}} {{usedValue}}
            {{other}}{{{Pod}}} {{otherValue}}
            """);

        reading.Shares.Should().ContainSingle();
        reading.Shares[0].UsedBytes.Should().BeNull();
        reading.Shares[0].UsableBytes.Should().BeNull();
        reading.RefusedLines().Should().Equal("ImplausibleMemory 1 GPU-a");
    }

    [Theory]
    [InlineData(0, 1024)]
    [InlineData(409500, 100)]
    public void T8_memory_of_just_1_and_400_GiB_is_plausible(long used, long free)
    {
        Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} {{used}}
            DCGM_FI_DEV_FB_FREE{{{Pod}}} {{free}}
            """).Lines().Should().Equal($"{Line}{used}/{used + free}");
    }

    [Fact]
    public void T8_parts_that_exceed_the_capacity_are_implausible()
    {
        Of($$"""
            DCGM_FI_DEV_FB_USED_BYTES{{{Pod}}} {{60 * Gib80 / 80}}
            DCGM_FI_DEV_FB_FREE_BYTES{{{Pod}}} {{60 * Gib80 / 80}}
            DCGM_FI_DEV_FB_CAPACITY_BYTES{{{Pod}}} {{Gib80}}
            """).RefusedLines().Should().Equal("ImplausibleMemory 1 GPU-a");
    }

    [Theory]
    [InlineData("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_RESERVED", 0, 3220)]
    [InlineData("DCGM_FI_DEV_FB_TOTAL", "DCGM_FI_DEV_FB_RESERVED", 3220, 3220)]
    public void T8_a_device_that_is_mostly_reserved_is_implausible(string one, string other, long oneValue, long otherValue)
    {
        var reading = Of($$"""
            DCGM_FI_DEV_FB_USED{{{Pod}}} 0
            {{one}}{{{Pod}}} {{oneValue}}
            {{other}}{{{Pod}}} {{otherValue}}
            """);

        reading.Lines().Should().Equal(Line + "-/-");
        reading.RefusedLines().Should().Equal("ImplausibleMemory 1 GPU-a");
    }

    [Theory]
    [InlineData("DCGM_FI_DEV_FB_USED", 1024, "1", " 0.01")]
    [InlineData("DCGM_FI_DEV_FB_USED", 1024, "100", " 1")]
    [InlineData("DCGM_FI_DEV_FB_USED", 1024, "101", "")]
    [InlineData("DCGM_FI_DEV_FB_USED_BYTES", 1073741824, "0.5", " 0.5")]
    [InlineData("DCGM_FI_DEV_FB_USED_BYTES", 1073741824, "0", " 0")]
    [InlineData("DCGM_FI_DEV_FB_USED_BYTES", 1073741824, "50", " 0.5")]
    [InlineData("DCGM_FI_DEV_FB_USED_BYTES", 1073741824, "1", "")]
    public void T8_utilisation_is_scaled_by_the_names_beside_it_or_not_known(string used, long value, string utilisation, string expected)
    {
        Of($$"""
            {{used}}{{{Pod}}} {{value}}
            DCGM_FI_DEV_GPU_UTIL{{{Pod}}} {{utilisation}}
            """).Lines().Should().Equal(Line + "1024/-" + expected);
    }

    [Theory]
    [InlineData("""Hostname="n1",container="c",namespace="ml",pod="p" """)]
    [InlineData("""hostname="n1",container="c",namespace="ml",pod="p",pod_uid="1-2" """)]
    [InlineData("""Hostname="n1",container_name="c",pod_namespace="ml",pod_name="p" """)]
    [InlineData("""exported_container="c",exported_namespace="ml",exported_pod="p",pod="dcgm-x",namespace="gpu-operator",container="exporter",instance="10.0.0.1:9400",job="dcgm" """)]
    [InlineData("""container_name="c",pod_namespace="ml",pod_name="p",pod="dcgm-x",namespace="gpu-operator",container="exporter" """)]
    [InlineData("""exported_container="c",exported_pod="p",pod="dcgm-x",namespace="ml",hpc_job="" """)]
    public void T9_the_pod_is_found_whatever_its_label_is_called(string labels)
    {
        Of($$"""
            DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",{{labels}}} 1024
            DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",{{labels}}} 1024
            """).Lines().Should().Equal("ml/p[c] GPU-a 1024/2048");
    }

    [Fact]
    public void T9_a_device_without_pod_bears_the_exporters_name_after_relabelling()
    {
        // Two scrape configurations: one renames, the other honours the exporter's labels. All of n2's GPUs are free.
        Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",exported_pod="p",exported_namespace="ml",pod="x-1",namespace="gpus",job="renamed",instance="n1"} 1024
            DCGM_FI_DEV_FB_USED{UUID="GPU-b",pod="x-1",namespace="gpus",job="renamed",instance="n1"} 2
            DCGM_FI_DEV_FB_USED{UUID="GPU-c",pod="x-2",namespace="gpus",job="renamed",instance="n2"} 3
            DCGM_FI_DEV_FB_USED{UUID="GPU-d",pod="q",namespace="ml",job="honoured",instance="n3"} 4
            DCGM_FI_DEV_FB_USED{UUID="GPU-e",pod="nvidia-dcgm-exporter-x7k2p",namespace="gpus",job="honoured",instance="n3"} 5
            """).Lines().Should().Equal(
                "ml/p GPU-a 1024/-", "ml/q GPU-d 4/-", "free GPU-b 2/-", "free GPU-c 3/-", "free GPU-e 5/-");
    }

    [Fact]
    public void T10_each_MIG_instance_is_a_device_and_the_GPU_around_them_is_none()
    {
        Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a"} 14000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a"} 26000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",namespace="ml",pod="p"} 4000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",namespace="ml",pod="p"} 15967
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",GPU_I_PROFILE="2g.20gb",GPU_I_ID="5",namespace="ml",pod="p"} 10000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",GPU_I_PROFILE="2g.20gb",GPU_I_ID="5",namespace="ml",pod="p"} 9967
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",GPU_I_PROFILE="1g.10gb",GPU_I_ID="9"} 10
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",GPU_I_PROFILE="1g.10gb",GPU_I_ID="9"} 9900
            """).Lines().Should().Equal("ml/p GPU-a#3 4000/19967", "ml/p GPU-a#5 10000/19967", "free GPU-a#9 10/9910");
    }

    [Fact]
    public void T11_replicas_and_exporters_that_see_one_device_count_once()
    {
        const string Page = """
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",container="c",vgpu="5"} 10056
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",container="c",vgpu="5"} 71000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",container="d",vgpu="19"} 10056
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",container="d",vgpu="19"} 71000
            """;

        Of(Page).Lines().Should().Equal("ml/p GPU-a 10056/81056");

        // A moment later, and by another name of the same host: the device does not grow.
        Of(Page, Page.Replace("10056", "12056", StringComparison.Ordinal).Replace("71000", "69000", StringComparison.Ordinal).Replace("n1", "n1.local", StringComparison.Ordinal))
            .Lines().Should().Equal("ml/p GPU-a 12056/81056");
    }

    [Fact]
    public void T11_rows_that_differ_in_nothing_that_matters_count_once_and_do_not_make_the_device_bigger()
    {
        Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="p",pid="1"} 10000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",namespace="ml",pod="p",pid="1"} 70000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="p",pid="2"} 20000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",namespace="ml",pod="p",pid="2"} 60000
            """).Lines().Should().Equal("ml/p GPU-a 20000/80000");
    }

    [Fact]
    public void T11_rows_of_processes_beside_the_devices_row_are_measured_against_the_device()
    {
        Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1"} 40000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",Hostname="n1"} 41000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",vgpu="0"} 10000
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",Hostname="n1",namespace="ml",pod="p",vgpu="0"} 41000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1",namespace="ml",pod="q",vgpu="1"} 29500
            """).Lines().Should().Equal("ml/p GPU-a 10000/81000", "ml/q GPU-a 29500/81000");
    }

    [Fact]
    public void T12_parts_of_a_HAMi_share_add_up_under_old_and_new_names_and_beside_dcgm()
    {
        var reading = Of(
            """
            vGPU_device_memory_usage_in_bytes{ctrname="c",deviceuuid="GPU-a",podname="p",podnamespace="ml",vdeviceid="0"} 1073741824
            vGPU_device_memory_limit_in_bytes{ctrname="c",deviceuuid="GPU-a",podname="p",podnamespace="ml",vdeviceid="0"} 4294967296
            hami_vgpu_memory_used_bytes{container="c",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 1073741824
            hami_vgpu_memory_limit_bytes{container="c",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 4294967296
            hami_vgpu_memory_used_bytes{container="d",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 2147483648
            hami_vgpu_memory_limit_bytes{container="d",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 4294967296
            hami_container_device_utilization_ratio{container="d",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 37
            hami_host_gpu_memory_used_bytes{node="n1",device_index="0",device_uuid="GPU-a"} 5368709120
            hami_host_gpu_memory_used_bytes{node="n1",device_index="1",device_uuid="GPU-b"} 1048576
            """,
            """
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",Hostname="n1"} 5120
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",Hostname="n1"} 76000
            """);

        reading.Lines().Should().Equal("ml/p GPU-a 3072/8192 0.37", "free GPU-b 1/-");
        reading.Refused.Should().BeEmpty();
    }

    [Fact]
    public void T12_a_part_without_a_figure_leaves_the_sum_unknown_and_a_limit_of_0_is_none()
    {
        Of("""
            hami_vgpu_memory_used_bytes{container="c",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 1073741824
            hami_vgpu_memory_limit_bytes{container="c",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 4294967296
            hami_vgpu_memory_limit_bytes{container="d",device_uuid="GPU-a",namespace="ml",pod="p",vdevice_index="0"} 0
            """).Lines().Should().Equal("ml/p GPU-a -/-");
    }

    [Fact]
    public void T12_a_limit_below_a_MiB_is_implausible()
    {
        Of("""
            hami_vgpu_memory_used_bytes{device_uuid="GPU-a",namespace="ml",pod="p"} 0
            hami_vgpu_memory_limit_bytes{device_uuid="GPU-a",namespace="ml",pod="p"} 4096
            """).RefusedLines().Should().Equal("ImplausibleMemory 1 GPU-a");
    }

    [Fact]
    public void T12_a_pod_that_HAMi_does_not_know_is_on_the_device_without_figures()
    {
        Of("""
            hami_vgpu_memory_used_bytes{device_uuid="GPU-a",namespace="ml",pod="p"} 1073741824
            hami_vgpu_memory_limit_bytes{device_uuid="GPU-a",namespace="ml",pod="p"} 4294967296
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="p"} 5120
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",namespace="ml",pod="p"} 76000
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="q"} 5120
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",namespace="ml",pod="q"} 76000
            """).Lines().Should().Equal("ml/p GPU-a 1024/4096", "ml/q GPU-a -/-");
    }

    [Fact]
    public void T13_T20_Ascend_is_read_by_its_own_timestamps_and_not_when_stale()
    {
        var now = Now.ToUnixTimeMilliseconds();
        var reading = Of($$"""
            npu_chip_info_hbm_used_memory{id="0",model_name="910B",namespace="ml",pod_name="p",container_name="c"} 8192 {{now - 10_000}}
            npu_chip_info_hbm_total_memory{id="0",model_name="910B",namespace="ml",pod_name="p",container_name="c"} 65536 {{now - 20_000}}
            npu_chip_info_utilization{id="0",model_name="910B",namespace="ml",pod_name="p",container_name="c"} 36 {{now + 5_000}}
            npu_chip_info_hbm_used_memory{id="1",model_name="910B",namespace="",pod_name="",container_name=""} 100 {{now - 60_000}}
            npu_chip_info_hbm_total_memory{id="1",model_name="910B",namespace="",pod_name="",container_name=""} 65536 {{now - 60_000}}
            npu_chip_info_hbm_used_memory{id="2",vdie_id="D-2",model_name="910B",namespace="ml",pod_name="q",container_name="c"} 100 {{now - 60_001}}
            npu_chip_info_hbm_used_memory{id="3",vdie_id="D-3",model_name="910B",namespace="ml",pod_name="q",container_name="c"} 100 {{now + 60_001}}
            """);

        reading.Lines().Should().Equal("ml/p[c] exporter-0:9400/0 8192/65536 0.36", "free exporter-0:9400/1 100/65536");
        reading.RefusedLines().Should().Equal("Stale 1 D-2", "AheadOfTime 1 D-3");
        reading.Shares[0].SampledAt.Should().Be(Now.AddSeconds(-20), "the oldest figure dates a share");
    }

    [Fact]
    public void T13_a_free_Ascend_bears_the_exporters_name_in_Prometheus()
    {
        Of("""
            npu_chip_info_hbm_used_memory{id="0",vdie_id="D-0",pod_name="p",exported_namespace="ml",namespace="mindx",pod="npu-exporter-1",instance="n1"} 8192
            npu_chip_info_hbm_used_memory{id="1",vdie_id="D-1",namespace="mindx",pod="npu-exporter-1",instance="n1"} 1
            npu_chip_info_hbm_used_memory{id="0",vdie_id="D-2",namespace="mindx",pod="npu-exporter-2",instance="n2"} 2
            """).Lines().Should().Equal("ml/p D-0 8192/-", "free D-1 1/-", "free D-2 2/-");
    }

    [Fact]
    public void T13_AMD_says_MiB_and_Gaudi_bytes()
    {
        Of("""
            gpu_used_vram{gpu_id="0",hostname="n1",gpu_partition_id="1",pod="p",namespace="ml",container="c"} 4096
            gpu_total_vram{gpu_id="0",hostname="n1",gpu_partition_id="1",pod="p",namespace="ml",container="c"} 196592
            gpu_gfx_activity{gpu_id="0",hostname="n1",gpu_partition_id="1",pod="p",namespace="ml",container="c"} 12
            gpu_used_vram{gpu_id="0",hostname="n2",gpu_partition_id="1",pod="",namespace="",container=""} 1
            gpu_total_vram{gpu_id="0",hostname="n2",gpu_partition_id="1",pod="",namespace="",container=""} 196592
            habanalabs_memory_used_bytes{UUID="HL-1",pod="q",namespace="ml"} 34359738368
            habanalabs_memory_total_bytes{UUID="HL-1",pod="q",namespace="ml"} 103079215104
            habanalabs_utilization{UUID="HL-1",pod="q",namespace="ml"} 44
            """).Lines().Should().Equal("ml/q HL-1 32768/98304 0.44", "ml/p[c] n1/0#1 4096/196592 0.12", "free n2/0#1 1/196592");
    }

    [Fact]
    public void T16_a_bad_sample_loses_itself_and_the_pod_still_holds_the_device()
    {
        var reading = Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="p"} ERROR - FAILED TO CONVERT TO STRING
            DCGM_FI_DEV_FB_FREE{UUID="GPU-a",namespace="ml",pod="p"} NaN
            DCGM_FI_DEV_FB_USED{UUID="GPU-b",namespace="ml",pod="p"} -1
            DCGM_FI_DEV_FB_USED{UUID="GPU-c",namespace="ml",pod="p"} +Inf
            DCGM_FI_DEV_FB_USED{UUID="GPU-d",namespace="ml",pod="p"} 1e300
            DCGM_FI_DEV_FB_USED{namespace="ml",pod="p"} 5
            DCGM_FI_DEV_FB_USED{UUID="GPU-e",namespace="ml",pod="p"} 5
            DCGM_FI_DEV_FB_FREE{UUID="GPU-e",namespace="ml",pod="p"} 5000
            """);

        reading.Lines().Should().Equal("ml/p GPU-a -/-", "ml/p GPU-b -/-", "ml/p GPU-c -/-", "ml/p GPU-d -/-", "ml/p GPU-e 5/5005");
        reading.RefusedLines().Should().Equal("BadLine 1", "BadValue 4 GPU-a", "NoDevice 1");
    }

    [Fact]
    public void T16_a_label_too_long_to_be_a_name_loses_its_sample()
    {
        var reading = Of($$"""
            DCGM_FI_DEV_FB_USED{UUID="GPU-a",namespace="ml",pod="{{new string('p', 513)}}"} 5
            DCGM_FI_DEV_FB_USED{UUID="GPU-b",namespace="ml",pod="p",modelName="{{new string('m', 5000)}}"} 5
            """);

        reading.Lines().Should().Equal("ml/p GPU-b 5/-");
        reading.RefusedLines().Should().Equal("BadLabel 1");
    }

    [Fact]
    public void A_label_value_with_escapes_is_read_unescaped()
    {
        Of("""
            DCGM_FI_DEV_FB_USED{UUID="GPU-\"a\\b\nc",namespace="ml",pod="p",modelName="a\",pod=\"x"} 5
            """).Lines().Should().Equal("ml/p GPU-\"a\\b\nc 5/-");
    }

    [Fact]
    public void Prometheus_results_give_what_the_page_gave()
    {
        string[] pods = ["web-7d4b9c6f5-x7k2p", "web-7d4b9c6f5-zzzzz"];
        var page = string.Join('\n', pods.Select(static (pod, i) => $$"""
            DCGM_FI_DEV_FB_USED{UUID="GPU-{{i}}",exported_namespace="ml",exported_pod="{{pod}}",pod="x",namespace="gpus",instance="n1"} 1024
            DCGM_FI_DEV_FB_FREE{UUID="GPU-{{i}}",exported_namespace="ml",exported_pod="{{pod}}",pod="x",namespace="gpus",instance="n1"} 1024
            """));
        var reader = new GpuSampleReader(StaleAfter);
        reader.Begin(Now);
        for (var i = 0; i < pods.Length; i++)
        {
            foreach (var name in (string[])["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"])
            {
                reader.Take(
                    GpuMetric.Find(System.Text.Encoding.UTF8.GetBytes(name))!,
                    new Dictionary<string, string>
                    {
                        ["__name__"] = name,
                        ["UUID"] = $"GPU-{i}",
                        ["exported_namespace"] = "ml",
                        ["exported_pod"] = pods[i],
                        ["pod"] = "x",
                        ["namespace"] = "gpus",
                        ["instance"] = "n1",
                        [new string('l', 100)] = "a name that is longer than any that is read",
                    },
                    1024,
                    Now);
            }
        }

        reader.Finish().Should().BeEquivalentTo(Of(page), static options => options.WithStrictOrdering());
    }

    [Fact]
    public void A_clock_that_begins_in_1970_is_as_good_as_any()
    {
        var reader = new GpuSampleReader(StaleAfter);
        reader.Begin(DateTimeOffset.UnixEpoch);
        reader.TakePage(GpuSweep.Capture("dcgm_relabelled.txt"), "a");

        var reading = reader.Finish();

        reading.Lines().Should().Contain("ml/llm-7d9c5b6f4d-abcde GPU-a 60000/80000");
        reading.Shares[0].SampledAt.Should().Be(DateTimeOffset.UnixEpoch);
    }

    [Fact]
    public void A_sweep_knows_nothing_of_the_last()
    {
        var reader = new GpuSampleReader(StaleAfter);
        var page = GpuSweep.Capture("dcgm_relabelled.txt");
        reader.Begin(Now);
        reader.TakePage(page, "a");
        reader.Finish().Shares.Should().HaveCount(2);

        reader.Begin(Now.AddSeconds(10));
        reader.TakePage("DCGM_FI_DEV_FB_USED{UUID=\"GPU-a\",namespace=\"ml\",pod=\"p\"} 5\n"u8, "b");
        reader.Finish().Lines().Should().Equal("ml/p GPU-a 5/-");

        reader.Begin(Now.AddSeconds(20));
        reader.Finish().Should().BeEquivalentTo(new AcceleratorReading());
    }

    [Fact]
    public void Pods_that_come_and_go_leave_nothing_behind_but_what_a_sweep_needs()
    {
        var reader = new GpuSampleReader(StaleAfter);
        var text = string.Join('\n', Enumerable.Range(0, 100).Select(static i => $$"""DCGM_FI_DEV_FB_USED{UUID="GPU-{{i}}",namespace="ml",pod="p-@"} 5"""));
        for (var sweep = 0; sweep < 40; sweep++)
        {
            reader.Begin(Now.AddSeconds(sweep));
            reader.TakePage(System.Text.Encoding.UTF8.GetBytes(text.Replace("@", $"{sweep}", StringComparison.Ordinal) + "\n"), "a");
            reader.Finish().Shares.Should().HaveCount(100);
            reader.RememberedRows.Should().BeLessThan(1500);
        }
    }

    [Fact]
    public void T21_an_exporter_that_loses_all_its_labels_does_not_pass_for_one_pod_on_all_devices()
    {
        const string Own = """pod="gpu-metrics-x7k2p",namespace="monitoring",job="gpus",instance="n1" """;
        var reader = new GpuSampleReader(StaleAfter);
        IReadOnlyList<string> Sweep(string labelsOfA, string labelsOfB)
        {
            reader.Begin(Now);
            reader.TakePage(Encoding.UTF8.GetBytes($"DCGM_FI_DEV_FB_USED{{UUID=\"GPU-a\",{labelsOfA}}} 1\nDCGM_FI_DEV_FB_USED{{UUID=\"GPU-b\",{labelsOfB}}} 2\n"), "n1");
            return reader.Finish().Lines();
        }

        Sweep($"exported_pod=\"p\",exported_namespace=\"ml\",{Own}", $"exported_pod=\"q\",exported_namespace=\"ml\",{Own}").Should().Equal("ml/p GPU-a 1/-", "ml/q GPU-b 2/-");
        Sweep(Own, Own).Should().Equal("free GPU-a 1/-", "free GPU-b 2/-");

        // A scrape configuration that honors labels from now on is another matter.
        Sweep("pod=\"p\",namespace=\"ml\",job=\"gpus\",instance=\"n1\"", "pod=\"q\",namespace=\"ml\",job=\"gpus\",instance=\"n1\"").Should().Equal("ml/p GPU-a 1/-", "ml/q GPU-b 2/-");
    }
}
