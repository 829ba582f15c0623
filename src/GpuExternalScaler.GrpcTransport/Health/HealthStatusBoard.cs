namespace GpuExternalScaler.GrpcTransport.Health;

/// <summary>
/// Where the program writes the state of its services, and the health service reads it. Thread-safe.
/// </summary>
/// <remarks>
/// One signal wakes all watchers at any change. A signal a name would be kept for every unknown name somebody watches,
/// and those are the caller's choice; states change so seldom that a needless wake-up costs nothing.
/// </remarks>
public sealed class HealthStatusBoard
{
    /// <summary>The name that stands for the server as a whole. The board knows it from the start, as Unknown.</summary>
    public const string WholeServer = "";

    private readonly Lock _gate = new();
    private readonly Dictionary<string, ServingState> _states = new(StringComparer.Ordinal)
    {
        [WholeServer] = ServingState.Unknown,
    };

    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Sets the state of a service, and makes its name known.</summary>
    /// <param name="service">Package and service, or <see cref="WholeServer"/>.</param>
    /// <param name="state">The state.</param>
    public void Set(string service, ServingState state)
    {
        ArgumentNullException.ThrowIfNull(service);
        lock (_gate)
        {
            if (!_states.TryGetValue(service, out var present) || present != state)
            {
                _states[service] = state;
                Signal();
            }
        }
    }

    /// <summary>Sets the state of every known service, the whole server included.</summary>
    public void SetAll(ServingState state)
    {
        lock (_gate)
        {
            foreach (var service in _states.Keys.ToArray())
            {
                _states[service] = state;
            }

            Signal();
        }
    }

    /// <summary>The state of a service, or null where its name is not known.</summary>
    public ServingState? Get(string service)
    {
        ArgumentNullException.ThrowIfNull(service);
        lock (_gate)
        {
            return _states.TryGetValue(service, out var state) ? state : null;
        }
    }

    /// <summary>The state now, and a task that completes at the next change of anything after it.</summary>
    internal (ServingState? State, Task Changed) Observe(string service)
    {
        lock (_gate)
        {
            return (_states.TryGetValue(service, out var state) ? state : null, _changed.Task);
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Signal()
    {
        _changed.SetResult();
        _changed = NewSignal();
    }
}
