using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using GpuExternalScaler.Scaling.Deciding;
using GpuExternalScaler.Scaling.Policy;

namespace GpuExternalScaler.Scaling.Tests.Scenarios;

/// <summary>
/// A folder that holds one scenario: <c>README.md</c> what happened, <c>policy.txt</c> the policy, <c>claims.txt</c> what
/// must be true of the decisions; and for each version of RabbitMQ that it was acted out on, <c>readings-VERSION.csv</c>
/// what the source said and <c>expected-VERSION.csv</c> the decisions.
/// </summary>
public sealed class ScenarioFolder(string path)
{
    private const string Readings = "readings-";

    /// <summary>The versions of RabbitMQ it was recorded from.</summary>
    public IEnumerable<string> Versions => Directory.GetFiles(path, $"{Readings}*.csv")
        .Select(static file => System.IO.Path.GetFileNameWithoutExtension(file)[Readings.Length..])
        .Order(StringComparer.Ordinal);

    public ScalingPolicy ReadPolicy() => ParsePolicy(File.ReadAllLines(System.IO.Path.Combine(path, "policy.txt")));

    public ScenarioRecording ReadRecording(string version) =>
        ScenarioRecording.Read(File.ReadAllLines(System.IO.Path.Combine(path, $"{Readings}{version}.csv")));

    public IReadOnlyList<ScenarioClaim> ReadClaims() => ScenarioClaim.Parse(File.ReadAllLines(System.IO.Path.Combine(path, "claims.txt")));

    public string ReadExpected(string version) => File.ReadAllText(ExpectedFile(version));

    public void WriteRecording(string version, ScenarioRecording recording) =>
        File.WriteAllText(System.IO.Path.Combine(path, $"{Readings}{version}.csv"), recording.Write($"Recorded from RabbitMQ {version}."));

    public void WriteExpected(string version, string text) => File.WriteAllText(ExpectedFile(version), text);

    /// <summary>Decisions as they are compared: every fifth second, and whenever reason or activity changes.</summary>
    public static string Describe(IReadOnlyList<ScenarioStep> steps)
    {
        var text = new StringBuilder("at,value,active,reason,serviceTime\n");
        ScenarioStep? before = null;
        foreach (var step in steps)
        {
            var changed = before is not { } last || last.Decision.Reason != step.Decision.Reason || last.Decision.IsActive != step.Decision.IsActive;
            if (changed || step.At % 5 == 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"{step.At},{step.Decision.Value},{step.Decision.IsActive},{step.Decision.Reason.Code()},{step.Decision.ServiceTimeSeconds:0.000}\n");
            }

            before = step;
        }

        return text.ToString();
    }

    private string ExpectedFile(string version) => System.IO.Path.Combine(path, $"expected-{version}.csv");

    private static ScalingPolicy ParsePolicy(IEnumerable<string> lines)
    {
        var policy = ScalingPolicy.Default;
        foreach (var line in lines.Where(static line => line.Length > 0 && line[0] != '#'))
        {
            var (key, value) = line.Split(": ") is [var k, var v] ? (k, v) : throw new FormatException(line);
            policy = key switch
            {
                "concurrency" => policy with { Concurrency = int.Parse(value, CultureInfo.InvariantCulture) },
                "coldStart" => policy with { ColdStart = Seconds(value) },
                "minimumWindow" => policy with { MinimumWindow = Seconds(value) },
                "maximumWindow" => policy with { MaximumWindow = Seconds(value) },
                "serviceTime" => policy with { ServiceTime = Seconds(value) },
                "holdAfterRecovery" => policy with { HoldAfterRecovery = Seconds(value) },
                _ => throw new FormatException($"unknown key {key}"),
            };
        }

        return policy;
    }

    private static TimeSpan Seconds(string text) => TimeSpan.FromSeconds(double.Parse(text.TrimEnd('s'), CultureInfo.InvariantCulture));
}

/// <summary>One second of a scenario: what was decided in it.</summary>
public readonly record struct ScenarioStep(int At, ScalingDecision Decision);

/// <summary>
/// Something that must be true of the decisions: <c>FROM..TO WHAT</c> for every second of a span (either end may be left
/// out), or <c>FROM..TO some WHAT</c> for at least one. WHAT is <c>decided</c>, <c>active</c>, <c>inactive</c>,
/// <c>value</c>, <c>serviceTime</c> or <c>arrivals</c> compared (<c>&lt;=</c>, <c>&gt;=</c>) with a number, or <c>reason</c>
/// compared (<c>=</c>, <c>!=</c>) with a code. <c>notInactive</c> and <c>notBelow = NUMBER</c> let there be no answer at all.
/// </summary>
public sealed partial record ScenarioClaim(string Text, int From, int To, bool Some, Func<ScalingDecision, bool> Holds)
{
    public static IReadOnlyList<ScenarioClaim> Parse(IEnumerable<string> lines) =>
        [.. lines.Where(static line => line.Length > 0 && line[0] != '#').Select(Parse)];

    /// <summary>The first second that contradicts the claim, in words; null if it is true.</summary>
    public string? Contradiction(IReadOnlyList<ScenarioStep> steps)
    {
        var span = steps.Where(step => step.At >= From && step.At <= To).ToList();
        if (span.Count == 0)
        {
            return $"'{Text}': no decision in the span";
        }

        if (Some)
        {
            return span.Exists(step => Holds(step.Decision)) ? null : $"'{Text}': never; last {span[^1]}";
        }

        foreach (var step in span)
        {
            if (!Holds(step.Decision))
            {
                return $"'{Text}': at {step.At} s {step.Decision}";
            }
        }

        return null;
    }

    [GeneratedRegex(@"^(?<from>\d*)\.\.(?<to>\d*) (?<some>some )?(?<what>\w+)(?: (?<op><=|>=|=|!=) (?<than>\S+))?$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Grammar();

    private static ScenarioClaim Parse(string line)
    {
        var match = Grammar().Match(line);
        if (!match.Success)
        {
            throw new FormatException($"no claim: {line}");
        }

        var (op, than) = (match.Groups["op"].Value, match.Groups["than"].Value);
        Func<ScalingDecision, bool> holds = match.Groups["what"].Value switch
        {
            "decided" => static d => d.IsDecided,
            "active" => static d => d is { IsDecided: true, IsActive: true },
            "notInactive" => static d => !d.IsDecided || d.IsActive,
            "notBelow" => AtLeast(than),
            "inactive" => static d => d is { IsDecided: true, IsActive: false },
            "value" => Compare(static d => d.IsDecided ? d.Value : null, op, than),
            "serviceTime" => Compare(static d => d.ServiceTimeSeconds, op, than),
            "arrivals" => Compare(static d => d.ArrivalsPerSecond, op, than),
            "reason" when op == "=" => d => d.Reason.Code() == than,
            "reason" when op == "!=" => d => d.Reason.Code() != than,
            _ => throw new FormatException($"no claim: {line}"),
        };
        if (match.Groups["what"].Value == "reason" && !DecisionReasons.All.Select(DecisionReasons.Code).Contains(than))
        {
            throw new FormatException($"no such reason: {line}");
        }

        return new ScenarioClaim(
            line, Number(match.Groups["from"].Value, 0), Number(match.Groups["to"].Value, int.MaxValue), match.Groups["some"].Success, holds);
    }

    private static int Number(string text, int otherwise) => text.Length == 0 ? otherwise : int.Parse(text, CultureInfo.InvariantCulture);

    private static Func<ScalingDecision, bool> AtLeast(string than)
    {
        var value = long.Parse(than, CultureInfo.InvariantCulture);
        return decision => !decision.IsDecided || decision.Value >= value;
    }

    // What is not known satisfies no comparison.
    private static Func<ScalingDecision, bool> Compare(Func<ScalingDecision, double?> figure, string op, string than)
    {
        var limit = double.Parse(than, CultureInfo.InvariantCulture);
        return op switch
        {
            "<=" => d => figure(d) <= limit,
            ">=" => d => figure(d) >= limit,
            _ => throw new FormatException($"{op} {than}"),
        };
    }
}
