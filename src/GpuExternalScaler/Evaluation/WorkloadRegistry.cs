using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Evaluation;

/// <summary>The workloads somebody asks about. An RPC registers one; silence for <c>forgetAfter</c> forgets it.</summary>
internal sealed class WorkloadRegistry(ScalerOptions options, BrokerConnections connections, MonotonicClock clock)
{
    private readonly ConcurrentDictionary<WorkloadKey, Workload> _workloads = new();
    private readonly Lock _gate = new();
    private int _count;

    /// <summary>Most workloads at once.</summary>
    public int Limit => options.MaximumWorkloads;

    /// <summary>Workloads now.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>All workloads, in no order.</summary>
    public IEnumerable<Workload> All => _workloads.Select(static pair => pair.Value);

    /// <summary>The trigger's workload, new or known; false at the limit.</summary>
    public bool TryRegister(TriggerMetadata trigger, [NotNullWhen(true)] out Workload? workload)
    {
        var key = WorkloadKey.Of(trigger);
        if (_workloads.TryGetValue(key, out workload))
        {
            workload.Touch(clock.Now);
            return true;
        }

        lock (_gate)
        {
            if (_workloads.TryGetValue(key, out workload))
            {
                return true;
            }

            if (_count >= options.MaximumWorkloads)
            {
                return false;
            }

            var connection = connections.Find(trigger.Connection, trigger.Namespace, out _);
            workload = new Workload(trigger, options.Defaults, connection, clock.Now);
            _workloads[key] = workload;
            _count++;
            return true;
        }
    }

    /// <summary>The trigger's workload with a stream counted on it; null at the limit.</summary>
    public Workload? OpenStream(TriggerMetadata trigger)
    {
        // Counted under the gate: a workload forgotten in between would never tell the stream anything.
        lock (_gate)
        {
            if (!TryRegister(trigger, out var workload))
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

            _count--;
            return true;
        }
    }

    private bool IsForgotten(Workload workload, DateTimeOffset now) =>
        workload.OpenStreams == 0 && now - workload.LastAskedAt > options.ForgetAfter;
}
