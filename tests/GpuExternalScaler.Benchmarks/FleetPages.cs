using System.Globalization;
using System.Text;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.Benchmarks;

/// <summary>Accelerators, servers and the workloads whose pods they belong to, as exporters show them.</summary>
/// <param name="Exporters">Pages.</param>
/// <param name="PerPage">GPUs of a page.</param>
/// <param name="Workloads">Deployments.</param>
/// <param name="Namespaces">Namespaces that these are in.</param>
/// <param name="Churn">Percent of the pods that are others at every other request.</param>
internal sealed record FleetShape(int Exporters, int PerPage, int Workloads, int Namespaces, int Churn)
{
    // DCGM's figures of an 80 GiB device, in MiB.
    private const int Usable = 80_000;

    public int Gpus => Exporters * PerPage;

    /// <summary>GPUs that no pod has: one of twenty.</summary>
    private int Free => Gpus / 20;

    public static FleetShape Of(Arguments arguments) => new(
        arguments.Number("exporters", 250),
        arguments.Number("gpus", 8),
        arguments.Number("workloads", 1200),
        arguments.Number("namespaces", 4),
        arguments.Number("churn", 0));

    public string[] ToArguments()
    {
        (string Key, int Value)[] all = [("exporters", Exporters), ("gpus", PerPage), ("workloads", Workloads), ("namespaces", Namespaces), ("churn", Churn)];
        return [.. all.SelectMany(static pair => (string[])["--" + pair.Key, pair.Value.ToString(CultureInfo.InvariantCulture)])];
    }

    public static string NameOf(int workload) => string.Create(CultureInfo.InvariantCulture, $"model-{workload:0000}");

    public string NamespaceOf(int workload) => string.Create(CultureInfo.InvariantCulture, $"team-{workload % Namespaces}");

    /// <summary>
    /// A page of dcgm-exporter with all the families, help lines and labels of a capture, for more GPUs than that has, whose memory
    /// is in use otherwise in each version.
    /// </summary>
    public byte[] GpuPage(int exporter, int version)
    {
        var page = new StringBuilder();
        var written = new HashSet<string>(StringComparer.Ordinal);
        string[] block = ["", "", ""];
        foreach (var line in Capture("Gpu", "dcgm_kops_1.35.txt"))
        {
            block = [block[1], block[2], line];

            // Help, type and sample; the capture holds its page twice.
            if (line.Contains('{') && written.Add(line[..line.IndexOf('{')]))
            {
                page.Append(block[0]).Append('\n').Append(block[1]).Append('\n');
                for (var gpu = 0; gpu < PerPage; gpu++)
                {
                    AppendGpu(page, line, exporter, gpu, version);
                }
            }
        }

        return Encoding.ASCII.GetBytes(page.ToString());
    }

    /// <summary>A page of vLLM: the lines of a capture, which is an excerpt, with as many histograms as the server has besides.</summary>
    public static byte[] ServerPage(int server, int version)
    {
        const int Histograms = 12;
        const int Buckets = 24;
        var page = new StringBuilder();
        foreach (var line in Capture("ModelServers", "vllm_kops_1.35.txt"))
        {
            var isGauge = line.StartsWith("vllm:num_requests", StringComparison.Ordinal);
            page.Append(isGauge ? string.Create(CultureInfo.InvariantCulture, $"{line[..line.LastIndexOf(' ')]} {(server + version) % 9}") : line).Append('\n');
        }

        for (var histogram = 0; histogram < Histograms; histogram++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"vllm:request_stage_{histogram}_time_seconds");
            page.Append(CultureInfo.InvariantCulture, $"# HELP {name} Histogram of time spent in a stage of a request in seconds.\n# TYPE {name} histogram\n");
            for (var bucket = 0; bucket < Buckets; bucket++)
            {
                page.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{engine=\"0\",le=\"{0.001 * (1 << bucket)}\",model_name=\"Qwen/Qwen2.5-0.5B-Instruct\"}} {bucket * version}.0\n");
            }

            page.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{engine=\"0\",le=\"+Inf\",model_name=\"Qwen/Qwen2.5-0.5B-Instruct\"}} {Buckets * version}.0\n");
            page.Append(CultureInfo.InvariantCulture, $"{name}_count{{engine=\"0\",model_name=\"Qwen/Qwen2.5-0.5B-Instruct\"}} {Buckets * version}.0\n");
            page.Append(CultureInfo.InvariantCulture, $"{name}_sum{{engine=\"0\",model_name=\"Qwen/Qwen2.5-0.5B-Instruct\"}} 92.40281105041504\n");
        }

        return Encoding.ASCII.GetBytes(page.ToString());
    }

    private static string[] Capture(string folder, string name) =>
        File.ReadAllLines(Path.Combine(Repository.Root, "tests", "GpuExternalScaler.Sources.Tests", folder, "Data", name));

    private void AppendGpu(StringBuilder page, string line, int exporter, int gpu, int version)
    {
        var number = (exporter * PerPage) + gpu;
        var name = line[..line.IndexOf('{')];
        var used = 30_000 + ((number * 137) + (version * 997)) % 45_000;
        var value = name switch
        {
            "DCGM_FI_DEV_FB_USED" => used.ToString(CultureInfo.InvariantCulture),
            "DCGM_FI_DEV_FB_FREE" => (Usable - used).ToString(CultureInfo.InvariantCulture),
            "DCGM_FI_DEV_GPU_UTIL" => ((number + (7 * version)) % 100).ToString(CultureInfo.InvariantCulture),
            _ => line[(line.LastIndexOf(' ') + 1)..],
        };
        page.Append(
            CultureInfo.InvariantCulture,
            $"{name}{{gpu=\"{gpu}\",UUID=\"GPU-{number:x8}-7953-256e-8f33-1343419b1a1c\",pci_bus_id=\"00000000:{gpu + 16:X2}:00.0\",device=\"nvidia{gpu}\",modelName=\"NVIDIA H100 80GB HBM3\",Hostname=\"i-030791dc5a{exporter:x7}\",DCGM_FI_DRIVER_VERSION=\"580.105.08\"");
        if (number < Gpus - Free)
        {
            var workload = number % Workloads;
            page.Append(CultureInfo.InvariantCulture, $",container=\"server\",namespace=\"{NamespaceOf(workload)}\",pod=\"{NameOf(workload)}-7d4b9c6f5d-{Ending(number, version)}\"");
        }

        page.Append("} ").Append(value).Append('\n');
    }

    private string Ending(int number, int version)
    {
        const string Letters = "bcdfghjklmnpqrstvwxz2456789";
        var seed = number + (number * 17 % 100 < Churn ? version * Gpus : 0);
        var ending = new char[5];
        for (var i = 0; i < ending.Length; i++)
        {
            ending[i] = Letters[seed % Letters.Length];
            seed /= Letters.Length;
        }

        return new string(ending);
    }
}
