using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Net;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Evaluation;

/// <summary>
/// The workloads somebody asks about. An RPC registers one; silence for <c>forgetAfter</c> forgets it. At the limit a
/// caller that holds fewer than another gets a place of that other's, so that whoever invents workloads crowds out
/// nobody but himself. A caller is an address: namespaces are what the caller says they are.
/// </summary>
internal sealed class WorkloadRegistry(CurrentConfiguration configuration, MonotonicClock clock)
{
    private readonly ConcurrentDictionary<WorkloadKey, Workload> _workloads = new();
    private readonly Dictionary<IPAddress, int> _held = [];
    private readonly Lock _gate = new();
    private int _count;
    private bool _hasShadows;

    /// <summary>Most workloads at once.</summary>
    public int Limit => configuration.Options.MaximumWorkloads;

    /// <summary>Workloads now.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>All workloads, in no order.</summary>
    public IEnumerable<Workload> All => _workloads.Select(static pair => pair.Value);

    /// <summary>The trigger's workload, new or known; false at the limit.</summary>
    public bool TryRegister(TriggerMetadata trigger, [NotNullWhen(true)] out Workload? workload, IPAddress? caller = null)
    {
        var key = WorkloadKey.Of(trigger);
        caller ??= IPAddress.None;
        if (_workloads.TryGetValue(key, out workload))
        {
            workload.Touch(clock.Now);
            if (!workload.Caller.Equals(caller))
            {
                HandOver(workload, caller);
            }

            return true;
        }

        lock (_gate)
        {
            if (_workloads.TryGetValue(key, out workload))
            {
                return true;
            }

            if (_count >= configuration.Options.MaximumWorkloads && !MakeRoom(caller))
            {
                return false;
            }

            workload = new Workload(trigger, configuration.Current) { Caller = caller };
            workload.Touch(clock.Now);
            _workloads[key] = workload;
            Hold(caller, 1);
            _count++;
            return true;
        }
    }

    /// <summary>The trigger's workload; null if nobody registered it.</summary>
    public Workload? Find(TriggerMetadata trigger) => _workloads.GetValueOrDefault(WorkloadKey.Of(trigger));

    /// <summary>Whether there is a workload of a key.</summary>
    public bool Has(WorkloadKey key) => _workloads.ContainsKey(key);

    /// <summary>The trigger's workload with a stream counted on it; null at the limit.</summary>
    public Workload? OpenStream(TriggerMetadata trigger, IPAddress? caller = null)
    {
        // Counted under the gate: a workload forgotten in between would never tell the stream anything.
        lock (_gate)
        {
            if (!TryRegister(trigger, out var workload, caller))
            {
                return null;
            }

            workload.StreamOpened();
            return workload;
        }
    }

    /// <summary>Forgets a workload that nobody has asked about for so long; false while somebody does.</summary>
    public bool TryForget(Workload workload, DateTimeOffset now)
    {
        if (!IsForgotten(workload, now))
        {
            return false;
        }

        lock (_gate)
        {
            // Asked again: a stream may have opened since.
            if (!IsForgotten(workload, now) || !_workloads.TryRemove(new KeyValuePair<WorkloadKey, Workload>(workload.Key, workload)))
            {
                return false;
            }

            Hold(workload.Caller, -1);
            _count--;
            return true;
        }
    }

    /// <summary>
    /// Has the workloads evaluated whose queues the configuration names, each until its ScaledObject asks: from then on the
    /// trigger alone says what it is about. To be called every few seconds.
    /// </summary>
    /// <returns>
    /// The shadows that began, those that ended because the configuration no longer names them or somebody asks, and how many
    /// found no place.
    /// </returns>
    public (IReadOnlyList<Workload> Begun, IReadOnlyList<Workload> Ended, int WithoutPlace) KeepShadows(ConfigurationSnapshot snapshot)
    {
        var wanted = snapshot.Options.Policies.Shadows;
        if (wanted.Count == 0 && !_hasShadows)
        {
            return ([], [], 0);
        }

        var withoutPlace = 0;
        List<Workload> begun = [];
        List<Workload> ended = [];
        lock (_gate)
        {
            var asked = All.Where(static workload => workload.WasAsked).Select(static workload => (workload.Key.Namespace, workload.Key.Name)).ToHashSet();
            var keys = wanted.Where(shadow => !asked.Contains((shadow.Namespace, shadow.Name))).ToDictionary(WorkloadKey.Of);
            foreach (var workload in All.Where(workload => workload.IsShadow && !keys.ContainsKey(workload.Key)).ToList())
            {
                workload.IsShadow = false;
                ended.Add(workload);
                if (!workload.WasAsked && _workloads.TryRemove(new KeyValuePair<WorkloadKey, Workload>(workload.Key, workload)))
                {
                    _count--;
                }
            }

            foreach (var (key, trigger) in keys)
            {
                if (_workloads.ContainsKey(key))
                {
                    continue;
                }

                if (_count >= configuration.Options.MaximumWorkloads)
                {
                    withoutPlace++;
                }
                else
                {
                    var workload = new Workload(trigger, snapshot) { IsShadow = true };
                    _workloads[key] = workload;
                    _count++;
                    begun.Add(workload);
                }
            }

            _hasShadows = keys.Count > 0;
        }

        return (begun, ended, withoutPlace);
    }

    /// <summary>
    /// Takes the place that was asked about least recently from the caller that holds most, if that leaves it with as many
    /// as the newcomer will have.
    /// </summary>
    private bool MakeRoom(IPAddress newcomer)
    {
        // Who asks comes before what is only looked at.
        if (All.FirstOrDefault(static workload => workload.IsShadow && !workload.WasAsked) is { } shadow && _workloads.TryRemove(new KeyValuePair<WorkloadKey, Workload>(shadow.Key, shadow)))
        {
            _count--;
            return true;
        }

        if (_held.Count == 0)
        {
            return false;
        }

        var (largest, most) = _held.MaxBy(static pair => pair.Value);
        if (most <= _held.GetValueOrDefault(newcomer) + 1)
        {
            return false;
        }

        var evicted = All.Where(workload => !workload.IsShadow && workload.Caller.Equals(largest)).MinBy(static workload => workload.LastAskedAt);
        if (evicted is null || !_workloads.TryRemove(new KeyValuePair<WorkloadKey, Workload>(evicted.Key, evicted)))
        {
            return false;
        }

        Hold(largest, -1);
        _count--;
        evicted.Evict();
        return true;
    }

    // Whoever asks last holds it: after a restart KEDA has another address.
    private void HandOver(Workload workload, IPAddress caller)
    {
        lock (_gate)
        {
            if (!_workloads.TryGetValue(workload.Key, out var present) || present != workload)
            {
                return;
            }

            Hold(workload.Caller, -1);
            Hold(caller, 1);
            workload.Caller = caller;
        }
    }

    private void Hold(IPAddress caller, int change)
    {
        var held = _held.GetValueOrDefault(caller) + change;
        if (held > 0)
        {
            _held[caller] = held;
        }
        else
        {
            _held.Remove(caller);
        }
    }

    private bool IsForgotten(Workload workload, DateTimeOffset now) =>
        !workload.IsShadow && (workload.OpenStreams == 0 || workload.Problem is not null) && now - workload.LastAskedAt > configuration.Options.ForgetAfter;
}
