using System.Globalization;
using GpuExternalScaler.Simulation.Traces;

namespace GpuExternalScaler.Simulation.Rules;

/// <summary>The rules that ours is compared with, by name.</summary>
public static class RuleCatalogue
{
    /// <summary>A parameter: a number in an open interval, and what it is when not given; null where it has to be.</summary>
    private sealed record Parameter(string Name, double Above, double AtMost, double? Default = null);

    private sealed record Entry(string Name, Parameter[] Parameters, Func<double[], SimulationSetup, IScalingRule> Make);

    private static readonly Entry[] Entries =
    [
        new("keda-queue-length", [new("value", 0, 1e6)], static (values, _) => new QueueLengthRule(values[0], excludeUnacknowledged: false)),
        new("keda-ready-only", [new("value", 0, 1e6)], static (values, _) => new QueueLengthRule(values[0], excludeUnacknowledged: true)),
        new("keda-message-rate", [new("value", 0, 1e6)], static (values, _) => new MessageRateRule(values[0])),
        new("saturation-ratio", [new("threshold", 0, 1)], static (values, _) => new SaturationRatioRule(values[0])),
        new(
            "fixed-lead",
            [new("lead", 0, 86_400), new("quantile", 0, 1, 0.9)],
            static (values, setup) => new FixedLeadRule(Math.Max(1, (int)Math.Round(values[0])), values[1], setup.ServiceTime)),
        new("clairvoyant", [new("factor", 0, 100, 1)], static (values, setup) => new ClairvoyantRule(setup, Arrivals.Draw(setup), values[0])),
    ];

    /// <summary>Their names.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Entries.Select(static entry => entry.Name)];

    /// <summary>Makes one.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="setup">What is simulated.</param>
    /// <exception cref="FormatException">There is none of this name, or a parameter is wrong; the sentence says which.</exception>
    public static IScalingRule Create(string name, IReadOnlyDictionary<string, string> parameters, SimulationSetup setup)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(setup);
        var entry = Array.Find(Entries, entry => entry.Name == name)
            ?? throw new FormatException($"there is no such policy; there are ahead, {string.Join(", ", Names)}");
        if (parameters.Keys.FirstOrDefault(key => !Array.Exists(entry.Parameters, parameter => parameter.Name == key)) is { } unknown)
        {
            throw new FormatException($"it has no parameter {unknown}; it has {string.Join(" and ", entry.Parameters.Select(static parameter => parameter.Name))}");
        }

        return entry.Make([.. entry.Parameters.Select(parameter => Read(parameter, parameters.GetValueOrDefault(parameter.Name)))], setup);
    }

    private static double Read(Parameter parameter, string? text)
    {
        if (text is null)
        {
            return parameter.Default ?? throw new FormatException($"{parameter.Name} must be given");
        }

        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value > parameter.Above && value <= parameter.AtMost
            ? value
            : throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"{parameter.Name} must be a number above {parameter.Above} and at most {parameter.AtMost}"));
    }
}
