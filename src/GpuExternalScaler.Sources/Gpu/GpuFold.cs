namespace GpuExternalScaler.Sources.Gpu;

/// <summary>Rows to shares: which pod a row is about, which names to believe, what to count once and what to add.</summary>
internal static class GpuFold
{
    private const double Gibibyte = 1 << 30;

    // T8: no device is smaller or larger. Off by 2^20, one of the two names' units would be far outside.
    private const double SmallestDevice = 1 * Gibibyte;
    private const double LargestDevice = 400 * Gibibyte;
    private const double SmallestShare = 1 << 20;

    // Drivers reserve 2 to 9 % of a device; where nothing is left, a figure is missing its digits.
    private const double LeastUsable = 0.5;

    // Sizes that different names, or parts and the whole, give one device may differ by rounding and by what is reserved.
    private const double SizeTolerance = 0.05;

    /// <summary>Folds the rows of one sweep; sorts them.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="qualified">
    /// Scrape configurations in which Prometheus renamed pod labels, or whose exporter uses names of its own, in this sweep or an earlier
    /// one: there, a row with a plain pod label alone is about a device without a pod, and names the exporter's (T9). Those of the sweep
    /// are added. Remembered, because an exporter that loses all its labels leaves just such rows (T21).
    /// </param>
    /// <param name="refused">Counts what is left out.</param>
    public static (List<AcceleratorShare> Shares, List<AcceleratorShare> Unallocated) Fold(List<GpuRow> rows, HashSet<(string Job, string Exporter)> qualified, RefusalTally refused)
    {
        if (qualified.Count > 0)
        {
            ForgetHonoured(rows, qualified);
        }

        foreach (var row in rows)
        {
            if (row.Naming == PodNaming.Qualified)
            {
                qualified.Add(row.Scope);
            }
        }

        var facts = new List<Fact>(rows.Count);
        foreach (var row in rows)
        {
            var isOwn = row.Naming == PodNaming.Plain && (qualified.Contains(row.Scope) || IsExporter(row));
            facts.Add(new Fact(row, isOwn ? null : row.Pod, isOwn ? null : row.Namespace));
        }

        facts.Sort(Compare);
        var shares = new List<AcceleratorShare>(facts.Count);
        var unallocated = new List<AcceleratorShare>();
        for (var start = 0; start < facts.Count;)
        {
            var end = start + 1;
            while (end < facts.Count && IsSameDevice(facts[start], facts[end]))
            {
                end++;
            }

            // The GPU around MIG instances is no device that a pod could have.
            var isWhole = facts[start].Row.Instance.Length == 0;
            var hasInstances = isWhole && end < facts.Count && facts[end].Row.Device == facts[start].Row.Device;
            FoldDevice(facts[start..end], hasInstances, shares, unallocated, refused);
            start = end;
        }

        return (shares, unallocated);
    }

    // A scrape configuration that was changed to honor labels shows several pods of one exporter by their plain names; the
    // exporter's own would be one.
    private static void ForgetHonoured(List<GpuRow> rows, HashSet<(string Job, string Exporter)> qualified)
    {
        var plain = new Dictionary<(string Job, string Exporter), string>();
        foreach (var row in rows)
        {
            if (row is { Naming: PodNaming.Plain, Pod: { } pod } && !IsExporter(row) && !plain.TryAdd((row.Scope.Job, row.Exporter), pod) && plain[(row.Scope.Job, row.Exporter)] != pod)
            {
                qualified.Remove(row.Scope);
            }
        }
    }

    // With honor_labels, a GPU without a pod may bear the name of the exporter's (T9), which never holds one.
    private static bool IsExporter(GpuRow row) =>
        row.Vendor == GpuVendor.Dcgm && row.Pod is not null && row.Pod.Contains("dcgm-exporter", StringComparison.Ordinal);

    private static bool IsSameDevice(in Fact left, in Fact right) =>
        left.Row.Device == right.Row.Device && left.Row.Instance == right.Row.Instance;

    private static int Compare(Fact left, Fact right)
    {
        var order = string.CompareOrdinal(left.Row.Device, right.Row.Device);
        order = order != 0 ? order : string.CompareOrdinal(left.Row.Instance, right.Row.Instance);
        order = order != 0 ? order : string.CompareOrdinal(left.Namespace, right.Namespace);
        order = order != 0 ? order : string.CompareOrdinal(left.Pod, right.Pod);
        order = order != 0 ? order : left.Row.Vendor.CompareTo(right.Row.Vendor);
        order = order != 0 ? order : string.CompareOrdinal(left.Row.Part, right.Row.Part);
        return order != 0 ? order : string.CompareOrdinal(left.Row.Exporter, right.Row.Exporter);
    }

    private static void FoldDevice(
        List<Fact> facts, bool hasInstances, List<AcceleratorShare> shares, List<AcceleratorShare> unallocated, RefusalTally refused)
    {
        var hasPods = facts.Exists(static fact => fact.Pod is not null);
        var device = Measure(facts, refused);
        var parts = facts.FindAll(static fact => fact.Row.Vendor == GpuVendor.Hami && fact.Pod is not null);
        if (parts.Count > 0)
        {
            // HAMi knows each container's part of a device that others see as a whole: counting both counts twice. A pod
            // that HAMi does not know is on the device too, but how much of the whole's figures is its own, nobody says.
            facts.RemoveAll(fact => fact.Row.Vendor != GpuVendor.Hami
                && (fact.Pod is null || parts.Exists(part => part.Pod == fact.Pod && part.Namespace == fact.Namespace)));
            device = DeviceMemory.Unknown;
        }
        else if (facts.Exists(static fact => fact.Row.Vendor != GpuVendor.HamiHost))
        {
            facts.RemoveAll(static fact => fact.Row.Vendor == GpuVendor.HamiHost);
        }

        if (!hasPods)
        {
            if (!hasInstances)
            {
                unallocated.Add(ShareOf(facts, device));
            }

            return;
        }

        // In order of namespace and pod; rows without one come first and have served to measure the device.
        for (var start = facts.FindIndex(static fact => fact.Pod is not null); start >= 0 && start < facts.Count;)
        {
            var end = start + 1;
            while (end < facts.Count && facts[end].Pod == facts[start].Pod && facts[end].Namespace == facts[start].Namespace)
            {
                end++;
            }

            shares.Add(ShareOf(facts[start..end], device));
            start = end;
        }
    }

    /// <summary>
    /// What a device's rows agree on: per family of names, its usable memory. Rows of processes show the pod's used beside
    /// the device's free memory, so the largest sum is the device (T11).
    /// </summary>
    private static DeviceMemory Measure(List<Fact> facts, RefusalTally refused)
    {
        var newer = default(GpuSample);
        var older = default(GpuSample);
        foreach (var fact in facts)
        {
            var measured = Memory.Of(fact.Row, older: false);
            var measuredOlder = Memory.Of(fact.Row, older: true);
            if (measured.IsImplausible || measuredOlder.IsImplausible)
            {
                refused.Add(SampleRefusal.ImplausibleMemory, fact.Row.Device);
            }

            // A part's limit says nothing of the device.
            if (fact.Row.Vendor != GpuVendor.Hami)
            {
                newer = Larger(newer, measured.Usable);
                older = Larger(older, measuredOlder.Usable);
            }
        }

        if (newer.IsKnown && older.IsKnown && Math.Abs(newer.Value - older.Value) > SizeTolerance * Math.Max(newer.Value, older.Value))
        {
            refused.Add(SampleRefusal.Contradiction, facts[0].Row.Device);
            return DeviceMemory.Unknown;
        }

        return new DeviceMemory(newer, older, IsKnown: true);
    }

    /// <summary>One pod's rows on one device, or the rows of a device without pods.</summary>
    private static AcceleratorShare ShareOf(List<Fact> facts, DeviceMemory device)
    {
        var (used, usable) = facts[0].Row.Vendor == GpuVendor.Hami ? Added(facts) : Largest(facts, device);
        var busy = default(GpuSample);
        var seenAt = long.MinValue;
        var container = facts[0].Row.Container;
        foreach (var fact in facts)
        {
            busy = Larger(busy, BusyShare(fact.Row));
            seenAt = Math.Max(seenAt, fact.Row.SeenAt);
            container = fact.Row.Container == container ? container : null;
        }

        var first = facts[0];
        return new AcceleratorShare
        {
            Namespace = first.Pod is null ? null : first.Namespace,
            Pod = first.Pod,
            Container = first.Pod is null ? null : container,
            Device = first.Row.Device,
            Instance = first.Row.Instance,
            Exporter = first.Row.Exporter,
            IsPart = first.Row.Vendor == GpuVendor.Hami && first.Pod is not null,
            UsedBytes = used.IsKnown ? (long)used.Value : null,
            UsableBytes = usable.IsKnown ? (long)usable.Value : null,
            Utilisation = busy.IsKnown ? busy.Value : null,
            SampledAt = DateTimeOffset.FromUnixTimeMilliseconds(Oldest(used, Oldest(usable, Oldest(busy, seenAt)))),
        };

        static long Oldest(GpuSample sample, long otherwise) =>
            sample.IsKnown ? Math.Min(sample.Milliseconds, otherwise) : otherwise;
    }

    // T11: the larger of repeated figures. Newer and older names are never mixed; the more complete pair counts, then the
    // more recent one, then the newer names.
    private static (GpuSample Used, GpuSample Usable) Largest(List<Fact> facts, DeviceMemory device)
    {
        if (!device.IsKnown)
        {
            return default;
        }

        var newer = default(GpuSample);
        var older = default(GpuSample);
        foreach (var fact in facts)
        {
            newer = Larger(newer, Memory.Of(fact.Row, older: false).Used);
            older = Larger(older, Memory.Of(fact.Row, older: true).Used);
        }

        var preferOlder = older.IsKnown
            && (!newer.IsKnown
                || (device.UsableOlder.IsKnown && !device.Usable.IsKnown)
                || (device.UsableOlder.IsKnown == device.Usable.IsKnown && older.Milliseconds > newer.Milliseconds));

        // Without a used figure of its own, the pod still is on a device whose size is known.
        return preferOlder ? (older, device.UsableOlder) : (newer, newer.IsKnown || device.Usable.IsKnown ? device.Usable : device.UsableOlder);
    }

    // T12: containers and virtual devices have parts of their own, each with its limit. One exporter may show a part under
    // old and new names, and two exporters may show it: the larger counts. A part without a figure leaves the sum unknown.
    private static (GpuSample Used, GpuSample Usable) Added(List<Fact> facts)
    {
        var used = default(Sum);
        var usable = default(Sum);
        for (var start = 0; start < facts.Count;)
        {
            var partUsed = default(GpuSample);
            var partUsable = default(GpuSample);
            var end = start;
            for (; end < facts.Count && facts[end].Row.Part == facts[start].Row.Part; end++)
            {
                var memory = Memory.Of(facts[end].Row, older: false);
                partUsed = Larger(partUsed, memory.Used);
                partUsable = Larger(partUsable, memory.Usable);
            }

            used.Add(partUsed);
            usable.Add(partUsable);
            start = end;
        }

        return (used.Total, usable.Total);
    }

    private static GpuSample Larger(GpuSample left, GpuSample right) =>
        !right.IsKnown ? left
        : !left.IsKnown || right.Value > left.Value ? right
        : right.Value == left.Value && right.Milliseconds > left.Milliseconds ? right
        : left;

    /// <summary>Utilisation of a row, 0 to 1.</summary>
    private static GpuSample BusyShare(GpuRow row)
    {
        var ratio = row[GpuFigure.Ratio];
        if (ratio.IsKnown)
        {
            return ratio;
        }

        var percent = row[GpuFigure.Percent];
        if (percent.IsKnown)
        {
            return percent with { Value = percent.Value / 100 };
        }

        // Whole percents up to 4.8, 0 to 1 later (T8); the row's own memory names tell which. What could be either end of
        // the scale is nothing.
        var either = row[GpuFigure.PercentOrRatio];
        var isOlder = row[GpuFigure.OlderUsed].IsKnown || row[GpuFigure.OlderFree].IsKnown;
        var isNewer = row[GpuFigure.Used].IsKnown || row[GpuFigure.Free].IsKnown || row[GpuFigure.Total].IsKnown;
        return either.Value is 0 or > 1 || (either.Value == 1 && isOlder && !isNewer) ? either with { Value = either.Value / 100 }
            : either.Value < 1 && isNewer && !isOlder ? either
            : default;
    }

    private readonly record struct Fact(GpuRow Row, string? Pod, string? Namespace);

    private readonly record struct DeviceMemory(GpuSample Usable, GpuSample UsableOlder, bool IsKnown)
    {
        /// <summary>No pod's figures on the device can be told.</summary>
        public static DeviceMemory Unknown => default;
    }

    private struct Sum
    {
        private GpuSample _total;
        private bool _isIncomplete;

        public readonly GpuSample Total => _isIncomplete ? default : _total;

        public void Add(GpuSample part)
        {
            _isIncomplete |= !part.IsKnown;
            _total = _total.IsKnown
                ? new GpuSample(_total.Value + part.Value, Math.Min(_total.Milliseconds, part.Milliseconds))
                : part;
        }
    }

    /// <summary>A row's memory in bytes under one family of names.</summary>
    private readonly record struct Memory(GpuSample Used, GpuSample Usable, bool IsImplausible)
    {
        private static readonly Memory Implausible = new(default, default, IsImplausible: true);

        public static Memory Of(GpuRow row, bool older)
        {
            var used = row[older ? GpuFigure.OlderUsed : GpuFigure.Used];
            var free = row[older ? GpuFigure.OlderFree : GpuFigure.Free];
            var reserved = row[older ? GpuFigure.OlderReserved : GpuFigure.Reserved];
            var total = row[older ? GpuFigure.OlderTotal : GpuFigure.Total];
            if (used.Value > LargestDevice || total.Value > LargestDevice)
            {
                return Implausible;
            }

            return row.Vendor switch
            {
                // A limit of 0 is none; a share may be smaller than any device, but is given out in MiB.
                GpuVendor.Hami when total.Value is > 0 and < SmallestShare => Implausible,
                GpuVendor.Hami => new Memory(used, total.Value > 0 ? total : default, IsImplausible: false),
                GpuVendor.Dcgm => OfParts(used, free, reserved, total),
                _ => OfTotal(used, total),
            };
        }

        // T10: reserved memory is part of the device and not usable.
        private static Memory OfParts(GpuSample used, GpuSample free, GpuSample reserved, GpuSample total)
        {
            if (used.IsKnown && free.IsKnown)
            {
                var usable = new GpuSample(used.Value + free.Value, Math.Min(used.Milliseconds, free.Milliseconds));
                var whole = usable.Value + reserved.Value;
                return IsDevice(whole) && usable.Value >= LeastUsable * whole && (!total.IsKnown || whole <= total.Value * (1 + SizeTolerance))
                    ? new Memory(used, usable, IsImplausible: false)
                    : Implausible;
            }

            if (!used.IsKnown || !total.IsKnown)
            {
                return new Memory(used, default, IsImplausible: false);
            }

            var (_, ofTotal, isImplausible) = OfTotal(used, total);
            return isImplausible ? Implausible
                : !reserved.IsKnown ? new Memory(used, default, IsImplausible: false)
                : total.Value - reserved.Value >= LeastUsable * total.Value ? new Memory(used, ofTotal with { Value = total.Value - reserved.Value }, IsImplausible: false)
                : Implausible;
        }

        private static Memory OfTotal(GpuSample used, GpuSample total) =>
            !total.IsKnown ? new Memory(used, default, IsImplausible: false)
            : IsDevice(total.Value) && used.Value <= total.Value * (1 + SizeTolerance) ? new Memory(used, total, IsImplausible: false)
            : Implausible;

        private static bool IsDevice(double bytes) => bytes is >= SmallestDevice and <= LargestDevice;
    }
}
