using System.Globalization;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Simulation.Reports;
using GpuExternalScaler.Simulation.Traces;
using GpuExternalScaler.Sources;
using GpuExternalScaler.Sources.Prometheus;

namespace GpuExternalScaler.Simulation;

/// <summary>The arrivals that a simulation is asked to be about.</summary>
internal static class TraceInput
{
    /// <summary>Reads them, and takes the part and the size that are wanted.</summary>
    /// <param name="settings">What is wanted.</param>
    /// <param name="configuration">The configuration file's content, where a connection of it is used.</param>
    /// <param name="cancellation">Cancels a query.</param>
    /// <exception cref="FormatException">They are not to be had; the sentence says why.</exception>
    /// <exception cref="InvalidDataException">A recording is none, or damaged.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static async Task<ArrivalTrace> ReadAsync(SimulateSettings settings, ScalerOptions? configuration, CancellationToken cancellation)
    {
        var whole = await ReadWholeAsync(settings, configuration, cancellation);
        var trace = settings.From > 0 || settings.Length is not null ? Part(whole, settings) : whole;
        var busy = settings.ScaleMean ?? (settings.Shape is null ? null : SimulateSettings.BusyOfShapes);
        if (busy is not { } replicas)
        {
            return trace;
        }

        if (trace.Mean <= 0)
        {
            throw new FormatException("--scale-mean: nothing arrives in this trace, so there is nothing to multiply");
        }

        var scaled = trace.ScaledTo(replicas, settings.ServiceTime);
        return scaled.PerSecond.Any(static messages => messages > TraceLimits.PerSecond)
            ? throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"--scale-mean: more than {TraceLimits.PerSecond} messages would arrive in a second"))
            : scaled;
    }

    private static async Task<ArrivalTrace> ReadWholeAsync(SimulateSettings settings, ScalerOptions? configuration, CancellationToken cancellation)
    {
        if (settings.Shape is { } shape)
        {
            return Shapes.Create(shape);
        }

        if (settings.Trace is { } file)
        {
            using var text = file.OpenText();
            return TraceFile.Read(text, file.Name);
        }

        if (settings.Recording is { } recording)
        {
            using var stream = recording.OpenRead();
            try
            {
                return RecordedArrivals.Read(stream, settings.Workload!, recording.Name);
            }
            catch (InvalidDataException damaged)
            {
                throw new FormatException($"{recording}: {damaged.Message}", damaged);
            }
        }

        if (!configuration!.Prometheus.TryGetValue(settings.Prometheus!, out var connection))
        {
            throw new FormatException(configuration.Prometheus.Count == 0
                ? $"{settings.Config}: there is no Prometheus connection"
                : $"{settings.Config}: there is no Prometheus connection of this name; there are {string.Join(", ", configuration.Prometheus.Keys.Order(StringComparer.Ordinal))}");
        }

        using var client = new PrometheusClient(connection.Connection, new MonotonicClock(TimeProvider.System));
        return await PrometheusArrivals.ReadAsync(client, settings.Query!, settings.FromInstant, settings.ToInstant, cancellation);
    }

    private static ArrivalTrace Part(ArrivalTrace trace, SimulateSettings settings)
    {
        var seconds = trace.PerSecond.Count;
        if (settings.From >= seconds)
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"--from: the trace is {seconds} s long"));
        }

        if (settings.Length > seconds - settings.From)
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"--length: from there on the trace has {seconds - settings.From} s"));
        }

        var length = settings.Length ?? seconds - settings.From;
        var name = settings.From > 0 ? $"{trace.Name}, from {Words.Length(settings.From)} on" : $"{trace.Name}, the first {Words.Length(length)}";
        return trace.Part(name, settings.From, length);
    }
}
