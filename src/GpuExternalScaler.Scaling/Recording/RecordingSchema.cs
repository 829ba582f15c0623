using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Scaling.Readings;

namespace GpuExternalScaler.Scaling.Recording;

/// <summary>The layouts of everything in a recording: those of the types there are now, or those that a file begins with.</summary>
internal sealed class RecordingSchema
{
    private const int Roots = 6;

    private RecordingSchema(string product, Layout[] roots)
    {
        Product = product;
        (State, Policy, Figures, Queue, Pod, Decision) = (roots[0], roots[1], roots[2], roots[3], roots[4], roots[5]);
    }

    /// <summary>The version of the program that writes it.</summary>
    public string Product { get; }

    public Layout State { get; }

    public Layout Policy { get; }

    public Layout Figures { get; }

    public Layout Queue { get; }

    public Layout Pod { get; }

    public Layout Decision { get; }

    /// <summary>The schema of the types as they are.</summary>
    public static RecordingSchema Now(string product) => new(
        product,
        [
            TypeNode.Of(typeof(WorkloadState)).Layout,
            TypeNode.Of(typeof(ScalingPolicy)).Layout,
            Rows<SnapshotFigures>.Layout,
            Rows<QueueReading>.Layout,
            Rows<PodMemory>.Layout,
            Rows<ScalingDecision>.Layout,
        ]);

    public void Write(RecordBuffer to)
    {
        to.Text(Product);
        Layout.Write(to, [State, Policy, Figures, Queue, Pod, Decision]);
    }

    public static RecordingSchema Read(RecordSource from)
    {
        var product = from.Text();
        var layouts = Layout.Read(from);
        return layouts.Length == Roots ? new(product, layouts) : throw from.Wrong($"{layouts.Length} layouts in place of {Roots}");
    }
}

/// <summary>The rows of a type of scalars alone.</summary>
internal static class Rows<T>
    where T : struct
{
    /// <summary>Its rows.</summary>
    public static RowType<T> Type { get; } = new();

    /// <summary>Columns of a row.</summary>
    public static int Width => Type.Columns.Length;

    /// <summary>Its layout.</summary>
    public static Layout Layout { get; } = Type.References.Any()
        ? throw new NotSupportedException($"{typeof(T).Name} holds {Type.References.First().Name}: what a step sees is values alone.")
        : new(typeof(T).Name, NodeKind.Values) { Columns = Type.Columns };
}
