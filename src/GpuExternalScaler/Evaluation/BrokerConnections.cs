using GpuExternalScaler.Configuration;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.RabbitMq;

namespace GpuExternalScaler.Evaluation;

/// <summary>A configured broker with its running source.</summary>
internal sealed record BrokerConnection(RabbitMqOptions Options, RabbitMqSource Source)
{
    /// <summary>The operator's name for it.</summary>
    public string Name => Options.Connection.Name;
}

/// <summary>Why a trigger has no connection.</summary>
internal enum ConnectionRefusal
{
    /// <summary>It has one.</summary>
    None,

    /// <summary>The named connection, or any at all, is not configured.</summary>
    NotConfigured,

    /// <summary>Several are configured and the trigger names none.</summary>
    Ambiguous,

    /// <summary>It is configured, and not for the trigger's namespace.</summary>
    NotAllowed,
}

/// <summary>The configured brokers, by name.</summary>
internal sealed class BrokerConnections : IDisposable
{
    private readonly Dictionary<string, BrokerConnection> _byName;

    public BrokerConnections(ScalerOptions options, MonotonicClock clock, Action<SweepOutcome>? onSweep = null)
    {
        _byName = options.RabbitMq.ToDictionary(
            static pair => pair.Key,
            pair => new BrokerConnection(pair.Value, new RabbitMqSource(pair.Value.Connection, clock, onSweep)),
            StringComparer.Ordinal);
        All = [.. _byName.Values];
    }

    public IReadOnlyList<BrokerConnection> All { get; }

    /// <summary>Whether each broker was swept, or found broken and reported: then the server is ready.</summary>
    public bool EachSweptOrReported => All.All(static connection => connection.Source.Current is { HasSwept: true } or { Fault: not null });

    /// <summary>The connection a trigger means.</summary>
    public BrokerConnection? Find(string? name, string @namespace, out ConnectionRefusal refusal)
    {
        BrokerConnection? connection;
        if (name is not null)
        {
            connection = _byName.GetValueOrDefault(name);
            refusal = ConnectionRefusal.NotConfigured;
        }
        else
        {
            connection = All.Count == 1 ? All[0] : null;
            refusal = All.Count == 0 ? ConnectionRefusal.NotConfigured : ConnectionRefusal.Ambiguous;
        }

        if (connection is null)
        {
            return null;
        }

        if (!connection.Options.Allows(@namespace))
        {
            refusal = ConnectionRefusal.NotAllowed;
            return null;
        }

        refusal = ConnectionRefusal.None;
        return connection;
    }

    public void Dispose()
    {
        foreach (var connection in All)
        {
            connection.Source.Dispose();
        }
    }
}
