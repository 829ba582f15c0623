namespace GpuExternalScaler.Configuration;

/// <summary>
/// The configuration in force: one immutable snapshot behind one reference, so that whoever reads it sees one whole
/// configuration. Read it once for each piece of work and pass it on.
/// </summary>
internal sealed class CurrentConfiguration(ScalerOptions options)
{
    private volatile ScalerOptions _options = options;

    /// <summary>The snapshot.</summary>
    public ScalerOptions Options
    {
        get => _options;
        set => _options = value;
    }
}
