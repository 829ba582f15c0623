namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// What one source's newest successful sweep found, arranged for asking: by pod, by device and by exporter. Immutable, so it may be
/// read from anywhere.
/// </summary>
public sealed class AcceleratorFleet
{
    private readonly Rows _rows;

    private AcceleratorFleet(Rows rows) => _rows = rows;

    /// <summary>What is known before the first sweep.</summary>
    public static AcceleratorFleet Unswept { get; } = new(Rows.None);

    /// <summary>Whether any sweep has succeeded yet.</summary>
    public bool HasSwept { get; private init; }

    /// <summary>When that sweep asked, on the program's clock.</summary>
    public DateTimeOffset SweptAt { get; private init; }

    /// <summary>Whether rows may be missing, so that what is not here may still be there (T19).</summary>
    public bool IsPartial { get; private init; }

    /// <summary>What was wrong with the newest sweep, the first of it; the rows are then of the last one that succeeded.</summary>
    public SourceFault? Fault { get; private init; }

    /// <summary>Number of the sweep: changes with each that succeeds.</summary>
    public long Version { get; private init; }

    /// <summary>Devices and MIG instances, each counted once.</summary>
    public int Devices => _rows.Devices;

    /// <summary>Pods that hold any.</summary>
    public int Pods => _rows.Pods;

    /// <summary>A fleet from a reading.</summary>
    /// <param name="reading">The reading.</param>
    /// <param name="sweptAt">When the sweep asked.</param>
    /// <param name="isPartial">Whether an answer may have been partial (T19).</param>
    /// <param name="version">Number of the sweep.</param>
    /// <param name="fault">What was wrong all the same, such as one exporter of many.</param>
    public static AcceleratorFleet Of(
        AcceleratorReading reading, DateTimeOffset sweptAt, bool isPartial, long version, SourceFault? fault = null)
    {
        ArgumentNullException.ThrowIfNull(reading);
        return new AcceleratorFleet(new Rows([.. reading.Shares, .. reading.Unallocated]))
        {
            HasSwept = true,
            SweptAt = sweptAt,
            IsPartial = isPartial || reading.IsOverfull,
            Version = version,
            Fault = fault,
        };
    }

    /// <summary>The same rows after a sweep that failed.</summary>
    public AcceleratorFleet WithFault(SourceFault? fault) => new(_rows)
    {
        HasSwept = HasSwept,
        SweptAt = SweptAt,
        IsPartial = IsPartial,
        Version = Version,
        Fault = fault,
    };

    /// <summary>Shares of the pods of a namespace whose names begin so, by pod, device and instance.</summary>
    public ReadOnlySpan<AcceleratorShare> SharesOf(string @namespace, string podPrefix)
    {
        var shares = _rows.ByPod;
        var start = FirstNot(shares, (@namespace, podPrefix), static (share, key) =>
            Order(share.Namespace, key.Item1) is var order && order != 0 ? order < 0 : Order(share.Pod, key.Item2) < 0);
        var end = start;
        while (end < shares.Length && shares[end].Namespace == @namespace && shares[end].Pod!.StartsWith(podPrefix, StringComparison.Ordinal))
        {
            end++;
        }

        return shares.AsSpan(start..end);
    }

    /// <summary>Rows of a device and all its instances: shares of pods, or one without a pod for each instance that is free.</summary>
    public ReadOnlySpan<AcceleratorShare> RowsOf(string device)
    {
        var rows = _rows.ByDevice;
        var start = FirstNot(rows, device, static (row, key) => Order(row.Device, key) < 0);
        var end = start;
        while (end < rows.Length && rows[end].Device == device)
        {
            end++;
        }

        return rows.AsSpan(start..end);
    }

    /// <summary>Rows of one instance; empty if the sweep did not see it.</summary>
    public ReadOnlySpan<AcceleratorShare> RowsOf(string device, string instance)
    {
        var rows = RowsOf(device);
        var start = 0;
        while (start < rows.Length && rows[start].Instance != instance)
        {
            start++;
        }

        var end = start;
        while (end < rows.Length && rows[end].Instance == instance)
        {
            end++;
        }

        return rows[start..end];
    }

    /// <summary>
    /// Whether an exporter gives any pod at present. One that has lost the kubelet gives none (T21); one that is not known has
    /// proven nothing.
    /// </summary>
    public bool TellsPods(string exporter) => exporter.Length > 0 && _rows.Telling.Contains(exporter);

    /// <summary>Whether these are the rows of the same sweep.</summary>
    internal bool IsOfSameSweep(AcceleratorFleet? other) => other is not null && ReferenceEquals(_rows, other._rows);

    private static int Order(string? left, string? right) => string.CompareOrdinal(left, right);

    private static int FirstNot<TKey>(AcceleratorShare[] rows, TKey key, Func<AcceleratorShare, TKey, bool> isBefore)
    {
        int low = 0, high = rows.Length;
        while (low < high)
        {
            var middle = low + ((high - low) / 2);
            (low, high) = isBefore(rows[middle], key) ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private sealed class Rows
    {
        public static readonly Rows None = new([]);

        public Rows(AcceleratorShare[] all)
        {
            ByDevice = all;
            ByPod = Array.FindAll(all, static row => row.Pod is not null);
            Array.Sort(ByDevice, static (left, right) => Compare(left, right, byPod: false));
            Array.Sort(ByPod, static (left, right) => Compare(left, right, byPod: true));
            Telling = [.. ByPod.Select(static share => share.Exporter)];
            for (var i = 0; i < all.Length; i++)
            {
                Devices += i == 0 || (all[i].Device, all[i].Instance) != (all[i - 1].Device, all[i - 1].Instance) ? 1 : 0;
            }

            for (var i = 0; i < ByPod.Length; i++)
            {
                Pods += i == 0 || (ByPod[i].Namespace, ByPod[i].Pod) != (ByPod[i - 1].Namespace, ByPod[i - 1].Pod) ? 1 : 0;
            }
        }

        public AcceleratorShare[] ByDevice { get; }

        public AcceleratorShare[] ByPod { get; }

        public HashSet<string> Telling { get; }

        public int Devices { get; }

        public int Pods { get; }

        private static int Compare(AcceleratorShare left, AcceleratorShare right, bool byPod)
        {
            var byHolder = Order(left.Namespace, right.Namespace) is var order && order != 0 ? order : Order(left.Pod, right.Pod);
            if (byPod && byHolder != 0)
            {
                return byHolder;
            }

            order = Order(left.Device, right.Device);
            order = order != 0 ? order : Order(left.Instance, right.Instance);
            return order != 0 ? order : byHolder;
        }
    }
}
