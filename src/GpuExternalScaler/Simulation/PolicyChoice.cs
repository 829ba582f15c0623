using System.Text;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Scaling.Policy;
using GpuExternalScaler.Simulation.Rules;

namespace GpuExternalScaler.Simulation;

/// <summary>A policy as it is named on the command line: <c>NAME</c> or <c>NAME:key=value,key=value</c>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Settings">What it is told, in the order given.</param>
internal sealed record PolicyChoice(string Name, IReadOnlyList<KeyValuePair<string, string>> Settings)
{
    /// <summary>The name of ours.</summary>
    public const string Ahead = "ahead";

    /// <summary>What is compared where nothing is said: ours, one message for each replica, and the ratio of consumers that are busy.</summary>
    public static IReadOnlyList<string> Usual { get; } = [Ahead, "keda-queue-length:value=1", "saturation-ratio:threshold=0.7"];

    /// <summary>The settings as they may be shown: free text is nobody's business.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Shown =>
        [.. Settings.Select(setting => Name == Ahead && PolicyKeys.All.GetValueOrDefault(setting.Key)?.IsFreeText == true ? KeyValuePair.Create(setting.Key, "…") : setting)];

    /// <summary>Reads one. In a value <c>\,</c> is a comma and <c>\\</c> a backslash.</summary>
    /// <exception cref="FormatException">It is none; the sentence says why.</exception>
    public static PolicyChoice Parse(string text)
    {
        var colon = text.IndexOf(':', StringComparison.Ordinal);
        var name = (colon < 0 ? text : text[..colon]).Trim();
        if (name.Length == 0)
        {
            throw new FormatException("--policy must be NAME or NAME:key=value,key=value");
        }

        var settings = new List<KeyValuePair<string, string>>();
        foreach (var part in colon < 0 ? [] : Split(text[(colon + 1)..]))
        {
            var equals = part.IndexOf('=', StringComparison.Ordinal);
            var key = equals < 0 ? "" : part[..equals].Trim();
            if (key.Length == 0)
            {
                throw new FormatException($"--policy {name}: settings are key=value with commas between; a comma in a value is written \\,");
            }

            if (settings.Exists(other => other.Key == key))
            {
                throw new FormatException($"--policy {name}: {key} is given twice");
            }

            settings.Add(KeyValuePair.Create(key, part[(equals + 1)..].Trim()));
        }

        return new PolicyChoice(name, settings);
    }

    /// <summary>A rule of this policy for one run.</summary>
    /// <exception cref="FormatException">There is no such policy, or a setting is wrong; the sentence says which.</exception>
    public IScalingRule CreateRule(SimulationSetup setup)
    {
        if (Name == Ahead)
        {
            return new AheadRule(ReadPolicy(setup));
        }

        try
        {
            return RuleCatalogue.Create(Name, Settings.ToDictionary(StringComparer.Ordinal), setup);
        }
        catch (FormatException refused)
        {
            throw new FormatException($"--policy {Name}: {refused.Message}", refused);
        }
    }

    /// <summary>Ours as the configuration would have it; the cold start is the simulated one unless another is given.</summary>
    private ScalingPolicy ReadPolicy(SimulationSetup setup)
    {
        var policy = ScalingPolicy.Default with { ColdStart = TimeSpan.FromSeconds(setup.ColdStart) };
        foreach (var (name, text) in Settings)
        {
            if (!PolicyKeys.All.TryGetValue(name, out var key))
            {
                var near = NearestKey.To(name, PolicyKeys.All.Keys);
                throw new FormatException($"--policy {Name}: {name} is no policy key{(near is null ? "" : $"; did you mean {near}?")}");
            }

            policy = key.Parse(text) is { } canonical ? key.Apply(policy, canonical) : throw new FormatException($"--policy {Name}: {name} {key.Problem(text)}");
        }

        return policy;
    }

    private static List<string> Split(string text)
    {
        var parts = new List<string>();
        var part = new StringBuilder();
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == ',')
            {
                parts.Add(part.ToString());
                part.Clear();
            }
            else
            {
                i += text[i] == '\\' && i + 1 < text.Length && text[i + 1] is ',' or '\\' ? 1 : 0;
                part.Append(text[i]);
            }
        }

        parts.Add(part.ToString());
        return parts;
    }
}
