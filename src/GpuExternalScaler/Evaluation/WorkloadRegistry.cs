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

        // Counted first: a thousand callers at once must not each see room for one.
        if (Interlocked.Increment(ref _count) > options.MaximumWorkloads)
        {
            Interlocked.Decrement(ref _count);
            return false;
        }

        var connection = connections.Find(trigger.Connection, trigger.Namespace, out _);
        var added = new Workload(trigger, options.Defaults, connection, clock.Now);
        workload = _workloads.GetOrAdd(key, added);
        if (!ReferenceEquals(workload, added))
        {
            Interlocked.Decrement(ref _count);
        }

        return true;
    }

    /// <summary>The trigger's workload with a stream counted on it; null at the limit.</summary>
    public Workload? OpenStream(TriggerMetadata trigger)
    {
        while (TryRegister(trigger, out var workload))
        {
            workload.StreamOpened();
            if (_workloads.TryGetValue(workload.Key, out var registered) && ReferenceEquals(registered, workload))
            {
                return workload;
            }

            // Forgotten between the two: a stream on it would never hear anything.
            workload.StreamClosed(clock.Now);
        }

        return null;
    }

    /// <summary>Whether nobody asks about a workload any more.</summary>
    public bool IsForgotten(Workload workload, DateTimeOffset now) =>
        workload.OpenStreams == 0 && now - workload.LastAskedAt > options.ForgetAfter;

    /// <summary>Forgets a workload.</summary>
    public void Remove(Workload workload)
    {
        if (!_workloads.TryRemove(new KeyValuePair<WorkloadKey, Workload>(workload.Key, workload)))
        {
            return;
        }

        // A stream that opened just before the removal believes that it is registered: make it true.
        if (workload.OpenStreams > 0 && _workloads.TryAdd(workload.Key, workload))
        {
            return;
        }

        Interlocked.Decrement(ref _count);
    }
}
