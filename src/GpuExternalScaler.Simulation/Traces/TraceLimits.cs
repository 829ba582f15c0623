namespace GpuExternalScaler.Simulation.Traces;

/// <summary>What a trace can be at most. More is a typing error, or a file of something else.</summary>
public static class TraceLimits
{
    /// <summary>Days.</summary>
    public const int Days = 92;

    /// <summary>Seconds.</summary>
    public const int Seconds = Days * 86_400;

    /// <summary>Messages in a second, on average over an interval.</summary>
    public const double PerSecond = 1_000_000;
}
