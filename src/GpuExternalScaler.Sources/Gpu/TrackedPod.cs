using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>One pod as <see cref="PodMemoryTracker"/> remembers it.</summary>
internal sealed class TrackedPod
{
    private bool _hasNewFigures;

    /// <summary>The devices it was last seen on, and those it may still hold.</summary>
    public List<TrackedShare> Shares { get; } = [];

    /// <summary>Its figures; null if there never were any for all its devices.</summary>
    public PodMemory? Memory { get; private set; }

    public required DateTimeOffset FirstSeenAt { get; set; }

    public DateTimeOffset LastSeenAt { get; private set; }

    /// <summary>Whether the newest sweep saw it.</summary>
    public bool IsSeen { get; private set; }

    /// <summary>Whether the newest sweep did not tell all of its figures.</summary>
    public bool IsInDoubt => !_hasNewFigures || Shares.Exists(static share => !share.IsSeen);

    public void BeginSweep()
    {
        IsSeen = false;
        foreach (var share in Shares)
        {
            share.Seen = null;
        }
    }

    /// <summary>Takes the pod's rows of a sweep.</summary>
    /// <param name="shares">The rows.</param>
    /// <param name="sweptAt">When the sweep asked.</param>
    /// <param name="isWhole">Whether no rows can be missing.</param>
    public void See(ReadOnlySpan<AcceleratorShare> shares, DateTimeOffset sweptAt, bool isWhole)
    {
        IsSeen = true;
        LastSeenAt = sweptAt;
        var known = Shares.Count;
        var hasMoved = isWhole;
        foreach (var share in shares)
        {
            hasMoved &= !Shares.Exists(mine => mine.Exporter == share.Exporter || (mine.Device == share.Device && mine.Instance == share.Instance));
        }

        foreach (var share in shares)
        {
            if (Shares.Find(mine => mine.Device == share.Device && mine.Instance == share.Instance) is not { } mine)
            {
                mine = new TrackedShare(share.Device, share.Instance);
                Shares.Add(mine);
            }

            mine.Seen = share;
            mine.Exporter = share.Exporter;
            mine.LastSeenAt = sweptAt;
        }

        // A pod keeps its node and devices for life. On others altogether, it is a new pod by the old name, as StatefulSets have them.
        if (known > 0 && hasMoved)
        {
            Shares.RemoveRange(0, known);
            FirstSeenAt = sweptAt;
        }
    }

    /// <summary>Takes the figures of the newest sweep, once it is known who shares which device.</summary>
    public void Measure(Dictionary<(string Device, string Instance), SharedDevice> shared)
    {
        foreach (var share in Shares)
        {
            share.Measure(shared);
        }

        Add();
    }

    /// <summary>Gives up the devices, not seen any more, of which this is true.</summary>
    public void LetGo(Predicate<TrackedShare> isGone, Dictionary<(string Device, string Instance), SharedDevice> shared)
    {
        if (Shares.RemoveAll(share => !share.IsSeen && isGone(share)) > 0)
        {
            Measure(shared);
        }
    }

    private void Add()
    {
        _hasNewFigures = Shares.TrueForAll(static share => !share.IsSeen || share.IsNew);
        if (Shares.Exists(static share => share.Figures is null))
        {
            // Part of a sum is no sum. What it was before stays.
            return;
        }

        var sum = new PodMemory { Accelerators = Shares.Count, SampledAt = DateTimeOffset.MaxValue };
        var areAllOld = !Shares.Exists(static share => share.IsNew);
        foreach (var share in Shares)
        {
            var (used, usable, busy, sampledAt) = share.Figures!.Value;
            var isFullest = sum.FullestUsableBytes == 0 || used / usable > sum.FullestUsedBytes / sum.FullestUsableBytes;
            sum = sum with
            {
                UsedBytes = sum.UsedBytes + used,
                UsableBytes = sum.UsableBytes + usable,
                FullestUsedBytes = isFullest ? used : sum.FullestUsedBytes,
                FullestUsableBytes = isFullest ? usable : sum.FullestUsableBytes,
                Utilisation = busy is null || sum.Utilisation > busy ? sum.Utilisation : busy,
                SampledAt = (share.IsNew || areAllOld) && sampledAt < sum.SampledAt ? sampledAt : sum.SampledAt,
            };
        }

        Memory = sum;
    }
}

/// <summary>One device, or MIG instance, that a pod holds.</summary>
internal sealed class TrackedShare(string device, string instance)
{
    public string Device { get; } = device;

    public string Instance { get; } = instance;

    /// <summary>The exporter that showed it last.</summary>
    public string Exporter { get; set; } = "";

    /// <summary>The row of the newest sweep; null if that did not show it.</summary>
    public AcceleratorShare? Seen { get; set; }

    public bool IsSeen => Seen is not null;

    /// <summary>Whether the newest sweep told its figures.</summary>
    public bool IsNew => Seen is not null && HasFigures(Seen);

    public DateTimeOffset LastSeenAt { get; set; }

    /// <summary>The last known; null if never.</summary>
    public (double Used, double Usable, double? Busy, DateTimeOffset SampledAt)? Figures { get; private set; }

    public static bool HasFigures(AcceleratorShare share) => share is { UsedBytes: >= 0, UsableBytes: > 0 };

    public void Measure(Dictionary<(string Device, string Instance), SharedDevice> shared)
    {
        if (Seen is not { } seen || !HasFigures(seen))
        {
            return;
        }

        var busy = seen.Utilisation is >= 0 and <= 1 ? seen.Utilisation : null;
        var (used, usable) = seen.IsPart ? (seen.UsedBytes!.Value, seen.UsableBytes!.Value) : shared[(Device, Instance)].PerPod;
        Figures = (used, usable, busy, seen.SampledAt);
    }
}

/// <summary>A device that pods of one workload share, of which each shows the whole (T11).</summary>
/// <param name="Pods">How many.</param>
/// <param name="Sum">Of what they say is used.</param>
/// <param name="Largest">Of what they say is used.</param>
/// <param name="AreEqual">Whether they say the same.</param>
/// <param name="Usable">The largest they say.</param>
internal readonly record struct SharedDevice(int Pods, double Sum, double Largest, bool AreEqual, double Usable)
{
    /// <summary>
    /// One pod's part. Where they say different things, an exporter tells processes apart and they add up, unless that is more than
    /// there is.
    /// </summary>
    public (double Used, double Usable) PerPod => ((AreEqual || Sum > Usable ? Largest : Sum) / Pods, Usable / Pods);

    public static SharedDevice Of(AcceleratorShare share) => new(1, share.UsedBytes!.Value, share.UsedBytes.Value, true, share.UsableBytes!.Value);

    public SharedDevice With(AcceleratorShare share)
    {
        double used = share.UsedBytes!.Value;
        return new(Pods + 1, Sum + used, Math.Max(Largest, used), AreEqual && used == Largest, Math.Max(Usable, share.UsableBytes!.Value));
    }
}
