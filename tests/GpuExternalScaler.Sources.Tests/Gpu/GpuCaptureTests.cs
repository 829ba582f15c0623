using GpuExternalScaler.Sources.Gpu;

namespace GpuExternalScaler.Sources.Tests.Gpu;

/// <summary>Output of real exporters; <c>Data/README.md</c> says where from.</summary>
public class GpuCaptureTests
{
    public static TheoryData<string, string[], string[]> Captures => new()
    {
        { "dcgm_ericsson_1.35.txt", ["free GPU-6d5c0ac5-74d7-3130-46f1-e93ed57f469a 5120/14911 0.91"], [] },
        { "dcgm_kops_1.35.txt", ["free GPU-c2f76b33-7953-256e-8f33-1343419b1a1c 0/22563 0"], [] },
        { "dcgm_rafay_1.35.txt", ["free GPU-d7cbb0cd-d4bd-c2f7-dfaf-221df5e958ea 0/14912 0"], [] },
        { "dcgm_upcloud_1.35.txt", ["free GPU-5b4e07f6-3a86-4340-039d-25f2a83cdc43 0/45459 0"], [] },
        { "dcgm_vks_1.35.txt", ["free GPU-0946f70c-659b-4c39-8b78-7e7600000000 0/37739 0"], [] },
        { "dcgm_vks_1.36.txt", ["free GPU-44d2411e-1604-478f-aa96-5a3c00000000 0/9323 0"], [] },

        // Its author left labels out of all lines but two, and those are about clocks.
        { "dcgm_viettel_1.35.txt", [], ["BadLine 18"] },

        // Excerpts without free memory: what is usable is not known.
        {
            "dcgm_k8s_pod_labels_4.5.txt",
            [
                "default/cuda-75454ffb9f-jpwkc[cuda] GPU-a0acdf3c-24b2-4dcd-853c-b19000000000 0/-",
                "default/cuda-75454ffb9f-8ljq7[cuda] GPU-a8394b51-c086-568a-9f1a-c1e1c934c44c 1/-",
            ],
            []
        },
        {
            "dcgm_mig_a800_driver535.txt",
            [
                "free GPU-1f027ee8-6e1e-2b8c-0108-3d370e5f0418#3 10/19967",
                "free GPU-1f027ee8-6e1e-2b8c-0108-3d370e5f0418#5 10/19967",
                "free GPU-9e5b8fec-61bf-5124-a0a9-079af1b65cc6 2/81228",
            ],
            ["BadLine 1"]
        },
        {
            "dcgm_timeslicing_vgpu_label.txt",
            [
                "default/gpu-burn-deployment-1-85dc8ff699-clvh5[gpu-burn-container-1] GPU-3bc239e1-4cc8-97e4-e817-5a36dfd2885e 15866/-",
                "vllm-inference/vllm-medgemma-4b-it-d599b4c99-f95nk[vllm] GPU-3bc239e1-4cc8-97e4-e817-5a36dfd2885e 15866/-",
            ],
            []
        },
        {
            "dcgm_relabelled.txt",
            [
                "ml/llm-7d9c5b6f4d-abcde GPU-a 60000/80000",
                "ml/llm-7d9c5b6f4d-fghij GPU-b 40000/80000",
                "free GPU-c 0/80000",
            ],
            []
        },
        { "hami_legacy_le_2.8.txt", ["default/hami-device[cuda-container] GPU-xxxx 2012.1259765625/3000 0.99"], [] },
        { "hami_ge_2.9.txt", ["amd-e2e/burn[burn] GPU-... 1024/4096"], ["BadLine 2"] },
        { "ascend_npu_exporter.txt", [], [] },
    };

    [Theory]
    [MemberData(nameof(Captures))]
    public void A_capture_gives_these_bytes_per_pod(string capture, string[] expected, string[] refused)
    {
        var reader = new GpuSampleReader(GpuSweep.StaleAfter);
        reader.Begin(GpuSweep.Now);
        reader.TakePage(GpuSweep.Capture(capture), "exporter:9400");

        var reading = reader.Finish();

        reading.Lines().Should().Equal(expected);
        reading.RefusedLines().Should().Equal(refused);
    }

    [Fact]
    public void Every_capture_is_tested()
    {
        var files = Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "Gpu", "Data"), "*.txt").Select(Path.GetFileName);

        files.Should().BeEquivalentTo(Captures.Select(static row => row[0]));
    }
}
