using System.Globalization;
using System.Text;
using GpuExternalScaler.IntegrationTests.Servers;

namespace GpuExternalScaler.IntegrationTests.Fleets;

/// <summary>Whose name family a dcgm-exporter of a version uses (T8).</summary>
public enum DcgmNames
{
    /// <summary>Up to 4.8: MiB.</summary>
    Older,

    /// <summary>From 4.9: bytes.</summary>
    Newer,
}

/// <summary>One GPU or MIG instance as a node's exporter shows it.</summary>
/// <param name="Namespace">Namespace of the pod on it; null without.</param>
/// <param name="Pod">The pod on it; null without.</param>
/// <param name="Used">Share of its VRAM in use.</param>
public sealed record GpuSlot(string? Namespace, string? Pod, double Used)
{
    public double Utilisation { get; init; } = 0.5;

    /// <summary>The device, if it is not one of its own.</summary>
    public string? Uuid { get; init; }

    /// <summary>The MIG instance; null for a whole GPU.</summary>
    public string? Instance { get; init; }

    public double CapacityGib { get; init; } = 80;
}

/// <summary>
/// A node with GPUs and a dcgm-exporter on it, whose page has the shape of captures of real ones: help lines, MiB or bytes, labels
/// of the pod that the kubelet named.
/// </summary>
public sealed class GpuNode : IAsyncDisposable
{
    private readonly ScriptedExporter _exporter;
    private IReadOnlyList<GpuSlot> _slots = [];
    private DcgmNames _names;
    private bool _hasLabels = true;

    public GpuNode(string name)
    {
        Name = name;
        _exporter = new ScriptedExporter("");
    }

    public string Name { get; }

    public string Address => _exporter.Address;

    public Uri Url => new($"http://{Address}/metrics");

    /// <summary>Scraped as Kubernetes' service discovery would have it: the exporter's own pod takes the labels' plain names (T9).</summary>
    public ScrapeTarget Target => new("dcgm-" + Name, Address) { Labels = [("namespace", "gpu-operator"), ("pod", "dcgm-exporter-" + Name), ("container", "dcgm-exporter")] };

    /// <summary>Slots with a pod.</summary>
    public int Pods => _hasLabels ? _slots.Count(static slot => slot.Pod is not null) : 0;

    public GpuNode Show(params IReadOnlyList<GpuSlot> slots)
    {
        _slots = slots;
        return Write();
    }

    public GpuNode Speak(DcgmNames names)
    {
        _names = names;
        return Write();
    }

    /// <summary>Whether the kubelet tells it of pods: without, the page is the same but for the labels (T21).</summary>
    public GpuNode Label(bool hasLabels)
    {
        _hasLabels = hasLabels;
        return Write();
    }

    public Task KillAsync() => _exporter.StopAsync();

    public void Revive() => _exporter.Start();

    public async ValueTask DisposeAsync() => await _exporter.DisposeAsync();

    private GpuNode Write()
    {
        var newer = _names == DcgmNames.Newer;
        var unit = newer ? 1L << 30 : 1L << 10;
        var page = new StringBuilder();
        Family("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", static slot => slot.Instance is null, slot => newer ? slot.Utilisation : Math.Round(100 * slot.Utilisation));
        Family(newer ? "DCGM_FI_DEV_FB_FREE_BYTES" : "DCGM_FI_DEV_FB_FREE", "Frame buffer memory free.", static _ => true, slot => Math.Round((1 - slot.Used) * slot.CapacityGib * unit));
        Family(newer ? "DCGM_FI_DEV_FB_USED_BYTES" : "DCGM_FI_DEV_FB_USED", "Frame buffer memory used.", static _ => true, slot => Math.Round(slot.Used * slot.CapacityGib * unit));
        _exporter.Page = page.ToString();
        return this;

        void Family(string name, string help, Func<GpuSlot, bool> has, Func<GpuSlot, double> value)
        {
            page.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} gauge\n");
            for (var i = 0; i < _slots.Count; i++)
            {
                var slot = _slots[i];
                if (!has(slot))
                {
                    continue;
                }

                var uuid = slot.Uuid ?? $"GPU-{Name}-{i}";
                page.Append(CultureInfo.InvariantCulture, $"{name}{{gpu=\"{i}\",UUID=\"{uuid}\",pci_bus_id=\"00000000:0{i}:00.0\",device=\"nvidia{i}\",modelName=\"NVIDIA H100 80GB HBM3\"");
                page.Append(slot.Instance is null ? "" : $",GPU_I_PROFILE=\"1g.10gb\",GPU_I_ID=\"{slot.Instance}\"");
                page.Append(CultureInfo.InvariantCulture, $",{(newer ? "hostname" : "Hostname")}=\"{Name}\"");
                page.Append(_hasLabels && slot.Pod is not null ? $",container=\"worker\",namespace=\"{slot.Namespace}\",pod=\"{slot.Pod}\"" : "");
                page.Append(CultureInfo.InvariantCulture, $"}} {value(slot)}\n");
            }
        }
    }
}
