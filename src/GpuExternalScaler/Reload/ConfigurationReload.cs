using GpuExternalScaler.Configuration;
using GpuExternalScaler.Evaluation;
using GpuExternalScaler.Observability;
using GpuExternalScaler.Rpc;
using GpuExternalScaler.Sources;

namespace GpuExternalScaler.Reload;

/// <summary>Where a configuration came from: what a later reading of the same is done with.</summary>
/// <param name="Path">The file.</param>
/// <param name="Environment">The environment's variables, which lie over every version of the file.</param>
/// <param name="Content">What the file held at the start.</param>
/// <param name="Reading">What came of reading it.</param>
internal sealed record ConfigurationOrigin(string Path, IReadOnlyCollection<KeyValuePair<string, string>> Environment, FileContent Content, ConfigurationReading? Reading);

/// <summary>
/// Follows the operator's file: a good one is swapped in whole, a bad one leaves the last good one in force and says what is
/// wrong with it.
/// </summary>
internal sealed class ConfigurationReload(
    ConfigurationOrigin origin,
    CurrentConfiguration configuration,
    SourceFactory sources,
    SourceRunner runner,
    WorkloadRegistry registry,
    ReloadStatus status,
    LogThreshold threshold,
    MonotonicClock clock,
    ILogger<ConfigurationReload> logger) : IReloadable
{
    // A megabyte of garbage has thousands of mistakes.
    private const int MostFindings = 20;
    private const int MostChanges = 40;
    private const int ManyLooks = 20;

    private readonly SettlingFiles _file = new([origin.Path], ConfigurationFile.LargestBytes, [origin.Content]);
    private HashSet<ConfigurationFinding> _told = [.. origin.Reading?.Findings ?? []];
    private HashSet<string> _waiting = [];

    /// <inheritdoc/>
    public async Task LookAsync(CancellationToken cancellation)
    {
        if (await _file.LookAsync(cancellation) is not [var content])
        {
            if (_file.LooksSinceSettled == ManyLooks)
            {
                status.Refused();
                logger.NeverSettles(origin.Path);
            }

            return;
        }

        if (content.Problem is { } problem)
        {
            Refuse([new ConfigurationFinding("", 1, 1, $"cannot be read ({problem})")]);
            return;
        }

        var reading = ConfigurationFile.Read(content.Text, origin.Environment);
        if (reading.Options is not { } options)
        {
            Refuse([.. reading.Errors]);
        }
        else if (YamlTree.Parse(content.Text, []) is { Entries.Count: 0 })
        {
            Refuse([new ConfigurationFinding("", 1, 1, "is empty: an edit that was not finished would take every connection away")]);
        }
        else
        {
            Tell(reading.Findings);
            Apply(reading, options, ReloadStatus.HashOf(content.Bytes.Span));
        }
    }

    private void Refuse(IReadOnlyList<ConfigurationFinding> errors)
    {
        status.Refused();
        logger.ConfigurationRefused(origin.Path, errors.Count);
        Tell(errors);
    }

    /// <summary>Logs each finding once for as long as it lasts.</summary>
    private void Tell(IReadOnlyList<ConfigurationFinding> findings)
    {
        var untold = findings.Where(finding => !_told.Contains(finding)).ToList();
        foreach (var finding in untold.Take(MostFindings))
        {
            logger.ConfigurationFinding(finding.IsWarning ? LogLevel.Warning : LogLevel.Error, origin.Path, finding);
        }

        if (untold.Count > MostFindings)
        {
            logger.MoreConfigurationFindings(untold.Count - MostFindings, origin.Path);
        }

        _told = [.. findings];
    }

    private void Apply(ConfigurationReading reading, ScalerOptions options, long hash)
    {
        var before = configuration.Current;
        options = KeepWhatIsFixedAtStart(options, before.Options);

        var changes = ConfigurationChanges.Between(before.Options, options);
        if (!ConfigurationChanges.OfPolicies(before.Options, options).Any())
        {
            // Nobody's policy has to be worked out again.
            options = options with { Policies = before.Options.Policies };
        }

        var after = ConfigurationSnapshot.Of(options, sources, reading, before);
        configuration.Current = after;
        runner.Follow();
        threshold.Level = options.LogLevel;
        status.Succeeded(hash, clock.Now);
        logger.ConfigurationInForce(
            ReloadStatus.TextOf(hash),
            changes.Count == 0 ? "nothing" : string.Join(", ", changes.Take(MostChanges)) + (changes.Count > MostChanges ? $" and {changes.Count - MostChanges} more" : ""));
        TellOfTheDisconnected(before.Options, after.Options);
    }

    private ScalerOptions KeepWhatIsFixedAtStart(ScalerOptions options, ScalerOptions running)
    {
        var waiting = FileKeys.Server.Where(key => key.IsFixedAtStart && !key.IsSame(running, options)).ToList();
        foreach (var key in waiting)
        {
            if (!_waiting.Contains(key.Path))
            {
                logger.NeedsRestart(key.Path);
            }

            options = key.Take(options, running);
        }

        _waiting = [.. waiting.Select(static key => key.Path)];

        // Of what is not set there is nothing to take.
        return options with { Tls = running.Tls };
    }

    private void TellOfTheDisconnected(ScalerOptions before, ScalerOptions after)
    {
        var disconnected = registry.All
            .Select(static workload => workload.Trigger)
            .Where(trigger => WhyNoConnection(trigger, before) is null && WhyNoConnection(trigger, after) is not null)
            .ToList();
        if (disconnected.Count > 0)
        {
            logger.WorkloadsDisconnected(disconnected.Count, disconnected[0].Namespace, disconnected[0].Name);
        }
    }

    private static string? WhyNoConnection(TriggerMetadata trigger, ScalerOptions options) =>
        ConnectionRules.WhyNoConnection(trigger, options.Policies.Resolve(trigger.Namespace, trigger.Name, trigger.Policy).Policy, options);
}
