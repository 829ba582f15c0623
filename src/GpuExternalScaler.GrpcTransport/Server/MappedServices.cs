using Google.Protobuf.Reflection;

namespace GpuExternalScaler.GrpcTransport;

/// <summary>What has been mapped so far, for reflection and so that the unknown-method route is mapped once.</summary>
internal sealed class MappedServices
{
    private readonly Lock _gate = new();
    private readonly List<ServiceDescriptor> _descriptors = [];
    private bool _unknownMethodMapped;

    public IReadOnlyList<ServiceDescriptor> Descriptors
    {
        get
        {
            lock (_gate)
            {
                return [.. _descriptors];
            }
        }
    }

    public void Add(ServiceDescriptor descriptor)
    {
        lock (_gate)
        {
            _descriptors.Add(descriptor);
        }
    }

    /// <summary>True for the first caller only.</summary>
    public bool TryClaimUnknownMethod()
    {
        lock (_gate)
        {
            var first = !_unknownMethodMapped;
            _unknownMethodMapped = true;
            return first;
        }
    }
}
