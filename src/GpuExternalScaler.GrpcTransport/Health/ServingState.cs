namespace GpuExternalScaler.GrpcTransport.Health;

/// <summary>What the health service says of a service.</summary>
public enum ServingState
{
    /// <summary>Nothing has been said yet.</summary>
    Unknown,

    /// <summary>It can be called.</summary>
    Serving,

    /// <summary>It had better not be called.</summary>
    NotServing,
}
