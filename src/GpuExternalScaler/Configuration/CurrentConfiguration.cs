using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Configuration;

/// <summary>A configuration with the connections it names: what one piece of work goes by. Immutable.</summary>
/// <param name="Options">What is in force.</param>
/// <param name="Brokers">The connections to brokers.</param>
/// <param name="Fleet">The other connections.</param>
/// <param name="Reading">What it was read from, to say where a value comes from; null when it was made and not read.</param>
internal sealed record ConfigurationSnapshot(ScalerOptions Options, BrokerConnections Brokers, FleetConnections Fleet, ConfigurationReading? Reading = null)
{
    /// <summary>All that is swept.</summary>
    public IEnumerable<ISource> Sources => [.. Brokers.All.Select(static connection => connection.Source), .. Fleet.All];

    /// <summary>The connections of a configuration. What is as it was before keeps its source and all it knows.</summary>
    public static ConfigurationSnapshot Of(ScalerOptions options, SourceFactory sources, ConfigurationReading? reading, ConfigurationSnapshot? before = null) =>
        new(options, BrokerConnections.Of(options, sources.Open, before?.Brokers), FleetConnections.Of(options, sources, before?.Fleet), reading);

    /// <summary>Whether each source was swept, or found broken and reported: then the server is ready.</summary>
    public bool EachSweptOrReported => Brokers.EachSweptOrReported && Fleet.EachSweptOrReported;
}

/// <summary>
/// The configuration in force: one snapshot behind one reference, so that whoever reads it sees one whole configuration.
/// Read it once for each piece of work and pass it on.
/// </summary>
internal sealed class CurrentConfiguration(ConfigurationSnapshot start)
{
    private volatile ConfigurationSnapshot _current = start;

    /// <summary>Raised after another snapshot has come into force, on the thread that brought it.</summary>
    public event EventHandler? Changed;

    /// <summary>The snapshot.</summary>
    public ConfigurationSnapshot Current
    {
        get => _current;
        set
        {
            _current = value;
            Changed?.Invoke(this, EventArgs.Empty);
        }
    }

    /// <summary>The options of the snapshot, for work that needs no connections.</summary>
    public ScalerOptions Options => _current.Options;
}
