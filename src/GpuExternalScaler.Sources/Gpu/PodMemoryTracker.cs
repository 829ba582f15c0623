using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Sources.Gpu;

/// <summary>
/// Follows the pods of one workload from sweep to sweep, and believes that one is gone only when that is proven (T21). For one thread.
/// </summary>
/// <remarks>
/// <para>
/// A pod that is not seen any more is gone if each device it was on is in a sweep that is not partial, and is held by another pod; or is
/// held by none while its exporter gives pods for other devices, or while its memory is free; or, being an instance, is not there while
/// its GPU is, divided in another way and with none of the workload's pods. It is gone too if kube-state-metrics knows of just as many
/// replicas as are seen. Else it is held on to with its last figures: an exporter that is gone, or has lost the kubelet, says nothing of
/// the pods on its node. After a while it is let go, so long as another pod of the workload is seen. A device of a pod that is still
/// seen is treated alike.
/// </para>
/// <para>
/// Under time slicing and MPS all that is known of a pod is its whole device (T11). Pods of the same workload on one device share its
/// figures in equal parts, so that the device counts once in their sum. A pod of another workload on it does not make them smaller:
/// what is whose nobody says, so each workload sees the whole device.
/// </para>
/// </remarks>
public sealed class PodMemoryTracker
{
    private readonly PodSelector _selector;
    private readonly string _prefix;
    private readonly SortedList<string, TrackedPod> _pods = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Device, string Instance), SharedDevice> _shared = [];
    private readonly List<Range> _ours = [];
    private AcceleratorFleet? _fleet;
    private PodMemory[] _memory = [];
    private int _count;
    private DateTimeOffset _observedAt;
    private bool _everSeen;
    private bool _isIncomplete;

    /// <summary>Follows the pods that a selector means.</summary>
    public PodMemoryTracker(PodSelector selector)
    {
        ArgumentNullException.ThrowIfNull(selector);
        _selector = selector;
        _prefix = selector.Prefix;
        Reading = new FleetReading { Presence = FleetPresence.Unobserved };
    }

    /// <summary>The pods with known figures, by name; until the next <see cref="Follow"/>.</summary>
    public ReadOnlySpan<PodMemory> Pods => _memory.AsSpan(0, _count);

    /// <summary>What <see cref="Pods"/> is worth.</summary>
    public FleetReading Reading { get; private set; }

    /// <summary>Follows the newest fleet; cheap if it is that of the last call.</summary>
    /// <param name="fleet">The connection's newest fleet.</param>
    /// <param name="existingReplicas">Replicas that exist according to kube-state-metrics, if that is known and fresh.</param>
    /// <param name="now">The present, on the clock of the fleet.</param>
    /// <param name="staleAfter">Age past which figures are no longer believed.</param>
    /// <param name="holdFor">How long a pod is held on to where others are seen.</param>
    /// <param name="budget">Time for patterns; null for any.</param>
    public void Follow(
        AcceleratorFleet fleet, int? existingReplicas, DateTimeOffset now, TimeSpan staleAfter, TimeSpan holdFor, MatchingBudget? budget = null)
    {
        ArgumentNullException.ThrowIfNull(fleet);

        // A source that starts anew knows nothing yet; what was known only grows old.
        if (fleet.HasSwept)
        {
            var isNew = !fleet.IsOfSameSweep(_fleet);
            if (isNew && !TryJudge(fleet, budget))
            {
                // Some of the pods would look like all of them. The sweep is taken in once they are told apart.
                Reading = Judge(staleAfter) with { IsPartial = true };
                return;
            }

            if (isNew)
            {
                Take(fleet);
            }

            // Time, and what kube-state-metrics says, change only what is in doubt.
            if (isNew || _isIncomplete || _pods.Count == 0)
            {
                _isIncomplete = LetGo(fleet, existingReplicas, now, staleAfter, holdFor);
                Fill();
            }

            _fleet = fleet;
        }

        Reading = Judge(staleAfter);
    }

    /// <summary>Finds the shares of the workload's pods, a range for each pod; false if there is no time for all of them.</summary>
    private bool TryJudge(AcceleratorFleet fleet, MatchingBudget? budget)
    {
        var names = 0;
        _ours.Clear();
        var shares = fleet.SharesOf(_selector.Namespace, _prefix);
        for (int start = 0, end; start < shares.Length; start = end, names++)
        {
            var name = shares[start].Pod!;
            end = start + 1;
            while (end < shares.Length && shares[end].Pod == name)
            {
                end++;
            }

            if (!_selector.TryJudge(name, budget, out var isOurs))
            {
                return false;
            }

            if (isOurs)
            {
                _ours.Add(start..end);
            }
        }

        _selector.Settle(names);
        return true;
    }

    private FleetReading Judge(TimeSpan staleAfter) =>
        _fleet is not { } fleet ? new FleetReading { Presence = FleetPresence.Unobserved, StaleAfter = staleAfter }
        : new FleetReading
        {
            Presence = _pods.Count > 0 ? FleetPresence.Present : _everSeen ? FleetPresence.ProvenAbsent : FleetPresence.NeverSeen,
            ObservedAt = _observedAt,
            StaleAfter = staleAfter,
            IsPartial = fleet.IsPartial || _isIncomplete,
        };

    /// <summary>Takes a new sweep: what is seen, with its figures.</summary>
    private void Take(AcceleratorFleet fleet)
    {
        foreach (var pod in _pods.Values)
        {
            pod.BeginSweep();
        }

        _shared.Clear();
        var shares = fleet.SharesOf(_selector.Namespace, _prefix);
        foreach (var ours in _ours)
        {
            var name = shares[ours][0].Pod!;
            if (!_pods.TryGetValue(name, out var pod))
            {
                pod = new TrackedPod { FirstSeenAt = _fleet is null ? DateTimeOffset.MinValue : fleet.SweptAt };
                _pods.Add(name, pod);
            }

            pod.See(shares[ours], fleet.SweptAt, isWhole: !fleet.IsPartial);
            _everSeen = true;
            foreach (var share in shares[ours])
            {
                Share(share);
            }
        }

        foreach (var pod in _pods.Values)
        {
            if (pod.IsSeen)
            {
                pod.Measure(_shared);
            }
        }
    }

    private void Share(AcceleratorShare share)
    {
        if (!share.IsPart && TrackedShare.HasFigures(share))
        {
            var key = (share.Device, share.Instance);
            _shared[key] = _shared.TryGetValue(key, out var device) ? device.With(share) : SharedDevice.Of(share);
        }
    }

    /// <summary>Lets go of pods and devices that are proven gone, or were held for long enough. True if anything remains in doubt.</summary>
    private bool LetGo(AcceleratorFleet fleet, int? existingReplicas, DateTimeOffset now, TimeSpan staleAfter, TimeSpan holdFor)
    {
        var seen = 0;
        var hasFresh = false;
        foreach (var pod in _pods.Values)
        {
            seen += pod.IsSeen ? 1 : 0;
            hasFresh |= pod.IsSeen && pod.Memory is { } memory && now - memory.SampledAt <= staleAfter;
        }

        var mayExpire = hasFresh && !fleet.IsPartial;
        var areAllSeen = existingReplicas == seen;
        var isInDoubt = false;
        for (var i = _pods.Count - 1; i >= 0; i--)
        {
            var (name, pod) = (_pods.Keys[i], _pods.Values[i]);
            if (pod.IsSeen)
            {
                // Its other devices, that is: the pod itself is fresh.
                pod.LetGo(share => IsGivenUp(fleet, share, name) || (mayExpire && now - share.LastSeenAt > holdFor), _shared);
                isInDoubt |= pod.IsInDoubt;
            }
            else if (areAllSeen || (mayExpire && now - pod.LastSeenAt > holdFor) || pod.Shares.TrueForAll(share => IsGivenUp(fleet, share, name)))
            {
                _pods.RemoveAt(i);
            }
            else
            {
                isInDoubt = true;
            }
        }

        Date(fleet, existingReplicas);
        return isInDoubt;
    }

    private void Date(AcceleratorFleet fleet, int? existingReplicas)
    {
        if (_pods.Count == 0)
        {
            // Once proven, the absence is confirmed by each sweep in which nothing can be missing.
            if (_everSeen && (!fleet.IsPartial || existingReplicas == 0))
            {
                _observedAt = Later(_observedAt, fleet.SweptAt);
            }

            return;
        }

        foreach (var pod in _pods.Values)
        {
            if (pod.IsSeen && pod.Memory is { } memory)
            {
                _observedAt = Later(_observedAt, memory.SampledAt);
            }
        }
    }

    private static DateTimeOffset Later(DateTimeOffset left, DateTimeOffset right) => left > right ? left : right;

    /// <summary>Whether a sweep proves that a pod, not seen there any more, does not hold a device any more.</summary>
    private bool IsGivenUp(AcceleratorFleet fleet, TrackedShare share, string pod)
    {
        if (fleet.IsPartial)
        {
            return false;
        }

        var rows = fleet.RowsOf(share.Device, share.Instance);
        if (rows.IsEmpty)
        {
            return IsDividedAnew(fleet, share);
        }

        if (rows[0].Pod is null)
        {
            return fleet.TellsPods(rows[0].Exporter) || IsFree(rows[0]);
        }

        foreach (var row in rows)
        {
            // A pod whose namespace is not told any more is no other pod.
            if (row.Pod == pod && string.IsNullOrEmpty(row.Namespace))
            {
                return false;
            }
        }

        return true;
    }

    private bool IsDividedAnew(AcceleratorFleet fleet, TrackedShare share)
    {
        var tellsPods = false;
        foreach (var row in fleet.RowsOf(share.Device))
        {
            if (row.Pod is not null && _selector.Matches(string.IsNullOrEmpty(row.Namespace) ? _selector.Namespace : row.Namespace, row.Pod))
            {
                return false;
            }

            tellsPods |= fleet.TellsPods(row.Exporter);
        }

        return tellsPods;
    }

    // Without a process, a driver keeps less than that: the weights are gone.
    private static bool IsFree(AcceleratorShare row) => row is { UsedBytes: >= 0 and var used, UsableBytes: > 0 and var usable } && used <= 0.05 * usable;

    private void Fill()
    {
        if (_memory.Length < _pods.Count)
        {
            _memory = new PodMemory[Math.Max(4, 2 * _pods.Count)];
        }

        _count = 0;
        foreach (var pod in _pods.Values)
        {
            if (pod.Memory is { } memory)
            {
                _memory[_count++] = memory with { FirstSeenAt = pod.FirstSeenAt, IsHeld = !pod.IsSeen };
            }
        }
    }
}
