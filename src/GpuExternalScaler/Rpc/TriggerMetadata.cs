using System.Security.Cryptography;
using System.Text;
using GpuExternalScaler.Configuration;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Rpc;

/// <summary>
/// What a ScaledObject's trigger says, parsed and normalised (K8 to K11). Depends on the request alone.
/// </summary>
internal sealed record TriggerMetadata
{
    private const int LongestName = 253;

    // RabbitMQ's own limit, in bytes.
    private const int LongestQueueName = 255;
    private const int MostNames = 100;

    // What no selector's canonical text is.
    private const string NoQueues = "none";

    private static readonly string TooManyNames = $"queue may hold at most {MostNames} names; use queueRegex for more";

    private static readonly PatternVerdicts PodPatterns = new(static pattern => PodSelector.ForPattern("any", pattern) is not null, PodSelector.LongestPattern);

    private static readonly HashSet<string> OwnKeys = new(
        [.. TriggerKeys.Identity.Select(static key => key.Name), .. PolicyKeys.All.Keys],
        StringComparer.Ordinal);

    /// <summary>Namespace of the ScaledObject, as the caller says.</summary>
    public required string Namespace { get; init; }

    /// <summary>Name of the ScaledObject.</summary>
    public required string Name { get; init; }

    /// <summary>The queues meant; null when the demand is another than queues'.</summary>
    public required QueueSelector? Queues { get; init; }

    /// <summary>Virtual host of the queues.</summary>
    public required string Vhost { get; init; }

    /// <summary>Named connection, or null for the only one configured.</summary>
    public required string? Connection { get; init; }

    /// <summary>Named connection to accelerator exporters, or null for the only one configured.</summary>
    public string? Gpu { get; init; }

    /// <summary>The Deployment, StatefulSet or Job whose pods count; null for the one of the ScaledObject's name, or with a pattern.</summary>
    public string? Target { get; init; }

    /// <summary>Pattern of the names of the pods that count; null without.</summary>
    public string? PodPattern { get; init; }

    /// <summary>Named connection to model servers; null when their requests are not the demand.</summary>
    public string? ModelServer { get; init; }

    /// <summary>Named Prometheus connection for the trigger's queries, or null.</summary>
    public string? Prometheus { get; init; }

    /// <summary>Name of the metric (K14): lower case.</summary>
    public required string MetricName { get; init; }

    /// <summary>Policy values the trigger sets.</summary>
    public required PolicyOverrides Policy { get; init; }

    /// <summary>Short stable hash of everything above but namespace and name: tells two triggers of one ScaledObject apart.</summary>
    public required string TriggerId { get; init; }

    /// <summary>Keys that mean nothing here, to be named once: a typo is the commonest mistake (K9).</summary>
    public IReadOnlyList<string> UnknownKeys { get; init; } = [];

    /// <summary>Reads a request; null with errors that name keys and never values (K7, K9).</summary>
    /// <param name="namespace">Namespace of the ScaledObject.</param>
    /// <param name="name">Its name.</param>
    /// <param name="metadata">What its trigger says.</param>
    /// <param name="errors">What is wrong.</param>
    /// <param name="hasDemandElsewhere">Whether the operator's file names a demand, so that the metadata need not. Not for requests, which speak for themselves.</param>
    public static TriggerMetadata? Parse(string @namespace, string name, IEnumerable<KeyValuePair<string, string>> metadata, out IReadOnlyList<string> errors, bool hasDemandElsewhere = false)
    {
        var problems = new List<string>();
        errors = problems;
        if (!IsObjectName(name))
        {
            problems.Add("name must be the ScaledObject's name");
        }

        if (!IsObjectName(@namespace))
        {
            problems.Add("namespace must be the ScaledObject's namespace");
        }

        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        List<string>? unknown = null;
        foreach (var (rawKey, rawValue) in metadata)
        {
            var fromEnvironment = rawKey.EndsWith("FromEnv", StringComparison.Ordinal);
            var key = fromEnvironment ? rawKey[..^"FromEnv".Length] : rawKey;
            if (!OwnKeys.Contains(key))
            {
                if (!TriggerKeys.Transport.Contains(key))
                {
                    (unknown ??= []).Add(rawKey);
                }

                continue;
            }

            var value = rawValue.Trim();
            if (value.Length == 0 || (fromEnvironment && values.ContainsKey(key)))
            {
                continue;
            }

            values[key] = value;
        }

        if (unknown is not null)
        {
            unknown.Sort(StringComparer.Ordinal);
        }

        var queues = ReadQueues(values, problems, hasDemandElsewhere);
        CheckPods(values, problems);
        var metricName = (values.GetValueOrDefault(TriggerKeys.MetricName) ?? TriggerKeys.DefaultMetricName).ToLowerInvariant();
        if (!IsMetricName(metricName))
        {
            problems.Add("metricName must be letters, digits and hyphens, beginning and ending with a letter or digit, at most 100 characters");
        }

        var policy = new List<KeyValuePair<string, string>>();
        foreach (var key in PolicyKeys.All.Values)
        {
            if (!values.TryGetValue(key.Name, out var text))
            {
                continue;
            }

            if (key.Parse(text) is { } canonical)
            {
                policy.Add(new(key.Name, canonical));
            }
            else
            {
                problems.Add($"{key.Name} {key.Problem(text)}");
            }
        }

        var vhost = values.GetValueOrDefault(TriggerKeys.Vhost) ?? TriggerKeys.DefaultVhost;
        var connection = values.GetValueOrDefault(TriggerKeys.RabbitMq);
        if (problems.Count > 0)
        {
            return null;
        }

        // The default is no other meaning when it is written out (K8).
        if (values.GetValueOrDefault(TriggerKeys.Target) == name)
        {
            values.Remove(TriggerKeys.Target);
        }

        return new TriggerMetadata
        {
            Namespace = @namespace,
            Name = name,
            Queues = queues,
            Vhost = vhost,
            Connection = connection,
            Gpu = values.GetValueOrDefault(TriggerKeys.Gpu),
            Target = values.GetValueOrDefault(TriggerKeys.Target),
            PodPattern = values.GetValueOrDefault(TriggerKeys.PodRegex),
            ModelServer = values.GetValueOrDefault(TriggerKeys.ModelServer),
            Prometheus = values.GetValueOrDefault(TriggerKeys.Prometheus),
            MetricName = metricName,
            Policy = new PolicyOverrides(policy),
            TriggerId = Hash(queues?.Canonical ?? NoQueues, vhost, connection, metricName, policy, values),
            UnknownKeys = unknown ?? (IReadOnlyList<string>)[],
        };
    }

    private static void CheckPods(Dictionary<string, string> values, List<string> problems)
    {
        if (values.TryGetValue(TriggerKeys.Target, out var target) && !IsObjectName(target))
        {
            problems.Add($"target must be the name of a Deployment, StatefulSet or Job: lower-case letters, digits, hyphens and dots, at most {LongestName} characters");
        }

        if (!values.TryGetValue(TriggerKeys.PodRegex, out var pattern))
        {
            return;
        }

        if (target is not null)
        {
            problems.Add("podRegex excludes target: give one of them");
        }

        if (!PodPatterns.Of(pattern))
        {
            problems.Add($"podRegex must be a regular expression without look-around or back references, at most {PodSelector.LongestPattern} characters");
        }
    }

    private static QueueSelector? ReadQueues(Dictionary<string, string> values, List<string> problems, bool hasDemandElsewhere)
    {
        var list = values.GetValueOrDefault(TriggerKeys.Queue);
        var pattern = values.GetValueOrDefault(TriggerKeys.QueueRegex);
        if (list is null && pattern is null)
        {
            if (!hasDemandElsewhere && !TriggerKeys.DemandWithoutQueue.Any(values.ContainsKey))
            {
                problems.Add("give queue (a name, or several with commas between) or queueRegex, or another demand signal: modelServer, vramThreshold or query");
                return null;
            }

            foreach (var key in (ReadOnlySpan<string>)[TriggerKeys.Vhost, TriggerKeys.RabbitMq])
            {
                if (values.ContainsKey(key))
                {
                    problems.Add($"{key} needs queue or queueRegex");
                }
            }

            if (values.GetValueOrDefault(PolicyKeys.Mode) == PolicyKeys.Job)
            {
                problems.Add("mode job needs queue or queueRegex: a job is for a message");
            }

            return null;
        }

        if (list is not null && pattern is not null)
        {
            problems.Add("give either queue (a name, or several with commas between) or queueRegex");
            return null;
        }

        if (pattern is not null)
        {
            if (QueueSelector.IsPattern(pattern))
            {
                return new QueueSelector([], pattern);
            }

            problems.Add($"queueRegex must be a regular expression without look-around or back references, at most {QueueSelector.LongestPattern} characters");
            return null;
        }

        if (list!.Length > MostNames * LongestQueueName)
        {
            problems.Add(TooManyNames);
            return null;
        }

        // Named twice is counted once; the order is kept for messages, and sorted for identity.
        var names = list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal)
            .ToList();
        if (names.Count == 0)
        {
            problems.Add("queue must hold at least one name");
            return null;
        }

        if (names.Count > MostNames)
        {
            problems.Add(TooManyNames);
            return null;
        }

        return new QueueSelector(names, null);
    }

    private static string Hash(string queues, string vhost, string? connection, string metricName, List<KeyValuePair<string, string>> policy, Dictionary<string, string> values)
    {
        var text = new StringBuilder();
        Append(queues);
        Append(vhost);
        Append(connection ?? "");
        Append(metricName);
        foreach (var (key, value) in policy)
        {
            Append(key);
            Append(value);
        }

        // Younger than ids that dashboards know: only where they are given. No policy key has such a name.
        foreach (var key in (ReadOnlySpan<string>)[TriggerKeys.Gpu, TriggerKeys.Target, TriggerKeys.PodRegex, TriggerKeys.ModelServer, TriggerKeys.Prometheus])
        {
            if (values.TryGetValue(key, out var value))
            {
                Append(key);
                Append(value);
            }
        }

        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString()), digest);
        return Convert.ToHexStringLower(digest[..6]);

        // Lengths keep "a" + "bc" apart from "ab" + "c".
        void Append(string part) => text.Append(part.Length).Append(':').Append(part);
    }

    private static bool IsMetricName(string name) =>
        name.Length <= 100 && name[0] != '-' && name[^1] != '-' && name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    private static bool IsObjectName(string name) =>
        name.Length is > 0 and <= LongestName && name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.');
}
