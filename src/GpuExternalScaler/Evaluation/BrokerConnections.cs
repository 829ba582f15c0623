using GpuExternalScaler.Configuration;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>A configured broker with its source.</summary>
internal sealed record BrokerConnection(RabbitMqOptions Options, RabbitMqSource Source)
{
    /// <summary>The operator's name for it.</summary>
    public string Name => Options.Connection.Name;
}

/// <summary>The brokers of one configuration, by name. Immutable; who runs their sources is <see cref="SourceRunner"/>.</summary>
internal sealed class BrokerConnections
{
    private readonly Dictionary<string, BrokerConnection> _byName;

    private BrokerConnections(IEnumerable<BrokerConnection> connections)
    {
        _byName = connections.ToDictionary(static connection => connection.Name, StringComparer.Ordinal);
        All = [.. _byName.Values];
    }

    public IReadOnlyList<BrokerConnection> All { get; }

    /// <summary>Whether each broker was swept, or found broken and reported: then the server is ready.</summary>
    public bool EachSweptOrReported => All.All(static connection => connection.Source.Current is { HasSwept: true } or { Fault: not null });

    /// <summary>
    /// The connections of a configuration. What is as it was before keeps its source and all it knows; what is another gets
    /// one of its own.
    /// </summary>
    /// <param name="options">The configuration.</param>
    /// <param name="open">Makes a source, which contacts nobody yet.</param>
    /// <param name="before">The connections of the configuration before.</param>
    public static BrokerConnections Of(ScalerOptions options, Func<RabbitMqConnectionOptions, RabbitMqSource> open, BrokerConnections? before = null) =>
        new(options.RabbitMq.Values.Select(broker =>
            before?._byName.GetValueOrDefault(broker.Connection.Name) is { } known && known.Options.IsSameConnectionAs(broker)
                ? new BrokerConnection(broker, known.Source)
                : new BrokerConnection(broker, open(broker.Connection))));

    /// <summary>The connection of a name, or the only one configured; null where there is none. Who may use it is not asked.</summary>
    public BrokerConnection? Find(string? name) => name is not null ? _byName.GetValueOrDefault(name) : All.Count == 1 ? All[0] : null;
}
