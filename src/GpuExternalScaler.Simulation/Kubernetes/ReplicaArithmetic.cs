namespace GpuExternalScaler.Simulation.Kubernetes;

/// <summary>What a metric asks for by itself. KEDA and Kubernetes carry values in thousandths, so these do.</summary>
internal static class ReplicaArithmetic
{
    /// <summary>Replicas that a metric asks for; null when it cannot be had.</summary>
    /// <param name="metric">The metric.</param>
    /// <param name="current">Replicas there should be, above zero.</param>
    /// <param name="ready">Those that are ready.</param>
    /// <param name="down">Tolerance below the target.</param>
    /// <param name="up">Tolerance above it.</param>
    /// <exception cref="ArgumentException">The target is less than a thousandth, which Kubernetes refuses.</exception>
    public static int? Replicas(in ExternalMetric metric, int current, int ready, double down, double up)
    {
        // What is no number never leaves a scaler (K19); a rule that says so all the same is not understood to have said zero.
        if (metric.Value is not { } value || !double.IsFinite(value))
        {
            return null;
        }

        double usage = Thousandths(value);
        double target = Thousandths(metric.Target);
        if (target <= 0)
        {
            throw new ArgumentException("A target must be at least a thousandth.", nameof(metric));
        }

        return metric.Type == TargetType.AverageValue
            ? IsWithin(usage / (target * current)) ? current : Whole(Math.Ceiling(usage / target))
            : IsWithin(usage / target) ? current : Whole(Math.Ceiling(usage / target * ready));

        // Both edges belong to it.
        bool IsWithin(double ratio) => 1 - down <= ratio && ratio <= 1 + up;
    }

    /// <summary>
    /// A value in thousandths, rounded as when it is printed with three decimals: what lies exactly between goes to the even one. Beyond
    /// 64 bits it is the largest there is; what Kubernetes makes of those differs by version and processor.
    /// </summary>
    public static long Thousandths(double value)
    {
        var product = value * 1000;
        var rounded = Math.Round(product, MidpointRounding.ToEven);
        if (Math.Abs(product - rounded) == 0.5)
        {
            // The product may only seem to lie between: 1.0005 is a little less, and 1000.5 has lost that.
            var lost = Math.FusedMultiplyAdd(value, 1000, -product);
            rounded = lost > 0 ? Math.Ceiling(product) : lost < 0 ? Math.Floor(product) : rounded;
        }

        return (long)rounded;
    }

    /// <summary>A 32-bit number; the nearest there is for one that does not fit.</summary>
    public static int Whole(double value) => (int)Math.Clamp(value, int.MinValue, int.MaxValue);
}
