namespace GpuExternalScaler.Observability;

/// <summary>The least severe level that is logged, which can change while the server runs.</summary>
internal sealed class LogThreshold(LogLevel level)
{
    private volatile LogLevel _level = level;

    /// <summary>The level.</summary>
    public LogLevel Level
    {
        get => _level;
        set => _level = value;
    }
}
