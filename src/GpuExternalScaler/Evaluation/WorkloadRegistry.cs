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
internal sealed class WorkloadRegistry(CurrentConfiguration configuration, BrokerConnections connections, MonotonicClock clock)
{
    private readonly ConcurrentDictionary<WorkloadKey, Workload> _workloads = new();
    private readonly Dictionary<IPAddress, int> _held = [];
    private readonly Lock _gate = new();
    private int _count;

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

            var connection = connections.Find(trigger.Connection, trigger.Namespace, out _);
            workload = new Workload(trigger, configuration.Options.Policies, connection, clock.Now) { Caller = caller };
            _workloads[key] = workload;
            Hold(caller, 1);
            _count++;
            return true;
        }
    }

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
    /// Takes the place that was asked about least recently from the caller that holds most, if that leaves it with as many
    /// as the newcomer will have.
    /// </summary>
    private bool MakeRoom(IPAddress newcomer)
    {
        var (largest, most) = _held.MaxBy(static pair => pair.Value);
        if (most <= _held.GetValueOrDefault(newcomer) + 1)
        {
            return false;
        }

        var evicted = All.Where(workload => workload.Caller.Equals(largest)).MinBy(static workload => workload.LastAskedAt);
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
        workload.OpenStreams == 0 && now - workload.LastAskedAt > configuration.Options.ForgetAfter;
}
